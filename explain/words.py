"""The scored units of an attribution, as people read them: with rank, share and what really happens without them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from explain.record import Record

if TYPE_CHECKING:
    from explain.records import Attribution, Explanation


@dataclass(frozen=True, eq=False)
class Word(Record):
    """One scored unit, for people.

    `gross` is Σ|pieces| over its tokens (None where a method scores words whole), `cancels` marks
    |score| < half of it. `share` is |score| over all words and specials. `error` is as in Attribution.
    `rank` counts from 1 by |score|; words closer than what they may be off share a rank.
    `without` and `prob_without` are measured with the word removed (None: not measured); `contradicts`
    marks that the measured change has the other sign than the score. `whole` is a sentence that was scored as one
    where others were scored word by word.
    """

    text: str
    start: int
    end: int
    segment: int
    score: float
    share: float
    rank: int
    gross: float | None = None
    cancels: bool = False
    numeric_error: float | None = None
    error: float | None = None
    without: float | None = None
    prob_without: float | None = None
    contradicts: bool = False
    whole: bool = False

    @property
    def name(self) -> str:
        """The text as a list shows it: a sentence among words says what it is."""
        return f"Sentence: {self.text}" if self.whole else self.text


def words_of(explanation: Explanation, attribution: Attribution) -> list[Word]:
    """The words of one attribution, in text order, with measured effects where units agree."""
    scores = attribution.scores.astype(np.float64)
    total = float(np.abs(scores).sum()) + abs(attribution.special)
    ranks = tied_ranks(attribution)
    effects = explanation.effects
    if effects is not None and not np.array_equal(effects.units, attribution.units):
        effects = None
    whole = {(n.segment, *span) for n in explanation.warnings if n.code == "outline" for span in n.spans}
    words = []
    for u, (start, end) in enumerate(attribution.units.tolist()):
        gross = None if attribution.gross is None else float(attribution.gross[u])
        without = None if effects is None else float(effects.without[u])
        drop = 0.0 if effects is None or without is None else effects.value_input - without
        segment = int(attribution.unit_segment[u])
        words.append(
            Word(
                text=explanation.tokens.texts[segment][start:end],
                start=start,
                end=end,
                segment=segment,
                score=float(scores[u]),
                share=abs(float(scores[u])) / total if total else 0.0,
                rank=ranks[u],
                gross=gross,
                cancels=gross is not None and abs(float(scores[u])) < 0.5 * gross,
                numeric_error=None if attribution.numeric_error is None else float(attribution.numeric_error[u]),
                error=None if attribution.error is None else float(attribution.error[u]),
                without=without,
                prob_without=None if effects is None or effects.probs is None else float(effects.probs[u]),
                contradicts=attribution.signed and drop * float(scores[u]) < 0,
                whole=(segment, start, end) in whole,
            )
        )
    return words


def tied_ranks(attribution: Attribution) -> list[int]:
    """Rank of each unit by |score|, from 1; a unit that may tie with any of the rank just above shares it."""
    size, slack = np.abs(attribution.scores.astype(np.float64)), attribution.uncertainty
    order = np.argsort(-size, kind="stable")
    ranks = [0] * len(order)
    first = 0
    for place, unit in enumerate(order):
        group = order[first:place]
        if not (size[group] - size[unit] <= slack[group] + slack[unit]).any():
            first = place
        ranks[unit] = first + 1
    return ranks
