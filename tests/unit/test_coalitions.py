"""Sets of words: each is asked about once, and never so many at once that a cancel has to wait."""

from __future__ import annotations

import numpy as np
import pytest

from explain import coalitions
from explain.case import Ask
from explain.catalog import Request
from explain.engine import Model
from explain.work import Work

TEXT = "a good movie, but never very funny"


@pytest.mark.parametrize(("sets", "units"), [(1, 1), (40, 3), (300, 8), (300, 9), (200, 30)])
def test_distinct_sets_are_those_of_numpy_in_its_order(sets: int, units: int) -> None:
    kept = np.random.default_rng([sets, units]).random((sets, units)) < 0.5
    theirs, index = np.unique(kept, axis=0, return_inverse=True)
    distinct, ours = coalitions._distinct(kept)
    assert np.array_equal(distinct, theirs)
    assert np.array_equal(ours, index.reshape(-1))


def test_many_sets_are_asked_in_parts(tiny: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    work = Work(tiny, [Request((TEXT,))])
    case = work.case(work.requests[0], "Reading")
    kept = np.random.default_rng(0).random((100, case.n_units)) < 0.5
    whole = _answered(case, kept)
    monkeypatch.setattr(coalitions, "AT_ONCE", 7)
    assert np.allclose(_answered(case, kept, most=7), whole, atol=1e-5)


def _answered(case, kept: np.ndarray, most: int = 10**6) -> np.ndarray:  # type: ignore[no-untyped-def]
    steps = coalitions.coalition_values(case, kept, "mask")
    ask: Ask = next(steps)
    while True:
        assert len(ask.rows) <= most
        try:
            ask = steps.send(case.evaluate(ask))
        except StopIteration as stop:
            return stop.value
