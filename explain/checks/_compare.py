"""Two score vectors of the same words, side by side: the same order? the same word on top?"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from explain.case import Case
from explain.records import Attribution


def rank_correlation(a: Float64[np.ndarray, "U"], b: Float64[np.ndarray, "... U"]) -> Float64[np.ndarray, "..."]:
    """Spearman's correlation of `a` with each row of `b`; 0 where one side does not vary."""
    from scipy.stats import rankdata  # here: half a second to import, which the first words need not wait for

    x, y = rankdata(a), rankdata(b, axis=-1)
    x, y = x - x.mean(), y - y.mean(-1, keepdims=True)
    size = np.sqrt((x**2).sum() * (y**2).sum(-1))
    return np.asarray((y @ x) / np.maximum(size, 1e-12))


def dealt(scores: Float64[np.ndarray, "U"], rng: np.random.Generator, deals: int = 1000) -> Float64[np.ndarray, "N U"]:
    """The same scores dealt to the words at random, `deals` times: what a check holds its value against."""
    return rng.permuted(np.tile(scores, (deals, 1)), axis=1)


def percentile(ours: float, random: Float64[np.ndarray, "N"], slack: float = 1e-9) -> float:
    """The share of random deals that lie below `ours`; those within `slack` are ties and count half."""
    tied = np.abs(random - ours) <= slack
    return float(np.where(tied, 0.5, random < ours).mean())  # a sum of halves, exact before it is divided


def top(attribution: Attribution) -> int:
    """The word with the largest |score|."""
    return int(np.argmax(np.abs(attribution.scores)))


def same_top(a: Attribution, b: Attribution) -> bool:
    """Is the largest |score| at the same word, as far as what both may be off allows to say?"""

    def leads(x: Attribution, first: int, second: int) -> bool:
        size, slack = np.abs(x.scores.astype(float)), x.uncertainty
        return bool(size[first] - size[second] > slack[first] + slack[second])

    return not (leads(a, top(a), top(b)) and leads(b, top(b), top(a)))


def word(case: Case, unit: int) -> str:
    """A word of the text in quotation marks."""
    return f"“{case.tokens.texts[case.units.segment[unit]][slice(*case.units.spans[unit].tolist())]}”"
