"""One running job a session: started when the question changes, cancelled when a new one replaces it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import streamlit as st
from streamlit.runtime import exists, get_instance
from streamlit.runtime.scriptrunner import get_script_run_ctx

from explain.catalog import Request
from explain.errors import ExplainError
from explain.service import Job, service

KEPT = 4
"""Finished side jobs (attention of a layer) that a session remembers."""


def _alive() -> Callable[[], bool]:
    """Whether this session's browser is still there, asked from any thread."""
    context = get_script_run_ctx()
    if context is None or not exists():
        return lambda: True
    session, runtime = context.session_id, get_instance()
    return lambda: runtime.is_active_session(session)


def current(request: Request, model: str, *, again: bool) -> Job | ExplainError:
    """The job that answers this question; a new one if the question is new, or asked again after it failed."""
    key = (model, request.digest)
    job: Job | None = st.session_state.get("job")
    known = st.session_state.get("job_key") == key
    if job is not None and known and not (again and job.over and job.state != "done"):
        return job
    if job is not None and not job.over:
        job.cancel()
    try:
        st.session_state.job = service().submit(request, model, _alive())
    except ExplainError as error:
        st.session_state.job = None
        return error
    st.session_state.job_key = key
    return st.session_state.job  # type: ignore[no-any-return]


def aside(request: Request, model: str, timeout: float = 30) -> Job | ExplainError:
    """Answer a small question at once, remembered for the session; waits for it, as long as a busy machine may need."""
    kept: OrderedDict[tuple[str, str], Job] = st.session_state.setdefault("asides", OrderedDict())
    key = (model, request.digest)
    if key not in kept or (kept[key].over and kept[key].state != "done"):
        try:
            kept[key] = service().submit(request, model, _alive())
        except ExplainError as error:
            return error
        while len(kept) > KEPT:
            kept.popitem(last=False)[1].cancel()
    kept[key].wait(timeout)
    return kept[key]
