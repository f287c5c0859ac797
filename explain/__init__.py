"""Whyboard: see what a Transformer decided and why, and be able to prove it.

    import explain
    model = explain.load("sentiment")
    result = model.explain("A stirring, funny film.")

Importing this package imports no torch; `load` does.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from explain import errors
from explain.catalog import MethodInfo, ModelCard
from explain.records import Explanation
from explain.words import Word

if TYPE_CHECKING:
    from explain.client import Client
    from explain.engine import Model

__all__ = [
    "Client",
    "Explanation",
    "MethodInfo",
    "ModelCard",
    "Word",
    "errors",
    "list_checks",
    "list_methods",
    "list_models",
    "load",
    "read",
]


def load(name: str = "sentiment", **options: Any) -> Model:
    """Load a model: a bundled name, a Hub id, or a local folder.

    Options: revision, device='auto', dtype='auto', task='auto', token, allow_download, fast; see
    `explain.model.loading.load_runner`. Raises `explain.errors.ModelError`.
    """
    from explain.engine import load as load_model  # torch and transformers: 3 s that readers must not pay

    return load_model(name, **options)


def read(source: str | bytes | Path) -> Explanation:
    """Read an explanation back from JSON text or a file; raises `explain.errors.InputError`."""
    from explain.wire import read as read_json  # pydantic, only for readers

    return read_json(source)


def list_methods() -> list[MethodInfo]:
    """Every attribution method with its parameters."""
    from explain.methods import methods

    return [m.info for m in methods().values()]


def list_checks() -> list[str]:
    """Names of every check, in the order in which they run; some run only when they are named."""
    from explain.checks import checkers

    return list(checkers())


def list_models() -> list[ModelCard]:
    """The models that come with Whyboard."""
    from explain import bundled

    return [bundled.card(name) for name in bundled.names()]


def __getattr__(name: str) -> Any:
    if name != "Client":
        raise AttributeError(f"module 'explain' has no attribute {name!r}")
    from explain.client import Client  # pydantic, only for those who ask a service

    return Client
