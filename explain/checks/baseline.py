"""Would another neutral text have told another story?

The attribution is repeated with a second baseline. Straight paths leave the space of words, and a
baseline may mean something to the model (Sturmfels et al. 2020; Sanyal & Ren 2021), so what the model
says about the baseline itself is shown too.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from explain.case import Case, Steps
from explain.checks import Found, check
from explain.methods import find
from explain.records import Attribution, Check, Status


@check(
    stage="Trying a second baseline",
    order=10,
    cost=lambda units, orders, method: method,
    question="robust",
    cite="Sturmfels, Lundberg & Lee 2020, doi:10.23915/distill.00022",
)
def baseline(case: Case, attribution: Attribution, found: Found) -> Steps[tuple[Check, ...]]:
    """Whether the largest score keeps its word, and the three largest their signs, under a second baseline."""
    method = find(attribution.method)
    used = attribution.baseline
    other = next((n for n in ("pad", "mask", "zero") if n != used and (n == "zero" or n in case.special_ids)), None)
    if case.n_units == 1:
        return (
            Check("baseline", 0, "robust", "n/a", "One part alone has no rank that another baseline could change."),
        )
    if attribution.value_baseline is None:
        return (Check("baseline", 0, "robust", "n/a", "This method compares with no baseline."),)
    if other is None or "baseline" not in attribution.params:
        return (Check("baseline", 0, "robust", "n/a", "This method offers no second baseline to compare with."),)
    params = dataclasses.replace(method.configured(attribution.params), baseline=other)
    second = yield from method.fn(case, params)

    first_scores, second_scores = attribution.scores.astype(float), second.scores.astype(float)
    first_slack, second_slack = attribution.uncertainty, second.uncertainty  # (U,)
    order = np.argsort(-np.abs(first_scores), kind="stable")
    top, rival = int(order[0]), int(np.argmax(np.abs(second_scores)))
    same_top = not (_leads(first_scores, first_slack, top, rival) and _leads(second_scores, second_slack, rival, top))
    sure = (np.abs(first_scores) > first_slack) & (np.abs(second_scores) > second_slack)
    turned = sure & (first_scores * second_scores < 0) & method.info.signed
    flips = [int(u) for u in order[:3] if turned[u]]
    status: Status = "pass" if same_top and not flips else "warn" if same_top or not flips else "fail"
    if second.exhausted:
        status = "not checked"

    text = case.tokens.texts
    names = [f"“{text[case.units.segment[u]][slice(*case.units.spans[u])]}”" for u in (top, rival)]
    sentence = f"Compared with {_called(other)} instead of {_called(used)}, "
    if second.exhausted:
        sentence += "the computing budget ended before the scores were exact."
    elif status == "pass":
        sentence += "the largest score belongs to the same word and the three largest keep their signs."
    elif same_top:
        sentence += f"{_words(len(flips))} of the three largest scores change sign."
    else:
        sentence += f"the largest score moves from {names[0]} to {names[1]}."
        sentence += f" {_words(len(flips)).capitalize()} of the three largest change sign." if flips else ""
    return (
        Check(
            "baseline",
            0,
            "robust",
            status,
            sentence,
            value=float(np.abs(first_scores - second_scores).max() / max(np.abs(first_scores).max(), 1e-12)),
            details={
                "baseline": used,
                "value": attribution.value_baseline,
                "second": other,
                "second_value": second.value_baseline,
                "second_scores": second_scores.tolist(),
                "second_error": second_slack.tolist(),
                "second_exhausted": second.exhausted,
                "same_top": same_top,
                "flips": flips,
            },
        ),
    )


def _leads(scores: np.ndarray, slack: np.ndarray, a: int, b: int) -> bool:
    """Is |score| of `a` larger than that of `b` by more than both may be off?"""
    return bool(abs(scores[a]) - abs(scores[b]) > slack[a] + slack[b])


def _called(name: str | None) -> str:
    if name in ("mean", "text"):
        return {"mean": "average vectors", "text": "your text"}[name]
    return "zero vectors" if name == "zero" else f"[{(name or '').upper()}]"


def _words(n: int) -> str:
    return ("none", "one", "two", "all three")[n]
