"""Record the attention weights of chosen layers: one pass with the eager kernel, since the fast ones return none."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32

from explain.bounds import require_layer
from explain.case import Ask, Case
from explain.errors import ModelError
from explain.model.reads import logit
from explain.records import AttentionMaps

ROW_SUM_TOLERANCE = 1e-3


def attention_maps(case: Case, layers: tuple[int, ...]) -> tuple[AttentionMaps, ...]:
    """Weights (H, T, T) of each chosen layer; rows are queries and sum to 1.

    Raises:
        InputError: there is no such layer.
        ModelError: the model gives no attention weights, or ones that are no distribution.
    """
    (found,) = case.evaluate(Ask([case.row(logit(case.target))], attention=True)).attention  # (L, H, T, T)
    for layer in layers:
        require_layer(layer, len(found))
    return tuple(_maps(i, found[i]) for i in dict.fromkeys(layers))  # each once, however often it was named


def _maps(layer: int, weights: Float32[np.ndarray, "H T T"]) -> AttentionMaps:
    off = float(np.abs(weights.sum(-1) - 1).max())
    if not off <= ROW_SUM_TOLERANCE:  # also where it is NaN
        raise ModelError(
            f"Attention of layer {layer} is no distribution: a row sums to 1 ± {off:.2g}.", code="bad_attention"
        )
    causal = weights.shape[-1] > 1 and float(np.triu(weights.max(0), 1).max()) == 0.0
    return AttentionMaps(layer, tuple(range(len(weights))), weights, "causal" if causal else "encoder")
