"""SmoothGrad: the slope, averaged over noisy copies of the text, times the text's distance from a baseline.

    score_i = (x_i − x'_i) · E[∂f(x + ε) / ∂x_i],   ε ~ N(0, σ²)

Smilkov et al. 2017, in the form that multiplies by the input. σ is a share of the spread of the text's embeddings;
special tokens get no noise. The scatter of independent draws gives the standard error. It misleads like every
slope at one point: it says how the model reacts nearby, and the scores do not add up.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain

import numpy as np

from explain.case import Case, Draft, Steps
from explain.methods import method
from explain.methods._sampling import standard_error
from explain.plugins import choice, number
from explain.records import Attribution
from explain.together import slopes as slopes_of

ROUND = 16
"""Noisy copies between two looks at the standard error."""


@dataclass(frozen=True)
class Params:
    """`stdev` is relative to the spread of the text's embeddings; `tolerance` the widest half of a 95 % interval."""

    baseline: str = choice(
        "auto", "auto", "mask", "pad", "unk", "zero", "mean", help="what every word is compared with"
    )
    stdev: float = number(0.15, 0.0, 2.0, help="noise on the text's embeddings, relative to their spread")
    tolerance: float = number(0.1, 0.001, 1.0, help="half width of a word's 95 % interval over the largest score")


@method(
    title="SmoothGrad",
    family="gradient",
    cite="Smilkov et al. 2017, arXiv:1706.03825",
    misleads="An average of slopes near the text: it does not add up, and noise moves embeddings off any real word.",
    axioms=("dummy",),
    stochastic=True,
    cost=lambda units: (0, 64),
)
def smooth_grad(case: Case, params: Params) -> Steps[Attribution]:
    """Averages the slope over noisy copies of the text, so that single kinks count less."""
    name, start = case.baseline(params.baseline)
    delta = (case.embeds - start).astype(np.float64)  # (T, D)
    spread = params.stdev * float(case.embeds.std())
    noisy = ~case.tokens.special[:, None]  # (T, 1)
    rng = np.random.default_rng(case.seed)
    draws = np.zeros((0, len(delta)))
    while True:
        points = (
            (case.embeds + spread * noisy * rng.standard_normal(delta.shape)).astype(np.float32) for _ in range(ROUND)
        )
        rows = chain([case.row()], (case.point(p, 0.0, p) for p in points))
        values, slopes = yield from slopes_of(case, rows, lambda g: (g * delta).sum(1))
        draws = np.concatenate([draws, slopes[1:]])  # (N, T)
        units = case.per_unit(draws)  # (N, U)
        scores, error = units.mean(0), standard_error(units)
        stop = case.stop(scores, error, params.tolerance, spent=4 * len(draws), following=4 * ROUND)
        found = case.attribution(
            unit_scores=scores,
            token_scores=draws.mean(0),
            special=case.of_specials(draws.mean(0)),
            value_input=float(values[0]),
            baseline=name,
            error=error,
            seed=case.seed,
            stopped=stop,
        )
        if stop:
            return found
        yield Draft(found)
