"""KernelSHAP: Shapley values as a weighted regression on random sets of words.

    min_φ Σ_S π(S) (f(S) − f(∅) − Σ_{u ∈ S} φ_u)²   subject to   Σ_u φ_u = f(U) − f(∅),
    π(S) ∝ (|U| − 1) / (C(|U|, |S|) |S| (|U| − |S|))

Lundberg & Lee 2017. Sets are drawn from π, each with its complement (Covert & Lee 2021), so that the regression
is unweighted. Standard errors allow for unequal scatter, with a pair as one sample (White 1980). The scores add up
to the change by the constraint.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float64

from explain.case import Case, Draft, Steps
from explain.coalitions import coalition_values
from explain.methods import method
from explain.methods._sampling import require_few
from explain.plugins import choice, number
from explain.records import Attribution

RIDGE = 1e-9
"""Keeps the equations solvable while two words were never apart."""


@dataclass(frozen=True)
class Params:
    """`tolerance` is the widest half of a 95 % interval, as a share of the largest score."""

    replacement: str = choice("mask", "mask", "remove", "pad", "unk", help="what stands in a removed word's place")
    tolerance: float = number(0.1, 0.001, 1.0, help="half width of a word's 95 % interval over the largest score")


@method(
    title="KernelSHAP",
    family="perturbation",
    cite="Lundberg & Lee 2017, arXiv:1705.07874; Covert & Lee 2021, arXiv:2012.01536",
    misleads="Sampled: words whose intervals overlap have no order. Most of the texts it asks about are fragments.",
    axioms=("complete",),
    stochastic=True,
    cost=lambda units: (max(min(16 * units, 1000), 8 * units), 0),
)
def kernel_shap(case: Case, params: Params) -> Steps[Attribution]:
    """Fits a sum of word scores to the model's answers on random sets of words; the fit is the Shapley value."""
    require_few(case)
    n, rng = case.n_units, np.random.default_rng(case.seed)
    ends = yield from coalition_values(case, np.array([[False] * n, [True] * n]), params.replacement)  # type: ignore[arg-type]
    if n == 1:
        return _found(case, params, np.array([ends[1] - ends[0]]), np.zeros(1), ends)
    kept, values = np.zeros((0, 2, n), dtype=bool), np.zeros((0, 2))
    batch = max(64, 4 * n)
    while True:
        half = _draw(rng, batch, n)
        pairs = np.stack([half, ~half], axis=1)  # (B, 2, U)
        more = yield from coalition_values(case, pairs.reshape(-1, n), params.replacement)  # type: ignore[arg-type]
        kept, values = np.concatenate([kept, pairs]), np.concatenate([values, more.reshape(-1, 2)])
        scores, error = _fit(kept, values, ends)
        stop = case.stop(scores, error, params.tolerance, spent=values.size, following=2 * batch)
        found = replace(_found(case, params, scores, error, ends), stopped=stop)
        if stop:
            return found
        yield Draft(found)


def _draw(rng: np.random.Generator, count: int, n: int) -> Bool[np.ndarray, "N U"]:
    """Sets with at least one word and at least one missing, drawn from the Shapley kernel: size first, then words."""
    sizes = np.arange(1, n)
    weight = 1 / (sizes * (n - sizes))
    size = rng.choice(sizes, count, p=weight / weight.sum())
    return np.argsort(rng.random((count, n)), axis=1) < size[:, None]


def _fit(
    kept: Bool[np.ndarray, "P 2 U"], values: Float64[np.ndarray, "P 2"], ends: Float64[np.ndarray, "2"]
) -> tuple[Float64[np.ndarray, "U"], Float64[np.ndarray, "U"]]:
    """Scores and standard errors: least squares with the last word written as what the others leave over."""
    z, change = kept.astype(float), ends[1] - ends[0]
    x, y = z[..., :-1] - z[..., -1:], values - ends[0] - z[..., -1] * change  # (P, 2, U − 1), (P, 2)
    inverse = np.linalg.inv(np.einsum("psu,psv->uv", x, x) + RIDGE * np.eye(x.shape[-1]))
    first = inverse @ np.einsum("psu,ps->u", x, y)
    scatter = np.einsum("psu,ps->pu", x, y - x @ first) @ inverse  # (P, U − 1)
    scatter = np.concatenate([scatter, -scatter.sum(1, keepdims=True)], axis=1)  # (P, U)
    freedom = len(x) / max(1, len(x) - x.shape[-1])
    return np.append(first, change - first.sum()), np.sqrt(freedom * (scatter**2).sum(0))


def _found(
    case: Case,
    params: Params,
    scores: Float64[np.ndarray, "U"],
    error: Float64[np.ndarray, "U"],
    ends: Float64[np.ndarray, "2"],
) -> Attribution:
    return case.attribution(
        unit_scores=scores,
        value_input=float(ends[1]),
        baseline=case.stands_in(params.replacement),
        value_baseline=float(ends[0]),
        error=error.astype(np.float32),
        seed=case.seed,
    )
