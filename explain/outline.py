"""Sentences first, then words where it matters: which parts of a long text are scored word by word.

Each sentence is masked by itself, and how far the target moves is measured. The fewest sentences that hold half of all
these changes, largest first, are opened: their words are units. Every other sentence stays one unit. Whatever is asked
next is asked of these units, so scores add up to what they add up to otherwise, and cost what so few units cost.

It misleads where sentences back each other up: masking either changes nothing, and both may stay closed. Their scores
as whole sentences still stand beside the others.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain

import numpy as np
from jaxtyping import Float, Int64

from explain.case import Case, Steps
from explain.records import Notice
from explain.spans import Span
from explain.together import values as values_of
from explain.units import Units

SHARE, MOST = 0.5, 5
"""Share of all changes that the opened sentences hold together, as far as so many sentences can."""


def opened(moved: Float[np.ndarray, "S"]) -> list[int]:
    """Which sentences are opened, in the order of the text, by how far the target moves without each; at least one."""
    size = np.abs(moved)
    order = np.argsort(-size, kind="stable")
    enough = int(np.searchsorted(np.cumsum(size[order]), SHARE * size.sum())) + 1
    return sorted(order[: min(MOST, enough)].tolist())


def outline(case: Case, phrases: tuple[Span, ...]) -> Steps[tuple[Case, tuple[Notice, ...]]]:
    """The same case with words and whole sentences as units, and notices of which are whole sentences.

    `phrases` are one unit each, also where they stand in a sentence that is opened.
    """
    sentences = replace(case, units=case.encoding.units("sentence", phrases))
    alone = np.eye(sentences.n_units, dtype=bool)  # (S, S)
    rows = chain([case.row()], (sentences.without(one, "mask") for one in alone))
    values = (yield from values_of(case, rows)).astype(np.float64)
    closed = np.setdiff1d(np.arange(len(alone)), opened(values[0] - values[1:]))
    segments, places = sentences.units.segment.tolist(), sentences.units.spans.tolist()
    spans: list[Span] = [(segments[s], places[s][0], places[s][1]) for s in closed]
    units = case.encoding.units("word", (*phrases, *spans))
    return replace(case, units=units), tuple(_notices(sentences.units, closed, units))


def _notices(sentences: Units, closed: Int64[np.ndarray, "K"], units: Units) -> Iterator[Notice]:
    """For each text that has some: which units are whole sentences, `closed` (indices into `sentences`)."""
    whole = np.unique(units.of_token[np.isin(sentences.of_token, closed)])
    for segment in np.unique(units.segment[whole]).tolist():
        mine = whole[units.segment[whole] == segment]
        count = int((sentences.segment[closed] == segment).sum())  # two of them may be one unit, if a word joins them
        yield Notice(
            "outline",
            "Each sentence was masked by itself first, and words are scored one by one only in those that moved the "
            f"answer most. Scored as a whole, and marked: {count} of {int((sentences.segment == segment).sum())} "
            "sentences. Some that back each other up may be among them.",
            segment,
            tuple((a, b) for a, b in units.spans[mine].tolist()),
        )
