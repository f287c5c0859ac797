"""When a running job's page is drawn anew."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from explain.catalog import Forecast, Progress, Request
from explain.dashboard.progress import PART, POLL, SELDOM, SOON, Drawn, pace
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
    assert not drawn.stale(job_with(whole), now=1e6, waiting=0)
    assert not Drawn(None, 0.0, 0.0).stale(job_with(None), now=1e6, waiting=0)


def test_the_end_and_the_first_scores_wait_for_nothing(whole: Explanation) -> None:
    slow = Drawn(replace(whole, attributions=(), checks=()), at=0.0, seconds=60.0)
    assert slow.stale(job_with(whole), now=0.0, waiting=0)
    job = job_with(whole)
    job.cancel()
    job.done(whole)
    assert Drawn(whole, 0.0, 60.0).stale(job, now=0.0, waiting=0)


def test_what_is_over_in_a_moment_is_drawn_once(whole: Explanation) -> None:
    drawn, job = Drawn(replace(whole, checks=()), 0.0, 0.0), job_with(whole)
    job.begin()
    assert job.begun is not None
    assert drawn.stale(job, now=job.begun, waiting=0), "nobody knows how long it takes"
    job.forecast = Forecast(seconds=10.0)
    assert drawn.stale(job, now=job.begun, waiting=0)
    end = job.begun + 10
    assert not drawn.stale(job, now=end - SOON / 2, waiting=0)
    wordless = Drawn(replace(whole, attributions=(), checks=()), 0.0, 0.0)
    assert wordless.stale(job, now=end - SOON / 2, waiting=0), "the words wait for no check"
    assert drawn.stale(job, now=end + 5, waiting=0), "it takes longer than was forecast"
    job.forecast = Forecast(seconds=math.inf)
    assert drawn.stale(job, now=job.begun, waiting=0)


def test_drawing_takes_no_more_than_its_part_of_the_time(whole: Explanation) -> None:
    drawn, job = Drawn(replace(whole, checks=()), at=10.0, seconds=0.5), job_with(whole)
    soonest = 10.0 + 0.5 / PART
    assert not drawn.stale(job, now=soonest - 0.01, waiting=0)
    assert drawn.stale(job, now=soonest, waiting=0)


def test_who_is_not_alone_is_drawn_less_often(whole: Explanation) -> None:
    job = job_with(whole)
    job.begin()
    assert job.begun is not None
    drawn, soon = Drawn(replace(whole, checks=()), at=job.begun, seconds=1.0), 1.0 / PART
    assert drawn.stale(job, now=job.begun + soon, waiting=0)
    assert not drawn.stale(job, now=job.begun + soon, waiting=4)
    assert drawn.stale(job, now=job.begun + 4 * soon, waiting=4)


def test_while_others_wait_what_is_quick_is_drawn_once(whole: Explanation) -> None:
    drawn, job = Drawn(replace(whole, checks=()), at=0.0, seconds=0.0), job_with(whole)
    assert not drawn.stale(job, now=1e6, waiting=1), "its work has not begun"
    job.begin()
    assert job.begun is not None
    assert drawn.stale(job, now=job.begun, waiting=0)
    assert not drawn.stale(job, now=job.begun + 3.9, waiting=4)
    assert drawn.stale(job, now=job.begun + 4.1, waiting=4)


def test_first_scores_come_at_once_only_where_nobody_waits_for_the_machine(whole: Explanation) -> None:
    drawn, job = Drawn(replace(whole, attributions=(), checks=()), at=0.0, seconds=1.0), job_with(whole)
    assert drawn.stale(job, now=0.0, waiting=0)
    assert not drawn.stale(job, now=0.0, waiting=1)


def test_pages_that_wait_together_draw_their_bars_as_often_as_one() -> None:
    assert [pace(n, woken=True) for n in (0, 1)] == [POLL] * 2
    assert {round(n / pace(n, woken=True), 9) for n in (1, 2, 4)} == {round(1 / POLL, 9)}
    assert pace(1000, woken=True) == SELDOM


def test_who_is_not_woken_looks_sooner() -> None:
    assert pace(3, woken=False) < pace(3, woken=True)
