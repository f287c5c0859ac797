"""Log-odds of every token that a decoder has written, all read in one pass of each row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float32, Int64

from explain.model.rows import Row
from explain.model.runner import Meter, Runner, finite


def log_odds(
    runner: Runner, rows: Sequence[Row], begin: int, ids: Int64[np.ndarray, "K"], meter: Meter
) -> Float32[np.ndarray, "N K"]:
    """Log-odds of each written token, each read one token earlier.

    Args:
        runner: a model with an encoder and a decoder.
        rows: N texts with what is written about them, which begins at place `begin` in all of them.
        begin: the first written token's place.
        ids: the written tokens.
        meter: hears of passes.

    Raises:
        ModelError: the model answers with NaN or infinity.
    """
    found = np.zeros((len(rows), len(ids)), dtype=np.float32)

    def run(chunk: list[Row]) -> Float32[np.ndarray, "N K"]:
        wanted, first = runner.tensor(ids)[:, None], begin - 1 - chunk[0].source  # (K, 1)
        with torch.no_grad():
            logits = finite(runner.call(chunk).logits[:, first : first + len(ids)].float())  # (N, K, V)
            # One row at a time: the others of a whole vocabulary are as many numbers again.
            others = torch.stack([torch.logsumexp(row.scatter(1, wanted, -torch.inf), 1) for row in logits])  # (N, K)
            return (logits.gather(2, wanted.expand(len(logits), -1, 1))[..., 0] - others).cpu().numpy()

    for group, value in runner.chunked(rows, meter, run):
        found[group] = value
    return found
