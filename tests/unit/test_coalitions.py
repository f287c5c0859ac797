"""Sets of words: each is asked about once, and never so many at once that a cancel has to wait."""

from __future__ import annotations

import tracemalloc
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from explain import coalitions
from explain.case import Answer, Ask, at_once
from explain.catalog import Request
from explain.checks import removal
from explain.engine import Model
from explain.work import Work

TEXT = "a good movie, but never very funny"


@pytest.mark.parametrize(("sets", "units"), [(1, 1), (40, 3), (300, 8), (300, 9), (200, 30)])
def test_distinct_sets_are_those_of_numpy_in_its_order(sets: int, units: int) -> None:
    kept = np.random.default_rng([sets, units]).random((sets, units)) < 0.5
    theirs, index = np.unique(kept, axis=0, return_inverse=True)
    for parts in ([kept], np.array_split(kept, min(3, sets))):
        distinct, ours = coalitions._distinct(parts)
        assert np.array_equal(np.unpackbits(distinct, axis=1, count=units), theirs)
        assert np.array_equal(ours, index.reshape(-1))


def test_many_sets_are_asked_in_parts(tiny: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    work = Work(tiny, [Request((TEXT,))])
    case = work.case(work.requests[0], "Reading")
    kept = np.random.default_rng(0).random((100, case.n_units)) < 0.5
    whole = _answered(case, kept)
    monkeypatch.setattr(coalitions, "AT_ONCE", 7)
    assert np.allclose(_answered(case, kept, most=7), whole, atol=1e-5)
    monkeypatch.setitem(coalitions.TOGETHER, False, 5 * len(case.tokens.ids))
    assert np.allclose(_answered(case, kept, most=5), whole, atol=1e-5), "the longer the text, the fewer"


def words(count: int, seed: int = 0) -> tuple[Any, Any]:
    """A text of so many words whose value is a sum over those that are there, to be asked of nobody; how it answers."""
    weights = np.random.default_rng([seed, count]).normal(size=count)

    def values(ask: Ask) -> Answer:
        return Answer(np.array([float(weights[kept].sum()) for kept in ask.rows], dtype=np.float32))  # type: ignore[index]

    case = SimpleNamespace(
        n_units=count,
        seed=seed,
        orders=400,
        target=SimpleNamespace(unit="log-odds", has_probability=True),
        encoding=SimpleNamespace(windows=()),
        read=np.arange(count),
        tokens=SimpleNamespace(ids=np.zeros(count)),
        row=lambda target=None: np.ones(count, dtype=bool),
        without=lambda gone, how, target: ~gone,
    )
    return case, values


@pytest.mark.parametrize("block", [1, 700, 2**25])
def test_removal_curves_are_those_of_all_sets_at_once_to_the_bit(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    case, values = words(37)
    orders, exact = removal._orders(case, np.linspace(1, 0, 37, dtype=np.float32))
    assert (exact, orders[0].tolist()) == (False, list(range(37)))
    drawn = np.random.default_rng([case.seed, 37])
    assert all(np.array_equal(order, drawn.permutation(37)) for order in orders[1::2]), "as they were ever drawn"
    assert np.array_equal(orders[2::2], orders[1::2, ::-1])
    monkeypatch.setattr(removal, "BLOCK", block)
    ks, curves = at_once(removal.drops(case, orders, 8), values)
    out = [set(order[:k].tolist()) for order in orders for k in ks]
    everything = set(range(37))

    def value(there: set[int]) -> float:
        return float(values(Ask([np.isin(np.arange(37), list(there))])).values[0])  # type: ignore[list-item]

    for which, there in enumerate(([everything - gone for gone in out], out)):
        expected = np.array([value(everything) - value(some) for some in there]).reshape(len(orders), len(ks))
        assert np.array_equal(curves["log-odds", "mask"][which], expected)
        assert np.array_equal(curves["log-odds", "remove"][which], expected)


def test_words_that_are_not_read_stay_and_are_in_no_order() -> None:
    case, values = words(37)
    case.read = np.arange(5, 15)
    orders, _ = removal._orders(case, np.linspace(1, 0, 10, dtype=np.float32))
    asked: list[np.ndarray] = []

    def noted(ask: Ask) -> Answer:
        asked.extend(ask.rows)  # type: ignore[arg-type]
        return values(ask)

    ks, _ = at_once(removal.drops(case, orders, 8), noted)
    assert ks.max() == 9
    there = np.array(asked)
    assert there[:, :5].all()
    assert there[:, 15:].all()
    assert not there[:, 5:15].all()


def test_removal_curves_never_hold_all_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measured: what is held at once is less than a byte for each word of each set, of which there were ten."""
    case, _ = words(2_000)
    orders, _ = removal._orders(case, np.linspace(1, 0, 2_000, dtype=np.float32))
    monkeypatch.setattr(removal, "BLOCK", 2**20)
    monkeypatch.setattr(coalitions, "AT_ONCE", 64)
    monkeypatch.setattr(removal, "HOW", ("mask",))
    tracemalloc.start()
    try:
        ks, _ = at_once(removal.drops(case, orders, removal.POINTS), lambda ask: Answer(np.zeros(len(ask.rows))))
        _, height = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert height < 2 * len(orders) * len(ks) * case.n_units


def _answered(case, kept: np.ndarray, most: int = 10**6) -> np.ndarray:  # type: ignore[no-untyped-def]
    steps = coalitions.coalition_values(case, kept, "mask")
    ask: Ask = next(steps)
    while True:
        assert len(ask.rows) <= most
        try:
            ask = steps.send(case.evaluate(ask))
        except StopIteration as stop:
            return stop.value
