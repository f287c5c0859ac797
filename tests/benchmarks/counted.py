"""Seconds and operations of a model's two primitives, while they run as always."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

from explain.model.rows import Row
from explain.model.runner import Runner

_aten = torch.ops.aten
ON_CPU = {
    _aten._scaled_dot_product_flash_attention_for_cpu: lambda q, k, v, *_, **__: sdpa_flop_count(q, k, v),
    _aten._scaled_dot_product_flash_attention_for_cpu_backward: (
        lambda grad, q, k, v, *_, **__: sdpa_backward_flop_count(grad, q, k, v)
    ),
}
"""Operations of attention's processor kernels, which torch's counter does not know: shapes in, a number out."""


def operations(run: Callable[[], Any]) -> int:
    """Operations of a call: two for each multiplication that is added up, in matrix products and attention."""
    with FlopCounterMode(display=False, custom_mapping=ON_CPU) as counter:
        run()
    return int(counter.get_total_flops())


class Watched:
    """One primitive: rows, padded and real tokens, seconds, operations, and the seconds that counting took.

    Operations are counted once for each shape of a pass, in a pass of its own that is not part of `seconds`.
    """

    def __init__(self) -> None:
        self.seconds, self.counting, self.rows, self.padded, self.real = 0.0, 0.0, 0, 0, 0
        self._known: dict[tuple[int, int], int] = {}
        self._times: dict[tuple[int, int], int] = defaultdict(int)

    def __call__(self, run: Callable[[list[Row]], Any], rows: list[Row]) -> Any:
        """Run the primitive on one chunk."""
        shape, began = (len(rows), max(map(len, rows))), time.perf_counter()
        if shape not in self._known:
            self._known[shape] = operations(lambda: run(rows))
        self._times[shape] += 1
        self.rows, self.padded = self.rows + shape[0], self.padded + shape[0] * shape[1]
        self.real += sum(map(len, rows))
        middle = time.perf_counter()
        found = run(rows)
        self.seconds += time.perf_counter() - middle
        self.counting += middle - began
        return found

    @property
    def operations(self) -> int:
        """Of all passes so far."""
        return sum(self._known[shape] * times for shape, times in self._times.items())

    @property
    def passes(self) -> int:
        """How many chunks were run."""
        return sum(self._times.values())


@contextmanager
def watched() -> Iterator[tuple[Watched, Watched]]:
    """Inside, the two primitives (values, gradients) of all models are watched."""
    kept = Runner._values, Runner._gradients
    both = Watched(), Watched()

    def values(runner: Runner, rows: list[Row]) -> Any:
        return both[0](lambda some: kept[0](runner, some), rows)

    def gradients(runner: Runner, rows: list[Row]) -> Any:
        return both[1](lambda some: kept[1](runner, some), rows)

    Runner._values, Runner._gradients = values, gradients  # type: ignore[method-assign]
    try:
        yield both
    finally:
        Runner._values, Runner._gradients = kept  # type: ignore[method-assign]
