"""Owen values on a tree of neighbouring words: Shapley values in which words arrive by phrases.

Owen 1977; as "partition SHAP" in Lundberg's shap. The text is halved again and again into a balanced tree of
neighbouring words. The value of a phrase is split between its halves by the two-player Shapley value, with the
phrase's neighbours present and absent: φ(half) = ½ [f(C ∪ half) − f(C)] + ½ [f(C ∪ both) − f(C ∪ other)], averaged
over the contexts C in which the phrase itself was valued. The scores add up to f(text) − f(no word).

Every context doubles at each level, so a tree of depth d needs at most Σ 4^level sets; beyond `contexts` per
phrase, contexts are taken evenly from those there are. It misleads where words that belong together stand apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from explain.case import Case, Steps
from explain.coalitions import coalition_values
from explain.methods import method
from explain.plugins import choice, number
from explain.records import Attribution


@dataclass(frozen=True)
class Params:
    """`contexts` bounds in how many surroundings a phrase is valued; more is nearer to the exact Owen value."""

    replacement: str = choice("mask", "mask", "remove", "pad", "unk", help="what stands in a removed word's place")
    contexts: int = number(4, 1, 64, help="surroundings in which each phrase is valued")


@dataclass(frozen=True)
class Phrase:
    """Words from `start` to `stop`, and the sets of other words (K, U) in whose presence they are valued."""

    start: int
    stop: int
    contexts: Bool[np.ndarray, "K U"]


@method(
    title="Partition SHAP (Owen values)",
    family="perturbation",
    cite="Owen 1977; Lundberg's shap, PartitionExplainer",
    misleads="Divides by neighbourhood: words of one phrase share what they do together, words far apart do not.",
    axioms=("complete",),
    cost=lambda units: (16 * units, 0),
)
def partition_shap(case: Case, params: Params) -> Steps[Attribution]:
    """Divides the change among phrases, then among their words, down a tree of neighbouring words."""
    n = case.n_units
    scores = np.zeros(n)
    ends = yield from coalition_values(case, np.array([[False] * n, [True] * n]), params.replacement)  # type: ignore[arg-type]
    level = [(Phrase(0, n, np.zeros((1, n), dtype=bool)), float(ends[1] - ends[0]))]
    while level:
        for phrase, value in level:
            if phrase.stop - phrase.start == 1:
                scores[phrase.start] = value
        open_ = [(p, v) for p, v in level if p.stop - p.start > 1]
        sets = [_four(phrase) for phrase, _ in open_]  # (4, K, U) each
        flat = np.concatenate([s.reshape(-1, n) for s in sets]) if sets else np.zeros((0, n), dtype=bool)
        values = yield from coalition_values(case, flat, params.replacement)  # type: ignore[arg-type]
        level, at = [], 0
        for (phrase, value), four in zip(open_, sets, strict=True):
            k, middle = len(phrase.contexts), (phrase.start + phrase.stop) // 2
            none, left, right, both = values[at : at + 4 * k].reshape(4, k)
            at += 4 * k
            half = float((left - none + both - right).mean() / 2)
            rest = float((right - none + both - left).mean() / 2)
            spare = (value - half - rest) / 2  # contexts that were left out may leave a remainder: halve it
            level += [
                (
                    Phrase(phrase.start, middle, _thin(np.concatenate([four[0], four[2]]), params.contexts)),
                    half + spare,
                ),
                (Phrase(middle, phrase.stop, _thin(np.concatenate([four[0], four[1]]), params.contexts)), rest + spare),
            ]
    return case.attribution(
        unit_scores=scores,
        value_input=float(ends[1]),
        baseline=case.stands_in(params.replacement),
        value_baseline=float(ends[0]),
    )


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
