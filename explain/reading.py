"""What may be said about an explanation in words: which words a sentence may name, and which it may not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from explain.records import Attribution, Check

NAMED, SHARE = 3, 0.5
"""At most three words are named for the target, each with at least half the score of the first."""


@dataclass(frozen=True)
class Standouts:
    """Unit indices that a headline may name, largest first. Both empty: no single word stands out."""

    supporting: tuple[int, ...] = ()
    opposing: tuple[int, ...] = ()


def standouts(attribution: Attribution, checks: Sequence[Check], index: int = 0) -> Standouts:
    """Words whose score is clearly larger than what could be numerical error, and robust to the baseline.

    Nothing is named where the baseline check did not run or moved the top word, where a check that the
    scores are computed correctly failed, or for methods without a sign.
    """
    mine = {c.name: c for c in checks if c.attribution == index}
    moved = "baseline" in mine and mine["baseline"].status != "n/a" and not mine["baseline"].details["same_top"]
    wrong = "completeness" in mine and mine["completeness"].status == "fail"
    if not attribution.signed or moved or wrong or not {"baseline", "completeness"} <= mine.keys():
        return Standouts()
    scores = attribution.scores.astype(float)
    error = attribution.numeric_error if attribution.numeric_error is not None else attribution.error
    slack = np.zeros_like(scores) if error is None else error.astype(float)
    order = np.argsort(-scores, kind="stable").tolist()
    best = float(scores.max(initial=0))
    flipped = set(mine["baseline"].details.get("flips", ()))

    supporting: list[int] = []
    for place, unit in enumerate(order[:NAMED]):
        rival = order[place + 1] if place + 1 < len(order) else None
        clear = scores[unit] > slack[unit] and scores[unit] >= SHARE * best > 0 and unit not in flipped
        if not clear:
            break
        if rival is None or scores[unit] - scores[rival] > slack[unit] + slack[rival]:
            supporting = order[: place + 1]  # what is named ends where there is a real gap
    opposing = [
        u
        for u in order[::-1][:2]
        if scores[u] < -slack[u] and u not in flipped and -scores[u] >= 0.25 * max(best, -float(scores.min(initial=0)))
    ]
    return Standouts(tuple(supporting), tuple(opposing))
