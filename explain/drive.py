"""Run methods and checks side by side, so that the rows of all texts are evaluated together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar, cast

import numpy as np

from explain.case import Answer, Ask, Draft, Steps
from explain.errors import ModelError
from explain.model import ends, prefixes
from explain.model.encoding import Encoding
from explain.model.heads import ablated, observe, surveyed
from explain.model.inside import look
from explain.model.rescale import multipliers
from explain.model.rows import Row
from explain.model.runner import Meter, Runner
from explain.model.written import require_stack
from explain.records import Attribution, Evaluations

T = TypeVar("T")
INSIDE = (
    "This looks inside one pass through the model, and a text that is seen through windows is a pass for each of them. "
    "Ask about a part of the text that the model reads at once, or allow it to be cut (truncate=True)."
)


def drive(
    runner: Runner,
    steps: Sequence[Steps[T]],
    meter: Meter,
    on_draft: Callable[[int, Attribution, Evaluations], None] = lambda index, draft, cost: None,
) -> list[tuple[T, Evaluations]]:
    """Run generators until all have returned; rows asked for in one round are evaluated together.

    `on_draft` hears of first answers that are still being refined, and of what they cost so far.
    Returns each generator's result and the passes that its rows cost.
    """
    results: list[T | None] = [None] * len(steps)
    spent = [[0, 0] for _ in steps]
    asks: dict[int, Ask] = {}

    def advance(i: int, found: Answer | None) -> None:
        try:
            said = steps[i].send(cast(Answer, found))
            while isinstance(said, Draft):
                on_draft(i, said.attribution, Evaluations(*spent[i]))
                said = steps[i].send(cast(Answer, None))
            asks[i] = said
        except StopIteration as stop:
            asks.pop(i, None)
            results[i] = stop.value

    for i in range(len(steps)):
        advance(i, None)
    while asks:
        for kind in sorted({_kind(ask) for ask in asks.values()}):
            waiting = [i for i, ask in asks.items() if _kind(ask) == kind]
            first = asks[waiting[0]]
            rows = [row for i in waiting for row in asks[i].rows]
            found, at = answer(runner, replace(first, rows=rows), meter), 0
            for i in waiting:
                n = len(asks[i].rows)
                cost = ends.passes(runner, asks[i].rows, first.gradients)
                spent[i][0], spent[i][1] = spent[i][0] + cost.forward, spent[i][1] + cost.backward
                at += n
                advance(i, found.part(at - n, at))
    return [(cast(T, r), Evaluations(*cost)) for r, cost in zip(results, spent, strict=True)]


def require_whole(read: Row | Encoding) -> None:
    """Raise ModelError where what looks inside one pass is asked of a text that is a pass for each of its windows."""
    if read.windows:
        raise ModelError(INSIDE, code="no_windows")


def answer(runner: Runner, ask: Ask, meter: Meter) -> Answer:
    """Evaluate the rows of one Ask; raises as `require_whole`, and as `require_stack`."""
    return replace(_answer(runner, ask, meter), cost=ends.passes(runner, ask.rows, ask.gradients))


def _answer(runner: Runner, ask: Ask, meter: Meter) -> Answer:
    inside = ask.survey or ask.attention or {ask.heads, ask.layer} != {None} or any(r.ablation for r in ask.rows)
    if inside:
        require_stack(ask.rows, ask.kind)
    for row in ask.rows:
        if inside or ask.rescaled:
            require_whole(row)
    if ask.rescaled:
        return Answer(*multipliers(runner, ask.rows, meter))
    if ask.survey is not None:
        value, summaries = surveyed(runner, ask.rows[0], meter, ask.survey, ask.kind)
        return Answer(np.array([value], dtype=np.float32), heads=summaries)
    if ask.heads is not None:
        values, heads = observe(runner, ask.rows, meter, ask.heads, kind=ask.kind)
        return Answer(values, heads=heads)
    if any(row.ablation is not None for row in ask.rows):
        return Answer(ablated(runner, ask.rows, meter, ask.kind))
    if ask.layer is not None or ask.attention:
        return Answer(*look(runner, ask.rows, meter, gradients=ask.gradients, layer=ask.layer, kind=ask.kind))
    if ask.gradients:
        return Answer(*prefixes.gradients(runner, ask.rows, meter))
    return Answer(prefixes.values(runner, ask.rows, meter))


def _kind(ask: Ask) -> tuple[bool, int, bool, bool, int, bool, str]:
    """Asks of one kind can be evaluated together; the cheap ones first."""
    layer, heads = (-1 if n is None else n for n in (ask.layer, ask.heads))
    changed = any(row.ablation is not None for row in ask.rows)
    return ask.gradients, layer, ask.attention, ask.rescaled, heads, changed, ask.kind or ""
