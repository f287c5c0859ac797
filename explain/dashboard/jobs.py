"""One running job a session: started when the question changes, cancelled when a new one replaces it."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace

import streamlit as st
from streamlit.runtime import exists, get_instance
from streamlit.runtime.scriptrunner import get_script_run_ctx

from explain import bundled, list_methods
from explain.catalog import Forecast, Request
from explain.dashboard import access
from explain.errors import ExplainError
from explain.service import Job, Question, service
from explain.settings import settings

KEPT = 12
"""Finished side jobs (attention of a layer, a head) that a session remembers."""


def _session() -> tuple[Callable[[], bool], str]:
    """Whether this session's browser is still there, asked from any thread; and the session's name."""
    context = get_script_run_ctx()
    if context is None or not exists():
        return (lambda: True), ""
    session, runtime = context.session_id, get_instance()
    return (lambda: runtime.is_active_session(session)), session


def _submit(request: Question, model: str, seconds: float) -> Job:
    access.require("explain")
    alive, session = _session()
    return service().submit(request, model, alive, client=session, seconds=seconds)


def trusted(model: str, pressed: bool) -> bool:
    """May this model be opened? One that comes with Whyboard, or one that a person pressed the button for.

    A link alone must not make this machine open a model.
    """
    if pressed or model in bundled.names() or model == settings().model:
        st.session_state.trusted = model
    return bool(st.session_state.get("trusted") == model)


def task(model: str) -> str | None:
    """The task of a model that this session has asked; None before."""
    found: str | None = st.session_state.get("tasks", {}).get(model)
    return found


def learn(model: str, found: str) -> None:
    """Remember a model's task, so that examples for it can be offered."""
    st.session_state.setdefault("tasks", {})[model] = found


def talks(model: str) -> bool:
    """Whether a model is known to read conversations; remembered, since a worker may be lost."""
    known: set[str] = st.session_state.setdefault("talking", set())
    if model not in known and service().talks(model):
        known.add(model)
    return model in known


def current(request: Request, model: str, *, again: bool) -> Job | ExplainError:
    """The job that answers this question; a new one if the question is new, or asked again after it failed."""
    key = (model, request.digest)
    job: Job | None = st.session_state.get("job")
    known = st.session_state.get("job_key") == key
    if job is not None and known and not (again and job.over and job.state != "done"):
        return job
    if job is not None and not job.over:
        job.heard = lambda: None  # its end is no news for the page of another question
        job.cancel()
    try:
        st.session_state.job = _submit(request, model, settings().seconds)
    except ExplainError as error:
        st.session_state.job = None
        return error
    st.session_state.job_key = key
    return st.session_state.job  # type: ignore[no-any-return]


def forecasts(request: Request, model: str) -> dict[str, Forecast]:
    """What each method would cost for this text, without its checks; asked anew once the text changes.

    Nothing is asked while a job runs: the answer would have to wait for the model.
    """
    job: Job | None = st.session_state.get("job")
    key = (model, request.digest)
    kept = st.session_state.get("forecasts", (None, {}))
    if kept[0] == key or job is None or not job.over or not access.may("explain"):
        return kept[1] if kept[0] == key else {}
    names = [m.name for m in list_methods()]
    found = service().forecasts([replace(request, methods=(name,), checks=()) for name in names], model)
    answer = dict(zip(names, found, strict=True))
    if any(each.seconds for each in found):
        st.session_state.forecasts = (key, answer)
    return answer


def waiting() -> int:
    """How many jobs of all sessions wait for their turn."""
    return service().waiting


def refused(model: str) -> dict[str, float]:
    """Methods known to be refused on this model, with the share of the change that they miss."""
    return service().refused(model)


def aside(request: Question, model: str, note: str, timeout: float = 60) -> Job | ExplainError:
    """Answer a small question at once, remembered for the session.

    Waits for it, as long as a busy machine may need. `note` stands there meanwhile; drawing it again and again lets
    Streamlit break off the wait as soon as the person does something else.
    """
    kept: OrderedDict[tuple[str, str], Job] = st.session_state.setdefault("asides", OrderedDict())
    key = (model, f"{type(request).__name__} {request.digest}")  # questions of two kinds may hold the same
    if key not in kept or (kept[key].over and kept[key].state != "done"):
        try:
            kept[key] = _submit(request, model, max(timeout, settings().seconds))
        except ExplainError as error:
            return error
        while len(kept) > KEPT:
            kept.popitem(last=False)[1].cancel()
    return _awaited(kept[key], note, timeout)


def info(model: str, note: str, timeout: float = 60) -> Job | ExplainError:
    """Which network is it? The job's `seen` is its ModelInfo; waits as `aside` where it is not loaded yet."""
    try:
        access.require("explain")
        return _awaited(service().info(model, client=_session()[1]), note, timeout)
    except ExplainError as error:
        return error


def _awaited(job: Job, note: str, timeout: float) -> Job:
    """The job once it is over, or `timeout` seconds have passed."""
    place, until = st.empty(), time.monotonic() + timeout
    while not job.wait(0.3) and time.monotonic() < until:
        place.caption(note)
    place.empty()
    return job
