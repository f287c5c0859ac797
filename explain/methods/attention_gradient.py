"""Gradient × attention: how much of the target's attention reaches each word through all layers.

    R ← I;   per layer:  R ← R + Ā R,   Ā = mean over heads of (∂f/∂A ⊙ A)⁺

Chefer, Gur & Wolf, "Generic Attention-model Explainability", ICCV 2021, for encoders. The rows of R that the head
reads give the scores: the first for a classification token, the last for a causal model, all where it pools. They are
measured, as the rows of the last layer's attention that the target's slope does not vanish at. Only attention that
supports the target is kept, so there are no negative scores, and values that attention carries are ignored.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from explain.case import Ask, Case, Steps
from explain.methods import method
from explain.methods._layer import no_layers
from explain.model.reads import listened
from explain.records import Attribution, ModelInfo


@dataclass(frozen=True)
class Params:
    """None."""


def _why_not(info: ModelInfo) -> str | None:
    if info.writes:
        return no_layers(info)
    return None if info.n_heads else "the model has no attention heads."


@method(
    title="Gradient × attention",
    family="attention",
    cite="Chefer, Gur & Wolf 2021, arXiv:2103.15679",
    misleads="Attention is not an explanation: it shows where support may flow, never what speaks against.",
    signed=False,
    why_not=_why_not,
    cost=lambda units: (0, 2),
    maps=True,
)
def attention_gradient(case: Case, params: Params) -> Steps[Attribution]:
    """Follows the attention that supports the decision through all layers, down to the words."""
    answer = yield Ask([case.row()], gradients=True, attention=True)
    weights, slopes = answer.attention[0].astype(np.float64), answer.gradients[0]  # (L, H, T, T)
    relevance = np.eye(weights.shape[-1])  # (T, T)
    for layer in np.maximum(weights * slopes, 0).mean(1):  # (T, T)
        relevance += layer @ relevance
    read = listened(slopes[-1].swapaxes(0, 1).reshape(len(relevance), -1))  # (T,)
    scores = read @ (relevance - np.eye(len(relevance)))  # without the identity that each position starts with
    return case.attribution(
        unit_scores=case.per_unit(scores),
        token_scores=scores,
        special=case.of_specials(scores),
        value_input=float(answer.values[0]),
    )
