"""What every peer's script shares: read the task, warm up, time each text, print a line of JSON for it.

A script runs in an environment of its own, without Whyboard, as `python peers/NAME.py TASK.json`; the task names the
model's folder, the texts, the variant and the threads. Seconds are of the wall clock, for one text at a time, with the
model loaded and two texts explained before.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

Explain = Callable[[str], dict[str, Any]]
WARM = ("Good enough to warm up.", "Less of it would have been more.")
SMALLEST = 0.05


def relative_residual(change: float, scores: list[float], specials: float = 0.0) -> float:
    """|change − Σ scores| over what it is measured by, as in Whyboard's own records (log-odds)."""
    left = abs(change - sum(scores) - specials)
    return left / max(abs(change), 0.1 * (sum(map(abs, scores)) + abs(specials)), SMALLEST)


def load(folder: str) -> tuple[Any, Any]:
    """The model, in evaluation mode without gradients for its weights, and its tokenizer."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    return model.requires_grad_(False), AutoTokenizer.from_pretrained(folder)


def log_odds(logits: torch.Tensor, index: int) -> torch.Tensor:
    """(N, 2) → (N,): the log-odds of one of two classes."""
    return logits[:, index] - logits[:, 1 - index]


def main(prepare: Callable[[str, str], Explain]) -> None:
    """Run the task named on the command line; `prepare(folder, variant)` gives what explains one text."""
    task = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    torch.set_num_threads(task["threads"])
    explain = prepare(task["model"], task["variant"])
    for text in WARM:
        explain(text)
    for i, text in enumerate(task["texts"]):
        began = time.perf_counter()
        found = explain(text)
        print(json.dumps({"text": i, "seconds": time.perf_counter() - began, **found}), flush=True)
