"""Checks: may this picture be believed? One file each, found without a list.

A check is a generator `(case, attribution, found) -> checks`, decorated with `@check`. Each answers
one of three questions: computed correctly? does the model react as the scores say? is it robust? A fourth,
whether people point at the same words, says nothing about the model and stands apart. Statuses are never
combined into one light. Third parties use the entry-point group `explain.checks`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from functools import cache

from explain import plugins
from explain.case import Case, Steps
from explain.errors import MethodError
from explain.records import Attribution, Check, Effects, Question


@dataclass(frozen=True, eq=False)
class Found:
    """What is known when a check runs: measured effects (None: not measured), and all attributions of the request."""

    effects: Effects | None = None
    attributions: tuple[Attribution, ...] = ()


Function = Callable[[Case, Attribution, Found], Steps[tuple[Check, ...]]]
Passes = tuple[int, int]
Cost = Callable[[int, int, Passes], Passes]


def nothing(units: int, orders: int, method: Passes) -> Passes:
    """The cost of what makes no passes."""
    return 0, 0


@dataclass(frozen=True, eq=False)
class Checker:
    """A check: its name, the stage shown while it runs, its place in the order, its function, and what it costs.

    `cost(units, orders, method)` forecasts (forward, forward-and-backward) passes, from the number of words,
    the random orders that are drawn, and what the method itself costs; `once` what it costs beside that until
    `Case.kept` has something under a key that begins with `key(name of the method)`. Those that are not `default` run
    only when they are asked for by name. `question` is what it helps to answer, `summary` what it measures, `cite` the
    paper. `copies` says that it makes a copy of the model.
    """

    name: str
    stage: str
    order: int
    fn: Function
    cost: Cost
    default: bool
    question: Question | None = None
    summary: str = ""
    cite: str = ""
    copies: bool = False
    once: Cost = nothing
    key: Callable[[str], tuple[Hashable, ...]] = lambda method: ()

    def known(self, method: str, kept: Iterable[Hashable]) -> bool:
        """Whether what it costs once is kept already, for a method."""
        key = self.key(method)
        return bool(key) and any(isinstance(each, tuple) and each[: len(key)] == key for each in kept)

    def passes(self, units: int, orders: int, method: str, cost: Passes, kept: Iterable[Hashable]) -> Passes:
        """What it costs for a text where so much is `kept`; `cost` is that of the method."""
        first = (0, 0) if self.known(method, kept) else self.once(units, orders, cost)
        each = self.cost(units, orders, cost)
        return each[0] + first[0], each[1] + first[1]


_registered: dict[str, Checker] = {}


def check(
    *,
    stage: str,
    order: int = 100,
    default: bool = True,
    cost: Cost = nothing,
    once: Cost = nothing,
    key: Callable[[str], tuple[Hashable, ...]] = lambda method: (),
    question: Question | None = None,
    cite: str = "",
    copies: bool = False,
) -> Callable[[Function], Function]:
    """Register a generator function as a check; low `order` runs first. Its docstring's first line is the summary."""

    def register(fn: Function) -> Function:
        summary = (fn.__doc__ or "").strip().partition("\n")[0]
        name = fn.__name__
        _registered[name] = Checker(name, stage, order, fn, cost, default, question, summary, cite, copies, once, key)
        return fn

    return register


@cache
def checkers() -> dict[str, Checker]:
    """All checks by name, in the order they run."""
    list(plugins.modules(sys.modules[__name__], "explain.checks"))
    return {c.name: c for c in sorted(_registered.values(), key=lambda c: (c.order, c.name))}


def chosen(names: tuple[str, ...] | None) -> list[Checker]:
    """The checks of a request (None: the default ones); raises MethodError that lists the names."""
    known = checkers()
    for name in names or ():
        if name not in known:
            raise MethodError(f"There is no check '{name[:40]}'. There are: {', '.join(known)}.", code="unknown_check")
    return [c for c in known.values() if (c.default if names is None else c.name in names)]
