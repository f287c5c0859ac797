"""Two explanations side by side: what keeps their scores from being subtracted."""

from __future__ import annotations

import numpy as np

from explain.records import Explanation
from explain.render.sentences import outcome


def apart(one: Explanation, two: Explanation) -> str | None:
    """Why the scores of two explanations cannot be subtracted, in a sentence; None where they can."""
    if one.tokens.texts != two.tokens.texts or not one.attributions or not two.attributions:
        return "The texts are not the same, so their words are not set side by side."
    a, b = one.attributions[0], two.attributions[0]
    if not (np.array_equal(a.units, b.units) and np.array_equal(a.unit_segment, b.unit_segment)):
        return "The words are cut in another way, so they are not set side by side."
    if (a.target.name, a.target.unit) != (b.target.name, b.target.unit):
        return (
            f"One explains {a.target.unit} of {outcome(a.target)}, the other {b.target.unit} of {outcome(b.target)}, "
            "so their scores are not subtracted."
        )
    if (a.target.position, a.target.positions) != (b.target.position, b.target.positions):
        return "They explain the answer at different places of the text, so their scores are not subtracted."
    if (a.method, a.baseline) != (b.method, b.baseline):
        return "They were scored by different methods or against different baselines, so scores are not subtracted."
    return None
