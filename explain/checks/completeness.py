"""Do the scores add up? For methods that claim that they do.

The residual f(x) − f(x') − Σ scores is compared with the scale of `residual_scale`; where the scale is
not the plain difference, text and baseline score nearly the same and the best status is 'warn'. The
total alone proves little (errors of opposite sign cancel), so the words' own numeric error counts too.
"""

from __future__ import annotations

import numpy as np

from explain.case import Case, Steps
from explain.checks import Found, check
from explain.methods import find
from explain.records import Attribution, Check, Status

PASS, FAIL = 0.01, 0.05
WORD_ERROR = 0.05


@check(
    stage="Adding up the scores",
    order=0,
    question="computed correctly",
    cite="Sundararajan, Taly & Yan 2017, arXiv:1703.01365",
)
def completeness(case: Case, attribution: Attribution, found: Found) -> Steps[tuple[Check, ...]]:
    """Residual over scale, and the largest numeric error of a word over the largest score."""
    yield from ()
    claims = "complete" in find(attribution.method).info.axioms
    relative = attribution.relative_residual
    if not claims or relative is None:
        sentence = "This method does not claim that its scores add up, so there is nothing to compare."
        return (Check("completeness", 0, "computed correctly", "n/a", sentence),)
    largest = float(np.abs(attribution.scores).max(initial=0))
    word = float((attribution.numeric_error if attribution.numeric_error is not None else np.zeros(1)).max(initial=0))
    word_share = word / largest if largest else 0.0
    status: Status = "pass" if relative <= PASS else "fail" if relative > FAIL else "warn"
    close = "under 0.01 %" if relative < 5e-5 else f"{relative:.2%}"
    sentence = f"The scores add up to the change they explain, to within {close}"
    sentence += (
        f"; a word's score is off by at most about {word:.2g}." if attribution.numeric_error is not None else "."
    )
    if attribution.exhausted:
        status = "fail"
        sentence = f"The computing budget ended before the scores were exact: they miss the change by {relative:.2%}."
    elif status == "fail":
        sentence = f"The scores miss the change they should explain by {relative:.2%}: do not rely on their sizes."
    elif attribution.scale_rule != "difference":
        status = "warn"
        sentence = (
            "The model scores this text and the baseline nearly the same, so there is little to divide among the "
            f"words; measured against their sizes, the scores add up to within {relative:.2%}."
        )
    elif status == "pass" and word_share > WORD_ERROR:
        status = "warn"
        sentence = f"The total is right, but a single word's score may be off by {word_share:.0%} of the largest."
    return (
        Check(
            "completeness",
            0,
            "computed correctly",
            status,
            sentence,
            value=relative,
            threshold=PASS,
            details={
                "residual": attribution.residual,
                "scale": attribution.scale,
                "scale_rule": attribution.scale_rule,
                "largest_word_error": word,
                "exhausted": attribution.exhausted,
            },
        ),
    )
