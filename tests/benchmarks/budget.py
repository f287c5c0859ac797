"""Which token budget is the best default: the same work, packed into batches of other sizes.

    python -m tests.benchmarks.budget path/to/dev.tsv [--texts 32] [--rounds 3] [--save]

`EXPLAIN_TOKEN_BUDGET` is how many padded tokens go through the model in one pass: a small batch pays for every call
anew, a large one leaves the processor's caches and holds more memory. Three kinds of work are timed: sentences
explained together, one sentence with its checks and 200 random orders, and one text as long as the model reads. The
best default is the smallest budget with which none of them takes more than `NEAR` times what it takes with the budget
that is fastest for it. Every round runs all budgets, forwards and backwards in turn, and the fastest round counts. On
one thread, some minutes; run it on a quiet machine. `--save` keeps the figures that the README shows.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

import explain
from explain.engine import Model
from explain.model.memory import Pass, learn, size
from explain.settings import Settings
from tests.benchmarks.methods import draw

RESULTS = Path(__file__).parent / "results" / "budget.json"
BUDGETS = (128, 256, 512, 1_024, 2_048, 4_096, 8_192)
NEAR = 1.05
DEFAULT: int = Settings.model_fields["token_budget"].default
Seconds = dict[str, dict[str, float]]
"""Of each kind of work, by budget: as JSON has it, whose names are texts."""


def works(model: Model, texts: Sequence[str]) -> dict[str, Callable[[], Any]]:
    """What is timed, by name; texts are sentences."""
    words = " ".join(texts).split()
    long = " ".join((words * (1 + model.info.max_tokens // len(words)))[: model.info.max_tokens])
    return {
        "sentences together": lambda: model.explain_batch(texts, checks=(), truncate=True),
        "one, with 200 orders": lambda: model.explain(max(texts, key=len), orders=200, truncate=True),
        "one long text": lambda: model.explain(long, checks=(), truncate=True),
    }


def measure(model: Model, texts: Sequence[str], rounds: int, budgets: Sequence[int] = BUDGETS) -> Seconds:
    """The fastest of so many rounds, of each kind of work with each budget; the model keeps the budget it had."""
    asked, before = works(model, texts), model.token_budget
    found: Seconds = {name: {} for name in asked}
    try:
        for turn in range(rounds + 1):  # the first warms up
            for budget in budgets[:: 1 if turn % 2 else -1]:
                model.token_budget = budget
                for name, run in asked.items():
                    began = time.perf_counter()
                    run()
                    took = time.perf_counter() - began
                    if turn:
                        found[name][str(budget)] = min(took, found[name].get(str(budget), took))
            print(f"round {turn} of {rounds}: done", flush=True)
    finally:
        model.token_budget = before
    return found


def slower(seconds: Seconds) -> dict[int, float]:
    """How many times its shortest time the work takes that suffers most, by budget."""
    return {
        int(budget): max(times[budget] / min(times.values()) for times in seconds.values())
        for budget in next(iter(seconds.values()))
    }


def best(seconds: Seconds) -> int:
    """The smallest budget with which no work takes more than `NEAR` times its shortest; else the least harmful."""
    times = slower(seconds)
    return min((b for b, factor in times.items() if factor <= NEAR), default=min(times, key=times.__getitem__))


def held(model: Model, tokens: int, budgets: Sequence[int] = BUDGETS) -> dict[str, int]:
    """Bytes that one batch of gradients holds beside the weights, of rows of so many tokens, by budget."""
    kind = Pass(backward=True)
    learn(model, [kind])
    found = size(model, kind)
    return {} if found is None else {str(b): found.of(max(1, b // tokens), tokens) for b in budgets}


def table(found: Mapping[str, Any]) -> str:
    """All figures in Markdown."""
    seconds, factors = found["seconds"], slower(found["seconds"])
    rows = [f"| tokens | {' | '.join(seconds)} | slowest, times its best | a batch holds |"]
    rows.append("|--:|" + "--:|" * (len(seconds) + 2))
    for budget, factor in factors.items():
        each = " | ".join(f"{times[str(budget)]:.2f} s" for times in seconds.values())
        memory = found["held"].get(str(budget))
        name = f"**{budget:,}**" if budget == DEFAULT else f"{budget:,}"
        rows.append(f"| {name} | {each} | {factor:.2f} | {'' if memory is None else f'{memory / 2**20:,.0f} MB'} |")
    return "\n".join(rows)


def markdown() -> str:
    """The README's block from what was kept."""
    found = json.loads(RESULTS.read_text("utf-8"))
    chosen = best(found["seconds"])
    said = "which is the default" if chosen == DEFAULT else f"and the default is {DEFAULT:,}"
    return (
        f"The smallest budget with which nothing takes more than {NEAR - 1:.0%} longer than with the fastest is "
        f"{chosen:,} tokens, {said}: {found['texts']} sentences explained together, one with its checks and 200 random "
        f"orders, and one text of {found['tokens']:,} tokens, whose batch of gradients holds what the last column says "
        f"({found['machine']}). Made by `python -m tests.benchmarks.budget dev.tsv --save`.\n\n{table(found)}"
    )


def main() -> None:
    """Print the figures, and exit with 1 where another budget would be the better default here."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="dev.tsv: a header, then sentence and label, tab separated")
    parser.add_argument("--texts", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", default="sentiment")
    parser.add_argument("--save", action="store_true", help="keep the figures for the README")
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = explain.load(options.model)
    texts, tokens = draw(options.data, options.texts), model.info.max_tokens
    found = {
        "seconds": measure(model, texts, options.rounds),
        "held": held(model, tokens),
        "texts": len(texts),
        "tokens": tokens,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, torch threads: 1",
        "weights_sha256": model.info.weights_sha256,
    }
    print(table(found))
    chosen = best(found["seconds"])
    print(f"best: {chosen:,}; the default: {DEFAULT:,}")
    if options.save:
        RESULTS.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    raise SystemExit(int(chosen != DEFAULT))


if __name__ == "__main__":
    main()
