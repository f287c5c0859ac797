"""Measure which words each written token hangs on: one pass for each word, whose tokens are all read at once.

A decoder that is given what is written says at each of its tokens what comes next, so one pass without a word tells
the effect of that word on every written token.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from explain.alignment import Alignment, AlignRequest
from explain.case import Case
from explain.errors import InputError
from explain.model.odds import log_odds
from explain.model.runner import Meter, Runner
from explain.records import Provenance, Tokens


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
    found = log_odds(runner, rows, begin, ids, meter)  # (1 + U, K)
    alignment = Alignment(
        model=runner.info,
        tokens=tokens,
        ids=ids,
        pieces=tuple(_piece(tokens, begin + k) for k in range(len(ids))),
        values=found[0],
        effects=(found[0] - found[1:]).T,
        units=case.units.spans,
        unit_segment=case.units.segment,
        unit_of=case.units.of_token,
        replaced=case.stands_in("mask"),
        provenance=provenance,
    )
    return replace(alignment, effects=alignment.effects * alignment.before)  # what is not read has no effect at all


def _piece(tokens: Tokens, place: int) -> str:
    start, end = tokens.offsets[place].tolist()
    return str(tokens.texts[1][start:end] if end > start else tokens.strings[place])
