"""Tasks: how a kind of head is loaded, what it predicts, and which scalar a target names.

One file a task; each defines `TASK`, found without a list. Methods know only the scalar.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import Any, Protocol

import numpy as np
import torch
from jaxtyping import Float32

from explain.catalog import TargetKind
from explain.records import Prediction, Target


class Task(Protocol):
    """The seam between heads and everything else."""

    name: str
    """For people and records, as the Hub writes it: 'text-classification'."""
    problems: tuple[str, ...]
    """The variants a caller may force with `task=`; () if there is only one."""

    def architectures(self) -> Mapping[str, str]:
        """transformers' mapping from model_type to class name for this head."""

    def auto_class(self) -> Any:
        """transformers' Auto class that loads this head."""

    def problem(self, config: Any, wish: str) -> str:
        """Which variant of the head a checkpoint's configuration describes; `wish` is `task=` or 'auto'."""

    def labels(self, config: Any, problem: str) -> tuple[str, ...]:
        """Names of the outcomes, in index order."""

    def read(self, outputs: Any) -> torch.Tensor:
        """The head's raw output (N, …) from the module's output object."""

    def prediction(self, raw: Float32[np.ndarray, "..."], labels: tuple[str, ...], problem: str) -> Prediction:
        """What one row of `read` decides."""

    def target(
        self,
        prediction: Prediction,
        problem: str,
        wish: str | int | None,
        contrast: str | int | None,
        quantity: TargetKind,
    ) -> Target:
        """The scalar that a person asked for; raises InputError when there is no such outcome."""

    def score(self, raw: torch.Tensor, target: Target, problem: str) -> torch.Tensor:
        """The target's value for each row: (N, …) → (N,), differentiable."""


@cache
def tasks() -> dict[str, Task]:
    """All tasks by name."""
    found = [
        import_module(f"{__name__}.{m.name}") for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_")
    ]
    return {module.TASK.name: module.TASK for module in found}
