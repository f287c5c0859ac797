"""De-identification before anything is computed: what is recognised is replaced, and where is kept.

    masked = mask("Write to ada@example.org")
    masked.text    # "Write to [EMAIL]"
    masked.spans   # (Span(start=9, end=16, kind="EMAIL"),), in the masked text

A recogniser is a function from the shadow of a text (`shadow.py`) to the (start, end) of what it knows, with a checksum
where the type has one; `recognisers.RECOGNISERS` lists them by kind. Names and addresses are not structured: no rule
here finds them, which is why the result is reduced, not anonymous.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from explain.audit.records import Masking
from explain.masking.recognisers import RECOGNISERS
from explain.masking.shadow import shadow

VERSION = "2"
STATEMENT = Masking("", "", ()).statement


@dataclass(frozen=True)
class Span:
    """Characters `start` to `end` of a text, and the kind of thing that is there."""

    start: int
    end: int
    kind: str


@dataclass(frozen=True)
class Masked:
    """A text with what was recognised replaced by its kind in brackets; `spans` are where, in this text."""

    text: str
    spans: tuple[Span, ...]


def recognised(text: str, kinds: Iterable[str] | None = None) -> tuple[Span, ...]:
    """What is recognised in a text, in order and without overlaps: the longer one wins, then the earlier kind."""
    wanted = tuple(RECOGNISERS) if kinds is None else tuple(kinds)
    plain, at = shadow(text)
    found = [Span(at[a], at[b - 1] + 1, kind) for kind in wanted for a, b in RECOGNISERS[kind](plain)]
    order = {kind: place for place, kind in enumerate(wanted)}
    kept, taken = [], bytearray(len(text))  # thousands of spans in a list of addresses: not each against each
    for span in sorted(found, key=lambda s: (s.start - s.end, order[s.kind], s.start)):
        if not any(taken[span.start : span.end]):
            kept.append(span)
            taken[span.start : span.end] = b"\1" * (span.end - span.start)
    return tuple(sorted(kept, key=lambda s: s.start))


def mask(text: str, kinds: Iterable[str] | None = None) -> Masked:
    """Replace what is recognised; `kinds` names the recognisers, None for all."""
    parts, spans, at, length = [], [], 0, 0
    for span in recognised(text, kinds):
        before, mark = text[at : span.start], f"[{span.kind}]"
        start = length + len(before)
        spans.append(Span(start, start + len(mark), span.kind))
        parts += [before, mark]
        at, length = span.end, start + len(mark)
    return Masked("".join([*parts, text[at:]]), tuple(spans))


def as_record(masked: Iterable[Masked]) -> Masking:
    """What a record of evidence says about it: one entry for each text, in order."""
    spans = tuple((i, s.start, s.end, s.kind) for i, one in enumerate(masked) for s in one.spans)
    return Masking("whyboard.masking", VERSION, spans)
