"""The same sentences explained as one batch and one by one: are the scores the same?

    python -m tests.benchmarks.batching path/to/dev.tsv [--texts 64]

Float32 sums depend on how rows are padded and packed, in their last bits. Where a refinement decision hangs on these
bits, the integral is refined elsewhere and the scores move by up to their stated numeric error; everywhere else they
must agree within 1e-5 of the largest score. Which decisions were taken stands in each record (`path`). Whether one of
them was near its threshold is found out from outside: with both tolerances a share of 1e-5 larger, or smaller, the
path of the single text is another one.

Exit code 1 when sentences with equal decisions differ by more than 1e-5 of the largest score.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import explain
from explain.engine import Model
from explain.machine import versions
from explain.records import Attribution, Explanation

SHARE = 1e-5


@dataclass(frozen=True)
class Compared:
    """One sentence in the batch, held against itself alone. `off` is a share of the largest score."""

    text: str
    off: float
    error: float
    same_bits: bool
    same_path: bool
    near: bool


def compare(text: str, batch: Explanation, alone: Explanation, nudged: list[Explanation]) -> Compared:
    """Hold one sentence's scores in the batch against its scores alone; `nudged` have other tolerances."""
    many, one = batch.attributions[0], alone.attributions[0]
    largest = max(float(np.abs(one.scores).max(initial=0)), float(np.finfo(np.float32).tiny))
    assert one.numeric_error is not None
    return Compared(
        text=text,
        off=float(np.abs(many.scores.astype(float) - one.scores).max(initial=0)) / largest,
        error=float(one.numeric_error.max(initial=0)) / largest,
        same_bits=bool((many.scores == one.scores).all()),
        same_path=same_path(many, one),
        near=not all(same_path(result.attributions[0], one) for result in nudged),
    )


def same_path(a: Attribution, b: Attribution) -> bool:
    """Whether the same refinement decisions were taken."""
    return np.array_equal(a.path, b.path) and a.exhausted == b.exhausted  # type: ignore[arg-type]


def tolerances(model: Model, factor: float) -> Mapping[str, Any]:
    """The defaults of integrated gradients, each times a factor."""
    (method,) = (m for m in explain.list_methods() if m.name == "integrated_gradients")
    return {p.name: p.default * factor for p in method.params if p.name in ("tolerance", "word_tolerance")}


def report(found: list[Compared]) -> str:
    """The figures, a line each."""
    agree = [c for c in found if c.same_path]
    apart = [c for c in found if c.near or not c.same_path]
    worst = max(apart, key=lambda c: c.off, default=None)
    lines = [
        f"sentences                               {len(found)}",
        f"refinement decisions agree              {len(agree)} of {len(found)}",
        f"  largest difference / largest score    {max((c.off for c in agree), default=0.0):.2g} (at most {SHARE:g})",
        f"  median of these differences           {np.median([c.off for c in agree] or [0.0]):.2g}",
        f"  bit for bit the same                  {sum(c.same_bits for c in agree)} of {len(agree)}",
        f"decisions within {SHARE:g} of a threshold   {sum(c.near for c in found)}",
        f"decisions that differ                   {sum(not c.same_path for c in found)}",
        f"  worst difference of these and those   {'none' if worst is None else f'{worst.off:.2g}'}",
    ]
    if worst is not None:
        lines.append(f"  and its numeric error as stated       {worst.error:.2g} ({worst.text!r})")
    return "\n".join(lines)


def main() -> int:
    """Run the comparison and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="dev.tsv: a header, then sentence and label, tab separated")
    parser.add_argument("--texts", type=int, default=64, help="how many sentences, the first ones")
    parser.add_argument("--model", default="sentiment")
    options = parser.parse_args()
    texts = [line.split("\t")[0] for line in options.data.read_text("utf-8").splitlines()[1:]][: options.texts]
    model = explain.load(options.model)
    began = time.perf_counter()
    batch = model.explain_batch(texts, checks=(), truncate=True)
    middle = time.perf_counter()
    alone = [model.explain(text, checks=(), truncate=True) for text in texts]
    seconds = middle - began, time.perf_counter() - middle
    nudges = [tolerances(model, 1 + sign * SHARE) for sign in (1, -1)]
    nudged = [[model.explain(text, params=n, checks=(), truncate=True) for n in nudges] for text in texts]
    found = [compare(*each) for each in zip(texts, batch, alone, nudged, strict=True)]
    print(report(found))
    print(f"seconds                                 batch {seconds[0]:.0f}, one by one {seconds[1]:.0f}")
    print(f"model                                   {model.info.id}, {model.info.dtype} on {model.info.device}")
    print(
        f"machine                                 {platform.machine()}, {os.cpu_count()} cores, "
        f"{torch.get_num_threads()} torch threads"
    )
    print(f"versions                                {', '.join(f'{k} {v}' for k, v in versions().items())}")
    return int(any(c.off > SHARE for c in found if c.same_path))


if __name__ == "__main__":
    sys.exit(main())
