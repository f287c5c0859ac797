"""Every method on the same sentences: what it costs, how faithful its order is, and how near to exact Shapley values.

    python -m tests.benchmarks.methods path/to/dev.tsv [--out methods.jsonl] [--save]

Sentences are a seeded draw from the reporting half of the development sentences, on which nothing was chosen. Each
method's words, highest score first, are taken out and kept as in `explain/checks/removal.py`; ten random orders are
measured once a sentence and stand beside all methods. Methods without a sign are ranked by size, which is all they
claim. One that costs more than 500 evaluations a sentence is measured on the first 40 sentences, and for agreement
with exact Shapley values on all that are short enough to have them. What is done is appended to the file after each
sentence, so a run goes on where it was interrupted, and with methods that are new. Seconds are of the processor, on
one thread, for the method alone, after a warm-up; still only indicative, as neighbours on the machine slow them too.
`--save` keeps the summary for the README; `comparison.py` makes it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

import explain
from explain.case import Case
from explain.checks.removal import drops
from explain.drive import drive
from explain.engine import Model
from explain.machine import versions
from explain.methods import find, methods
from explain.methods.exact_shapley import LIMIT as SHORT
from explain.model.runner import Meter
from tests.benchmarks.comparison import FEW, PILOT, RESULTS, Row, costly, report, summary
from tests.cases import case_of, run

SEED, ORDERS, POINTS = 0, 10, 10


def reporting(text: str) -> bool:
    """Whether a development sentence is for reporting: one half by its hash; the other is for choosing thresholds."""
    return int(hashlib.sha256(text.encode()).hexdigest(), 16) % 2 == 1


def draw(data: Path, count: int) -> list[str]:
    """So many sentences of three words or more, in random order."""
    texts = sorted({line.split("\t")[0] for line in data.read_text("utf-8").splitlines()[1:]})
    half = [text for text in texts if reporting(text) and len(text.split()) > 2]
    return [half[i] for i in np.random.default_rng(SEED).permutation(len(half))[:count]]


def attribute(model: Model, case: Case, name: str) -> Row:
    """One method's scores at its defaults, and their cost."""
    method, began = find(name), time.process_time()
    ((found, cost),) = drive(model, [method.fn(case, method.configured({}))], Meter())
    return {
        "method": name,
        "seconds": time.process_time() - began,
        "forward": cost.forward + found.evaluations.forward,
        "gradient": cost.backward + found.evaluations.backward,
        "scores": [found.scores.tolist()],
    }


def random_scores(case: Case) -> Row:
    """Scores that know nothing, in pairs of opposite orders."""
    half = np.random.default_rng([SEED, case.n_units]).standard_normal((ORDERS // 2, case.n_units))
    return {
        "method": "random",
        "seconds": 0.0,
        "forward": 0,
        "gradient": 0,
        "scores": [*half.tolist(), *(-half).tolist()],
    }


def measure(model: Model, text: str, names: Sequence[str]) -> list[Row]:
    """A row for each method that takes this text; all their orders are followed in one go."""
    case = case_of(model, text, truncate=True)
    rows = [
        random_scores(case) if name == "random" else attribute(model, case, name)
        for name in names
        if name == "random" or case.n_units <= (find(name).info.limit or case.n_units)
    ]
    if rows:
        scores = np.concatenate([row["scores"] for row in rows])
        _, curves = run(model, drops(case, np.argsort(-scores, axis=1, kind="stable"), POINTS))
        ends = np.cumsum([len(row["scores"]) for row in rows])
        for row, end in zip(rows, ends, strict=True):
            row |= {"text": text, "words": case.n_units, "aopc": {}}
            for (scale, how), both in curves.items():
                for measure, curve in zip(("comprehensiveness", "sufficiency"), both, strict=True):
                    mean = curve[end - len(row["scores"]) : end].mean()
                    row["aopc"][f"{measure}, {scale}, {how}"] = float(mean)
    return rows


def plan(
    model: Model, texts: Sequence[str], names: Sequence[str], rows: Sequence[Row]
) -> Iterator[tuple[str, Sequence[str]]]:
    """What to measure, in this order: all on a few sentences, then the cheap methods on all, then the costly ones."""
    for text in texts[:PILOT]:
        yield text, names
    dear = costly(rows, texts)
    for text in texts:
        yield text, [name for name in names if name not in dear]
    for i, text in enumerate(texts):
        if i < FEW or case_of(model, text, truncate=True).n_units <= SHORT:
            yield text, sorted(dear)


def main() -> None:
    """Measure what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="dev.tsv: a header, then sentence and label, tab separated")
    parser.add_argument("--out", type=Path, default=Path("build/methods.jsonl"), help="a line for what was measured")
    parser.add_argument("--texts", type=int, default=200)
    parser.add_argument("--save", action="store_true", help="keep the summary that the README's table is made from")
    parser.add_argument("--report", action="store_true", help="measure nothing, only print what is in the file")
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = explain.load("sentiment")
    names = ["random", *methods()]
    options.out.parent.mkdir(parents=True, exist_ok=True)
    lines = options.out.read_text("utf-8").splitlines() if options.out.exists() else []
    rows: list[Row] = [row for row in map(json.loads, lines) if row["model"] == model.info.weights_sha256]
    done = {(row["method"], row["text"]) for row in rows}
    texts = draw(options.data, options.texts)
    if not options.report:
        measure(model, "Good enough to warm up.", names)
    for text, wanted in plan(model, texts, names, rows) if not options.report else ():
        missing = [name for name in wanted if (name, text) not in done]
        fresh = measure(model, text, missing) if missing else []
        with options.out.open("a", encoding="utf-8") as file:
            for row in fresh:
                row["model"] = model.info.weights_sha256
                file.write(json.dumps(row) + "\n")
        rows += fresh
        done |= {(row["method"], row["text"]) for row in fresh}
        print(f"\r{len(done)} measurements", end="", flush=True)
    found = summary(rows, texts)
    found["made"] = {
        "random orders": ORDERS,
        "seed": SEED,
        "model": f"{model.info.id}, {model.info.dtype} on {model.info.device}",
        "weights_sha256": model.info.weights_sha256,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} torch thread",
        "versions": dict(versions()),
    }
    print(f"\n{report(found)}")
    if options.save:
        RESULTS.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
