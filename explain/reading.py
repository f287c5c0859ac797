"""What may be said about an explanation in words: which words a sentence may name, and which it may not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from explain.records import Attribution, Check

NAMED, SHARE = 3, 0.5
"""At most three words are named for the target, each with at least half the score of the first."""


@dataclass(frozen=True)
class Standouts:
    """Unit indices that a headline may name, largest first. Both empty: no single word stands out."""

    supporting: tuple[int, ...] = ()
    opposing: tuple[int, ...] = ()


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
    error = attribution.numeric_error if attribution.numeric_error is not None else attribution.error
    slack = np.zeros_like(scores) if error is None else error.astype(float)
    second = np.array(mine["baseline"].details.get("second_scores", scores), dtype=float)
    order = np.argsort(-scores, kind="stable")
    best, strongest = float(scores.max(initial=0)), float(np.abs(scores).max(initial=0))

    supporting: tuple[int, ...] = ()
    for size in range(1, min(NAMED, len(order)) + 1):
        group, rest = order[:size], order[size:]
        if not (scores[group] > slack[group]).all() or scores[group[-1]] < SHARE * best:
            break
        if _leads(scores, slack, group, rest) and _leads(second, slack, group, rest) and (second[group] > 0).all():
            supporting = tuple(group.tolist())
    opposing = tuple(
        u
        for u in order[::-1][:2].tolist()
        if scores[u] < -slack[u] and second[u] < 0 and -scores[u] >= 0.25 * strongest
    )
    return Standouts(supporting, opposing)


def _leads(
    scores: Float64[np.ndarray, "U"],
    slack: Float64[np.ndarray, "U"],
    group: Int64[np.ndarray, "G"],
    rest: Int64[np.ndarray, "R"],
) -> bool:
    """Does every word of the group score clearly above every other word?"""
    last = (scores - slack)[group].min()
    return bool(last > (scores + slack)[rest].max(initial=-np.inf))
