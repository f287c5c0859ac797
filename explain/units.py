"""From tokens to the words that people read, by character offsets in the untouched text.

Words are Unicode word segments (UAX #29) that hold more than white space. A token that crosses
words joins them into one unit; tokens that share offsets share the unit; so every token that stands
for text belongs to exactly one unit, and sums over units are sums over tokens.
"""

from __future__ import annotations

from bisect import bisect, bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import regex
from jaxtyping import Bool, Int32

from explain.records import Granularity

RULES: dict[Granularity, str] = {
    "token": "one unit a token",
    "word": "Unicode word boundaries (UAX #29)",
    "sentence": "Unicode sentence boundaries (UAX #29)",
}
_BOUNDARY = regex.compile(r"\b", flags=regex.WORD | regex.VERSION1)
_CHARACTER = regex.compile(r"\X")
_FLAG = regex.compile(r"\p{Regional_Indicator}([\p{WB=Extend}\p{WB=Format}\p{WB=ZWJ}]*+)\p{Regional_Indicator}")


@dataclass(frozen=True)
class Units:
    """`spans` in the text of `segment`; `of_token` is the unit of each token, −1 for specials."""

    spans: Int32[np.ndarray, "U 2"]
    segment: Int32[np.ndarray, "U"]
    of_token: Int32[np.ndarray, "T"]


def word_spans(text: str) -> list[tuple[int, int]]:
    """Character spans of the words of `text`, punctuation included, white space left out."""
    edges = sorted({0, len(text), *(m.start() for m in _BOUNDARY.finditer(_without_flags(text)))})
    spans = pairwise(edges)
    return [_trim(text, a, b) for a, b in spans if text[a:b].strip()]


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Character spans of the sentences of `text` (UAX #29), without the white space around them."""
    from uniseg.sentencebreak import sentence_boundaries  # reads a table that words do not need

    edges = sentence_boundaries(_without_rows(text), property=_kind)
    return [_trim(text, a, b) for a, b in pairwise(edges) if text[a:b].strip()]


SPANS: dict[Granularity, Callable[[str], list[tuple[int, int]]]] = {
    "token": lambda text: [],
    "word": word_spans,
    "sentence": sentence_spans,
}


def _without_flags(text: str) -> str:
    """`text` with a block and a mark for the two letters of each flag: plainer characters, the same boundaries.

    At each such letter `regex` counts back to the first of the row, so that 20,000 flags would take minutes.
    """
    return _FLAG.sub("\u2588\\1\u0308", text)


@lru_cache(4096)
def _kind(character: str) -> Any:
    """What the rules of sentences take a character for."""
    from uniseg.sentencebreak import sentence_break

    return sentence_break(character)


def _without_rows(text: str) -> str:
    """`text` with a mark for each character behind one of its own kind: the same boundaries, of which none is there.

    Behind each space and each closing mark `uniseg` looks back to the first of the row, so that 12,000 would take
    minutes. Rows of what ends a sentence or a paragraph stay: it matters how many there are.
    """
    from uniseg.sentencebreak import SB

    passed, stays = (SB.EXTEND, SB.FORMAT), (SB.ATERM, SB.STERM, SB.SEP, SB.CR, SB.LF)
    written, before = [], None
    for character in text:
        kind = _kind(character)
        written.append("\u0308" if kind == before and kind not in stays else character)
        before = before if kind in passed else kind
    return "".join(written)


def _trim(text: str, start: int, end: int) -> tuple[int, int]:
    """Cut white space off both ends of a span that holds something else."""
    piece = text[start:end]
    return start + len(piece) - len(piece.lstrip()), end - len(piece) + len(piece.rstrip())


def units_of(
    texts: tuple[str, ...],
    segment: Int32[np.ndarray, "T"],
    offsets: Int32[np.ndarray, "T 2"],
    special: Bool[np.ndarray, "T"],
    granularity: Granularity,
    phrases: tuple[tuple[int, int, int], ...] = (),
) -> Units:
    """Group tokens into units.

    Token granularity still joins tokens that share what people see as one character (bytes of a
    letter, members of an emoji family). A token of white space only is a unit of its own; one without
    characters joins the next token of its text, or the previous one; if its text has no other token
    it counts as special. `phrases` are (text, start, end) characters that are scored whole.
    """
    spans: list[tuple[int, int]] = []
    segments: list[int] = []
    of_token = np.full(len(segment), -1, dtype=np.int32)  # (T,)
    for index, text in enumerate(texts):
        mine = [int(t) for t in np.flatnonzero((segment == index) & ~special)]
        visible = [t for t in mine if offsets[t, 1] > offsets[t, 0]]
        if not visible:
            continue
        pieces = _whole_characters(text, [_visible_span(text, *offsets[t].tolist()) for t in visible])
        joined = [(a, b) for i, a, b in phrases if i == index and a < b]
        groups = _merge([*pieces, *SPANS[granularity](text), *joined])
        starts = [a for a, _ in groups]
        group_of = [bisect(starts, a) - 1 for a, _ in pieces]
        used = sorted(set(group_of))
        number = {group: len(spans) + i for i, group in enumerate(used)}
        spans += [groups[g] for g in used]
        segments += [index] * len(used)
        for token in mine:
            of_token[token] = number[group_of[min(bisect_left(visible, token), len(visible) - 1)]]
    return Units(
        spans=np.array(spans, dtype=np.int32).reshape(-1, 2),
        segment=np.array(segments, dtype=np.int32),
        of_token=of_token,
    )


def _visible_span(text: str, start: int, end: int) -> tuple[int, int]:
    """A token's span without the white space that tokenizers glue to it, unless that is all there is."""
    return _trim(text, start, end) if text[start:end].strip() else (start, end)


def _whole_characters(text: str, spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans widened to the characters that people see (grapheme clusters), so that none is torn apart."""
    edges = [*(m.start() for m in _CHARACTER.finditer(_without_flags(text))), len(text)]
    return [_visible_span(text, edges[bisect(edges, a) - 1], edges[bisect_left(edges, b)]) for a, b in spans]


def _merge(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Union of overlapping spans, sorted; spans that only touch stay apart."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged
