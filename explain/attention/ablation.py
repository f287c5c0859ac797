"""The measured effect of each head: replace what it gives, and see how far the answer moves.

    effect_lh = f(x) − f(x, head h of layer l replaced)

Michel, Levy & Neubig 2019, arXiv:1905.10650. `mean` puts the head's average output over ordinary sentences in its place
at every token, `resample` its output at a random token of such a sentence (averaged over draws), `zero` nothing,
which no later layer has ever seen. Other heads may take over what is missing: a small effect is no proof that a head
does nothing.
"""

from __future__ import annotations

from typing import get_args

import numpy as np
from jaxtyping import Float64

from explain.case import Ask, Case
from explain.errors import InputError
from explain.heads import Ablation
from explain.methods.expected_gradients import BACKGROUND
from explain.records import Kind

DRAWS = 8


def head_effects(
    case: Case, how: Ablation = "mean", layers: int | None = None, kind: Kind | None = None
) -> Float64[np.ndarray, "L H"]:
    """Effect of every head on the target's value, all heads in batched passes; `layers` have attention (None: all).

    `kind` says whose heads where two stacks read; what stands written is then written about the ordinary sentences too.

    Raises:
        ModelError: the architecture does not use transformers' attention interface.
    """
    if how not in get_args(Ablation):
        raise InputError(f"Expected mean, resample or zero as ablation, got '{how!s:.40}'.", code="bad_ablation")
    stand_ins = _stand_ins(case, how, layers or case.info.n_layers, kind)  # (L, K, H, e)
    layers, draws, heads, _ = stand_ins.shape
    rows = [
        case.encoding.row(case.target, ablation=(layer, head, stand_ins[layer, draw, head]))
        for layer in range(layers)
        for head in range(heads)
        for draw in range(draws)
    ]
    value = float(case.evaluate(Ask([case.row()])).values[0])
    without = case.evaluate(Ask(rows, kind=kind)).values.astype(np.float64).reshape(layers, heads, draws)
    return value - without.mean(-1)


def _stand_ins(case: Case, how: Ablation, layers: int, kind: Kind | None) -> Float64[np.ndarray, "L K H e"]:
    """What is put in a head's place: K vectors (one, or one a draw) for every head of every layer."""
    texts = [] if how == "zero" else BACKGROUND.splitlines()
    written = () if kind is None else case.texts[1:]
    rows = [case.retold((text, *written), ordinary=True).row() for text in texts] or [case.row()]
    found = []
    for layer in range(layers):
        heads = case.evaluate(Ask(rows, heads=layer, kind=kind)).heads
        pooled = np.concatenate([h.output.transpose(1, 0, 2) for h in heads])  # (all tokens, H, e)
        if how == "zero":
            found.append(np.zeros_like(pooled[:1]))
        elif how == "mean":
            found.append(pooled.mean(0, keepdims=True))
        else:
            found.append(np.random.default_rng([case.seed, layer]).choice(pooled, DRAWS))
    return np.stack(found).astype(np.float32)
