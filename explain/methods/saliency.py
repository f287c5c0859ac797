"""Saliency: how strongly the target reacts to a tiny change of each word's embedding.

    score_i = ‖∂f(x) / ∂x_i‖₂

Simonyan, Vedaldi & Zisserman 2013; the L2 norm over the embedding as in Li et al. 2016. It has no
sign and does not add up to anything. It misleads where the model is saturated (tiny gradients for
decisive words), and it speaks of tiny changes, not of words that are there or not.
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
    title="Saliency",
    family="gradient",
    cite="Simonyan, Vedaldi & Zisserman 2013, arXiv:1312.6034",
    misleads="Only sensitivity: it cannot tell for from against, and is small where the model is sure.",
    signed=False,
    cost=lambda units: (0, 1),
)
def saliency(case: Case, params: Params) -> Steps[Attribution]:
    """Measures how strongly the decision reacts to a tiny change of each word; it has no direction."""
    answer = yield Ask([case.row()], gradients=True)
    scores = np.linalg.norm(answer.gradients[0].astype(np.float64), axis=1)  # (T,)
    return case.attribution(
        unit_scores=case.per_unit(scores),
        token_scores=scores,
        special=case.of_specials(scores),
        value_input=float(answer.values[0]),
    )
