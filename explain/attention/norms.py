"""Norm-based attention: a weight counts as much as the vector that it lets through.

    ‖α_ij f(x_j)‖,   f(x) = (x W_V + b_V) W_O      for one head
    ‖Σ_h α_ij^h f^h(x_j)‖                          for a layer

Kobayashi et al. 2020, arXiv:2004.10102. Heads often put large weights on tokens whose vectors are almost zero: such
attention changes nothing. Like all attention it shows mixing inside the model, not reasons for a decision.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float64


def head_norms(weights: Float[np.ndarray, "H Q T"], mixed: Float[np.ndarray, "H T D"]) -> Float64[np.ndarray, "H Q T"]:
    """Length of what each token (column) gives to each position (row) through each head, in units of the stream."""
    return weights.astype(np.float64) * np.linalg.norm(mixed.astype(np.float64), axis=-1)[:, None, :]


def layer_norms(weights: Float[np.ndarray, "H Q T"], mixed: Float[np.ndarray, "H T D"]) -> Float64[np.ndarray, "Q T"]:
    """The same through all heads together: their vectors may cancel or add up."""
    found = np.zeros(weights.shape[1:])
    for row in range(len(found)):  # one row at a time: (T, D) instead of (Q, T, D)
        given = np.einsum("ht,htd->td", weights[:, row].astype(np.float64), mixed.astype(np.float64))
        found[row] = np.linalg.norm(given, axis=-1)
    return found
