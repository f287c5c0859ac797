"""Layer conductance: integrated gradients of the words, as it flows through the positions of one layer.

    score_t = Σ_d ∫₀¹ ∂f / ∂h_td · dh_td(α) / dα dα

Dhamdhere, Sundararajan & Yan 2018. The words move from the baseline to the text as in integrated gradients; h(α) is
the output of block `layer` on the way. Between two neighbouring nodes the slope (mean of both ends) is multiplied by
the real step of h, so the scores add up as the nodes get denser; they are doubled until they do, within the tolerance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from explain.case import Ask, Case, Steps, residual_scale
from explain.methods import _layer, method
from explain.methods._layer import no_layers
from explain.plugins import choice
from explain.records import Attribution


@dataclass(frozen=True)
class Params(_layer.Params):
    """As for layer integrated gradients; here a baseline need not be a text."""

    baseline: str = choice(
        "auto", "auto", "mask", "pad", "unk", "zero", "mean", help="what every word is compared with"
    )


@method(
    title="Layer conductance",
    family="layer",
    cite="Dhamdhere, Sundararajan & Yan 2018, arXiv:1805.12233",
    misleads="Higher layers mix words: a score belongs to a position, which holds more than the word shown there.",
    axioms=("complete",),
    why_not=no_layers,
    cost=lambda units: (0, 48),
)
def layer_conductance(case: Case, params: Params) -> Steps[Attribution]:
    """Follows the words' integrated gradients through the positions of one layer."""
    name, start = case.baseline(params.baseline)
    steps, spent = params.steps, 0
    while True:
        alphas = np.linspace(0, 1, steps + 1)
        answer = yield Ask([case.point(start, float(a)) for a in alphas], gradients=True, layer=params.layer)
        slopes, states = np.stack(answer.gradients), np.stack(answer.states)  # (K + 1, T, D)
        moved = np.diff(states.astype(np.float64), axis=0)  # (K, T, D)
        scores = ((slopes[1:] + slopes[:-1]) / 2 * moved).sum((0, 2))  # (T,)
        change = float(answer.values[-1] - answer.values[0])
        spent, units = spent + steps + 1, case.per_unit(scores)
        within = abs(change - scores.sum()) <= params.tolerance * residual_scale(change, units)[0]
        if within or spent + 2 * steps + 1 > case.budget:
            break
        steps *= 2
    return case.attribution(
        unit_scores=units,
        token_scores=scores,
        special=case.of_specials(scores),
        value_input=float(answer.values[-1]),
        baseline=name,
        value_baseline=float(answer.values[0]),
        exhausted=not within,
    )
