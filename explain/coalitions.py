"""What the model says when only some of the words are there: the question under every perturbation method."""

from __future__ import annotations

from typing import get_args

import numpy as np
from jaxtyping import Bool, Float64

from explain.case import Ask, Case, Replacement, Steps
from explain.records import Target

REPLACEMENTS: tuple[str, ...] = get_args(Replacement)


def coalition_values(
    case: Case, kept: Bool[np.ndarray, "N U"], how: Replacement, target: Target | None = None
) -> Steps[Float64[np.ndarray, "N"]]:
    """The target's value for each row of `kept`: marked units stay, the others are replaced or removed.

    Equal rows are evaluated once. `target` is another scalar than the case's (None: the case's).
    """
    distinct, index = np.unique(kept, axis=0, return_inverse=True)
    answer = yield Ask([case.row(target) if units.all() else case.without(~units, how, target) for units in distinct])
    return answer.values.astype(np.float64)[index.reshape(-1)]
