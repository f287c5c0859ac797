"""Which positions the head reads: measured, so that no architecture is named.

    r_t = ‖∂z/∂h_t‖ / Σ_s ‖∂z/∂h_s‖,   h = the last block's output, z = the logit of what is explained

A classification token reads 1 at the first position, a causal model at the last one, a pooling head spreads over all
that it pools. The raw logit is used, since the slope of a probability may vanish.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float, Float64

from explain.case import Ask, Case, Steps
from explain.errors import MethodError
from explain.records import Target


def reads(case: Case) -> Steps[Float64[np.ndarray, "T"]]:
    """How much of what the head reads is read at each position; sums to 1.

    One gradient evaluation. Raises ModelError where the layers cannot be looked into, MethodError where the answer
    depends on no position.
    """
    answer = yield question(case)
    share = listened(answer.gradients[0])
    if not share.any():
        raise MethodError(
            "The model's answer does not move with any of its last states, so nothing says which of them it reads. "
            "Use a perturbation method such as occlusion.",
            code="nothing_read",
        )
    return share


def question(case: Case) -> Ask:
    """The slope of the explained outcome's logit with respect to each state of the last block."""
    return Ask([case.row(logit(case.target))], gradients=True, layer=case.info.n_layers - 1)


def listened(slopes: Float[np.ndarray, "T K"]) -> Float64[np.ndarray, "T"]:
    """Each position's share of the slopes' lengths; zeros where there is no slope at all."""
    size = np.linalg.norm(slopes.astype(np.float64), axis=-1)
    return np.asarray(size / size.sum() if size.sum() > 0 else size)


def logit(target: Target) -> Target:
    """The raw logit of what is explained, which one pass gives."""
    return target if target.kind == "value" else replace(target, kind="logit", contrast=None)
