"""Shapley values by sampling: let the words arrive in random orders, and average what each one adds.

    φ_u ≈ mean over orders π of f(words before u in π, and u) − f(words before u in π)

Castro, Gómez & Tejada 2009. Each order is used forwards and backwards (Mitchell et al. 2022); the pair's average
is one independent sample, and the scatter of pairs gives the standard error. Pairs are added until the interval
of every word is tight or the budget ends. Every pair adds up to f(text) − f(no word), so the scores do too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from explain.case import Case, Draft, Steps
from explain.coalitions import coalition_values
from explain.methods import method
from explain.methods._sampling import require_few, standard_error
from explain.plugins import choice, number
from explain.records import Attribution

FIRST = 16
"""Pairs of orders before the first answer: fewer give no honest standard error."""


@dataclass(frozen=True)
class Params:
    """`tolerance` is the widest half of a 95 % interval, as a share of the largest score."""

    replacement: str = choice("mask", "mask", "remove", "pad", "unk", help="what stands in a removed word's place")
    tolerance: float = number(0.1, 0.001, 1.0, help="half width of a word's 95 % interval over the largest score")


@method(
    title="Shapley value sampling",
    family="perturbation",
    cite="Castro, Gómez & Tejada 2009; Mitchell et al. 2022, arXiv:2104.12199",
    misleads="Sampled: words whose intervals overlap have no order. Most of the texts it asks about are fragments.",
    axioms=("complete", "dummy"),
    stochastic=True,
    cost=lambda units: (max(1000, 32 * units), 0),  # its first round
)
def shapley_sampling(case: Case, params: Params) -> Steps[Attribution]:
    """Averages what each word adds when the words arrive in random orders; any length, with standard errors."""
    require_few(case)
    n, rng = case.n_units, np.random.default_rng(case.seed)
    pairs = np.zeros((0, n))
    while True:
        orders = [rng.permutation(n) for _ in range(FIRST)]
        ranks = np.argsort([o for order in orders for o in (order, order[::-1])], axis=1)  # (2·P, U): place of a unit
        kept = ranks[:, None, :] < np.arange(n + 1)[None, :, None]  # (2·P, U + 1, U)
        values = yield from coalition_values(case, kept.reshape(-1, n), params.replacement)  # type: ignore[arg-type]
        steps = np.diff(values.reshape(-1, n + 1), axis=1)  # (2·P, U): what the k-th arrival adds
        added = np.take_along_axis(steps, ranks, axis=1).reshape(-1, 2, n).mean(1)  # (P, U)
        pairs = np.concatenate([pairs, added])
        scores, error = pairs.mean(0), standard_error(pairs)
        stop = case.stop(scores, error, params.tolerance, spent=2 * len(pairs) * n, following=2 * FIRST * n)
        found = case.attribution(
            unit_scores=scores,
            value_input=float(values[n]),
            baseline=case.stands_in(params.replacement),
            value_baseline=float(values[0]),
            error=error,
            seed=case.seed,
            stopped=stop,
        )
        if stop:
            return found
        yield Draft(found)
