"""Answers that stand in a context → HTML: the context with the explained one marked."""

from __future__ import annotations

from explain.records import Explanation
from explain.render.html import text
from explain.render.reasons import direction


def marked(explanation: Explanation) -> str:
    """The context, character for character, with the answer that is explained marked in it; '' where there is none.

    An answer of one's own, which the model does not hold likely, is found by its tokens.
    """
    target, tokens = explanation.target, explanation.tokens
    if explanation.prediction.answering is None:
        return ""
    whole = tokens.texts[1]
    start, end = _characters(explanation)
    name = f"<small>{text(target.unit)} explained below</small>"
    mark = f'<mark class="wb-tag wb-tag-1"><b class="wb-tag-asked">{text(whole[start:end])}</b>{name}</mark>'
    return f'<p class="wb-tagged" dir="{direction(whole)}">{text(whole[:start])}{mark}{text(whole[end:])}</p>'


def _characters(explanation: Explanation) -> tuple[int, int]:
    prediction, target = explanation.prediction, explanation.target
    place = prediction.place(target.index)
    if prediction.answering is not None and place is not None:
        answer = prediction.answering.answers[place]
        return answer.start, answer.end
    offsets, own = explanation.tokens.offsets, target.positions[: 2 if target.span == "both" else 1]
    return int(offsets[own[0], 0]), int(offsets[own[-1], 1])
