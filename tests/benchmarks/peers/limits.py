"""What this machine can do at most, measured beside the rest: matrix products and memory bandwidth."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import torch

SMALLEST, LARGEST, LONGEST, ROUNDS = 128, 2048, 0.5, 12
"""Sizes of the square matrices; seconds after which no larger ones are tried; repetitions."""


def product(dtype: torch.dtype) -> float:
    """Operations a second of a square matrix product: the best over sizes and repetitions.

    Sizes double until one product takes too long: a processor without instructions for bfloat16 does fewer than 10⁹
    such operations a second, 100 times fewer than in float32.
    """
    best, size, took = 0.0, SMALLEST, 0.0
    while size <= LARGEST and 8 * took < LONGEST:
        left, right = (torch.randn(size, size).to(dtype) for _ in range(2))
        for _ in range(ROUNDS):
            began = time.perf_counter()
            left @ right
            took = time.perf_counter() - began
            best = max(best, 2 * size**3 / took)
        size *= 2
    return best


def bandwidth() -> float:
    """Bytes a second, read and written, of a copy that fits no cache; the best of several."""
    source, target = torch.ones(2**26), torch.empty(2**26)
    best = 0.0
    for _ in range(ROUNDS):
        began = time.perf_counter()
        target.copy_(source)
        best = max(best, 2 * source.nbytes / (time.perf_counter() - began))
    return best


if __name__ == "__main__":
    torch.set_num_threads(json.loads(Path(sys.argv[1]).read_text("utf-8"))["threads"])
    found = {"float32": product(torch.float32), "bfloat16": product(torch.bfloat16), "bandwidth": bandwidth()}
    print(json.dumps(found))
