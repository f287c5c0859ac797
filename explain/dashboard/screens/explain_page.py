"""Explain: text in, decision, reasons and checks, on one page."""

from __future__ import annotations

import math
import time

import streamlit as st

from explain import list_methods
from explain.dashboard import choices, evidence, jobs, panels, trust
from explain.dashboard.ask import Asked, ask
from explain.dashboard.continuation import continuation
from explain.dashboard.examples import of
from explain.dashboard.gap import gap
from explain.dashboard.tags import tags
from explain.errors import ExplainError
from explain.prediction import kinds
from explain.render import html
from explain.service import Job

POLL = 0.4  # seconds between looks at a running job
STOP = "Keep the scores as they are now, with their standard errors, and go on to the checks."


def outcome(asked: Asked, job: Job) -> None:
    """Everything below the inputs; while the job runs, what is known so far."""
    if st.session_state.pop("anew", False):
        st.rerun()
    running = not job.over
    if running:
        job.wait(POLL / 2)
    place = st.empty()  # of its own, also when nothing runs: what follows keeps its place, and nothing stale is left
    if running:
        with place.container():
            _progress(job)
    else:
        place.empty()
    if job.error is not None:
        if job.error.code == "no_mask":
            _fit(asked.model, "fill-mask")
        panels.problem(job.error, asked.model, asked.request.methods[0])
        return
    explanation = job.partial
    if explanation is not None:
        _fit(asked.model, explanation.model.task)
        panels.decision(explanation)
        tags(explanation)
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
    if running and job.over:
        st.rerun()


def _fit(model: str, task: str) -> None:
    """Offer examples for a model's task once it is known; a text that nobody wrote makes way for one of them."""
    before, example = of(model, jobs.task(model)), st.session_state.example
    jobs.learn(model, task)
    if (fitting := of(model, task)) != before:
        st.session_state.refit = example is not None and example not in fitting
        st.rerun()


def _progress(job: Job) -> None:
    began = st.session_state.setdefault(f"began-{job.id}", time.monotonic())
    spent = time.monotonic() - began
    share = min(0.95, spent / (job.forecast + 1)) if job.forecast else min(0.9, spent / 20)
    done = f" · {job.progress.done:,} passes" if job.progress.done else ""
    about = f" · {choices.spoken(job.forecast)} in all" if job.forecast and 1 <= job.forecast < math.inf else ""
    bar, settle, stop = st.columns([4, 1.4, 1], vertical_alignment="center")
    bar.progress(share, text=f"{job.progress.stage}{done}{about}")
    if _refining(job) and settle.button("Stop refining", width="stretch", key="settle", help=STOP):
        job.settle()
    if stop.button("Cancel", width="stretch", key="cancel"):
        job.cancel()


def _refining(job: Job) -> bool:
    """Is a first answer on the screen that the method still makes more exact?"""
    found = job.partial.attributions if job.partial is not None else ()
    known = {m.name: m for m in list_methods()}
    return bool(found) and known[found[-1].method].stochastic and known[found[-1].method].title == job.progress.stage


def outcomes() -> tuple[tuple[str, ...], bool]:
    """Outcomes of the model that answered last, and whether it has no others."""
    job: Job | None = st.session_state.get("job")
    if job is None or job.partial is None:
        return (), True
    prediction = job.partial.prediction
    more = () if prediction.tagging is None else kinds(prediction.labels)
    return (*prediction.labels, *more), not prediction.left_out


st.session_state.pop("anew", None)  # the whole page is drawn now
labels, closed = outcomes()
asked = ask(labels, closed=closed)
if not jobs.trusted(asked.model, asked.pressed):
    st.info(html.markdown(f"Press Explain to load the model {asked.model[:80]}."))
    st.stop()
found = jobs.current(asked.request, asked.model, again=asked.pressed)
if isinstance(found, ExplainError):
    panels.problem(found)
else:
    st.fragment(outcome, run_every=None if found.over else POLL)(asked, found)
