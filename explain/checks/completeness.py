"""Do the scores add up? For methods that claim that they do.

The residual f(x) − f(x') − Σ scores is compared with the scale of `residual_scale`; where the scale is
not the plain difference, text and baseline score nearly the same and the best status is 'warn'. The
total alone proves little (errors of opposite sign cancel), so the words' own numeric error counts too. Methods that
sample add up after every round, however few: of them only the half width of the 95 % interval says how far they are.
"""

from __future__ import annotations

import numpy as np

from explain.case import Case, Steps
from explain.checks import Found, check
from explain.methods import find
from explain.records import NORMAL, Attribution, Check, Status

PASS, FAIL = 0.01, 0.05
WORD_ERROR = 0.05
SAMPLED_ERROR = 0.1
"""What a sampling method is refined to unless somebody asks for less: half a 95 % interval over the largest score."""


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
    sampled = attribution.error is not None
    errors = NORMAL * attribution.error if attribution.error is not None else attribution.numeric_error
    word = 0.0 if errors is None else float(errors.max(initial=0))
    word_share = word / largest if largest else 0.0
    status: Status = "pass" if relative <= PASS else "fail" if relative > FAIL else "warn"
    close = "under 0.01 %" if relative < 5e-5 else f"{relative:.2%}"
    sentence = f"The scores add up to the change they explain, to within {close}"
    if sampled:
        sentence += f", as they do after every round; sampling leaves a word's score uncertain by ± {word:.2g} (95 %)."
    else:
        sentence += "." if errors is None else f"; a word's score may be off by an estimated {word:.2g}."
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
    elif status == "pass" and sampled and word_share > SAMPLED_ERROR + 1e-4:
        status = "warn"
        why = {"budget": ": the computing budget ended", "asked": ": it was stopped"}.get(attribution.stopped or "", "")
        sentence = (
            f"The total is right, as it is after every round, but sampling leaves a word's score uncertain by "
            f"± {word_share:.0%} of the largest{why}."
        )
    elif status == "pass" and not sampled and word_share > WORD_ERROR:
        status = "warn"
        sentence = (
            f"The total is right, but a single word's score may be off by an estimated {word_share:.0%} of the largest."
        )
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
