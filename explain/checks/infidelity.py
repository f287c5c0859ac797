"""Do the scores of several words add up to what happens when those words are taken out together?

Random sets of words are removed; the sum of their scores is compared with the measured fall of the target (Yeh et al.
2019, infidelity; Bhatt, Weller & Moura 2020, faithfulness correlation). `value` is their correlation, the yardstick
the same with scores dealt to the words at random (all deals of up to 6 words, else 1,000; ties count half). Where even
the best deal would not pass, since there are few words or many ties, there is no verdict. For signed methods only:
sizes without direction predict no fall. Only words that are read are taken out (`Case.read`).
"""

from __future__ import annotations

from itertools import permutations

import numpy as np
from jaxtyping import Float64

from explain.case import Case, Steps
from explain.checks import Found, check
from explain.checks._compare import dealt, percentile
from explain.coalitions import coalition_values
from explain.records import Attribution, Check, Status

SETS, DEALS, EXACT = 100, 1000, 6
PASS, FAIL = 0.95, 0.5
TIE = 1e-6
"""Correlations nearer than this are equal: scores are float32."""


@check(
    stage="Taking random sets of words out",
    order=30,
    default=False,
    cost=lambda units, orders, method: (SETS + 1, 0),
    question="reacts as the scores say",
    cite="Yeh et al. 2019, arXiv:1901.09392; Bhatt, Weller & Moura 2020, arXiv:2005.00631",
)
def infidelity(case: Case, attribution: Attribution, found: Found) -> Steps[tuple[Check, ...]]:
    """Correlation between summed scores and measured falls over random sets, as a percentile among random deals."""
    read = case.read  # (M,)
    n = len(read)
    if n <= 2 or not attribution.signed:
        sentence = "There are too few words, or the scores have no direction, so there is no sum to compare."
        return (Check("infidelity", 0, "reacts as the scores say", "n/a", sentence),)
    rng = np.random.default_rng([case.seed, n, SETS])
    size = rng.integers(1, n, SETS)
    removed = np.argsort(rng.random((SETS, n)), axis=1) < size[:, None]  # (S, M)
    kept = np.ones((1 + SETS, case.n_units), dtype=bool)
    kept[1:, read] = ~removed
    values = yield from coalition_values(case, kept, "mask")
    falls = values[0] - values[1:]
    scores = attribution.scores[read].astype(float)
    ours = float(_correlation(scores @ removed.T, falls))
    deals = np.array(list(permutations(scores))) if n <= EXACT else dealt(scores, rng, DEALS)
    random = _correlation(deals @ removed.T, falls)  # (N,)
    share, best = percentile(ours, random, TIE), percentile(float(random.max()), random, TIE)
    status: Status = "pass" if share >= PASS else "fail" if share <= FAIL else "warn"
    if best < PASS and share >= FAIL:  # below chance is a finding all the same
        status = "not checked"
    error = float(((removed @ scores - falls) ** 2).mean())
    sentence = (
        f"When {SETS} random sets of words are taken out, the sums of their scores follow what the model does "
        f"(correlation {ours:.2f}), better than {100 * share:.0f} % of random deals of the same scores."
        + (" With so few different words no order could pass." if best < PASS else "")
    )
    details = {"correlation": ours, "percentile": share, "sets": SETS, "mean_square_error": error}
    return (
        Check(
            "infidelity", 0, "reacts as the scores say", status, sentence, ours, float(random.mean()), details=details
        ),
    )


def _correlation(a: Float64[np.ndarray, "... S"], b: Float64[np.ndarray, "S"]) -> Float64[np.ndarray, "..."]:
    """Pearson's correlation of each row of `a` with `b`; 0 where one side does not vary."""
    x, y = a - a.mean(-1, keepdims=True), b - b.mean()
    return np.asarray(x @ y / np.maximum(np.sqrt((x**2).sum(-1) * (y**2).sum()), 1e-12))
