"""Do words with high scores move the model more when each is taken out alone?

Kendall's tau-b between the scores and the measured falls of the target without each word: +1 same order, 0 none, −1
reversed. The yardstick is the same scores dealt to the words at random (all deals of up to 6 words, else 1,000). Where
even the best deal would not pass, since there are few words or many ties, there is no verdict. Words that are not read
(`Case.read`) are not compared: all that knows which they are would agree. It
sees one word at a time: words that back each other up look unimportant to it, whatever their scores.
"""

from __future__ import annotations

from itertools import permutations

import numpy as np
from jaxtyping import Float64

from explain.case import Case, Steps
from explain.checks import Found, check
from explain.checks._compare import percentile
from explain.records import Attribution, Check, Status

EXACT, DEALS = 6, 1000
PASS, FAIL = 0.95, 0.5


@check(
    stage="Comparing with each word's absence",
    order=15,
    question="reacts as the scores say",
    cite="Li, Monroe & Jurafsky 2016, arXiv:1612.08220",
)
def leave_one_out(case: Case, attribution: Attribution, found: Found) -> Steps[tuple[Check, ...]]:
    """Rank agreement of scores and measured effects, as a percentile among random deals."""
    yield from ()
    read, question = case.read, "reacts as the scores say"  # (M,)
    n = len(read)
    if n <= 2 or found.effects is None or len(found.effects.without) != case.n_units:
        sentence = "There are too few words, or none was measured alone, so there is no order to compare."
        return (Check("leave one out", 0, question, "n/a", sentence),)  # type: ignore[arg-type]
    drops = found.effects.value_input - found.effects.without[read].astype(float)
    scores, drops = attribution.scores[read].astype(float), drops if attribution.signed else np.abs(drops)
    rng = np.random.default_rng([case.seed, n])
    every = permutations(range(n)) if n <= EXACT else (rng.permutation(n) for _ in range(DEALS))
    deals = [np.array(deal) for deal in every]
    higher, fell = _signs(scores), _signs(drops)  # (U, U)
    ours = _tau(higher, fell)
    random = np.array([_tau(higher[np.ix_(d, d)], fell) for d in deals])
    share, best = percentile(ours, random), percentile(float(random.max()), random)
    status: Status = "pass" if share >= PASS else "fail" if share <= FAIL else "warn"
    if best < PASS and share >= FAIL:  # below chance is a finding all the same
        status = "not checked"
    sentence = (
        f"The order of the scores agrees with what happens when each word is taken out alone better than "
        f"{100 * share:.0f} % of random orders (rank agreement {ours:+.2f}; 0 is chance, 1 the same order)."
        + (" With so few different words no order could pass." if best < PASS else "")
    )
    details = {"tau": ours, "percentile": share, "deals": len(deals)}
    return (
        Check("leave one out", 0, question, status, sentence, ours, float(random.mean()), details=details),  # type: ignore[arg-type]
    )


def _signs(a: Float64[np.ndarray, "U"]) -> Float64[np.ndarray, "U U"]:
    """Which of every two words is higher: +1 the row's, −1 the column's, 0 neither."""
    return np.sign(a[:, None] - a[None, :])


def _tau(a: Float64[np.ndarray, "U U"], b: Float64[np.ndarray, "U U"]) -> float:
    """Kendall's tau-b of two orders given as signs; 0 where one side does not vary."""
    pairs = np.sqrt(
        np.square(a).sum() * np.square(b).sum()
    )  # a thousand deals: scipy's kendalltau takes 50 times as long
    return float((a * b).sum() / pairs) if pairs else 0.0
