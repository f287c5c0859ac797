"""What methods should say, computed another way: from the module itself, without any of the code that methods share."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import permutations, product
from math import comb

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64

from explain.engine import Model


def direct(model: Model, texts: Sequence[str], label: str) -> Float64[np.ndarray, "N"]:
    """The log-odds of a label for each text; masked words are written [MASK]."""
    found, index = np.zeros(len(texts)), model.info.labels.index(label)
    ids = [model.tokenizer(text)["input_ids"] for text in texts]
    for length in set(map(len, ids)):  # equal lengths need no padding
        at = [i for i, row in enumerate(ids) if len(row) == length]
        rows = torch.tensor([ids[i] for i in at])
        with torch.no_grad():
            logits = model.module(input_ids=rows, attention_mask=torch.ones_like(rows)).logits
        found[at] = log_odds(logits.double().numpy(), index)
    return found


def log_odds(logits: Float64[np.ndarray, "N C"], index: int) -> Float64[np.ndarray, "N"]:
    """log p − log(1 − p) of one class."""
    return logits[:, index] - np.log(np.exp(np.delete(logits, index, axis=1)).sum(1))


def coalitions(n: int) -> Bool[np.ndarray, "N U"]:
    """All sets of n words; row k holds the words that are bits of k."""
    return np.array(list(product((False, True), repeat=n)))[:, ::-1]


def values(model: Model, text: str, label: str, how: str) -> Float64[np.ndarray, "N"]:
    """The log-odds for every set of the text's words, in the order of `coalitions`; the others masked or removed."""
    words = text.split()
    filler = "[MASK]" if how == "mask" else ""
    sets = coalitions(len(words))
    return direct(
        model, [" ".join(w if kept else filler for w, kept in zip(words, row, strict=True)) for row in sets], label
    )


def by_all_orders(value: Float64[np.ndarray, "N"]) -> Float64[np.ndarray, "U"]:
    """Shapley values by brute force: what each word adds, averaged over every order in which they can arrive."""
    n = len(value).bit_length() - 1
    orders = _orders(n)
    before = np.concatenate([np.zeros((len(orders), 1), dtype=int), np.cumsum(1 << orders, axis=1)], axis=1)
    added = np.diff(value[before], axis=1)  # (n!, U): what the k-th arrival adds
    return np.array([added[orders == u].mean() for u in range(n)])


def lime_limit(value: Float64[np.ndarray, "N"], width: float) -> Float64[np.ndarray, "U"]:
    """LIME's slopes with infinitely many samples: the same regression over all sets, each as often as it is drawn."""
    n = len(value).bit_length() - 1
    kept = coalitions(n)
    size = kept.sum(1)
    drawn = np.array([1 / ((n + 1) * comb(n, s)) for s in size])
    weight = drawn * np.exp(-((1 - np.sqrt(size / n)) ** 2) / width**2)
    x = np.concatenate([np.ones((len(kept), 1)), kept], axis=1)
    return np.linalg.solve((x * weight[:, None]).T @ x, x.T @ (weight * value))[1:]


@cache
def _orders(n: int) -> Int64[np.ndarray, "M U"]:
    return np.array(list(permutations(range(n))))
