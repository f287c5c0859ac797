"""A batch of texts: texts a second, the model's share of it, and how near that comes to the machine's matrix products.

    python -m tests.benchmarks.throughput path/to/train.tsv [--texts 1000] [--captum 40] [--grow 10] [--save]

Operations are counted by torch's own counter, once for each shape of a pass; the rate of a square matrix product is
measured before and after in the same process. `--captum` explains so many of the same texts one at a time by Captum's
integrated gradients, their steps doubled until the sum is within 1 %, in a process of its own with as many threads.
`--forward` names a method without slopes, which is run in float32 and, where the calibration allows it, in bfloat16.
`--grow` runs a batch so many times as large too, in a process of its own, and compares both peaks of memory: they
should not differ by more than the results themselves take; none of them is kept. `--save` keeps the README's figures.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

import explain
from explain.engine import Model
from tests.benchmarks.counted import watched
from tests.benchmarks.methods import draw
from tests.benchmarks.peers.__main__ import Task, run
from tests.benchmarks.peers.limits import product

RESULTS = Path(__file__).parent / "results" / "throughput.json"
WANTED, HALF, TIMES, FLAT = 0.9, 0.5, 5.0, 1.1
"""Of the matrix product's rate in float32, and in bfloat16; times Captum's throughput; growth of the peak of memory."""


def measure(model: Model, texts: Sequence[str], method: str) -> dict[str, Any]:
    """One batch, without checks, after a small one to warm up."""
    model.explain_batch(texts[:8], methods=[method], checks=())
    before = product(torch.float32), product(torch.bfloat16)
    with watched() as plain:
        began = time.perf_counter()
        found = model.explain_batch(texts, methods=[method], checks=())
        whole = time.perf_counter() - began - sum(each.counting for each in plain)
    inside = [(each.seconds, each.operations) for each in plain]
    rates = [max(pair) for pair in zip(before, (product(torch.float32), product(torch.bfloat16)), strict=True)]
    seconds, operations = (sum(pair) for pair in zip(*inside, strict=True))
    residuals = [r.attributions[0].relative_residual for r in found]
    known = [r for r in residuals if r is not None]
    return {
        "texts": len(texts),
        "method": method,
        "seconds": whole,
        "texts a second": len(texts) / whole,
        "share in the model": seconds / whole,
        "GFLOP/s in the model": operations / seconds / 1e9,
        "of float32 product": operations / seconds / rates[0],
        "of bfloat16 product": operations / seconds / rates[1],
        "padding": 1 - sum(w.real for w in plain) / max(1, sum(w.padded for w in plain)),
        "within 1 %": sum(r <= 0.01 for r in known) / len(known) if known else None,
        "peak MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def forward_only(texts: Sequence[str], method: str) -> dict[str, Any]:
    """A method without slopes in float32 and in bfloat16: both rates, and how far the scores are from each other.

    A text's error is the largest of a word, over the largest score. `used` says whether the calibration allowed it;
    where it did not, nothing else was measured.
    """
    plain, quick = (explain.load("sentiment", fast=fast) for fast in (False, True))
    (first,) = quick.explain_batch(texts[:1], methods=[method], checks=())
    said = next(n for n in first.warnings if n.code in ("fast", "not_fast"))
    found = {"method": method, "used": said.code == "fast", "said": said.message}
    if not found["used"]:
        return found
    exactly, roughly = (model.explain_batch(texts, methods=[method], checks=()) for model in (plain, quick))
    errors = []
    for a, b in zip(exactly, roughly, strict=True):
        exact = a.attributions[0].scores.astype(float)
        errors.append(float(np.abs(b.attributions[0].scores - exact).max() / np.abs(exact).max()))
    return {
        **found,
        "float32": measure(plain, texts, method),
        "bfloat16": measure(quick, texts, method),
        "median error": float(np.median(errors)),
        "error of 95 %": float(np.quantile(errors, 0.95)),
        "largest error": max(errors),
    }


def peak(data: Path, count: int, method: str, threads: int) -> float:
    """MB that a process needs for a batch of so many texts."""
    code = (
        "import resource, sys, torch, explain\nfrom pathlib import Path\nfrom tests.benchmarks.methods import draw\n"
        "torch.set_num_threads(int(sys.argv[4]))\n"
        "texts = draw(Path(sys.argv[1]), int(sys.argv[2]))\nmodel = explain.load('sentiment')\n"
        "assert len(texts) == int(sys.argv[2]), f'only {len(texts)} texts'\n"
        "for i in range(0, len(texts), 1000):\n"
        "    model.explain_batch(texts[i:i + 1000], methods=[sys.argv[3]], checks=())\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
    )
    asked = [str(data), str(count), method, str(threads)]
    done = subprocess.run([sys.executable, "-c", code, *asked], capture_output=True, text=True, check=True)
    return float(done.stdout)


def captum(model: Model, texts: Sequence[str]) -> dict[str, Any]:
    """Texts a second of Captum, one at a time, and how many of them are within 1 %."""
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home) / "model"
        model.module.save_pretrained(folder)
        model.tokenizer.save_pretrained(folder)
        task = Task(str(folder), list(texts), torch.get_num_threads(), {})
        rows = list(run("captum_ig", Path(sys.executable), task.write(Path(home) / "task.json", "ig-doubled")))
    return {
        "texts": len(rows),
        "texts a second": len(rows) / sum(row["seconds"] for row in rows),
        "gradients a text": sum(row["passes"][1] for row in rows) / len(rows),
        "within 1 %": sum(row["relative"] <= 0.01 for row in rows) / len(rows),
    }


def markdown() -> str:
    """The README's block."""
    found = json.loads(RESULTS.read_text("utf-8"))
    ours, theirs, made, peaks = (found[name] for name in ("ours", "captum", "made", "peaks"))
    times, share = ours["texts a second"] / theirs["texts a second"], ours["of float32 product"]

    def kept(value: bool) -> str:
        return "yes" if value else "no"

    rows = [
        f"| the model's part, of the float32 matrix product's rate | {share:.0%} | at least {WANTED:.0%} | "
        f"{kept(share >= WANTED)} |",
        f"| texts a second (with each word's effect, which Captum does not measure), times Captum's one at a time, "
        f"doubled until within 1 % | {times:.1f} | at least {TIMES:g} | {kept(times >= TIMES)} |",
        _forward(found["forward only"]),
        f"| peak of memory by {found['grown']}, {ours['texts'] * found['grow']:,} texts over {ours['texts']:,} "
        f"| {peaks[1] / peaks[0]:.2f} | at most {FLAT:g} | {kept(peaks[1] <= FLAT * peaks[0])} |",
    ]
    return "\n".join(
        [
            f"{ours['texts']:,} sentences explained together by integrated gradients, {ours['within 1 %']:.0%} of them "
            f"within 1 % ({made['machine']}): {ours['texts a second']:.1f} texts a second, "
            f"{ours['share in the model']:.0%} of the time in the model at {ours['GFLOP/s in the model']:.0f} GFLOP/s, "
            f"{ours['padding']:.1%} padding. Made by `python -m tests.benchmarks.throughput train.tsv "
            f"--captum {theirs['texts']} --grow {found['grow']} --save`.",
            "",
            "| what | found | wanted | reached |",
            "|---|--:|--:|---|",
            *rows,
        ]
    )


def _forward(found: dict[str, Any]) -> str:
    """The row of forward-only methods."""
    if not found["used"]:
        return f"| forward passes in bfloat16, of its product's rate | refused by calibration | at least {HALF:.0%} | |"
    share = found["bfloat16"]["of bfloat16 product"]
    faster = found["bfloat16"]["texts a second"] / found["float32"]["texts a second"]
    return (
        f"| {found['method']} in bfloat16, of its product's rate ({faster:.2f} times as many texts a second as in "
        f"float32; a word's error: median {found['median error']:.1%}, 95 % of texts {found['error of 95 %']:.1%}) | "
        f"{share:.0%} | at least {HALF:.0%} | {'yes' if share >= HALF else 'no'} |"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="a header, then sentence and label, tab separated")
    parser.add_argument("--texts", type=int, default=1000)
    parser.add_argument("--method", default="integrated_gradients")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--forward", default="occlusion", help="the method that is also run in bfloat16")
    parser.add_argument("--captum", type=int, default=0)
    parser.add_argument("--grow", type=int, default=0)
    parser.add_argument("--grown", default="saliency", help="the method of --grow: the cheapest that has slopes")
    parser.add_argument("--save", action="store_true", help="keep the figures; needs --captum and --grow")
    options = parser.parse_args()
    if options.save and not (options.captum and options.grow):
        parser.error("--save keeps what --captum and --grow found: give both.")
    torch.set_num_threads(options.threads)
    model, texts = explain.load("sentiment"), draw(options.data, options.texts)
    found: dict[str, Any] = {"ours": measure(model, texts, options.method)}
    found["forward only"] = forward_only(texts, options.forward)
    if options.captum:
        found["captum"] = captum(model, texts[: options.captum])
    if options.grow:
        sizes = options.texts, options.texts * options.grow
        found["grow"] = options.grow
        found["grown"] = options.grown
        found["peaks"] = [peak(options.data, n, options.grown, options.threads) for n in sizes]
    found["made"] = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, torch threads: {options.threads}",
        "weights_sha256": model.info.weights_sha256,
    }
    print(json.dumps(found, indent=1))
    if options.save:
        RESULTS.write_text(json.dumps(found, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
