"""Explain: text in, decision, reasons and checks, on one page."""

from __future__ import annotations

import time

import streamlit as st

from explain.dashboard import evidence, jobs, panels, trust
from explain.dashboard.ask import Asked, ask
from explain.dashboard.continuation import continuation
from explain.dashboard.gap import gap
from explain.dashboard.labels import TASK, noticed
from explain.dashboard.progress import POLL, Drawn, pace, progress
from explain.errors import ExplainError
from explain.render import html
from explain.service import Job, service


def outcome(asked: Asked, job: Job) -> None:
    """Everything below the inputs; while the job runs, what is known so far."""
    running = not job.over
    if job.error is not None:
        if job.error.code == "no_mask" and jobs.task(asked.model) != "fill-mask":
            jobs.learn(asked.model, "fill-mask")
            st.session_state.refit = st.session_state.example is not None
            st.rerun()
        panels.problem(job.error, asked.model, asked.request.methods[0])
        return
    explanation = job.partial
    if explanation is not None:
        if noticed(explanation, asked.model):
            st.rerun()
        if jobs.task(asked.model) != TASK:
            jobs.learn(asked.model, explanation.model.task)
        panels.decision(explanation)
        gap(explanation)
        if explanation.attributions:
            selected = panels.words(explanation, fixed_scale=asked.fixed_scale, running=running)
            st.session_state.word = selected  # the Attention page opens with it
            continuation(explanation, asked.model, running=running)
            panels.change(explanation)
            panels.beside(explanation)
            panels.pairs(explanation, asked.request, asked.model, running=running)
            trust.trust(explanation, running=running)
            if not running:
                panels.attention(explanation, asked.request, asked.model, selected)
            panels.how(explanation, running=running)
            evidence.save(explanation, asked.request, running=running)


def outcomes() -> tuple[tuple[str, ...], bool]:
    """Outcomes of the model that answered last, and whether it has no others."""
    job: Job | None = st.session_state.get("job")
    if job is None or job.partial is None:
        return (), True
    prediction = job.partial.prediction
    return prediction.labels, not prediction.left_out


labels, closed = outcomes()
asked = ask(labels, closed=closed)
if not jobs.trusted(asked.model, asked.pressed):
    st.info(html.markdown(f"Press Explain to load the model {asked.model[:80]}."))
    st.stop()
found = jobs.current(asked.request, asked.model, again=asked.pressed)
if isinstance(found, ExplainError):
    panels.problem(found)
else:
    found.wait(POLL / 2)  # some answers are that quick
    shown, began = found.partial, time.monotonic()
    place = st.empty()  # of its own, also when nothing runs: what follows keeps its place, and nothing stale is left
    below = st.container()
    running = not found.over
    with below:
        st.fragment(outcome)(asked, found)
    if running:
        with place.container():
            others = service().waiting
            drawn = Drawn(shown, began, time.monotonic() - began, others)
            st.fragment(progress, run_every=pace(others))(found, drawn)
    else:
        place.empty()
