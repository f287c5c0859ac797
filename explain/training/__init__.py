"""Train a bundled model from its recipe, with one command and one seed; the recipe's `task` says which way."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path

from explain.errors import InputError
from explain.training import adapter, language
from explain.training.fitting import Progress

WAYS: dict[str, Callable[..., adapter.Report | language.Report]] = {
    "text-classification": adapter.train,
    "text-generation": language.train,
}


def train(
    recipe: Path, *, data: Path | None = None, out: Path | None = None, progress: Progress = print
) -> adapter.Report | language.Report:
    """Train what `recipe` says and save it with its checksums in `out` (default: beside the recipe).

    `data` is the folder with the texts, if it is not where the recipe says.

    Raises:
        InputError: the recipe names a task that nothing is trained for, or a file of the data is missing.
        ModelError: the base is not the one that the recipe was written for.
    """
    task = str(tomllib.loads(recipe.read_text(encoding="utf-8")).get("task", "text-classification"))
    if task not in WAYS:
        raise InputError(f"Expected a recipe for one of {', '.join(WAYS)}, got '{task[:40]}'.", code="bad_task")
    return WAYS[task](recipe, data=data, out=out, progress=progress)
