"""What the page's first answer costs beside integrated gradients alone, at the same promise.

    python -m tests.benchmarks.first_answer path/to/dev.tsv [--texts 20]

The first answer is prediction, words, what each word does when it is taken out, completeness, comprehensiveness and
sufficiency with 20 random orders. Processor seconds on one thread, in turn for each text, so that a busy machine
spoils no ratio; the interval is over texts.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

import explain
from explain.drive import drive
from explain.methods import find
from explain.model.runner import Meter
from tests.benchmarks.methods import draw
from tests.cases import case_of

CHECKS = ("completeness", "removal")


def spent(call: Callable[[], object]) -> float:
    """Processor seconds of a call."""
    began = time.process_time()
    call()
    return time.process_time() - began


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="dev.tsv: a header, then sentence and label, tab separated")
    parser.add_argument("--texts", type=int, default=20)
    options = parser.parse_args()
    torch.set_num_threads(1)
    model, method = explain.load("sentiment"), find("integrated_gradients")

    def alone(text: str) -> None:
        case = case_of(model, text, truncate=True)
        drive(model, [method.fn(case, method.configured({}))], Meter())

    texts = draw(options.data, options.texts + 1)
    kinds: list[Callable[[str], object]] = [
        alone, lambda text: model.explain(text, checks=CHECKS), lambda text: model.explain(text)
    ]  # fmt: skip
    for kind in kinds:
        kind(texts[-1])  # warm
    table = np.array([[spent(lambda t=text, k=kind: k(t)) for kind in kinds] for text in texts[:-1]])  # (N, 3)
    drawn = np.random.default_rng(0).integers(0, len(table), (4000, len(table)))
    for name, column in (("first answer", 1), ("with all checks that run by themselves", 2)):
        ratio = table[:, column].sum() / table[:, 0].sum()
        low, high = np.percentile(table[drawn, column].sum(1) / table[drawn, 0].sum(1), [2.5, 97.5])
        print(f"{name}: {ratio:.1f} times integrated gradients alone ({low:.1f} to {high:.1f}), {len(table)} texts")
    print(f"integrated gradients alone: median {np.median(table[:, 0]):.2f} processor seconds")


if __name__ == "__main__":
    main()
