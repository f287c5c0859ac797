"""A text longer than a model reads, seen through windows that overlap.

A window of a text to be classified is as many whole words as the model reads at a time, between the text's own special
tokens, so it is what a tokenizer gives that cuts a text into overlapping parts. Neighbours share about `OVERLAP` of a
window; the last one reaches back until it is as full as the others, so that no window is about a few words alone. What
the head says is the mean of what it says of each of the W windows,

    z(x) = 1/W · Σ_w z(x_w),    ∂F/∂x_i = 1/W · Σ_{w ∋ i} Σ_c ∂F/∂z_c · ∂z_c(x_w)/∂x_i

and a target F is asked of that mean. So decision, probabilities and explained scalar agree, a method's scores add up to
what they add up to otherwise, and a token that stands in two windows has the sum of what it does in each. Where F is
linear in the logits (log-odds of two outcomes, a logit, a contrast), its value is the mean over windows too.

Of a context that holds the answer to a question, one window alone is explained (`explain.model.contexts`).

Windows are rows like any other: they are packed under the token budget, and no pass holds more than one batch of them.
Equal windows of an Ask are evaluated once, so that a word taken out costs the windows that hold it and not all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from jaxtyping import Float32, Int64

from explain.bounds import WINDOWS
from explain.errors import InputError
from explain.model.encoding import Encoding
from explain.model.rows import Row, Slope
from explain.records import Target

if TYPE_CHECKING:
    from explain.model.runner import Meter, Runner
    from explain.tasks import Task

T = TypeVar("T")
OVERLAP = 0.25
"""Share of a window that its neighbour sees too, up to whole words."""
MOST = WINDOWS
"""Tokens of a text that are seen through windows; what follows is refused or cut."""
BATCHES = 4
"""Batches of windows whose vectors and slopes are held before they are put together."""


def require(task: Task) -> None:
    """Raise InputError for a task whose answer neither a mean over windows nor one of them would give."""
    if task.windows is None:
        raise InputError(
            "A text is seen through windows where it is classified as a whole, or holds the answer to a question, and "
            f"this is {task.name}. Ask without windows, and shorten the text or allow it to be cut (truncate=True).",
            code="no_windows",
        )


def through(encoding: Encoding, limit: int) -> Encoding:
    """A text of more than `limit` tokens with the windows through which it is seen, each of at most `limit`.

    Raises:
        InputError: there are two texts, or one word fills more than a window.
    """
    tokens = encoding.tokens
    if len(tokens.texts) > 1 or any(len(array) != len(tokens.ids) for array in encoding.inputs.values()):
        raise InputError(
            f"Windows are for one text, and this is a pair of {len(tokens.ids):,} tokens where {limit:,} are read. "
            "Shorten it, or allow it to be cut (truncate=True).",
            code="no_windows",
        )
    mine = np.flatnonzero(tokens.segment == 0)
    first, last = int(mine[0]), int(mine[-1]) + 1
    around = np.arange(first), np.arange(last, len(tokens.ids))  # special tokens that begin and end a text
    room = limit - len(around[0]) - len(around[1])
    inner = np.arange(first + 1, last)
    edges = np.array([first, *inner[tokens.words[inner] != tokens.words[inner - 1]], last])  # between words
    if (longest := int(np.diff(edges).max())) > room:
        raise InputError(
            f"A word of the text has {longest:,} tokens and a window holds {room:,}. Break the word up, or allow the "
            "text to be cut (truncate=True).",
            code="no_windows",
        )
    spans = _spans(edges, room)
    return replace(encoding, windows=tuple(np.concatenate([around[0], np.arange(*s), around[1]]) for s in spans))


def _spans(edges: Int64[np.ndarray, "E"], room: int) -> Iterator[tuple[int, int]]:
    """First token of each window and the one after its last, by the edges of words, of which none exceeds `room`."""
    start, last, shared = int(edges[0]), int(edges[-1]), int(OVERLAP * room)
    while start + room < last:
        end = int(edges[np.searchsorted(edges, start + room, "right") - 1])
        yield start, end
        following = int(edges[np.searchsorted(edges, end, "right")])  # the end of the first word that was not seen
        start = int(edges[np.searchsorted(edges, max(end - shared, following - room))])
    yield int(edges[np.searchsorted(edges, last - room)]), last


def passes(rows: Sequence[Row]) -> int:
    """How many different windows these rows hold: what evaluating them together costs."""
    return len({key for row in rows for key in _keys(row)})


def outputs(runner: Runner, rows: Sequence[Row], meter: Meter) -> list[Float32[np.ndarray, "K ..."]]:
    """`Runner.outputs` of rows with windows: the mean over the windows of each, or one after the other."""
    return _found(runner, rows, meter, runner.outputs, np.concatenate if runner.task.windows == "one" else _mean)


def values(runner: Runner, rows: Sequence[Row], meter: Meter) -> Float32[np.ndarray, "N"]:
    """`Runner.values` of rows with windows."""
    if runner.task.windows == "one":  # each reads one
        return np.array(_found(runner, rows, meter, runner.values, list), dtype=np.float32).reshape(len(rows))
    each = zip(outputs(runner, rows, meter), rows, strict=True)
    return np.array([_slope(runner, raw, row.target)[0] for raw, row in each], dtype=np.float32)


def _found(
    runner: Runner, rows: Sequence[Row], meter: Meter, ask: Callable[..., Any], together: Callable[[list[Any]], T]
) -> list[T]:
    """For each row, what is asked of its windows, put together."""
    plain, path = ([row for row in rows if (row.start is not None) is moved] for moved in (False, True))
    found: dict[int, T] = {}
    for some in (plain, *_parts(runner, path)):
        keys, distinct = _distinct(some, meter)
        each = dict(zip(distinct, ask(list(distinct.values()), meter), strict=True))
        found |= {id(row): together([each[key] for key in mine]) for row, mine in zip(some, keys, strict=True)}
    return [found[id(row)] for row in rows]


def _mean(each: list[Float32[np.ndarray, "K ..."]]) -> Float32[np.ndarray, "K ..."]:
    return np.stack(each).mean(0, dtype=np.float64).astype(np.float32)


def _distinct(rows: Sequence[Row], meter: Meter) -> tuple[list[list[Hashable]], dict[Hashable, Row]]:
    """The keys of each row's windows, and a row of its own for each key."""
    keys: list[list[Hashable]] = []
    distinct: dict[Hashable, Row] = {}
    for row in rows:
        meter.check()
        keys.append(mine := _keys(row))
        for key, window in zip(mine, row.windows, strict=True):
            if key not in distinct:
                distinct[key] = _seen(row, window, row.target)
    return keys, distinct


def _parts(runner: Runner, rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """As many rows on a path at a time as `BATCHES` batches hold: each window of one has vectors of its own."""
    together = max(1, BATCHES * runner.token_budget // sum(map(len, rows[0].windows))) if rows else 1
    return (rows[i : i + together] for i in range(0, len(rows), together))


def gradients(
    runner: Runner, rows: Sequence[Row], meter: Meter
) -> tuple[Float32[np.ndarray, "N"], list[Float32[np.ndarray, "T D"]]]:
    """`Runner.gradients` of rows with windows."""
    parts = [_gradients(runner, some, meter) for some in _parts(runner, rows)]
    return np.concatenate([found for found, _ in parts]), [slope for _, slopes in parts for slope in slopes]


def _gradients(
    runner: Runner, rows: Sequence[Row], meter: Meter
) -> tuple[Float32[np.ndarray, "N"], list[Float32[np.ndarray, "T D"]]]:
    curved = [row for row in rows if not linear(runner, row.target)]
    at = dict(zip(map(id, curved), outputs(runner, curved, meter), strict=True))
    asked = [_part(runner, row, at.get(id(row))) for row in rows]
    parts = [_seen(row, window, part) for row, (part, _) in zip(rows, asked, strict=True) for window in row.windows]
    found, slopes = runner.gradients(parts, meter)
    totals, summed, at_part = [], [], 0
    for row, (_, value) in zip(rows, asked, strict=True):
        mine = slice(at_part, at_part := at_part + len(row.windows))
        totals.append(float(found[mine].sum(dtype=np.float64)) if value is None else value)
        summed.append(np.zeros((len(row), slopes[0].shape[-1]), dtype=np.float32))
        for window, slope in zip(row.windows, slopes[mine], strict=True):
            summed[-1][window] += slope  # no token stands in a window twice
    return np.array(totals, dtype=np.float32), summed


def _part(runner: Runner, row: Row, raw: Float32[np.ndarray, "1 C"] | None) -> tuple[Target, float | None]:
    """What is asked of each window of a row; and the row's value, None where it is the sum of theirs."""
    if runner.task.windows == "one":
        return row.target, None
    value, weights = _slope(runner, raw, row.target)
    part = Slope("value", None, "", "", weights=tuple((weights / len(row.windows)).tolist()))
    return part, None if raw is None else value


def linear(runner: Runner, target: Target) -> bool:
    """Whether a target is a weighted sum of the logits, so that its slope is the same everywhere, or asked of one."""
    if runner.task.windows == "one":
        return True
    several = runner.info.problem == "single-label" and len(runner.labels) > 2
    return target.kind != "probability" and not (several and target.kind in ("log_odds", "margin"))


def _slope(
    runner: Runner, raw: Float32[np.ndarray, "1 C"] | None, target: Target
) -> tuple[float, Float32[np.ndarray, "C"]]:
    """A target's value at the mean of the logits, and its slope there; without logits, at 0."""
    count = 1 if runner.info.problem == "binary" else len(runner.labels)
    with torch.enable_grad():
        at = (torch.zeros(1, count) if raw is None else torch.from_numpy(raw)).requires_grad_(True)
        value = runner.task.score(at, target, runner.info.problem)
        (slope,) = torch.autograd.grad(value.sum(), at)
    return float(value.detach()), slope[0].numpy()


def _keys(row: Row) -> list[Hashable]:
    """What makes each window of a row the same as another's: its tokens and what is asked there; on a path only itself.

    Where nothing is asked at a place of its own, rows share what is said of a window.
    """
    if row.start is not None:
        return [(id(row), i) for i in range(len(row.windows))]
    arrays = [*row.inputs.values(), *([] if row.rivals is None else [row.rivals])]
    asked = (id(row.target),) if row.places else ()
    return [(*asked, _places(row, w), *(array[w].tobytes() for array in arrays)) for w in row.windows]


def _places(row: Row, window: Int64[np.ndarray, "K"]) -> tuple[int, ...]:
    """Where the row's places stand in a window, of those that do."""
    places = np.array(row.places, dtype=np.int64)
    return tuple(np.searchsorted(window, places[np.isin(places, window)]).tolist())


def _seen(row: Row, window: Int64[np.ndarray, "K"], target: Target) -> Row:
    """One window of a row, as a row of its own."""
    inputs = {name: array[window] for name, array in row.inputs.items()}
    start, end, rivals = (None if x is None else x[window] for x in (row.start, row.end, row.rivals))
    places = _places(row, window)
    return replace(row, inputs=inputs, target=target, start=start, end=end, rivals=rivals, places=places, windows=())
