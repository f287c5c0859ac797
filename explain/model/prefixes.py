"""Rows that begin alike, in a model that only looks back: read once, and answered at the place of each.

What such a model says behind token t depends on the tokens up to t. So the pass of a longer row holds the answer of
every row that is its beginning, with the same vectors in the same places:

    z(x_1 … x_t) = z_t(x_1 … x_T)   for t ≤ T

Whoever explains every token of a text that a model wrote asks for just such rows. One pass forward then serves all of
them, and a gradient costs the way back alone. Whether a model only looks back is tried on the rows themselves, never
concluded from its name.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from explain.errors import ExplainError
from explain.model import ends
from explain.model.meter import Meter
from explain.model.rows import Row
from explain.model.runner import Runner, finite

SPARED = 0.5
"""Passes are shared where that leaves at most this part of the tokens to be read."""
NEAR = 0.8
"""Gradients share a pass with rows down to this part of its length: each goes back through all of it."""
TOLERANCE = 1e-4
"""How far the answer inside a longer row may be from the one alone, by rounding; relative to it where it is above 1."""
KNOWN = "longest row that was seen to look back only"


def values(runner: Runner, rows: Sequence[Row], meter: Meter) -> Float32[np.ndarray, "N"]:
    """`ends.values`, with rows that begin alike read once."""
    chains = _chains(runner, rows, 0.0)
    if chains is None:
        return ends.values(runner, rows, meter)
    found = np.zeros(len(rows), dtype=np.float32)
    for members, answers in _passes(runner, rows, chains, meter, _values):
        found[members] = answers
    return found


def gradients(
    runner: Runner, rows: Sequence[Row], meter: Meter
) -> tuple[Float32[np.ndarray, "N"], list[Float32[np.ndarray, "T D"]]]:
    """`ends.gradients`, with rows that begin alike and are about as long read once."""
    chains = _chains(runner, rows, NEAR)
    if chains is None:
        return ends.gradients(runner, rows, meter)
    found = np.zeros(len(rows), dtype=np.float32)
    slopes: list[np.ndarray] = [np.empty(0, dtype=np.float32)] * len(rows)
    for count in sorted({len(chain) for chain in chains}):  # whoever shares a batch goes back equally often
        alike = [chain for chain in chains if len(chain) == count]
        for members, (answers, back) in _passes(runner, rows, alike, meter, _gradients, backward=True):
            found[members] = answers
            for i, slope in zip(members, back, strict=True):
                slopes[i] = slope[: len(rows[i])]
    return found, slopes


def nested(rows: Sequence[Row], near: float) -> list[list[int]]:
    """Indices of rows in chains, the longest first, of which all others are beginnings.

    No row of a chain is shorter than `near` times its longest.
    """

    def order(i: int) -> tuple[Any, ...]:  # a beginning stands right before what goes on with it
        return rows[i].start is not None, rows[i].alpha, rows[i].ids.tolist()

    chains: list[list[int]] = []
    known: dict[tuple[int, int], bool] = {}
    for i in sorted(range(len(rows)), key=order, reverse=True):
        longest = rows[chains[-1][0]] if chains else None
        if longest is not None and len(rows[i]) >= near * len(longest) and _begins(rows[i], longest, known):
            chains[-1].append(i)
        else:
            chains.append([i])
    return chains


def _begins(short: Row, long: Row, known: dict[tuple[int, int], bool]) -> bool:
    """Whether a row is the beginning of another; `known` remembers arrays that were compared, by identity."""

    def begins(a: np.ndarray, b: np.ndarray) -> bool:
        if (id(a), id(b)) not in known:
            known[id(a), id(b)] = np.array_equal(a, b[: len(a)])
        return known[id(a), id(b)]

    if short.inputs.keys() != long.inputs.keys() or not all(begins(a, long.inputs[n]) for n, a in short.inputs.items()):
        return False
    if short.start is None or short.end is None or long.start is None or long.end is None:
        return short.start is None and long.start is None
    return short.alpha == long.alpha and begins(short.start, long.start) and begins(short.end, long.end)


def _chains(runner: Runner, rows: Sequence[Row], near: float) -> list[list[int]] | None:
    """Chains of rows worth sharing passes; None where each should be read by itself."""
    if not runner.task.goes_on or len(rows) < 2 or not all(map(_plain, rows)):
        return None
    chains = nested(rows, near)
    if sum(len(rows[chain[0]]) for chain in chains) > SPARED * sum(map(len, rows)):
        return None
    return chains if _looks_back(runner, max(rows, key=len)) else None


def _plain(row: Row) -> bool:
    """Whether a row is read at one place, and nothing but its vectors is changed in the model."""
    changed = (row.layer, row.muted, row.ablation, row.rivals)
    return len(row.read) == 1 and not row.tails and not row.source and all(part is None for part in changed)


def _looks_back(runner: Runner, row: Row) -> bool:
    """Whether answers depend on nothing behind their place; tried on a row, and again on a longer one.

    The answer at half of the row must be that of the half alone, and its gradient behind it exactly 0. Memory that runs
    out says nothing about the model: then each row is read by itself, and the next longer one is tried again.
    """
    tried: int = runner.kept.get(KNOWN, 1)  # 0: it does not
    if not tried or len(row) <= tried:
        return tried > 0
    n, target, found = len(row) // 2, replace(row.target, kind="logit"), 0
    try:  # one after the other: beside a longer row the half would not be alone
        alone = runner.values([Row({name: array[:n] for name, array in row.inputs.items()}, target)])[0]
        (inside,), (slopes,) = runner.gradients([Row(row.inputs, target, places=(n - 1,))])
        close = abs(inside - alone) <= TOLERANCE * max(1.0, abs(alone))
        if close and slopes[:n].any() and not slopes[n:].any():
            found = len(row)
    except ExplainError as error:
        if error.code == "out_of_memory":
            return False
    runner.kept[KNOWN] = found
    return found > 0


def _passes(
    runner: Runner,
    rows: Sequence[Row],
    chains: Sequence[Sequence[int]],
    meter: Meter,
    run: Callable[[Runner, list[Row], list[Row]], Any],
    backward: bool = False,
) -> Iterator[tuple[list[int], Any]]:
    """Run the longest row of each chain, read at the places of all: (indices of the rows, what `run` returned)."""
    whole = [replace(rows[chain[0]], places=tuple(p for i in chain for p in rows[i].read)) for chain in chains]
    members = {id(row): [rows[i] for i in chain] for row, chain in zip(whole, chains, strict=True)}

    def one(some: list[Row]) -> Any:
        return run(runner, some, [member for row in some for member in members[id(row)]])

    for group, found in runner.chunked(whole, meter, one, backward, whole=False):
        indices = [i for g in group for i in chains[g]]
        meter.advance(len(indices) - len(group))
        yield indices, found


def _values(runner: Runner, whole: list[Row], members: list[Row]) -> Float32[np.ndarray, "M"]:
    with torch.no_grad():
        embeds = None if all(row.start is None for row in whole) else runner.embeddings(whole)
        return runner.valued(_raw(runner, whole, embeds), members).cpu().numpy()


def _gradients(
    runner: Runner, whole: list[Row], members: list[Row]
) -> tuple[Float32[np.ndarray, "M"], Float32[np.ndarray, "M T D"]]:
    """Values and gradients of the members of N rows, equally many (K) of each: M = N · K."""
    with torch.no_grad():
        embeds = runner.embeddings(whole).detach()  # (N, T, D)
    back, count = [], len(members) // len(whole)
    with torch.enable_grad():
        embeds.requires_grad_(True)
        raw = _raw(runner, whole, embeds)  # (M, V)
        answers = runner.valued(raw, members)  # (M,)
        (slopes,) = torch.autograd.grad(answers.sum(), raw, retain_graph=True)  # each place is that of one member
        for k in range(count):
            mine = torch.zeros_like(slopes)
            mine[k::count] = slopes[k::count]  # the k-th member of every row
            (found,) = torch.autograd.grad(raw, embeds, mine, retain_graph=k + 1 < count)
            back.append(finite(found).float().cpu().numpy())
    return answers.detach().cpu().numpy(), np.stack(back, axis=1).reshape(-1, *embeds.shape[1:])


def _raw(runner: Runner, rows: list[Row], embeds: Tensor | None) -> Tensor:
    """The head's raw output (M, V) at each place of each row; where the model can, no other place gets an output."""
    kept = sorted({place for row in rows for place in row.read})
    selects = "logits_to_keep" in inspect.signature(runner.module.forward).parameters
    options = {"logits_to_keep": torch.tensor(kept, device=runner.device)} if selects else {}
    outputs = runner.call(rows, embeds, **options)
    if selects and outputs.logits.shape[1] == len(kept):
        among = {place: k for k, place in enumerate(kept)}
        rows = [replace(row, places=tuple(among[place] for place in row.read)) for row in rows]
    return runner.raw(outputs, rows)
