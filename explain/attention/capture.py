"""Record the attention weights of chosen layers, with the eager kernel, since the fast ones return none: one pass, or
one for each kind where an encoder reads and a decoder writes."""

from __future__ import annotations

from typing import get_args

import numpy as np
from jaxtyping import Float, Float32

from explain.bounds import require_layer
from explain.case import Ask, Case
from explain.errors import ModelError
from explain.model.reads import logit
from explain.records import AttentionMaps, Kind

ROW_SUM_TOLERANCE = 1e-3


def attention_maps(case: Case, layers: tuple[int, ...]) -> tuple[AttentionMaps, ...]:
    """Weights (H, Q, T) of each chosen layer; rows are queries and sum to 1.

    Where an encoder reads and a decoder writes, those of all three kinds, in every stack that has such a layer.

    Raises:
        InputError: there is no such layer.
        ModelError: the model gives no attention weights, or ones that are no distribution over the tokens.
    """
    row = case.row(logit(case.target))
    kinds: tuple[Kind | None, ...] = get_args(Kind) if row.source else (None,)
    found = {k: case.evaluate(Ask([row], attention=True, kind=k)).attention[0] for k in kinds}  # (L, H, Q, T) each
    for layer in layers:
        require_layer(layer, max(map(len, found.values())))
    return tuple(
        _maps(layer, weights[layer], row.sides(kind), kind)
        for layer in dict.fromkeys(layers)  # each once, however often it was named
        for kind, weights in found.items()
        if layer < len(weights)
    )


def require_rows(
    weights: Float[np.ndarray, "H Q T"],
    sides: tuple[int, int],
    sink: Float[np.ndarray, "H Q"] | None = None,
    name: str = "Attention",
) -> None:
    """Raise ModelError for weights that are not between the tokens (`sides`: rows, columns), or are no distribution.

    A `sink` is the share of each row that a logit without a token takes; `name` is what the weights are called.
    """
    if weights.shape[1:] != sides:
        raise ModelError(
            f"{name} is not between the {' and '.join(map(str, dict.fromkeys(sides)))} tokens of the text, but between "
            f"{' and '.join(map(str, weights.shape[1:]))} positions of the model's own.",
            code="other_positions",
        )
    off = float(np.abs(weights.sum(-1) + (0 if sink is None else sink) - 1).max())
    if not off <= ROW_SUM_TOLERANCE:  # also where it is NaN
        raise ModelError(f"{name} is no distribution: a row sums to 1 ± {off:.2g}.", code="bad_attention")


def _maps(
    layer: int, weights: Float32[np.ndarray, "H Q T"], sides: tuple[int, int], kind: Kind | None
) -> AttentionMaps:
    require_rows(weights, sides, name=f"Attention of layer {layer}")
    if kind is None:
        ahead = weights.shape[-1] == 1 or float(np.triu(weights.max(0), 1).max()) > 0
        kind = "encoder" if ahead else "causal"
    return AttentionMaps(layer, tuple(range(len(weights))), weights, kind)
