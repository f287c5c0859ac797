"""How near integrated gradients come to a converged reference, on every SST-2 development sentence?

    python -m tests.benchmarks.dev_sentences path/to/dev.tsv [--limit N]

The reference repeats each sentence with a tolerance of 1e-4 for the total and 1e-3 for every word. Printed are
completeness, word errors, top words, signs, and the cost in gradient evaluations; forward passes stand apart.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import explain
from explain.records import Attribution, Explanation
from explain.words import tied_ranks

TIGHT = {"tolerance": 1e-4, "word_tolerance": 1e-3}
BATCH = 32


@dataclass(frozen=True)
class Compared:
    """One sentence: what the default found, held against the reference."""

    residual: float
    rule: str
    error: float
    within_claim: bool
    same_top: bool
    same_signs: bool
    gradients: int
    forwards: int
    exhausted: bool
    converged: bool


def compare(default: Explanation, reference: Explanation) -> Compared:
    """Hold one sentence's scores against the converged ones."""
    ours, true = default.attributions[0], reference.attributions[0]
    scores, exact = ours.scores.astype(float), true.scores.astype(float)
    assert ours.numeric_error is not None
    assert true.numeric_error is not None
    error, off = ours.numeric_error.astype(float), np.abs(scores - exact)
    largest = float(np.abs(exact).max())
    top = int(np.argmax(np.abs(exact)))
    return Compared(
        residual=float(ours.relative_residual or 0.0),
        rule=str(ours.scale_rule),
        error=float(off.max()) / largest,
        within_claim=bool((off <= error + 1e-3 * largest).all()),
        same_top=tied_ranks(ours)[top] == 1,
        same_signs=bool(((scores * exact > 0) | (np.abs(scores) <= error) | (off <= 1e-3 * largest)).all()),
        gradients=ours.evaluations.backward,
        forwards=ours.evaluations.forward,
        exhausted=ours.exhausted,
        converged=_converged(true),
    )


def _converged(reference: Attribution) -> bool:
    assert reference.numeric_error is not None
    largest = float(np.abs(reference.scores).max())
    return not reference.exhausted and float(reference.numeric_error.max()) <= 2e-3 * largest


def report(found: list[Compared]) -> str:
    """The figures, a line each."""
    n = len(found)

    def count(flags: list[bool]) -> str:
        return f"{sum(flags)} of {n} ({100 * sum(flags) / n:.2f} %)"

    def spread(values: list[float]) -> str:
        v = np.array(values)
        return (
            f"median {np.median(v):g}, 90th percentile {np.percentile(v, 90):g}, "
            f"99th {np.percentile(v, 99):g}, maximum {v.max():g}"
        )

    plain = [c for c in found if c.rule == "difference"]
    lines = [
        f"sentences                               {n}",
        f"residual within 1 % of the scale        {count([c.residual <= 0.01 for c in found])}",
        f"  scale was not the plain difference    {n - len(plain)}",
        f"  largest residual                      {max(c.residual for c in found):.3%}",
        f"largest word error / largest score      {spread([round(c.error, 5) for c in found])}",
        f"  at most 5 %                           {count([c.error <= 0.05 for c in found])}",
        f"  within the stated numeric error       {count([c.within_claim for c in found])}",
        f"same top word or a marked tie           {count([c.same_top for c in found])}",
        f"same signs outside the error            {count([c.same_signs for c in found])}",
        f"gradient evaluations                    {spread([c.gradients for c in found])}",
        f"forward passes of interval ends         {spread([c.forwards for c in found])}",
        f"budget of 512 exhausted                 {sum(c.exhausted for c in found)}",
        f"reference converged                     {count([c.converged for c in found])}",
    ]
    return "\n".join(lines)


def main() -> None:
    """Run the comparison and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="dev.tsv: a header, then sentence and label, tab separated")
    parser.add_argument("--limit", type=int, default=None, help="only the first N sentences")
    parser.add_argument("--model", default="sentiment")
    options = parser.parse_args()
    texts = [line.split("\t")[0] for line in options.data.read_text("utf-8").splitlines()[1:]][: options.limit]
    model = explain.load(options.model)
    found: list[Compared] = []
    seconds = [0.0, 0.0]
    for i in range(0, len(texts), BATCH):
        some, began = texts[i : i + BATCH], time.perf_counter()
        ours = model.explain_batch(some, checks=(), truncate=True)
        middle = time.perf_counter()
        true = model.explain_batch(some, params=TIGHT, checks=(), truncate=True, budget=20_000)
        seconds = [seconds[0] + middle - began, seconds[1] + time.perf_counter() - middle]
        found += [compare(a, b) for a, b in zip(ours, true, strict=True)]
        print(f"\r{len(found)} of {len(texts)}", end="", flush=True)
    print(f"\n{report(found)}")
    print(f"seconds                                 default {seconds[0]:.0f}, reference {seconds[1]:.0f}")
    print(f"machine                                 {platform.machine()}, {os.cpu_count()} cores, torch threads as set")


if __name__ == "__main__":
    main()
