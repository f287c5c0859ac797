"""Owen values on a tree of neighbouring words: Shapley values in which words arrive by phrases.

Owen 1977; as "partition SHAP" in Lundberg's shap. The text is halved again and again into a balanced tree of
neighbouring words. The value of a phrase is split between its halves by the two-player Shapley value, with the
phrase's neighbours present and absent: φ(half) = ½ [f(C ∪ half) − f(C)] + ½ [f(C ∪ both) − f(C ∪ other)], averaged
over the contexts C in which the phrase itself was valued. The scores add up to f(text) − f(no word).

Every context doubles at each level, so a tree of depth d needs at most Σ 4^level sets; beyond `contexts` per
phrase, contexts are taken evenly from those there are. How far the scores may be off for that is estimated from the
scatter over the contexts that were taken, as if they had been drawn at random, and kept as the numeric error; the sum
says nothing about it. It misleads where words that belong together stand apart.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64

from explain.case import Case, Steps
from explain.coalitions import coalition_values
from explain.methods import method
from explain.plugins import choice, number
from explain.records import Attribution


@dataclass(frozen=True)
class Params:
    """`contexts` bounds in how many surroundings a phrase is valued; more is nearer to the exact Owen value."""

    replacement: str = choice("mask", "mask", "remove", "pad", "unk", help="what stands in a removed word's place")
    contexts: int = number(8, 2, 64, help="surroundings in which each phrase is valued")


@dataclass(frozen=True)
class Phrase:
    """Words from `start` to `stop`, and the sets of other words (K, U) in whose presence they are valued.

    `value` is the phrase's, `doubt` the squared standard error of it, `level` how often the text was halved.
    """

    start: int
    stop: int
    contexts: Bool[np.ndarray, "K U"]
    value: float
    doubt: float
    level: int


@method(
    title="Partition SHAP (Owen values)",
    family="perturbation",
    cite="Owen 1977; Lundberg's shap, PartitionExplainer",
    misleads="Divides by neighbourhood: words of one phrase share what they do together, words far apart do not.",
    axioms=("complete",),
    cost=lambda units: (math.ceil(4 * units * math.log2(units + 1)), 0),
)
def partition_shap(case: Case, params: Params) -> Steps[Attribution]:
    """Divides the change among phrases, then among their words, down a tree of neighbouring words."""
    n = case.n_units
    scores, doubt = np.zeros(n), np.zeros(n)
    ends = yield from coalition_values(case, np.array([[False] * n, [True] * n]), params.replacement)  # type: ignore[arg-type]
    level = [Phrase(0, n, np.zeros((1, n), dtype=bool), float(ends[1] - ends[0]), 0.0, 0)]
    while level:
        for phrase in level:
            if phrase.stop - phrase.start == 1:
                scores[phrase.start], doubt[phrase.start] = phrase.value, phrase.doubt
        open_ = [phrase for phrase in level if phrase.stop - phrase.start > 1]
        sets = [_four(phrase) for phrase in open_]  # (4, K, U) each
        flat = np.concatenate([s.reshape(-1, n) for s in sets]) if sets else np.zeros((0, n), dtype=bool)
        values = yield from coalition_values(case, flat, params.replacement)  # type: ignore[arg-type]
        level, at = [], 0
        for phrase, four in zip(open_, sets, strict=True):
            k, middle = len(phrase.contexts), (phrase.start + phrase.stop) // 2
            none, left, right, both = values[at : at + 4 * k].reshape(4, k)
            at += 4 * k
            half, rest = (left - none + both - right) / 2, (right - none + both - left) / 2  # (K,)
            spare = (phrase.value - half.mean() - rest.mean()) / 2  # contexts left out may leave a remainder: halve it
            off = phrase.doubt / 4 + _doubt((half - rest) / 2, 2**phrase.level)  # the sum is corrected, not the split
            for start, stop, found, near in (
                (phrase.start, middle, half, four[[0, 2]]),
                (middle, phrase.stop, rest, four[[0, 1]]),
            ):
                contexts = _thin(np.concatenate(near), params.contexts)
                level.append(Phrase(start, stop, contexts, float(found.mean() + spare), off, phrase.level + 1))
    return case.attribution(
        unit_scores=scores,
        value_input=float(ends[1]),
        baseline=case.stands_in(params.replacement),
        value_baseline=float(ends[0]),
        numeric_error=(2 * np.sqrt(doubt)).astype(np.float32) if doubt.any() else None,
    )


def _doubt(split: Float64[np.ndarray, "K"], there: int) -> float:
    """Squared standard error of a mean over K of the contexts that there are; 0 where it is over all of them."""
    k = len(split)
    return 0.0 if k >= there else float(split.var(ddof=1) / k * (1 - k / there))


def _four(phrase: Phrase) -> Bool[np.ndarray, "4 K U"]:
    """Each context with neither half, the left one, the right one, and both."""
    middle = (phrase.start + phrase.stop) // 2
    four = np.stack([phrase.contexts] * 4)
    four[1, :, phrase.start : middle] = four[3, :, phrase.start : middle] = True
    four[2, :, middle : phrase.stop] = four[3, :, middle : phrase.stop] = True
    return four


def _thin(contexts: Bool[np.ndarray, "K U"], most: int) -> Bool[np.ndarray, "K U"]:
    """At most so many contexts, evenly chosen."""
    if len(contexts) <= most:
        return contexts
    return contexts[np.linspace(0, len(contexts) - 1, most).round().astype(int)]
