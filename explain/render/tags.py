"""Tagging → HTML: the text with its tagged words, each in the colour of its kind, what the colours mean; a sentence."""

from __future__ import annotations

from collections import Counter

from explain.prediction import Prediction, Tag, Tagging
from explain.records import Explanation
from explain.render.html import text
from explain.render.reasons import direction
from explain.render.sentences import listed, percent, short

NAMED = 12
"""Entities that the sentence names one by one."""
COLOURS = 6
"""Kinds with a colour of their own, in the order in which they come in the text; further ones are grey."""


def summary(prediction: Prediction) -> str | None:
    """All that the model found in a text whose words it tags, in one sentence. None where words have no tags."""
    if prediction.tagging is None:
        return None
    found = prediction.tagging.entities
    if not found:
        return f"It tags none of the {len(prediction.tagging.tags)} words as part of an entity."
    parts = [f"“{short(e.words)}” {short(e.label)} ({percent(e.prob)})" for e in found[:NAMED]]
    more = [f"{len(found) - NAMED} more"] if len(found) > NAMED else []
    return f"In the whole text it finds {listed([*parts, *more])}."


def tagged(explanation: Explanation) -> str:
    """The text, character for character, every entity marked and the word that is asked about outlined."""
    found, whole = explanation.prediction.tagging, explanation.tokens.texts[0]
    if found is None:
        return ""
    asked, colours = found.tags[found.asked], _colours(found)
    marks = [(e.start, e.end, e.label, found.tags[e.first : e.last + 1]) for e in found.entities]
    if not any(start <= asked.start < end for start, end, *_ in marks):
        marks = sorted([*marks, (asked.start, asked.end, "", (asked,))], key=lambda mark: mark[0])
    parts, at = [], 0
    for start, end, kind, inside in marks:
        parts += [text(whole[at:start]), _mark(whole, start, end, kind, colours.get(kind), inside, asked)]
        at = end
    return f'<p class="wb-tagged" dir="{direction(whole)}">{"".join(parts)}{text(whole[at:])}</p>'


def legend(found: Tagging) -> str:
    """The kinds that were found, each with its colour and how often; and what is outlined."""
    counts = Counter(e.label for e in found.entities)
    kinds = "".join(
        f'<span><i class="wb-tag-{colour}"></i>{text(short(kind))} × {counts[kind]}</span>'
        for kind, colour in _colours(found).items()
    )
    return f'<div class="wb-kinds">{kinds}<span><i class="wb-tag-asked"></i>explained below</span></div>'


def _mark(whole: str, start: int, end: int, kind: str, colour: int | None, inside: tuple[Tag, ...], asked: Tag) -> str:
    about = "; ".join(f"{tag.word}: {tag.label}, {percent(tag.prob)}" for tag in inside)
    shown = text(whole[start:end])
    if start <= asked.start < end:
        before, after = text(whole[start : asked.start]), text(whole[asked.end : end])
        shown = f'{before}<b class="wb-tag-asked">{text(whole[asked.start : asked.end])}</b>{after}'
    name = f"<small>{text(short(kind))}</small>" if kind else ""
    tint = "" if colour is None else f" wb-tag-{colour}"
    return f'<mark class="wb-tag{tint}" title="{text(about)}">{shown}{name}</mark>'


def _colours(found: Tagging) -> dict[str, int]:
    """Number of each kind's colour, by first appearance; 0 is grey."""
    kinds = dict.fromkeys(e.label for e in found.entities)
    return {kind: i + 1 if i < COLOURS else 0 for i, kind in enumerate(kinds)}
