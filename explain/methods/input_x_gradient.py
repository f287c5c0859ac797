"""Input × gradient: the first-order guess of what each embedding contributes.

    score_i = x_i · ∂f(x) / ∂x_i

Shrikumar et al. 2016. One pass, signed; exact only for a model that is linear through the origin.
It misleads where the model is saturated, and the zero embedding it silently compares with is no word.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from explain.case import Ask, Case, Steps
from explain.methods import method
from explain.records import Attribution


@dataclass(frozen=True)
class Params:
    """None."""


@method(
    title="Input × gradient",
    family="gradient",
    cite="Shrikumar et al. 2016, arXiv:1605.01713",
    misleads="A first-order guess from one point: often of the wrong sign on Transformers.",
    axioms=("dummy",),
    cost=lambda units: (0, 1),
)
def input_x_gradient(case: Case, params: Params) -> Steps[Attribution]:
    """Guesses each word's contribution from the slope at the text itself; fast and rough."""
    answer = yield Ask([case.row()], gradients=True)
    scores = (answer.gradients[0].astype(np.float64) * case.embeds).sum(1)  # (T,)
    return case.attribution(
        unit_scores=case.per_unit(scores),
        token_scores=scores,
        special=case.of_specials(scores),
        value_input=float(answer.values[0]),
    )
