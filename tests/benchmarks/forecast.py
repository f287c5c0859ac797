"""How near forecasts come: seconds and bytes that a run was said to take, beside those that it took.

    python -m tests.benchmarks.forecast path/to/dev.tsv [--texts 30] [--kinds page,thorough,occlusion] [--save]

A model is loaded and asked once in each way, as a server is in its first minutes; then each text is forecast and run in
each way, in turn: single sentences, and the same sentences in a row up to the model's limit. A forecast is good if it
is within a factor of 1.5 either way. Wall seconds on one thread: run it on a quiet machine. Bytes taken are the
model's weights and how far the system saw the memory of this process rise. `page` is what the Explain page asks by
itself, `thorough` every check, `attention` the page's answer with all attention weights; other kinds are methods alone.
`--save` keeps the figures that the README shows.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

import explain
from explain.catalog import Request
from explain.checks import checkers
from explain.engine import Model
from explain.errors import ExplainError
from explain.methods import methods
from explain.model.memory import rise, weights
from tests.benchmarks.methods import draw

FACTOR, SHARE = 1.5, 0.9
RESULTS = Path(__file__).parent / "results" / "forecast.json"


def request(model: Model, kind: str, text: str) -> Request:
    """What is asked of a text."""
    asked = Request((text,), truncate=True)
    if kind == "page":
        return asked
    if kind == "thorough":
        return replace(asked, checks=tuple(checkers()))
    if kind == "attention":
        return replace(asked, attention=tuple(range(model.info.n_layers)))
    return replace(asked, methods=(kind,), checks=())


def ratios(model: Model, asked: Request) -> tuple[float, float]:
    """Forecast over taken: of seconds, and of bytes."""
    said, took = model.forecast(asked), 0.0
    if said.seconds is None or said.memory is None:
        raise SystemExit("There is no forecast although the model has been asked before.")

    def run() -> None:
        nonlocal took
        began = time.perf_counter()
        model.answer([asked])
        took = time.perf_counter() - began

    bytes_taken = weights(model.module) + rise(run)
    return said.seconds / took, said.memory / bytes_taken


def good(table: Sequence[float]) -> float:
    """The share of ratios that are within the factor."""
    return float(np.mean([1 / FACTOR <= ratio <= FACTOR for ratio in table]))


def measure(model: Model, texts: Sequence[str], kinds: Sequence[str]) -> dict[str, Any]:
    """The ratios of every kind, for every text; a method that does not take a text is left out there."""
    found: dict[str, Any] = {kind: {"seconds": [], "memory": []} for kind in kinds}
    for text in texts:
        for kind in kinds:
            asked = request(model, kind, text)
            if model.forecast(asked).seconds != float("inf"):
                seconds, memory = ratios(model, asked)
                found[kind]["seconds"].append(round(seconds, 3))
                found[kind]["memory"].append(round(memory, 3))
        print(f"{len(text.split()):4} words: done", flush=True)
    return found


def report(found: dict[str, Any]) -> str:
    """A line for each kind and one for all, for seconds and for bytes."""
    lines = []
    for what in ("seconds", "memory"):
        lines.append(f"{what:24} good   forecast / taken: 5 %, median, 95 %")
        every = {**{k: v[what] for k, v in found["kinds"].items()}, "all": pooled(found, what)}
        for kind, table in every.items():
            low, middle, high = np.percentile(table, [5, 50, 95])
            lines.append(f"{kind:24} {good(table):4.0%}   {low:.2f}  {middle:.2f}  {high:.2f}")
    return "\n".join(lines)


def pooled(found: dict[str, Any], what: str) -> list[float]:
    """The ratios of all kinds."""
    return [ratio for each in found["kinds"].values() for ratio in each[what]]


def markdown() -> str:
    """The README's block."""
    found = json.loads(RESULTS.read_text("utf-8"))
    shares = {what: good(pooled(found, what)) for what in ("seconds", "memory")}
    runs, longest = len(pooled(found, "memory")), max(found["longer"], default=0)
    beside = f", and texts of up to {longest:,} words" if longest else ""
    return (
        f"Within a factor of {FACTOR:g} were {shares['seconds']:.0%} of the forecasts of seconds and "
        f"{shares['memory']:.0%} of those of memory ({SHARE:.0%} wanted), in {runs:,} runs of {len(found['kinds'])} "
        f"kinds: {found['texts']} sentences{beside} ({found['machine']})."
    )


def longer(texts: Sequence[str], words: int) -> str:
    """The sentences in a row, as many words of them."""
    return " ".join(" ".join(texts).split()[:words])


def main() -> None:
    """Print what was found, and exit with 1 if fewer than nine of ten forecasts were good."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="dev.tsv: a header, then sentence and label, tab separated")
    parser.add_argument("--texts", type=int, default=30)
    every = ("page", "thorough", "attention", *(n for n, method in methods().items() if method.info.limit is None))
    parser.add_argument("--kinds", default=",".join(every))
    parser.add_argument("--words", default="100,300", help="lengths of the longer texts, beside the sentences")
    parser.add_argument("--save", action="store_true", help="keep the figures for the README")
    options = parser.parse_args()
    torch.set_num_threads(1)
    model, kinds = explain.load("sentiment"), options.kinds.split(",")
    *texts, first = draw(options.data, options.texts + 1)
    long = [longer(texts, int(words)) for words in options.words.split(",") if words]
    for kind in kinds:
        try:
            model.answer([request(model, kind, first)])
        except ExplainError as refusal:
            print(f"{kind} is left out: {refusal}")
            kinds = [k for k in kinds if k != kind]
    found = {
        "kinds": measure(model, [*texts, *long], kinds),
        "texts": len(texts),
        "longer": [len(text.split()) for text in long],
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, torch threads: 1",
        "weights_sha256": model.info.weights_sha256,
    }
    print(report(found))
    if options.save:
        RESULTS.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    raise SystemExit(bool(min(good(pooled(found, what)) for what in ("seconds", "memory")) < SHARE))


if __name__ == "__main__":
    main()
