"""The index as one sum over all sets of words: how much each set's value counts for each pair.

    I_ij = Σ_{T ⊆ U} c(|T|, |T ∩ ij|) f(T)     c(t, s) = (−1)^s (t − s)! (n − t + s − 2)! / (n − 1)!

which is the definition with its four values told apart; so one evaluation serves every pair (SHAP-IQ, Fumagalli et al.
2023, arXiv:2303.01179).
"""

from __future__ import annotations

from collections.abc import Callable
from math import factorial

import numpy as np
from jaxtyping import Bool, Float64, Int64

from explain.case import Steps

Values = Callable[[Bool[np.ndarray, "N P"]], Steps[Float64[np.ndarray, "N"]]]
"""The target's value with only the marked words in the text."""


def pairs_of(n: int) -> Int64[np.ndarray, "Q 2"]:
    """Every pair of n words, the first smaller."""
    return np.stack(np.triu_indices(n, 1), axis=1)


def counts(kept: Bool[np.ndarray, "N P"]) -> Float64[np.ndarray, "N Q"]:
    """c(|T|, |T ∩ ij|) for every set T and every pair."""
    n = kept.shape[1]
    table = np.zeros((n + 1, 3))  # zero where s words cannot be in the set, or 2 − s cannot be outside
    for t in range(n + 1):
        for s in range(max(0, t + 2 - n), min(2, t) + 1):
            table[t, s] = (-1) ** s * factorial(t - s) * factorial(n - t + s - 2) / factorial(n - 1)
    i, j = pairs_of(n).T
    return table[kept.sum(1)[:, None], kept[:, i].astype(int) + kept[:, j]]


def exact(n: int, values: Values) -> Steps[Float64[np.ndarray, "Q"]]:
    """The index of every pair, from the values of all 2^n sets."""
    kept = (np.arange(2**n)[:, None] >> np.arange(n)) % 2 == 1  # (2^P, P)
    found = yield from values(kept)
    return found @ counts(kept) if n > 1 else np.zeros(0)
