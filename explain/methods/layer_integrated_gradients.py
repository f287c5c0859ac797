"""Layer integrated gradients: the change from a baseline, divided among the positions of one layer's output.

    score_t = Σ_d (h_td − h'_td) · ∫₀¹ ∂f(h' + α (h − h')) / ∂h_td dα

h and h' are the outputs of block `layer` for the text and for the baseline text; f is the rest of the model. The
integral is Gauss-Legendre with `steps` nodes, doubled until the scores add up to within the tolerance. A position
above the first layer holds more than its own word, so a score belongs to a place, not to the word that stands there.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from explain.case import Ask, Case, Steps, residual_scale
from explain.methods import method
from explain.methods._layer import Params, no_layers
from explain.records import Attribution


@method(
    title="Layer integrated gradients",
    family="layer",
    cite="Sundararajan, Taly & Yan 2017, arXiv:1703.01365; Kokhlikyan et al. 2020, arXiv:2009.07896",
    misleads="Higher layers mix words: a score belongs to a position, which holds more than the word shown there.",
    axioms=("complete",),
    why_not=no_layers,
    cost=lambda units: (2, 22),
)
def layer_integrated_gradients(case: Case, params: Params) -> Steps[Attribution]:
    """Divides the change among the positions of one layer's output instead of the words' embeddings."""
    name, ids = case.baseline_ids(params.baseline)
    other = replace(case.encoding.row(case.target), inputs={**case.encoding.inputs, "input_ids": ids})
    ends = yield Ask([other, case.row()], layer=params.layer)
    start, end = ends.states
    delta = (end - start).astype(np.float64)  # (T, D)
    change, steps, spent = float(ends.values[1] - ends.values[0]), params.steps, 0
    while True:
        nodes, weights = np.polynomial.legendre.leggauss(steps)
        rows = [
            case.encoding.row(case.target, start=start, end=end, alpha=(x + 1) / 2, layer=params.layer) for x in nodes
        ]
        answer = yield Ask(rows, gradients=True, layer=params.layer)
        slopes = np.stack([(g * delta).sum(1) for g in answer.gradients])  # (K, T)
        scores = weights / 2 @ slopes  # (T,)
        spent, units = spent + steps, case.per_unit(scores)
        within = abs(change - scores.sum()) <= params.tolerance * residual_scale(change, units)[0]
        if within or spent + 2 * steps > case.budget:
            break
        steps *= 2
    return case.attribution(
        unit_scores=units,
        token_scores=scores,
        special=case.of_specials(scores),
        value_input=float(ends.values[1]),
        baseline=name,
        value_baseline=float(ends.values[0]),
        exhausted=not within,
    )
