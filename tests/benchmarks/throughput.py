"""A batch of texts: texts a second, the model's share of it, and how near that comes to the machine's matrix products.

    python -m tests.benchmarks.throughput path/to/train.tsv [--texts 1000] [--method integrated_gradients] [--grow 10]

Operations are counted by torch's own counter, once for each shape of a pass; the rate of a square matrix product is
measured before and after in the same process. `--grow` runs a batch so many times as large too, in a process of its
own, and prints both peaks of memory: they should not differ by more than the results themselves take.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

import explain
from explain.engine import Model
from explain.model.rows import Row
from tests.benchmarks.methods import draw
from tests.benchmarks.peers.limits import product


class Watched:
    """Seconds and operations of one of a model's two primitives, while it runs as always."""

    def __init__(self, run: Callable[[list[Row]], Any]) -> None:
        self.run, self.seconds, self.rows, self.padded, self.real = run, 0.0, 0, 0, 0
        self._known: dict[tuple[int, int], int] = {}
        self._times: dict[tuple[int, int], int] = defaultdict(int)

    def __call__(self, rows: list[Row]) -> Any:
        shape = len(rows), max(map(len, rows))
        if shape not in self._known:
            with FlopCounterMode(display=False) as counter:
                self.run(rows)
            self._known[shape] = counter.get_total_flops()
        self._times[shape] += 1
        self.rows, self.padded = self.rows + shape[0], self.padded + shape[0] * shape[1]
        self.real += sum(map(len, rows))
        began = time.perf_counter()
        found = self.run(rows)
        self.seconds += time.perf_counter() - began
        return found

    @property
    def operations(self) -> int:
        """Of all passes so far."""
        return sum(self._known[shape] * times for shape, times in self._times.items())


def measure(model: Model, texts: Sequence[str], method: str) -> dict[str, Any]:
    """One batch, without checks, after a small one to warm up."""
    model.explain_batch(texts[:8], methods=[method], checks=())
    before = product(torch.float32), product(torch.bfloat16)
    plain = Watched(model._values), Watched(model._gradients)
    model._values, model._gradients = plain  # type: ignore[method-assign]
    began = time.perf_counter()
    found = model.explain_batch(texts, methods=[method], checks=())
    first = time.perf_counter() - began  # counting included
    began, spent = time.perf_counter(), [(each.seconds, each.operations) for each in plain]
    model.explain_batch(texts, methods=[method], checks=())
    whole = time.perf_counter() - began
    inside = [(each.seconds - s, each.operations - o) for each, (s, o) in zip(plain, spent, strict=True)]
    limit = [max(pair) for pair in zip(before, (product(torch.float32), product(torch.bfloat16)), strict=True)]
    seconds, operations = (sum(pair) for pair in zip(*inside, strict=True))
    residuals = [r.attributions[0].relative_residual for r in found]
    known = [r for r in residuals if r is not None]
    return {
        "texts": len(texts),
        "method": method,
        "seconds": whole,
        "texts a second": len(texts) / whole,
        "first run": first,
        "share in the model": seconds / whole,
        "GFLOP/s in the model": operations / seconds / 1e9,
        "of float32 product": operations / seconds / limit[0],
        "of bfloat16 product": operations / seconds / limit[1],
        "padding": 1 - sum(w.real for w in plain) / max(1, sum(w.padded for w in plain)),
        "within 1 %": sum(r <= 0.01 for r in known) / len(known) if known else None,
        "peak MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def peak(data: Path, count: int, method: str) -> float:
    """MB that a process needs for a batch of so many texts."""
    code = (
        "import resource, sys, explain\nfrom pathlib import Path\nfrom tests.benchmarks.methods import draw\n"
        "texts = draw(Path(sys.argv[1]), int(sys.argv[2]))\nmodel = explain.load('sentiment')\n"
        "for i in range(0, len(texts), 1000):\n"
        "    model.explain_batch(texts[i:i + 1000], methods=[sys.argv[3]], checks=())\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(data), str(count), method], capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="a header, then sentence and label, tab separated")
    parser.add_argument("--texts", type=int, default=1000)
    parser.add_argument("--method", default="integrated_gradients")
    parser.add_argument("--grow", type=int, default=0)
    options = parser.parse_args()
    found = measure(explain.load("sentiment"), draw(options.data, options.texts), options.method)
    print(json.dumps({k: round(v, 4) if isinstance(v, float) else v for k, v in found.items()}, indent=1))
    if options.grow:
        small, large = (peak(options.data, n, options.method) for n in (options.texts, options.texts * options.grow))
        print(f"peak of {options.texts:,} texts {small:.0f} MB, of {options.texts * options.grow:,} {large:.0f} MB")


if __name__ == "__main__":
    main()
