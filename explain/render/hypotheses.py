"""What a zero-shot classification explained, in words: which hypothesis, and what it was held against."""

from __future__ import annotations

from explain.records import Explanation


def question(explanation: Explanation, index: int = 0) -> str:
    """The hypothesis that the text was held against, and what its scores are of; '' for other tasks.

    Args:
        explanation: the explanation.
        index: which of its attributions.
    """
    asked = explanation.candidates
    if asked is None:
        return ""
    target = explanation.attributions[index].target if explanation.attributions else explanation.target
    own = asked.hypotheses[target.index or 0]
    if target.contrast is not None:
        against = f"against that of “{asked.hypotheses[target.contrast]}”"
    elif asked.apart:
        against = "against contradiction of the same sentence; no other label plays a part"
    elif target.kind == "logit":
        against = "by itself; the other labels play no part"
    else:
        others = len(asked.labels) - 1
        against = f"against that of the other label{'s’ sentences' if others > 1 else '’s sentence'}"
        against += f", {len(asked.labels)} labels in all"
    return (
        f"The question is whether the text entails “{own}”: what is explained is entailment {against}. Words of that "
        "sentence are the question and no evidence, so they are never taken out and have no scores."
    )
