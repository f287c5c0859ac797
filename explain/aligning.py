"""Measure which words each written token hangs on: one pass for each word, whose tokens are all read at once.

A decoder that is given what is written says at each of its tokens what comes next, so one pass without a word tells
the effect of that word on every written token.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32

from explain.alignment import Alignment, AlignRequest
from explain.case import Case
from explain.errors import InputError
from explain.model.rows import Row
from explain.model.runner import Meter, Runner, finite
from explain.records import Provenance


def require(runner: Runner, question: AlignRequest) -> None:
    """Raise InputError where nothing is written about a text."""
    if not runner.begin or len(question.texts) != 2:
        raise InputError(
            "An alignment is of a text and what a model with an encoder and a decoder writes about it. Give both texts "
            "to such a model.",
            code="bad_task",
        )


def aligned(runner: Runner, case: Case, meter: Meter, provenance: Provenance) -> Alignment:
    """What every written token hangs on.

    Args:
        runner: a model with an encoder and a decoder.
        case: the text with all that is written about it.
        meter: hears of passes.
        provenance: with what this is computed.

    Raises:
        InputError: nothing is written.
    """
    tokens, begin = case.tokens, case.encoding.source + len(runner.begin)
    ids = tokens.ids[begin:]
    if not len(ids):
        raise InputError("Nothing is written that words could be held against.", code="empty_text")
    every = np.vstack([np.zeros(case.n_units, dtype=bool), np.eye(case.n_units, dtype=bool)])  # (1 + U, U)
    rows = [case.without(gone, "mask") for gone in every]
    found = _log_odds(runner, rows, begin, ids, meter)  # (1 + U, K)
    alignment = Alignment(
        model=runner.info,
        tokens=tokens,
        ids=ids,
        pieces=tuple(_piece(runner, tokens, begin + k) for k in range(len(ids))),
        values=found[0],
        effects=(found[0] - found[1:]).T,
        units=case.units.spans,
        unit_segment=case.units.segment,
        unit_of=case.units.of_token,
        replaced=case.stands_in("mask"),
        provenance=provenance,
    )
    return replace(alignment, effects=alignment.effects * alignment.before)  # what is not read has no effect at all


def _piece(runner: Runner, tokens: Any, place: int) -> str:
    start, end = tokens.offsets[place].tolist()
    return str(tokens.texts[1][start:end] if end > start else tokens.strings[place])


def _log_odds(runner: Runner, rows: list[Row], begin: int, ids: np.ndarray, meter: Meter) -> Float32[np.ndarray, "N K"]:
    """Log-odds of each written token, each read one token earlier."""
    found = np.zeros((len(rows), len(ids)), dtype=np.float32)

    def run(chunk: list[Row]) -> np.ndarray:
        wanted, first = runner.tensor(ids)[:, None], begin - 1 - chunk[0].source  # (K, 1)
        with torch.no_grad():
            each = finite(runner.call(chunk).logits[:, first : first + len(ids)].float())  # (N, K, V)
            # One row at a time: the others of a whole vocabulary are as many numbers again.
            others = torch.stack([torch.logsumexp(row.scatter(1, wanted, -torch.inf), 1) for row in each])  # (N, K)
            return (each.gather(2, wanted.expand(len(each), -1, 1))[..., 0] - others).cpu().numpy()

    for group, value in runner.chunked(rows, meter, run):
        found[group] = value
    return found
