"""What really happens without each word: measured, one forward pass a word, beside what is attributed."""

from __future__ import annotations

import dataclasses
from itertools import chain

import numpy as np

from explain.case import Ask, Case, Steps
from explain.records import Effects
from explain.together import values as values_of


def probability(log_odds: float | np.ndarray) -> np.ndarray:
    """Probability of an outcome from its log-odds."""
    return np.asarray(np.exp(-np.logaddexp(0, -np.asarray(log_odds, dtype=np.float64))))  # exact on both sides


def measure(case: Case) -> Steps[Effects]:
    """Remove each unit and record the target's value, and the probability where there is one."""
    alone = np.eye(case.n_units, dtype=bool)  # (U, U)
    values = yield from values_of(case, chain([case.row()], (case.without(unit, "remove") for unit in alone)))
    value, without = float(values[0]), values[1:]
    known = case.target.has_probability
    return Effects(
        replacement="remove",
        units=case.units.spans,
        value_input=value,
        prob_input=float(probability(value)) if known else None,
        without=without,
        probs=probability(without).astype(np.float32) if known else None,
    )


def measure_named(case: Case, effects: Effects, named: tuple[int, ...]) -> Steps[Effects]:
    """Add what happens when all the named units are removed at once."""
    if not named:
        return effects
    units = np.isin(np.arange(case.n_units), named)
    answer = yield Ask([case.without(units, "remove")])
    value = float(answer.values[0])
    return dataclasses.replace(
        effects,
        named=named,
        without_named=value,
        prob_named=float(probability(value)) if case.target.has_probability else None,
    )
