"""One running job a session: started when the question changes, cancelled when a new one replaces it."""

from __future__ import annotations

from collections import OrderedDict

import streamlit as st

from explain.catalog import Request
from explain.errors import ExplainError
from explain.service import Job, service

KEPT = 4
"""Finished side jobs (attention of a layer) that a session remembers."""


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
        st.session_state.job = service().submit(request, model)
    except ExplainError as error:
        st.session_state.job = None
        return error
    st.session_state.job_key = key
    return st.session_state.job  # type: ignore[no-any-return]


def aside(request: Request, model: str, timeout: float = 60) -> Job:
    """Answer a small question at once, remembered for the session; waits for it."""
    kept: OrderedDict[tuple[str, str], Job] = st.session_state.setdefault("asides", OrderedDict())
    key = (model, request.digest)
    if key not in kept or (kept[key].over and kept[key].state != "done"):
        kept[key] = service().submit(request, model)
        while len(kept) > KEPT:
            kept.popitem(last=False)
    kept[key].wait(timeout)
    return kept[key]
