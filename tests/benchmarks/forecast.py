"""How near forecasts come: seconds that a run was said to take, beside those that it took.

    python -m tests.benchmarks.forecast path/to/dev.tsv [--texts 30] [--kinds page,thorough,occlusion]

A model is loaded and asked once, as a server does when it starts; then each text is forecast and run in each way, in
turn. A forecast is good if it is within a factor of 1.5 either way. Wall seconds on one thread: run it on a quiet
machine. `page` is what the Explain page asks by itself, `thorough` every check; other kinds are methods alone.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

import explain
from explain.checks import checks
from explain.engine import Model
from explain.methods import methods
from explain.questions import Request
from tests.benchmarks.methods import draw

FACTOR, SHARE = 1.5, 0.9


def request(kind: str, text: str) -> Request:
    """What is asked of a text."""
    asked = Request((text,), truncate=True)
    if kind == "page":
        return asked
    if kind == "thorough":
        return replace(asked, checks=tuple(checks()))
    return replace(asked, methods=(kind,), checks=())


def ratio(model: Model, asked: Request) -> float:
    """Forecast seconds over seconds taken."""
    said, began = model.forecast(asked), time.perf_counter()
    model.answer([asked])
    if said is None:
        raise SystemExit("There is no forecast although the model has been asked before.")
    return said / (time.perf_counter() - began)


def main() -> None:
    """Print a line for each kind, and exit with 1 if fewer than nine of ten forecasts were good."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="dev.tsv: a header, then sentence and label, tab separated")
    parser.add_argument("--texts", type=int, default=30)
    every = ("page", "thorough", *(name for name, method in methods().items() if method.info.limit is None))
    parser.add_argument("--kinds", default=",".join(every))
    options = parser.parse_args()
    torch.set_num_threads(1)
    model, kinds = explain.load("sentiment"), options.kinds.split(",")
    *texts, first = draw(options.data, options.texts + 1)
    model.explain(first)
    table = np.array([[ratio(model, request(kind, text)) for kind in kinds] for text in texts])  # (N, K)
    good = (table <= FACTOR) & (table >= 1 / FACTOR)
    print(f"{'':24} good   forecast / taken: 5 %, median, 95 %")
    for k, kind in enumerate(kinds):
        low, middle, high = np.percentile(table[:, k], [5, 50, 95])
        print(f"{kind:24} {good[:, k].mean():4.0%}   {low:.2f}  {middle:.2f}  {high:.2f}")
    print(f"{'all':24} {good.mean():4.0%}")
    raise SystemExit(bool(good.mean() < SHARE))


if __name__ == "__main__":
    main()
