"""What an explanation costs against the length of the text, and against how many texts are explained together.

    python -m tests.benchmarks.scaling path/to/train.tsv [--lengths 16,4096] [--batches 1,1024] [--threads 2] [--save]

Length: a prediction (one forward pass) and the first answer of integrated gradients (4 forward passes, 21 with
gradients), for one text of so many tokens; up to its limit by the bundled model, from 512 on also by a random model of
the same shape that reads 4,096 tokens. Batch: whole explanations without checks, refined as far as they need, in
seconds a text; small batches are repeated over the same 32 texts. The floor is what the counted operations of these
very passes would take at the rate of a square matrix product in float32, measured before and after in the same process.
Each length is timed several times, for a second at least, and the fastest is kept.
`--save` keeps the figures, and draws the README's pictures from them (`curves.py`).
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification

import explain
from explain.case import Case
from explain.catalog import Request
from explain.drive import drive
from explain.engine import Model
from explain.methods import find
from explain.model.meter import Meter
from tests.benchmarks import curves
from tests.benchmarks.counted import watched
from tests.benchmarks.methods import draw
from tests.benchmarks.peers.limits import product
from tests.cases import case_of

METHOD, FIRST = "integrated_gradients", 1
"""The method, and a budget that its first answer spends."""
LENGTHS = tuple(2**n for n in range(4, 13))
BATCHES = tuple(2**n for n in range(11))
SAME, ENOUGH, MOST = 32, 1.0, 10
"""Texts that small batches share; seconds of repetitions, and how many at most."""
WORD = "good"


def longer(folder: Path, tokens: int) -> Model:
    """A random model of the bundled one's shape that reads so many tokens."""
    short = explain.load("sentiment")
    config = type(short.module.config)(**{**short.module.config.to_dict(), "max_position_embeddings": tokens})
    torch.manual_seed(0)
    AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
    short.tokenizer.model_max_length = tokens
    short.tokenizer.save_pretrained(folder)
    return explain.load(str(folder))


def text_of(model: Model, tokens: int) -> str:
    """A text that is so many tokens long with the special ones; raises ValueError where words do not come out."""
    special = len(model.encode((WORD,)).tokens.ids) - 1
    text = " ".join([WORD] * (tokens - special))
    if len(model.encode((text,)).tokens.ids) != tokens:
        raise ValueError(f"'{WORD}' is not one token of this model.")
    return text


def fastest(model: Model, run: Callable[[], object]) -> dict[str, float]:
    """Seconds of the fastest of some repetitions, and operations, which the first one counts."""
    began = time.perf_counter()
    with watched() as both:
        run()
    took = [time.perf_counter() - began - sum(each.counting for each in both)]
    while sum(took) < ENOUGH and len(took) < MOST:
        began = time.perf_counter()
        run()
        took.append(time.perf_counter() - began)
    return {"seconds": min(took), "operations": sum(each.operations for each in both)}


def first_answer(model: Model, case: Case) -> None:
    """Integrated gradients as far as they are always computed."""
    method = find(METHOD)
    drive(model, [method.fn(case, method.configured({}))], Meter())


def by_length(model: Model, lengths: Sequence[int]) -> Iterator[dict[str, Any]]:
    """For each length: seconds and operations of a prediction, and of a first answer."""
    for tokens in lengths:
        case = case_of(model, text_of(model, tokens), truncate=False, budget=FIRST)
        row = case.row()
        runs: dict[str, Callable[[], object]] = {
            "predict": lambda row=row: model.values([row]),  # type: ignore[misc]
            "explain": lambda case=case: first_answer(model, case),  # type: ignore[misc]
        }
        found: dict[str, Any] = {"tokens": tokens}
        for name, run in runs.items():
            found[name] = fastest(model, run)
        print(f"{tokens:5} tokens: {found}", flush=True)
        yield found


def by_batch(model: Model, texts: Sequence[str], batches: Sequence[int]) -> Iterator[dict[str, Any]]:
    """For each size of a batch: seconds and operations a text, in the model and outside of it."""
    requests = [Request((text,), (METHOD,), checks=(), truncate=True) for text in texts]
    model.answer(requests[:SAME])  # warm
    for size in batches:
        some = requests[: max(size, min(SAME, len(requests)))]
        with watched() as both:
            began = time.perf_counter()
            for i in range(0, len(some), size):
                model.answer(some[i : i + size])
            took = time.perf_counter() - began - sum(each.counting for each in both)
        found = {
            "texts": size,
            "seconds": took / len(some),
            "inside": sum(each.seconds for each in both) / len(some),
            "operations": sum(each.operations for each in both) / len(some),
            "padding": 1 - sum(each.real for each in both) / sum(each.padded for each in both),
        }
        print(f"{size:5} texts: {found}", flush=True)
        yield found


def main() -> None:
    """Measure, print, and keep the figures if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="a header, then sentence and label, tab separated")
    parser.add_argument("--lengths", default=",".join(map(str, LENGTHS)))
    parser.add_argument("--batches", default=",".join(map(str, BATCHES)))
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--save", action="store_true", help="keep the figures, and draw the README's pictures")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    lengths, batches = (list(map(int, some.split(","))) for some in (options.lengths, options.batches))
    model, before = explain.load("sentiment"), product(torch.float32)
    limit, words = model.info.max_tokens, draw(options.data, max(SAME, *batches))
    with tempfile.TemporaryDirectory() as folder:
        found: dict[str, Any] = {"length": list(by_length(model, [n for n in lengths if n <= limit]))}
        beyond = [n for n in lengths if n >= limit]
        found["long"] = list(by_length(longer(Path(folder), max(beyond)), beyond)) if beyond else []
    found["batch"] = list(by_batch(explain.load("sentiment"), words, batches))
    found["made"] = {
        "rate": max(before, product(torch.float32)),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, torch threads: {options.threads}",
        "limit": limit,
        "weights_sha256": model.info.weights_sha256,
    }
    print(curves.report(found))
    if options.save:
        curves.keep(found)


if __name__ == "__main__":
    main()
