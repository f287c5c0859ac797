"""Which entries of the vocabulary does a model place next to a word? By its own table, not by meaning."""

from __future__ import annotations

import torch
from torch import Tensor

from explain.errors import ModelError
from explain.model.runner import Runner
from explain.model.substitution import embedding_modules


def nearest(runner: Runner, token: int, count: int) -> list[str]:
    """The `count` entries of the vocabulary whose vectors are nearest to that of `token` by cosine, as text.

    The nearest first, without `token` itself; [] where the model has no table of vectors. Many are parts of words.
    """
    with runner.lock, torch.no_grad():
        try:
            table = embedding_modules(runner.module)[0].weight
        except ModelError:
            return []
        assert isinstance(table, Tensor)
        likeness = (table @ table[token]) / table.norm(dim=1).clamp_min(1e-12)  # (V,)
        likeness[token] = -torch.inf
        ids = likeness.topk(min(count, len(likeness) - 1)).indices.tolist()
    return [runner.tokenizer.decode([i]) for i in ids]
