"""The question that stands behind a text, in words: a hypothesis or a continuation, and what it was held against."""

from __future__ import annotations

from explain.records import Explanation


def question(explanation: Explanation, index: int = 0) -> str:
    """What was asked beside the text, and what its scores are of; '' where the text alone was read.

    Args:
        explanation: the explanation.
        index: which of its attributions.
    """
    asked = explanation.candidates
    if explanation.model.problem == "continuation":
        return (
            "The continuation is the question and no evidence: each of its tokens is read after those before it as "
            "they are written, is never taken out, and has no score."
        )
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
