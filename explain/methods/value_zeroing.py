"""Value zeroing: how much a word's value vectors matter to what every position becomes.

    c_ij = 1 − cos(h_i, h_i with the value vector of token j set to zero), per layer, rows normalised to 1

Mohebbi, Zuidema, Chrupała & Alishahi 2023. Unlike attention weights it sees what is carried, not only how much is
looked. Layers are combined by rollout (the product of the rows), and the rows that the head reads give the scores;
where it pools, each as much as the head listens to it (`explain.model.reads`). It says how information is mixed inside
the model, whatever the decision: it has no direction.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from explain.case import Ask, Case, Steps
from explain.methods import method
from explain.methods._layer import no_layers
from explain.model.reads import reads
from explain.records import Attribution


@dataclass(frozen=True)
class Params:
    """None."""


@method(
    title="Value zeroing",
    family="attention",
    cite="Mohebbi et al. 2023, arXiv:2301.12971",
    misleads="How words are mixed inside the model, whatever it decides: there is no target and no direction.",
    signed=False,
    why_not=no_layers,
    cost=lambda units: (8 * units, 1),
)
def value_zeroing(case: Case, params: Params) -> Steps[Attribution]:
    """Silences each word in each layer and measures how much what the other positions become changes."""
    tokens = len(case.tokens.ids)
    rows = [case.row(), *(case.encoding.row(case.target, muted=t) for t in range(tokens))]
    mixed = np.eye(tokens)  # (T, T)
    for layer in range(case.info.n_layers):
        answer = yield Ask(rows, layer=layer)
        states = np.stack(answer.states).astype(np.float64)  # (1 + T, T, D)
        changed = 1 - _cosine(states[0][None], states[1:]).T  # (T, T): row i, with token j silent
        mixed = changed / np.maximum(changed.sum(1, keepdims=True), 1e-12) @ mixed
    value = float(answer.values[0])
    scores = (yield from reads(case)) @ mixed
    return case.attribution(
        unit_scores=case.per_unit(scores),
        token_scores=scores,
        special=case.of_specials(scores),
        value_input=value,
    )


def _cosine(a: Float64[np.ndarray, "... D"], b: Float64[np.ndarray, "... D"]) -> Float64[np.ndarray, "..."]:
    return (a * b).sum(-1) / np.maximum(np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1), 1e-12)
