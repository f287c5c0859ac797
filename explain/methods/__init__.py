"""Attribution methods: one file each, found without a list.

A file holds a docstring (what it measures, the paper, when it misleads), a frozen `Params`, and
`@method(...)` over one generator function `(case, params) -> Attribution`. Third parties register a
module under the entry-point group `explain.methods`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from types import FunctionType
from typing import Any

from explain import machine, plugins
from explain.case import Case, Steps
from explain.catalog import MethodInfo
from explain.errors import MethodError
from explain.records import Attribution, ModelInfo

Function = Callable[[Case, Any], Steps[Attribution]]


@dataclass(frozen=True, eq=False)
class Method:
    """A method: what faces see of it, its parameters, its function, and where it does not apply.

    `why_not(info)` is None where the method applies, else the reason. `cost(units)` forecasts
    (forward passes, forward-and-backward passes) for a text of so many units. `gated(module)` says why the scores may
    not add up on a model; None for methods that claim nothing, or see to their claim themselves. `maps` says that it
    holds the attention weights of every layer, and their slopes; `alone` that each of its passes is the text without
    one unit.
    """

    info: MethodInfo
    params: type
    fn: Function
    why_not: Callable[[ModelInfo], str | None]
    cost: Callable[[int], tuple[int, int]]
    gated: Callable[[Any], str] | None = None
    maps: bool = False
    alone: bool = False

    def configured(self, values: Mapping[str, Any]) -> Any:
        """Its Params with the given values; raises MethodError."""
        return plugins.build(self.params, values, self.info.title)

    @property
    def library(self) -> str:
        """Whose code it is, and in which version."""
        module = sys.modules[self.fn.__module__]
        functions = [x for x in vars(module).values() if isinstance(x, FunctionType)]
        captum = any(name.startswith("captum") for f in functions for name in f.__code__.co_names)
        return machine.library(module.__name__, captum)


_registered: dict[str, Method] = {}


def method(
    *,
    title: str,
    family: str,
    cite: str,
    misleads: str,
    cost: Callable[[int], tuple[int, int]],
    axioms: tuple[str, ...] = (),
    signed: bool = True,
    stochastic: bool = False,
    limit: int | None = None,
    why_not: Callable[[ModelInfo], str | None] = lambda info: None,
    gated: Callable[[Any], str] | None = None,
    maps: bool = False,
    alone: bool = False,
) -> Callable[[Function], Function]:
    """Register a generator function as a method; its name is the method's, its docstring's first line the summary."""

    def register(fn: Function) -> Function:
        params = sys.modules[fn.__module__].Params
        summary = (fn.__doc__ or "").strip().splitlines()[0]
        info = MethodInfo(
            name=fn.__name__,
            title=title,
            family=family,
            summary=summary,
            misleads=misleads,
            cite=cite,
            params=plugins.describe(params),
            axioms=axioms,
            signed=signed,
            stochastic=stochastic,
            limit=limit,
        )
        _registered[fn.__name__] = Method(info, params, fn, why_not, cost, gated, maps, alone)
        return fn

    return register


@cache
def methods() -> dict[str, Method]:
    """All methods by name, the default first."""
    list(plugins.modules(sys.modules[__name__], "explain.methods"))
    order = sorted(_registered, key=lambda name: (name != "integrated_gradients", name))
    return {name: _registered[name] for name in order}


def find(name: str) -> Method:
    """One method by name; raises MethodError that lists the names."""
    try:
        return methods()[name]
    except KeyError:
        raise MethodError(
            f"There is no method '{str(name)[:40]}'. There are: {', '.join(methods())}.", code="unknown_method"
        ) from None
