"""One file, one entry: modules of a package that hold something decorated are found without a list."""

from __future__ import annotations

import dataclasses
import pkgutil
from collections.abc import Iterator, Mapping
from importlib import import_module
from importlib.metadata import entry_points
from types import ModuleType
from typing import Any

from explain.catalog import ParamInfo
from explain.errors import MethodError

LONGEST = 10_000
"""Characters in a text that is a parameter."""


def modules(package: ModuleType, group: str) -> Iterator[ModuleType]:
    """Modules of our package (names without a leading underscore), then those of third parties' entry points."""
    for found in pkgutil.iter_modules(package.__path__):
        if not found.name.startswith("_"):
            yield import_module(f"{package.__name__}.{found.name}")
    for entry in entry_points(group=group):
        loaded = entry.load()
        yield loaded if isinstance(loaded, ModuleType) else import_module(loaded.__module__)


def choice(default: str, *choices: str, help: str) -> Any:
    """A parameter that is one of several words."""
    return dataclasses.field(default=default, metadata={"choices": choices, "help": help})


def number(default: float, low: float, high: float, *, help: str) -> Any:
    """A parameter that is a number (whole if the default is) between two bounds, both included."""
    return dataclasses.field(default=default, metadata={"low": low, "high": high, "help": help})


def words(default: str, *, help: str) -> Any:
    """A parameter that is a text of the person's."""
    return dataclasses.field(default=default, metadata={"help": help})


def describe(params: type) -> tuple[ParamInfo, ...]:
    """The parameters of a Params dataclass, as data."""
    return tuple(_describe(f) for f in dataclasses.fields(params))


def _describe(f: dataclasses.Field[Any]) -> ParamInfo:
    choices = tuple(f.metadata.get("choices", ()))
    kinds = {bool: "boolean", int: "integer", float: "number", str: "text"}
    return ParamInfo(
        name=f.name,
        kind="choice" if choices else kinds[type(f.default)],  # type: ignore[arg-type]
        default=f.default,
        help=f.metadata["help"],
        low=f.metadata.get("low"),
        high=f.metadata.get("high"),
        choices=choices,
    )


def build(params: type, values: Mapping[str, Any], owner: str) -> Any:
    """Make a Params from given values.

    Raises:
        MethodError: an unknown name, a wrong type or a value out of range; says what is allowed.
    """
    known = {p.name: p for p in describe(params)}
    for name in values:
        if name not in known:
            has = f"It has: {', '.join(known)}." if known else "It has none."
            raise MethodError(f"{owner} has no parameter '{name[:40]}'. {has}", code="bad_parameter")
    return params(**{name: _valid(known[name], value, owner) for name, value in values.items()})


def _valid(info: ParamInfo, value: Any, owner: str) -> Any:
    if info.kind == "choice":
        if value in info.choices:
            return value
        allowed = f"one of {', '.join(info.choices)}"
    elif info.kind == "boolean":
        if isinstance(value, bool):
            return value
        allowed = "true or false"
    elif info.kind == "text":
        if isinstance(value, str) and len(value) <= LONGEST:
            return value
        allowed = f"a text of at most {LONGEST:,} characters"
    else:
        whole = info.kind == "integer"
        fits = isinstance(value, (int, float)) and not isinstance(value, bool)
        if fits and info.low <= value <= info.high and (not whole or value == int(value)):  # type: ignore[operator]
            return int(value) if whole else float(value)
        allowed = f"a {'whole ' if whole else ''}number from {info.low:g} to {info.high:g}"
    raise MethodError(f"{owner}: {info.name} must be {allowed}, got {str(value)[:40]!r}.", code="bad_parameter")
