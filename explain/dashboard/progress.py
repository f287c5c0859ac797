"""A running job on the page: how far it is, buttons to stop it, and the moment to draw what is new.

Drawing the whole page costs a server and a browser far more than drawing the bar. The page is drawn when a job ends,
for one person also when its first scores are there, and else at most so often that drawing takes a part of the time: on
a machine that is slow today, or that many look at, less often. A job says itself when it is time (`watch`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import streamlit as st

from explain import list_methods
from explain.dashboard import choices, jobs
from explain.records import Explanation
from explain.service import Job

POLL, SELDOM = 2.0, 8.0
"""Seconds between drawings of the bar: for one person alone, and at most."""
SOONER = 0.2
"""The part of that time after which a page looks that a job cannot wake."""
SOON = 1.0
"""Seconds before the end of a job in which nothing but its first scores is drawn, since the end would draw it again."""
PART = 0.2
"""The part of the time that drawing what is new may take."""
STOP = "Keep the scores as they are now, with their standard errors, and go on to the checks."


@dataclass(frozen=True)
class Drawn:
    """What the page shows of a job (None: nothing yet), since when, and how many seconds it took to draw."""

    partial: Explanation | None
    at: float
    seconds: float

    def stale(self, job: Job, now: float, waiting: int) -> bool:
        """Is it time to draw the page anew, while so many others wait for the machine?

        While others wait, not before the job has worked for a second for each of them: what is quick is drawn once.
        """
        if job.over:
            return True
        if waiting and (job.begun is None or now - job.begun < waiting):
            return False
        new = job.partial
        if new is None or new is self.partial:
            return False
        if not waiting and new.attributions and not (self.partial is not None and self.partial.attributions):
            return True  # the words wait for no check
        return not 0 < job.left(now) < SOON and now - self.at >= self.seconds * max(1, waiting) / PART


def pace(waiting: int, *, woken: bool) -> float:
    """Seconds between drawings of the bar where so many wait: all pages together draw it as often as one does.

    `woken`: the job draws the page when it has news, so that nobody needs to look for them.
    """
    return min(SELDOM, POLL * max(1, waiting)) * (1 if woken else SOONER)


def watch(job: Job, drawn: Drawn, wake: Callable[[], None] | None) -> None:
    """Wake the page, once, when the job has news that it is time to draw."""

    def heard() -> None:
        if wake is not None and drawn.stale(job, time.monotonic(), jobs.waiting()):
            job.heard = lambda: None  # until the page is drawn
            wake()

    job.heard = heard


def progress(job: Job, drawn: Drawn) -> None:
    """The bar of a running job; draws the whole page anew once that is due."""
    if not job.over:
        _bar(job)  # first: a click on one of its buttons must not be lost because there is news
    if drawn.stale(job, time.monotonic(), jobs.waiting()):
        st.rerun()


def _bar(job: Job) -> None:
    began = st.session_state.setdefault(f"began-{job.id}", time.monotonic())
    spent = time.monotonic() - began
    seconds = job.forecast.seconds if job.forecast else None
    share = min(0.95, spent / (seconds + 1)) if seconds else min(0.9, spent / 20)
    done = f" · {job.progress.done:,} passes" if job.progress.done else ""
    about = f" · {choices.spoken(job.forecast)} in all" if job.forecast and seconds and 1 <= seconds < math.inf else ""
    bar, settle, stop = st.columns([4, 1.4, 1], vertical_alignment="center")
    bar.progress(share, text=f"{job.progress.stage}{done}{about}")
    if _refining(job) and settle.button("Stop refining", width="stretch", key="settle", help=STOP):
        job.settle()
    if stop.button("Cancel", width="stretch", key="cancel"):
        job.cancel()


def anew(**changes: object) -> None:
    """Change what is asked from inside the answer. That is a fragment, so the page must be told to begin anew."""
    st.session_state.update({**changes, "anew": True})


def _refining(job: Job) -> bool:
    """Is a first answer on the screen that the method still makes more exact?"""
    found = job.partial.attributions if job.partial is not None else ()
    known = {m.name: m for m in list_methods()}
    return bool(found) and known[found[-1].method].stochastic and known[found[-1].method].title == job.progress.stage
