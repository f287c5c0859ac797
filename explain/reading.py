"""What may be said about an explanation in words: which words a sentence may name, and which it may not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

from explain.records import Attribution, Check, Explanation

NAMED, SHARE, NOTABLE = 3, 0.5, 0.25
"""At most three words are named for the target, each with at least half the score of the first; a word against it is
notable from a quarter of the largest score on."""


@dataclass(frozen=True)
class Standouts:
    """Unit indices that a headline may name, largest first. Both empty: no single word stands out.

    `unopposed`: no word speaks against the target to any notable degree, under neither baseline.
    """

    supporting: tuple[int, ...] = ()
    opposing: tuple[int, ...] = ()
    unopposed: bool = False


def either_or(explanation: Explanation) -> bool:
    """Are there two labels that exclude each other, so that what speaks against one speaks for the other?"""
    exclusive = explanation.prediction.activation == "softmax" or explanation.model.problem == "binary"
    return exclusive and len(explanation.prediction.labels) == 2


def standouts(attribution: Attribution, checks: Sequence[Check], index: int = 0) -> Standouts:
    """The leading words, if they lead by more than what could be numerical error, and under a second baseline too.

    A group is named only whole: with another baseline its words may change places among themselves, but no
    word outside may overtake one inside. Nothing is named before the scores are checked, where a check that
    they are computed correctly failed, or for methods without a sign.
    """
    mine = {c.name: c for c in checks if c.attribution == index}
    if not attribution.signed or not {"baseline", "completeness"} <= mine.keys():
        return Standouts()
    if mine["completeness"].status == "fail":
        return Standouts()
    scores = attribution.scores.astype(float)
    slack, details = attribution.uncertainty, mine["baseline"].details
    second = np.array(details.get("second_scores", scores), dtype=float)
    second_slack = np.array(details.get("second_error", slack), dtype=float)
    order = np.argsort(-scores, kind="stable")
    best = float(scores.max(initial=0))

    supporting: tuple[int, ...] = ()
    for size in range(1, min(NAMED, len(order)) + 1):
        group, rest = order[:size], order[size:]
        if not (scores[group] > slack[group]).all() or scores[group[-1]] < SHARE * best:
            break
        both = _leads(scores, slack, group, rest) and _leads(second, second_slack, group, rest)
        if both and (second[group] > second_slack[group]).all():
            supporting = tuple(group.tolist())
    first_against, second_against = _against(scores), _against(second)
    sure = first_against & second_against & (scores < -slack) & (second < -second_slack)
    opposing = tuple(u for u in order[::-1].tolist() if sure[u])[:NAMED]
    return Standouts(supporting, opposing, not (first_against | second_against).any())


def _against(scores: Float64[np.ndarray, "U"]) -> Bool[np.ndarray, "U"]:
    """Words with a notable score against the target."""
    return -scores >= NOTABLE * max(float(np.abs(scores).max(initial=0)), 1e-12)


def _leads(
    scores: Float64[np.ndarray, "U"],
    slack: Float64[np.ndarray, "U"],
    group: Int64[np.ndarray, "G"],
    rest: Int64[np.ndarray, "R"],
) -> bool:
    """Does every word of the group score clearly above every other word?"""
    last = (scores - slack)[group].min()
    return bool(last > (scores + slack)[rest].max(initial=-np.inf))
