"""Exact Shapley values: each word's average contribution over all orders in which words could arrive.

    φ_u = Σ_{S ⊆ U∖u} |S|! (|U| − |S| − 1)! / |U|! · (f(S ∪ u) − f(S))

Shapley 1953. f(S) is the target's value with only the words of S in the text and the others replaced; all 2^|U|
sets are evaluated, so there is no error and no sampling. The scores add up to f(text) − f(no word). It misleads
where the texts with words missing are unlike anything the model was trained on.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import factorial

import numpy as np

from explain.case import Case, Steps
from explain.coalitions import coalition_values
from explain.methods import method
from explain.plugins import choice
from explain.records import Attribution

LIMIT = 12


@dataclass(frozen=True)
class Params:
    """What stands in the place of words that are left out."""

    replacement: str = choice("mask", "mask", "remove", "pad", "unk", help="what stands in a removed word's place")


@method(
    title="Exact Shapley values",
    family="perturbation",
    cite="Shapley 1953; Štrumbelj & Kononenko 2010",
    misleads="Averages over texts with many words missing, which no person wrote and the model never saw.",
    axioms=("complete", "dummy", "symmetric"),
    cost=lambda units: (2 ** min(units, LIMIT), 0),
    limit=LIMIT,
)
def exact_shapley(case: Case, params: Params) -> Steps[Attribution]:
    """Averages a word's contribution over every order in which words could arrive; up to 12 words."""
    n = case.n_units
    kept = (np.arange(2**n)[:, None] >> np.arange(n)) % 2 == 1  # (2^U, U)
    values = yield from coalition_values(case, kept, params.replacement)  # type: ignore[arg-type]
    weight = np.array([factorial(s) * factorial(n - s - 1) / factorial(n) for s in range(n)])
    scores = np.zeros(n)
    for u in range(n):
        without = np.flatnonzero(~kept[:, u])
        scores[u] = weight[kept[without].sum(1)] @ (values[without + 2**u] - values[without])
    return case.attribution(
        unit_scores=scores,
        value_input=float(values[-1]),
        baseline=case.stands_in(params.replacement),
        value_baseline=float(values[0]),
    )
