"""The raw text, character for character, cut into scored words, gaps and what was not read.

Characters that act without being seen (bidirectional and other controls) become visible codes; nothing
else is changed, so joining `raw` of all pieces gives the text back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from explain.notices import is_invisible
from explain.records import Attribution, Tokens

Kind = Literal["word", "gap", "unread"]


@dataclass(frozen=True)
class Piece:
    """A stretch of text. `unit` is the scored unit it is, None for gaps. `parts` are (text, is a code)."""

    raw: str
    kind: Kind
    unit: int | None
    parts: tuple[tuple[str, bool], ...]


def pieces(tokens: Tokens, attribution: Attribution, segment: int) -> list[Piece]:
    """The text of one segment in pieces, in order."""
    text = tokens.texts[segment]
    last = segment == len(tokens.texts) - 1
    stop = tokens.truncated_at if last and tokens.truncated_at is not None else len(text)
    units = sorted(
        (int(a), int(b), u)
        for u, (a, b) in enumerate(attribution.units.tolist())
        if attribution.unit_segment[u] == segment
    )
    found: list[Piece] = []
    at = 0
    for start, end, unit in units:
        if start > at:
            found.append(_piece(text[at:start], "gap"))
        found.append(_piece(text[start:end], "word", unit))
        at = end
    if stop > at:
        found.append(_piece(text[at:stop], "gap"))
    if len(text) > max(stop, at):
        found.append(_piece(text[max(stop, at) :], "unread"))
    return found


def visible(text: str) -> str:
    """`text` with characters that act unseen written as codes."""
    return "".join(part for part, _ in _parts(text))


def _piece(raw: str, kind: Kind, unit: int | None = None) -> Piece:
    return Piece(raw, kind, unit, _parts(raw))


def _parts(text: str) -> tuple[tuple[str, bool], ...]:
    parts: list[tuple[str, bool]] = []
    for character in text:
        code = is_invisible(character) and character != "\u200d" and not "\ufe00" <= character <= "\ufe0f"
        shown = f"U+{ord(character):04X}" if code else character
        if parts and not code and not parts[-1][1]:
            parts[-1] = (parts[-1][0] + shown, False)
        else:
            parts.append((shown, code))
    return tuple(parts)
