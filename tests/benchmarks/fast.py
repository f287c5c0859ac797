"""What bfloat16 and torch.compile cost and give: their errors against float32, and their speed, in one run.

    python -m tests.benchmarks.fast [--model sentiment] [--rounds 3] [--tokens 1024] [--threads 2] [--only NAME]

Each way of running the model is held against plain float32 on the same batch of ordinary sentences, turn about, the
fastest round of each counting: forward passes with the largest error of a difference of two values, and passes with
slopes with that of a slope, each as a share of the largest one. Compiled is the whole module, or
each of its blocks (what is exchanged in the word table is outside of them). Seconds to compile are those of the first
pass. What cannot be run says why.
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import explain
from explain.checks._background import SENTENCES
from explain.engine import Model
from explain.errors import ExplainError
from explain.model import views
from explain.model.rows import Row
from explain.model.runner import Runner
from tests.cases import case_of


def compiled(model: Model, *, blocks: bool) -> Runner:
    """A copy with a module of its own, compiled for batches of any shape."""
    other = copy.copy(model)
    other.module = copy.deepcopy(model.module)
    whole = [other.module]
    layers = max((m for m in other.module.modules() if isinstance(m, torch.nn.ModuleList)), key=len)
    for part in layers if blocks else whole:
        part.compile(dynamic=True)
    return other


WAYS: dict[str, Callable[[Model], Runner]] = {
    "bfloat16": views.in_bfloat16,
    "compiled": lambda model: compiled(model, blocks=False),
    "compiled blocks": lambda model: compiled(model, blocks=True),
}


def batch(model: Model, tokens: int) -> list[Row]:
    """Sentences, and the same without each of their words, until they fill a batch of so many padded tokens."""
    rows: list[Row] = []
    for sentence in SENTENCES:
        case = case_of(model, sentence)
        rows += [case.row(), *(case.without(word, "remove") for word in np.eye(case.n_units, dtype=bool))]
        if len(rows) * max(map(len, rows)) > tokens:
            break
    while len(rows) * max(map(len, rows)) > tokens:
        rows.pop()
    return rows


def held(plain: Runner, other: Runner, rows: list[Row], rounds: int, slopes: bool) -> tuple[float, float, float]:
    """The error as a share, times the speed of float32, and the seconds of the first pass."""

    def asked(runner: Runner) -> Any:
        return np.concatenate([s.ravel() for s in runner.gradients(rows)[1]]) if slopes else runner.values(rows)

    best: dict[Runner, float] = {}
    began = time.perf_counter()
    found = asked(other)
    first, true = time.perf_counter() - began, asked(plain)
    for turn in range(rounds):
        for runner in (plain, other)[:: 1 if turn % 2 else -1]:
            began = time.perf_counter()
            asked(runner)
            best[runner] = min(best.get(runner, np.inf), time.perf_counter() - began)
    if not slopes:
        true, found = true - true[0], found - found[0]
    return float(np.abs(found - true).max() / np.abs(true).max()), best[plain] / best[other], first


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="sentiment")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=1_024)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", choices=WAYS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model = explain.load(options.model, fast=False)
    rows = batch(model, options.tokens)
    print(f"{len(rows)} rows of {options.model}, {sum(map(len, rows)):,} tokens, {options.threads} threads")
    for name in [options.only] if options.only else WAYS:
        other = WAYS[name](model)
        for slopes in (False, True):
            kind = "with slopes" if slopes else "forward"
            try:
                error, speed, first = held(model, other, rows, options.rounds, slopes)
                print(f"{name}, {kind}: error {error:.2%}, {speed:.2f} times the speed, first pass {first:.1f} s")
            except ExplainError as refused:
                print(f"{name}, {kind}: {refused}")


if __name__ == "__main__":
    main()
