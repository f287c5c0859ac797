"""Rows of one text asked for together: all at once, or, where it is seen through windows, as many as memory takes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import TypeVar

import numpy as np
from jaxtyping import Float32

from explain.case import Ask, Case, Steps
from explain.model.rows import Row

T = TypeVar("T")
TOGETHER = {False: 2**21, True: 2**16}
"""Tokens of rows that are asked for at once of a text that is seen through windows; True: with their slopes."""


def values(case: Case, rows: Iterable[Row]) -> Steps[Float32[np.ndarray, "N"]]:
    """The target's value for each row."""
    return (yield from slopes(case, rows, None))[0]


def slopes(
    case: Case, rows: Iterable[Row], kept: Callable[[Float32[np.ndarray, "T D"]], T] | None
) -> Steps[tuple[Float32[np.ndarray, "N"], list[T]]]:
    """The target's value for each row, and what is `kept` of its gradient (None: no gradient is taken)."""
    most = max(1, TOGETHER[kept is not None] // len(case.tokens.ids)) if case.encoding.windows else None
    left, found = iter(rows), [np.zeros(0, np.float32)]
    back: list[T] = []
    while some := list(islice(left, most)):
        answer = yield Ask(some, gradients=kept is not None)
        found.append(answer.values)
        back += [kept(g) for g in answer.gradients] if kept else []
    return np.concatenate(found), back
