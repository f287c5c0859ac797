"""Tasks: how a kind of head is loaded, what it predicts, and which scalar a target names.

One file a task; each defines `TASK`, found without a list. Methods know only the scalar.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from typing import Any, Literal, Protocol

import numpy as np
import torch
from jaxtyping import Float32

from explain.catalog import TargetKind
from explain.model.encoding import Encoding, whole
from explain.model.rows import Row
from explain.records import Prediction, Target

Windows = Literal["mean", "one"]
"""See `Task.windows`."""


class Task(Protocol):
    """The seam between heads and everything else; a task says only where it differs from what stands here."""

    name: str
    """For people and records, as the Hub writes it: 'text-classification'."""
    summary: str
    """What is explained, in a line for the README."""
    problems: tuple[str, ...]
    """The variants of the head, each of which a caller may force with `task=`."""
    auto_class: Any
    """transformers' Auto class that loads this head."""
    classes: Mapping[str, Any]
    """transformers' mapping from model_type to class name for this head."""

    by_itself: bool = True
    """Whether a checkpoint may be of this task where nobody says so; else it is another way to ask another task's."""
    goes_on: bool = False
    """Whether the answer is a next token, so that the model can go on."""
    pairs: bool = False
    """Whether a model of this task may read two texts at once."""
    windows: Windows | None = None
    """How a text is answered that is read in parts: by the mean of what is said of each, or by what is said of the one
    that holds the answer; None where it is not."""

    def architectures(self) -> Mapping[str, str]:
        """The `classes` that a checkpoint may name; several for one model_type are left out."""
        return {kind: name for kind, name in self.classes.items() if isinstance(name, str)}

    def begin(self, module: Any) -> tuple[int, ...]:
        """Ids that a decoder begins with which reads a text of its own, beside the encoder's; () where none does."""
        return ()

    def problem(self, config: Any, wish: str) -> str:
        """Which variant of the head a checkpoint's configuration describes; `wish` is `task=` or 'auto'."""
        return self.problems[0]

    def labels(self, config: Any, problem: str) -> tuple[str, ...]:
        """Names of the outcomes, in index order; () where they are a vocabulary, or parts of the text."""
        return ()

    def vocabulary(self, tokenizer: Any) -> tuple[str, ...]:
        """Names of the outcomes where they are a vocabulary; () where they are not."""
        return ()

    def posed(self, texts: tuple[str, ...], tokenizer: Any) -> tuple[str, ...]:
        """Ordinary sentences in the form in which this task is asked about a text."""
        return texts

    def asked(self, encoding: Encoding, tokenizer: Any, place: int | None) -> Encoding:
        """The encoding with the token that the answer is read at, where a text is asked about one of its places.

        `place` chooses among several, from 0 on; None: the first, or the one that the prediction chooses. Raises
        InputError where there is no such place; without any, where a place was named.
        """
        return whole(encoding, place)

    def sought(self, prediction: Prediction, target: Target) -> Target:
        """What a part of the text is chosen by, where one of several is explained: the likelier, the better."""
        return target

    def read(self, outputs: Any, rows: Sequence[Row]) -> torch.Tensor:
        """The head's raw output (M, …) from the module's output object, at each place (`Row.read`) of each row."""

    def prediction(
        self, raw: Float32[np.ndarray, "..."], labels: tuple[str, ...], problem: str, encoding: Encoding
    ) -> Prediction:
        """What the raw output (K, …) of one text decides.

        It was read at the text's places, or at the first tokens of all its tagged words; where one of several windows
        holds the answer, at the places in the first one, then in the next. `position` of a prediction is where targets
        are read by default, None for the whole text.
        """

    def target(
        self,
        prediction: Prediction,
        labels: tuple[str, ...],
        problem: str,
        wish: str | int | None,
        contrast: str | int | None,
        quantity: TargetKind,
        encoding: Encoding,
    ) -> Target:
        """The scalar that a person asked for; raises InputError when it is none of `labels`, which are all outcomes.

        Its `positions` are where it is read, where that is not at the prediction's own alone.
        """

    def score(self, raw: torch.Tensor, target: Target, problem: str) -> torch.Tensor:
        """The target's value at each place: (M, …) → (M,), differentiable."""


@cache
def tasks() -> dict[str, Task]:
    """All tasks by name."""
    found = [
        import_module(f"{__name__}.{m.name}") for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_")
    ]
    return {module.TASK.name: module.TASK for module in found}
