"""Parts of a text that a person points at: as the words themselves, or as character positions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from explain.errors import InputError
from explain.units import word_spans

Span = tuple[int, int, int]
"""Which text (0, or 1 for the second of a pair), first character, and the character after the last."""


def found(texts: tuple[str, ...], wanted: Sequence[str | tuple[int, int] | Span]) -> tuple[Span, ...]:
    """Character spans of what is wanted: a string stands for every place where it occurs, whole words only.

    Raises:
        InputError: the text does not contain it, or has no such characters.
    """
    spans: list[Span] = []
    for want in wanted:
        if not isinstance(want, str):
            span = (0, *want) if len(want) == 2 else want
            fits(texts, span)
            spans.append(span)
            continue
        places = [(i, a, b) for i, text in enumerate(texts) for a, b in _places(text, want.strip())]
        if not places:
            raise InputError(f"The text does not contain \u201c{want[:60]}\u201d as whole words.", code="no_such_span")
        spans += places
    return tuple(spans)


def fits(texts: tuple[str, ...], span: Span) -> None:
    """Raise InputError unless the span lies in one of the texts and holds at least one character."""
    index, start, end = span
    if not 0 <= index < len(texts) or not 0 <= start < end <= len(texts[index]):
        raise InputError(
            f"Expected characters of the text as (text, start, end), got {span!s:.60}.", code="no_such_span"
        )


def _places(text: str, want: str) -> Iterator[tuple[int, int]]:
    """Where `want` stands between word boundaries, without overlap."""
    words = word_spans(text)
    starts, ends = {a for a, _ in words}, {b for _, b in words}
    at = text.find(want) if want else -1
    while at >= 0:
        end = at + len(want)
        if at in starts and end in ends:
            yield at, end
            at = text.find(want, end)
        else:
            at = text.find(want, at + 1)
