"""Several ends of one text: asked side by side, and put together to one value with its gradient.

A text may be asked about together with what stands behind it, a hypothesis or a continuation: the question, which no
method touches. All rows of a question begin with the same tokens, those of the text, and differ in their ends. What
compares ends is a function of one value of each,

    F(x) = g(z_1(x), …, z_L(x)),    ∂F/∂x = Σ_j ∂g/∂z_j · ∂z_j/∂x

so each end is a row of its own, and the slopes at the text's tokens are added. A row that is seen through windows has
no ends, and is put together in `explain.model.windows`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

import numpy as np
from jaxtyping import Float, Float32, Float64

from explain.model import windows
from explain.model.rows import Row
from explain.records import Evaluations, Target

if TYPE_CHECKING:
    from explain.model.runner import Meter, Runner

T = TypeVar("T")


class Ends(Protocol):
    """What a task can say besides whose texts have ends (see `explain.tasks.Task`)."""

    def needed(self, target: Target) -> tuple[int, ...]:
        """The ends that a target's value depends on, its own first."""

    def part(self, target: Target, index: int) -> Target:
        """What is asked of one end where a target needs several; the target itself where it needs no other."""

    def joined(self, z: Float[np.ndarray, "K"], target: Target) -> tuple[float, Float64[np.ndarray, "K"]]:
        """The target's value from the `part` of each end that it needs, and its slope with respect to each."""


def outputs(runner: Runner, rows: Sequence[Row], meter: Meter) -> list[Float32[np.ndarray, "K ..."]]:
    """`Runner.outputs`; of a text with L ends all of them, each read at its one place: (L, C)."""

    def whole(some: Sequence[Row]) -> list[Float32[np.ndarray, "K ..."]]:
        parts = [[_pair(row, j, row.target) for j in range(len(row.tails))] if row.tails else [row] for row in some]
        found = iter(runner.outputs([one for each in parts for one in each], meter))
        return [
            np.concatenate([next(found) for _ in each]) if row.tails else next(found)
            for row, each in zip(some, parts, strict=True)
        ]

    return _apart(rows, whole, lambda some: windows.outputs(runner, some, meter))


def passes(runner: Runner, rows: Sequence[Row], gradients: bool) -> Evaluations:
    """How many passes through the model these rows cost when they are asked for together."""
    seen = [row for row in rows if row.windows]
    needed = sum(len(cast(Ends, runner.task).needed(row.target)) if row.tails else not row.windows for row in rows)
    if not gradients:
        return Evaluations(forward=needed + windows.passes(seen))
    curved = windows.passes([row for row in seen if not windows.linear(runner, row.target)])
    return Evaluations(forward=curved, backward=needed + sum(len(row.windows) for row in seen))


def values(runner: Runner, rows: Sequence[Row], meter: Meter) -> Float32[np.ndarray, "N"]:
    """`Runner.values`, also of rows that compare ends, or are seen through windows."""

    def whole(some: Sequence[Row]) -> list[float]:
        parts = [_parts(runner, row) for row in some]
        found = runner.values([one for each in parts for one in each], meter)
        return [_joined(runner, row, z)[0] for row, z in _each(some, parts, found)]

    return np.array(_apart(rows, whole, lambda some: windows.values(runner, some, meter).tolist()), dtype=np.float32)


def gradients(
    runner: Runner, rows: Sequence[Row], meter: Meter
) -> tuple[Float32[np.ndarray, "N"], list[Float32[np.ndarray, "T D"]]]:
    """`Runner.gradients`, as `values`; 0 at the tokens of an end, which is the question."""

    def whole(some: Sequence[Row]) -> list[tuple[float, Float32[np.ndarray, "T D"]]]:
        parts = [_parts(runner, row) for row in some]
        found, slopes = runner.gradients([one for each in parts for one in each], meter)
        joined = [_joined(runner, row, z) for row, z in _each(some, parts, found)]
        return [
            (value, _summed(row, each, weights))
            for (row, each), (value, weights) in zip(_each(some, parts, slopes), joined, strict=True)
        ]

    def seen(some: Sequence[Row]) -> list[tuple[float, Float32[np.ndarray, "T D"]]]:
        found, slopes = windows.gradients(runner, some, meter)
        return list(zip(found.tolist(), slopes, strict=True))

    both = _apart(rows, whole, seen)
    return np.array([value for value, _ in both], dtype=np.float32), [slope for _, slope in both]


def _apart(
    rows: Sequence[Row], whole: Callable[[Sequence[Row]], Sequence[T]], seen: Callable[[Sequence[Row]], Sequence[T]]
) -> list[T]:
    """What `whole` finds of rows that are read at once, and `seen` of those with windows, in the order of the rows."""
    found = {
        windowed: iter(ask(some) if (some := [row for row in rows if bool(row.windows) is windowed]) else ())
        for windowed, ask in ((False, whole), (True, seen))
    }
    return [next(found[bool(row.windows)]) for row in rows]


def _each(rows: Sequence[Row], parts: Sequence[Sequence[Row]], found: Any) -> Iterator[tuple[Row, Any]]:
    """Each row with what was found of its parts."""
    at = 0
    for row, some in zip(rows, parts, strict=True):
        at += len(some)
        yield row, found[at - len(some) : at]


def _parts(runner: Runner, row: Row) -> list[Row]:
    """The rows that a row's value depends on, the explained outcome's first; the row itself without ends."""
    if not row.tails:
        return [row]
    task = cast(Ends, runner.task)
    return [_pair(row, j, task.part(row.target, j)) for j in task.needed(row.target)]


def _pair(row: Row, index: int, target: Target) -> Row:
    """The row with another end, and no choice."""
    begin, tail = _begin(row), row.tails[index]
    inputs = {name: np.concatenate([array[:begin], tail[name]]) for name, array in row.inputs.items()}
    start, end = (None if x is None else x[:begin] for x in (row.start, row.end))
    return replace(row, inputs=inputs, target=target, start=start, end=end, tails=(tail,), own=0)


def _begin(row: Row) -> int:
    """Where the row's own end begins."""
    return len(row) - len(row.tails[row.own]["input_ids"])


def _joined(runner: Runner, row: Row, z: Float32[np.ndarray, "K"]) -> tuple[float, Float64[np.ndarray, "K"]]:
    """The row's value out of its parts' values, and its slope with respect to each."""
    return cast(Ends, runner.task).joined(z, row.target) if row.tails else (float(z[0]), np.ones(1))


def _summed(
    row: Row, slopes: Sequence[Float32[np.ndarray, "..."]], weights: Float[np.ndarray, "K"]
) -> Float32[np.ndarray, "T D"]:
    """Slopes of the parts put together at the tokens of the text."""
    if not row.tails:
        return slopes[0]
    begin = _begin(row)
    found = np.zeros((len(row), slopes[0].shape[-1]), dtype=np.float32)
    found[:begin] = sum(w * slope[:begin] for w, slope in zip(weights.tolist(), slopes, strict=True))
    return found
