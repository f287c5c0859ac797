"""The raw text, character for character, cut into scored words, gaps and what was not read.

Characters that act without being seen (bidirectional and other controls) become visible codes, and so do marks on one
letter that would pile up over the lines around it. `raw` of all pieces joined is the text.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import regex

from explain.notices import cut_text, unseen
from explain.records import Attribution, Tokens

MARKS = 8
"""Marks on one letter that are drawn; no script needs as many, and a thousand cover a page."""
_CROWD = regex.compile(rf"\p{{M}}{{{MARKS}}}(\p{{M}}+)")
_BREAKS = re.compile(r"[\t\n\r\u2028\u2029]")
Kind = Literal["word", "gap", "asked", "unread"]


@dataclass(frozen=True)
class Piece:
    """A stretch of text. `unit` is the scored unit it belongs to, or None. `parts` are (text, is a code).

    kinds: word, gap (nothing is scored there), asked (the place that the text asks about), unread (it was cut).
    """

    raw: str
    kind: Kind
    unit: int | None
    parts: tuple[tuple[str, bool], ...]


def pieces(tokens: Tokens, attribution: Attribution, segment: int) -> list[Piece]:
    """The text of one segment in pieces, in order."""
    text = tokens.texts[segment]
    final = segment == cut_text(tokens)
    stop = tokens.truncated_at if final and tokens.truncated_at is not None else len(text)
    units = sorted(
        (int(a), int(b), u)
        for u, (a, b) in enumerate(attribution.units.tolist())
        if attribution.unit_segment[u] == segment
    )
    hidden = _codes(text)
    found: list[Piece] = []
    at = 0

    def add(end: int, kind: Kind, unit: int | None = None) -> None:
        nonlocal at
        if end > at:
            found.append(Piece(text[at:end], kind, unit, _parts(text, hidden, at, end)))
            at = end

    places = _asked(tokens, segment)

    def ask(end: int, around: Kind, unit: int | None = None) -> None:
        while places and places[0][0] < end:
            first, last = places.pop(0)
            add(first, around, unit)
            add(last, "asked")

    for start, end, unit in units:
        ask(start, "gap")
        add(start, "gap")
        ask(end, "word", unit)  # inside a sentence that is scored
        add(min(end, stop), "word", unit)
    ask(len(text), "gap")
    add(stop, "gap")
    add(len(text), "unread")
    return found


def _asked(tokens: Tokens, segment: int) -> list[tuple[int, int]]:
    """Where a text asks something, without the white space that tokenizers take for a part of it.

    A text that is the question from end to end is one piece.
    """
    text, mine = tokens.texts[segment], tokens.segment == segment
    found = tokens.offsets[tokens.special & mine].tolist()
    if found and tokens.special[mine].all():
        found = [(0, len(text))]
    return [(a + len(text[a:b]) - len(text[a:b].lstrip()), b) for a, b in found]


def visible(text: str) -> str:
    """`text` with characters that act unseen written as codes, in brackets that end them: [U+200B]ed."""
    return "".join(f"[{part}]" if code else part for part, code in _parts(text, _codes(text), 0, len(text)))


def visible_line(text: str) -> str:
    """The same in one line, for a list or a terminal where a line break would forge an entry."""
    return _BREAKS.sub(" ", visible(text))


def _codes(text: str) -> list[tuple[int, int, str]]:
    """Stretches that are shown as codes: start, end, code; in order, none over another."""
    found = [(i, i + 1, f"U+{ord(text[i]):04X}") for i in unseen(text)]
    crowds = [(m.start(1), m.end(1), f"{m.end(1) - m.start(1)} marks") for m in _CROWD.finditer(text)]
    free = [code for code in found if not any(a <= code[0] < b for a, b, _ in crowds)] if crowds else found
    return sorted(free + crowds)


def _parts(text: str, codes: Sequence[tuple[int, int, str]], start: int, end: int) -> tuple[tuple[str, bool], ...]:
    parts: list[tuple[str, bool]] = []
    at = start
    for a, b, code in codes[bisect_left(codes, start, key=lambda c: c[1] - 1) :]:
        if a >= end:
            break
        if a > at:
            parts.append((text[at:a], False))
        parts.append((code, True))
        at = b
    if end > at:
        parts.append((text[at:end], False))
    return tuple(parts)
