"""Parts of a text that a person points at: as the words themselves, or as character positions."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from explain.errors import InputError
from explain.units import word_spans

Span = tuple[int, int, int]
"""Which text (0, or 1 for the second of a pair), first character, and the character after the last."""
MOST = 10_000
"""Places that all parts named in one question stand at, or in all questions about one generation."""
LOOKS = 100 * MOST
"""Places that are looked at for them: “a” stands inside many words, too."""


@dataclass
class Room:
    """What is left of both: it is counted down while parts are looked for."""

    places: int = MOST
    looks: int = LOOKS

    def take(self, places: int = 0, looks: int = 0) -> None:
        """Count some more; raises InputError where there are too many."""
        self.places -= places
        self.looks -= looks
        if self.places < 0 or self.looks < 0:
            raise InputError(
                f"The parts that are named stand at more than {MOST:,} places, or at too many inside words. Name fewer "
                "or longer ones.",
                code="too_many",
            )


def found(
    texts: tuple[str, ...], wanted: Sequence[str | tuple[int, int] | Span], room: Room | None = None
) -> tuple[Span, ...]:
    """Character spans of what is wanted: a string stands for every place where it occurs, whole words only.

    `room` is what may still be found where several questions are asked at once; None: this is all that is asked.

    Raises:
        InputError: the text does not contain it, has no such characters, or it stands at too many places.
    """
    room = room or Room()
    edges = [_edges(text) for text in texts] if any(isinstance(want, str) for want in wanted) else []
    spans: list[Span] = []
    for want in wanted:
        if not isinstance(want, str):
            span = (0, *want) if len(want) == 2 else want
            fits(texts, span)
            room.take(places=1)
            spans.append(span)
            continue
        parted = enumerate(zip(texts, edges, strict=True))
        places = [(i, a, b) for i, (text, words) in parted for a, b in _places(text, want.strip(), words, room)]
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


def _edges(text: str) -> tuple[list[int], set[int]]:
    """Where words begin, in order, and where they end."""
    words = word_spans(text)
    return [a for a, _ in words], {b for _, b in words}


def _places(text: str, want: str, edges: tuple[list[int], set[int]], room: Room) -> Iterator[tuple[int, int]]:
    """Where `want` stands between word boundaries, without overlap."""
    starts, ends = edges
    at = text.find(want) if want else -1
    while at >= 0:
        room.take(looks=1)
        end, word = at + len(want), bisect_left(starts, at)
        begins = word < len(starts) and starts[word] == at
        if begins and end in ends:
            room.take(places=1)
            yield at, end
            at = text.find(want, end)
        else:  # the next word's beginning, and not the next character: a long word would be read again and again
            word += begins
            at = text.find(want, starts[word]) if word < len(starts) else -1
