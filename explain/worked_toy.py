"""Attention on three tokens, computed exactly: numbers small enough to check by hand.

    weights = softmax(Q Kᵀ / √d_k),  output = weights V

With one-hot Q, K and V of width 3, a row of scores is [1/√3, 0, 0] in some order, and its softmax is
[e, 1, 1] / (e + 2) with e = exp(1/√3): 0.471, 0.264, 0.264. Vaswani et al. 2017, arXiv:1706.03762.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from explain.errors import InputError

TOKENS = ("猫", "喜欢", "鱼")
MEANING = ("cat", "likes", "fish")
LARGEST = 1e6
"""Size of the largest number that may be typed in."""


@dataclass(frozen=True)
class Toy:
    """Every step of one head and one feed-forward over three tokens, rows are tokens."""

    query: Float64[np.ndarray, "3 K"]
    key: Float64[np.ndarray, "3 K"]
    value: Float64[np.ndarray, "3 D"]
    products: Float64[np.ndarray, "3 3"]
    scores: Float64[np.ndarray, "3 3"]
    weights: Float64[np.ndarray, "3 3"]
    attended: Float64[np.ndarray, "3 D"]
    summed: Float64[np.ndarray, "3 D"]
    mean: Float64[np.ndarray, "3"]
    deviation: Float64[np.ndarray, "3"]
    normed: Float64[np.ndarray, "3 D"]
    hidden: Float64[np.ndarray, "3 N"]
    output: Float64[np.ndarray, "3 D"]
    causal: bool = False


UP = np.array([[1, 0, -1, 0], [0, 1, 0, -1], [1, 1, 0, 0]], dtype=np.float64)
DOWN = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1]], dtype=np.float64)
"""The feed-forward's two matrices: 3 → 4 neurons → 3."""


def work(
    query: Float64[np.ndarray, "3 K"], key: Float64[np.ndarray, "3 K"], value: Float64[np.ndarray, "3 D"],
    *, causal: bool = False,
) -> Toy:  # fmt: skip
    """All steps for three tokens; the residual connection adds the value, which stands for the token's vector.

    Raises:
        InputError: something is not a finite number of moderate size.
    """
    for matrix in (query, key, value):
        if not np.isfinite(matrix).all() or np.abs(matrix).max() > LARGEST:
            raise InputError(f"Expected numbers from −{LARGEST:,.0f} to {LARGEST:,.0f} in every cell.", code="bad_toy")
    products = query @ key.T
    scores = products / np.sqrt(query.shape[1])
    ahead = np.triu(np.ones((len(scores), len(scores)), dtype=bool), 1) & causal
    weights = softmax(np.where(ahead, -np.inf, scores))
    attended = weights @ value
    summed = value + attended
    normed, mean, deviation = layer_norm(summed)
    hidden = np.maximum(normed @ UP, 0)
    return Toy(
        query, key, value, products, scores, weights, attended, summed, mean, deviation, normed, hidden,
        hidden @ DOWN, causal,
    )  # fmt: skip


def softmax(scores: Float64[np.ndarray, "... K"]) -> Float64[np.ndarray, "... K"]:
    """exp(s) / Σ exp(s) over the last axis; −inf gives 0."""
    raised = np.exp(scores - scores.max(-1, keepdims=True))
    return raised / raised.sum(-1, keepdims=True)


def layer_norm(
    states: Float64[np.ndarray, "T D"], eps: float = 1e-5
) -> tuple[Float64[np.ndarray, "T D"], Float64[np.ndarray, "T"], Float64[np.ndarray, "T"]]:
    """(x − mean) / √(deviation² + eps) of each row, with mean and deviation; gain 1 and shift 0."""
    mean, deviation = states.mean(-1), states.std(-1)
    return (states - mean[:, None]) / np.sqrt(deviation[:, None] ** 2 + eps), mean, deviation


def sinusoids(positions: int, width: int) -> Float64[np.ndarray, "T D"]:
    """PE(p, 2i) = sin(p / 10000^(2i / width)), PE(p, 2i + 1) = cos of the same angle."""
    dimension = np.arange(width)
    angles = np.arange(positions)[:, None] / 10000 ** ((dimension // 2 * 2) / width)
    return np.where(dimension % 2 == 0, np.sin(angles), np.cos(angles))
