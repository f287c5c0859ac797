"""Explain: text in, decision, reasons and checks, on one page."""

from __future__ import annotations

import time

import streamlit as st

from explain.dashboard import conversation, evidence, jobs, panels, trust
from explain.dashboard.answer import TASK as ANSWERS
from explain.dashboard.answer import answer
from explain.dashboard.ask import Asked, ask
from explain.dashboard.continuation import continuation, written_about
from explain.dashboard.examples import of
from explain.dashboard.gap import gap
from explain.dashboard.labels import TASK, noticed
from explain.dashboard.long import long, refused
from explain.dashboard.progress import Drawn, pace, progress, watch
from explain.dashboard.tags import tags
from explain.dashboard.wake import waker
from explain.errors import ExplainError
from explain.prediction import kinds
from explain.render import html
from explain.service import Job

QUICK = 0.2
"""Seconds that the first drawing waits: some answers are that quick."""
FITTING = {"no_mask": "fill-mask", "no_context": ANSWERS}
"""Tasks that a model refuses a text for that does not suit them."""


def outcome(asked: Asked, job: Job) -> None:
    """Everything below the inputs; while the job runs, what is known so far."""
    if st.session_state.pop("anew", False):
        st.rerun()
    running = not job.over
    if job.error is not None:
        if job.error.code in FITTING:
            _fit(asked.model, FITTING[job.error.code])
        panels.problem(job.error, asked.model, asked.request.methods[0])
        refused(asked.request)
        return
    explanation = job.partial
    if explanation is not None:
        if noticed(explanation, asked.model) or (job.over and conversation.noticed(asked.model)):
            st.rerun()
        if jobs.task(asked.model) != TASK:
            _fit(asked.model, explanation.model.task)
        panels.decision(explanation)
        conversation.filled(explanation)
        long(explanation, running=running)
        tags(explanation)
        answer(explanation)
        gap(explanation)
        about = st.container()  # filled last: what stands below need not wait until the model has written
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
        with about:
            written_about(explanation, asked.model, running=running)


def _fit(model: str, task: str) -> None:
    """Offer examples for a model's task once it is known; a text that nobody wrote makes way for one of them."""
    before, example = of(model, jobs.task(model)), st.session_state.example
    jobs.learn(model, task)
    if (fitting := of(model, task)) != before:
        st.session_state.refit = example is not None and example not in fitting
        st.rerun()


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
    found.wait(QUICK)
    shown, began = found.partial, time.monotonic()
    place = st.empty()  # of its own, also when nothing runs: what follows keeps its place, and nothing stale is left
    below = st.container()
    running = not found.over
    with below:
        st.fragment(outcome)(asked, found)
    if running:
        with place.container():
            others = jobs.waiting()
            drawn, wake = Drawn(shown, began, time.monotonic() - began), waker()
            watch(found, drawn, wake)  # first: what ends now is seen by the look that follows
            st.fragment(progress, run_every=pace(others, woken=wake is not None))(found, drawn)
    else:
        place.empty()
