"""When a running job's page is drawn anew."""

from __future__ import annotations

from dataclasses import replace

import pytest

from explain.catalog import Progress, Request
from explain.dashboard.progress import PART, Drawn
from explain.engine import Model
from explain.records import Explanation
from explain.service import Job


@pytest.fixture(scope="module")
def whole(tiny: Model) -> Explanation:
    """An explanation, of which parts stand for what is known so far."""
    return tiny.explain("a good movie", checks=("completeness",))


def job_with(partial: Explanation | None) -> Job:
    """A running job that knows so much."""
    job = Job(Request(("a good movie",)), "tiny")
    job.tell(Progress("words", 1, 2), partial)
    return job


def test_only_news_is_drawn(whole: Explanation) -> None:
    drawn = Drawn(whole, at=0.0, seconds=0.1)
    assert not drawn.stale(job_with(whole), now=1e6)
    assert not Drawn(None, 0.0, 0.0).stale(job_with(None), now=1e6)


def test_the_end_and_the_first_scores_wait_for_nothing(whole: Explanation) -> None:
    slow = Drawn(replace(whole, attributions=(), checks=()), at=0.0, seconds=60.0)
    assert slow.stale(job_with(whole), now=0.0)
    job = job_with(whole)
    job.cancel()
    job.done(whole)
    assert Drawn(whole, 0.0, 60.0).stale(job, now=0.0)


def test_drawing_takes_no_more_than_its_part_of_the_time(whole: Explanation) -> None:
    drawn, job = Drawn(replace(whole, checks=()), at=10.0, seconds=0.5), job_with(whole)
    soonest = 10.0 + 0.5 / PART
    assert not drawn.stale(job, now=soonest - 0.01)
    assert drawn.stale(job, now=soonest)
