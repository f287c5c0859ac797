"""Rows in, chunks of a token budget out: sorted by length, halved when memory runs out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal, TypeVar

import torch

from explain.errors import ModelError
from explain.model.rows import Row

T = TypeVar("T")
Padding = Literal["pad", "equal", "single"]
"""What a model tolerates in one batch: rows of any length, of equal length only, or one row at a time."""

_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "alloc_failed")
"""What CUDA, HIP, MPS and XPU say, the CPU's allocator on Linux and on Windows, and cuBLAS."""


def chunks(rows: Sequence[Row], budget: int, padding: Padding) -> Iterator[list[int]]:
    """Indices of `rows`, shortest first, in groups of at most `budget` padded tokens (at least one row)."""
    order = sorted(range(len(rows)), key=lambda i: (len(rows[i]), rows[i].source))
    group: list[int] = []
    longest = (0, 0)  # what an encoder reads of a row, and what its decoder reads, or (0, all of it)
    for i in order:
        size = len(rows[i])
        mine = rows[i].source, size - rows[i].source
        padded = max(longest[0], mine[0]) + max(longest[1], mine[1])
        full = bool(group) and (len(group) + 1) * padded > budget
        first = rows[group[0]] if group else rows[i]
        odd = padding == "equal" and (len(first), first.source) != (size, rows[i].source)
        if full or odd or (group and padding == "single"):
            yield group
            group, longest = [], (0, 0)
        group.append(i)
        longest = max(longest[0], mine[0]), max(longest[1], mine[1])
    if group:
        yield group


def halving(
    run: Callable[[list[int]], T], group: list[int], on_halved: Callable[[int], None]
) -> list[tuple[list[int], T]]:
    """Run a group; when memory runs out, run its halves instead, down to single rows.

    `on_halved` hears the size that was too large. Raises ModelError when one row alone does not fit.
    """
    try:
        return [(group, run(group))]
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        if len(group) == 1:
            raise ModelError(
                "The text does not fit into memory even alone. Use a shorter text, a smaller model or another device.",
                code="out_of_memory",
            ) from None
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    on_halved(len(group))
    middle = len(group) // 2
    return halving(run, group[:middle], on_halved) + halving(run, group[middle:], on_halved)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, on whatever device said so."""
    said = str(error).lower()
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or (
        isinstance(error, RuntimeError) and any(words in said for words in _OUT_OF_MEMORY)
    )
