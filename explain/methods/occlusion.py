"""Occlusion: take each word out and measure what changes.

    score_u = f(x) − f(x without u)

Zeiler & Fergus 2014; "erasure" in Li, Monroe & Jurafsky 2016; leave-one-out. Each score is a direct
measurement, exact for the question it asks. It misleads where words back each other up (removing
either changes nothing) and where the shortened text is unlike anything the model was trained on.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain

import numpy as np

from explain.case import Case, Steps
from explain.methods import method
from explain.plugins import choice
from explain.records import Attribution
from explain.together import values as values_of


@dataclass(frozen=True)
class Params:
    """What stands in a removed word's place."""

    replacement: str = choice("mask", "mask", "remove", "pad", "unk", help="what stands in a removed word's place")


@method(
    title="Occlusion (leave one out)",
    family="perturbation",
    cite="Zeiler & Fergus 2014, arXiv:1311.2901; Li, Monroe & Jurafsky 2016, arXiv:1612.08220",
    misleads="Words that back each other up all score near zero; the scores do not add up to the decision.",
    axioms=("dummy",),
    cost=lambda units: (units + 1, 0),
    alone=True,
)
def occlusion(case: Case, params: Params) -> Steps[Attribution]:
    """Takes each word out in turn and measures how far the decision moves."""
    alone = np.eye(case.n_units, dtype=bool)  # (U, U)
    values = yield from values_of(case, chain([case.row()], (case.without(u, params.replacement) for u in alone)))  # type: ignore[arg-type]
    value, without = float(values[0]), values[1:].astype(np.float64)
    return case.attribution(unit_scores=value - without, value_input=value, baseline=case.stands_in(params.replacement))
