"""Attention rollout: follow attention through all layers, as if every head were a road for whole tokens.

    R = Ā_L · … · Ā_1,   Ā_l = ½ (mean over heads of A_l + I)

Abnar & Zuidema 2020, arXiv:2005.00928. Half of each step is the residual connection. It ignores values, signs and
the feed-forward layers, so it shows where mixing could come from, not what mattered.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float64


def rollout(weights: Float[np.ndarray, "L H T T"], residual: float = 0.5) -> Float64[np.ndarray, "T T"]:
    """Share of each input token (column) in each output position (row); rows sum to 1."""
    tokens = weights.shape[-1]
    found = np.eye(tokens)
    for layer in weights.astype(np.float64).mean(1):  # (T, T)
        found = ((1 - residual) * layer + residual * np.eye(tokens)) @ found
    return found
