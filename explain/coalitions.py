"""What the model says when only some of the words are there: the question under every perturbation method."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt8

from explain.case import Case, Replacement, Steps
from explain.records import Target
from explain.together import TOGETHER
from explain.together import values as values_of

AT_ONCE = 4_096
"""Rows that are prepared together, fewer of a long text: some tenths of a second, after which a cancel is seen."""
Sets = Bool[np.ndarray, "N U"]


def coalition_values(
    case: Case, kept: Sets | Iterable[Sets], how: Replacement, target: Target | None = None
) -> Steps[Float64[np.ndarray, "N"]]:
    """The target's value for each row of `kept`: marked units stay, the others are replaced or removed.

    Equal rows are evaluated once. Rows may come in several arrays, one after the other; of each only its bits are held.
    `target` is another scalar than the case's (None: the case's).
    """
    distinct, index = _distinct([kept] if isinstance(kept, np.ndarray) else kept)
    values, most = [], max(1, min(AT_ONCE, TOGETHER[False] // len(case.tokens.ids)))
    for start in range(0, max(1, len(distinct)), most):
        part = np.unpackbits(distinct[start : start + most], axis=1, count=case.n_units).view(bool)
        found = yield from values_of(
            case, (case.row(target) if u.all() else case.without(~u, how, target) for u in part)
        )
        values.append(found.astype(np.float64))
    return np.concatenate(values)[index]


def _distinct(kept: Iterable[Sets]) -> tuple[UInt8[np.ndarray, "K B"], Int64[np.ndarray, "N"]]:
    """Each row once, in order, eight units a byte (B), and which of them every row is.

    As `np.unique` with an axis, which compares unit by unit and takes seconds for 80,000 rows; bytes of eight units
    have the same order.
    """
    packed = np.concatenate([np.packbits(some, axis=1) for some in kept])
    width = packed.shape[1]
    whole, index = np.unique(packed.view(f"V{width}").reshape(-1), return_inverse=True)
    return whole.view(np.uint8).reshape(-1, width), index.reshape(-1)
