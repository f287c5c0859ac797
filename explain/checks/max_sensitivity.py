"""Do the scores hold still when every word's vector trembles a little?

    max over δ of ‖φ(x + δ) − φ(x)‖ / ‖φ(x)‖,   every entry of δ uniform in ±r

Yeh et al. 2019, max-sensitivity, as Captum's `sensitivity_max` estimates it: the largest of several draws. r is a share
of the vectors' root mean square, and special tokens keep still. φ are the scores of the words. The yardstick is the
mean of the same ratio for the scores dealt to the words at random. Low is not good by itself (scores that never change
have none), so this can only doubt. What the method's own numerical error lets through counts too.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from explain.case import Case, Steps
from explain.checks import Found, check
from explain.checks._compare import dealt
from explain.methods import find
from explain.records import Attribution, Check, Status

DRAWS, RADIUS = 8, 0.05
PASS = 0.1
"""A tenth. Frozen with `sentiment` on eight development sentences of SST-2 (every second, of 6 to 18 words)."""
FAMILIES = ("gradient", "layer")
"""Methods that work through the word vectors; the others ask about real texts."""


@check(
    stage="Shaking the word vectors",
    order=50,
    default=False,
    question="robust",
    cite="Yeh et al. 2019, arXiv:1901.09392",
    cost=lambda units, orders, method: (DRAWS * method[0], DRAWS * method[1]),
)
def max_sensitivity(case: Case, attribution: Attribution, found: Found) -> Steps[tuple[Check, ...]]:
    """Largest relative change of the scores under small noise on the word vectors, beside a random deal's."""
    method = find(attribution.method)
    ours = attribution.scores.astype(float)
    if method.info.family not in FAMILIES or case.n_units < 2 or not np.any(ours):
        sentence = "This method does not work through the words' vectors, or has no two scores, so nothing can tremble."
        return (Check("max sensitivity", 0, "robust", "n/a", sentence),)
    params = method.configured(attribution.params)
    rng = np.random.default_rng([case.seed, len(case.tokens.ids)])
    radius = RADIUS * float(np.sqrt(np.square(case.embeds).mean()))
    ratios, values = [], []
    for _ in range(DRAWS):
        noise = rng.uniform(-radius, radius, case.embeds.shape) * ~case.tokens.special[:, None]  # (T, D)
        again = yield from method.fn(case.shifted(noise.astype(np.float32)), params)
        ratios.append(float(_ratio(ours, again.scores.astype(float))))
        values.append(again.value_input)
    read = ours[case.read]  # (M,): no other words are dealt to, which would move them farther
    worst, random = max(ratios), float(_ratio(read, dealt(read, rng)).mean())
    status: Status = "fail" if worst >= random else "pass" if worst <= PASS else "warn"
    sentence = (
        f"When every word's vector is moved by up to {RADIUS:.0%} at random ({DRAWS} times), the scores change by at "
        f"most {worst:.0%} of their size; dealing them to the words at random changes them by {random:.0%}."
    )
    details = {"radius": radius, "changes": ratios, "values": values}
    return (Check("max sensitivity", 0, "robust", status, sentence, worst, random, threshold=PASS, details=details),)


def _ratio(scores: Float64[np.ndarray, "U"], others: Float64[np.ndarray, "... U"]) -> Float64[np.ndarray, "..."]:
    """‖others − scores‖ / ‖scores‖."""
    return np.asarray(np.linalg.norm(others - scores, axis=-1) / np.linalg.norm(scores))
