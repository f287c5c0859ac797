"""Rows to evaluate, numbers to compare, and a tiny model that is made to stumble."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from explain.engine import Model
from explain.model.rows import Row
from explain.records import Target
from tests.contract.test_methods import traces

TEXTS: list[tuple[str, ...]] = [
    ("a good movie, but never very funny",),
    ("dull",),
    ("the actor is charming and the ending is so very moving!",),
    ("a good film", "the plot is so slow and boring"),
    ("stirring",),
    ("not bad", "awful"),
]
TARGETS = [
    Target("log_odds", 1, "P", ""),
    Target("log_odds", 0, "N", ""),
    Target("logit", 0, "N", ""),
    Target("margin", 1, "P", ""),
    Target("probability", 0, "N", ""),
    Target("contrast", 1, "P", "", contrast=0),
]


def rows_of(model: Model, texts: Sequence[tuple[str, ...]] = TEXTS, seed: int = 0) -> list[Row]:
    """For every text: as it is, on a path to itself, and on a path between points of nowhere; targets take turns."""
    random = np.random.default_rng(seed)
    rows = []
    for text in texts:
        inputs = model.encode(text).inputs
        embeds = model.embed(inputs["input_ids"])
        here, there = (embeds + random.normal(0, 0.3, embeds.shape).astype(np.float32) for _ in range(2))
        for path in ({}, {"start": here, "end": embeds, "alpha": 0.4}, {"start": here, "end": there, "alpha": 0.7}):
            rows.append(Row(inputs, TARGETS[len(rows) % len(TARGETS)], **path))
    return rows


def alike(found: np.ndarray, expected: np.ndarray, share: float = 2e-5, largest: float | None = None) -> bool:
    """Equal within a share of the largest number (of all there are, where `expected` is only some of them)."""
    largest = float(np.abs(expected).max()) if largest is None else largest
    return found.shape == expected.shape and bool(np.abs(found - expected).max() <= share * largest)


def same(found: tuple[np.ndarray, list[np.ndarray]], expected: tuple[np.ndarray, list[np.ndarray]]) -> bool:
    return alike(found[0], expected[0]) and all(alike(*pair) for pair in zip(found[1], expected[1], strict=True))


def equals(a: tuple[np.ndarray, list[np.ndarray]], b: tuple[np.ndarray, list[np.ndarray]]) -> bool:
    """Bit for bit."""
    return bool((a[0] == b[0]).all()) and all((x == y).all() for x, y in zip(a[1], b[1], strict=True))


class Failing(torch.autograd.Function):
    """Nothing on the way forward; on the way back it calls `attempt` with the size of the batch."""

    @staticmethod
    def forward(ctx: Any, logits: torch.Tensor, attempt: Callable[[int], None]) -> torch.Tensor:  # type: ignore[override]
        ctx.attempt = attempt
        return logits.clone()

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:  # type: ignore[override]
        ctx.attempt(len(gradient))
        return gradient, None


def disturb(model: Model, attempt: Callable[[int], None], where: str = "forward") -> None:
    """From now on every pass calls `attempt` with the size of its batch, on the way forward or back."""
    plain = model.module.forward

    def forward(**inputs: Any) -> Any:
        if where == "forward":
            attempt(len(inputs["input_ids"]))
        outputs = plain(**inputs)
        if where == "backward" and outputs.logits.requires_grad:
            outputs.logits = Failing.apply(outputs.logits, attempt)
        return outputs

    model.module.forward = forward


class Lock:
    """A lock that takes long to get: while one waits, `meanwhile` happens."""

    def __init__(self, meanwhile: Callable[[], object]) -> None:
        self.meanwhile = meanwhile

    def __enter__(self) -> None:
        self.meanwhile()

    def __exit__(self, *_: object) -> None:
        pass


def left(model: Model) -> tuple[object, ...]:
    """All that a call might leave behind; the lock is tried by another thread, since its owner may always enter."""
    free: list[bool] = []

    def knock() -> None:
        free.append(model.lock.acquire(blocking=False))
        if free[0]:
            model.lock.release()

    other = threading.Thread(target=knock)
    other.start()
    other.join()
    return (*traces(model), free)
