"""LIME: a straight line through the model's answers to this text with random words missing.

    min_w Σ_S π(S) (f(S) − w_0 − Σ_{u ∈ S} w_u)²,   π(S) = exp(−d(S)² / width²),   d(S) = 1 − √(|S| / |U|)

Ribeiro, Singh & Guestrin 2016: how many words are missing is drawn evenly, from none to all, then which; d is the
cosine distance between S and the whole text. No penalty is used, so nothing is shrunk to zero. Where there are no more
sets than a first batch would draw, each is asked once and weighs what it would be drawn: then the line is exact, and
the standard errors are 0. Else they allow for unequal scatter (White 1980). It misleads where the model is far from a
straight line around the text.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import comb

import numpy as np
from jaxtyping import Bool, Float64

from explain.case import Ask, Case, Draft, Steps
from explain.coalitions import coalition_values
from explain.methods import method
from explain.methods._sampling import require_few
from explain.plugins import choice, number
from explain.records import Attribution, Stopped

RIDGE = 1e-9
"""Keeps the equations solvable when two words were always missing together."""


@dataclass(frozen=True)
class Params:
    """`width` is how far from the text answers still count; `tolerance` the widest half of a 95 % interval."""

    replacement: str = choice("remove", "remove", "mask", "pad", "unk", help="what stands in a removed word's place")
    width: float = number(0.25, 0.05, 5.0, help="distance at which answers count little (1 is the empty text)")
    tolerance: float = number(0.1, 0.001, 1.0, help="half width of a word's 95 % interval over the largest score")


@method(
    title="LIME",
    family="perturbation",
    cite="Ribeiro, Singh & Guestrin 2016, arXiv:1602.04938",
    misleads="A straight line through a curved model: the scores change with the width, and do not add up.",
    stochastic=True,
    cost=lambda units: (max(800, 8 * units), 0),
)
def lime(case: Case, params: Params) -> Steps[Attribution]:
    """Fits a straight line to the model's answers with random words missing; nearby texts count most."""
    require_few(case)
    n, rng = case.n_units, np.random.default_rng(case.seed)
    answer = yield Ask([case.row()])
    batch = max(64, 8 * n)

    def found(scores: Float64[np.ndarray, "U"], error: Float64[np.ndarray, "U"], stop: Stopped | None) -> Attribution:
        return case.attribution(
            unit_scores=scores,
            value_input=float(answer.values[0]),
            baseline=case.stands_in(params.replacement),
            error=error.astype(np.float32),
            seed=case.seed,
            stopped=stop,
        )

    if 2**n <= batch:
        every = np.array(list(product((False, True), repeat=n)))
        values = yield from coalition_values(case, every, params.replacement)  # type: ignore[arg-type]
        return found(_line(every, values, params.width), np.zeros(n), "settled")
    kept, values = np.zeros((0, n), dtype=bool), np.zeros(0)
    while True:
        fresh = _draw(rng, batch, n)
        more = yield from coalition_values(case, fresh, params.replacement)  # type: ignore[arg-type]
        kept, values = np.concatenate([kept, fresh]), np.concatenate([values, more])
        scores, error = _fit(kept, values, params.width)
        stop = case.stop(scores, error, params.tolerance, spent=len(values), following=batch)
        if stop:
            return found(scores, error, stop)
        yield Draft(found(scores, error, None))


def _draw(rng: np.random.Generator, count: int, n: int) -> Bool[np.ndarray, "N U"]:
    """Sets of words that stay: the number of missing words is even from none to all, then which ones."""
    missing = rng.integers(0, n + 1, count)
    return np.argsort(rng.random((count, n)), axis=1) >= missing[:, None]


def _near(kept: Bool[np.ndarray, "N U"], width: float) -> Float64[np.ndarray, "N"]:
    """How much a set's answer counts."""
    return np.asarray(np.exp(-((1 - np.sqrt(kept.mean(1))) ** 2) / width**2))


def _line(every: Bool[np.ndarray, "N U"], values: Float64[np.ndarray, "N"], width: float) -> Float64[np.ndarray, "U"]:
    """Slopes from all sets, each weighing as often as it would be drawn."""
    n = every.shape[1]
    weight = _near(every, width) / np.array([comb(n, size) for size in every.sum(1).tolist()])
    x = np.concatenate([np.ones((len(every), 1)), every.astype(float)], axis=1)  # (N, 1 + U)
    root = np.sqrt(weight)
    return np.asarray(np.linalg.lstsq(x * root[:, None], root * values, rcond=None)[0][1:])


def _fit(
    kept: Bool[np.ndarray, "N U"], values: Float64[np.ndarray, "N"], width: float
) -> tuple[Float64[np.ndarray, "U"], Float64[np.ndarray, "U"]]:
    """Slopes and their standard errors."""
    x = np.concatenate([np.ones((len(kept), 1)), kept.astype(float)], axis=1)  # (N, 1 + U)
    weight = _near(kept, width)  # (N,)
    inverse = np.linalg.inv((x * weight[:, None]).T @ x + RIDGE * np.eye(x.shape[1]))
    slopes = inverse @ (x.T @ (weight * values))
    scatter = (x * (weight * (values - x @ slopes))[:, None]) @ inverse  # (N, 1 + U)
    freedom = len(x) / max(1, len(x) - x.shape[1])
    return slopes[1:], np.sqrt(freedom * (scatter**2).sum(0))[1:]
