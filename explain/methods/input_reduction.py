"""Input reduction: take words away, one by one, as long as the decision stays; what is left is a smallest text.

    at each step remove the word whose removal leaves the target highest; stop before the decision would change

Feng, Wallace, Grissom, Iyyer, Rodriguez & Boyd-Graber 2018, with measured instead of estimated removals and a beam.
Words that remain score 1, the others the share of words that were still there when they went. It is smallest only
among the texts that the search saw. What remains often means nothing to people: that is the finding, not a reason.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from explain.case import Case, Steps
from explain.coalitions import coalition_values
from explain.methods import method
from explain.plugins import choice, number
from explain.records import Attribution


@dataclass(frozen=True)
class Params:
    """`beam` is how many shortened texts are followed at once."""

    replacement: str = choice("remove", "remove", "mask", "pad", "unk", help="what stands in a removed word's place")
    beam: int = number(3, 1, 20, help="shortened texts that are followed at once")


@method(
    title="Input reduction",
    family="perturbation",
    cite="Feng et al. 2018, arXiv:1804.07781",
    misleads="What remains often reads as nonsense, and the model may be surer of it than of the text.",
    signed=False,
    cost=lambda units: (3 * units * (units + 1) // 2, 0),
)
def input_reduction(case: Case, params: Params) -> Steps[Attribution]:
    """Takes words away while the decision stays, and shows the shortest text that still gets it."""
    n = case.n_units
    whole = yield from coalition_values(case, np.ones((1, n), dtype=bool), params.replacement)  # type: ignore[arg-type]
    beam: list[tuple[Bool[np.ndarray, "U"], list[int]]] = [(np.ones(n, dtype=bool), [])]
    keeps = float(whole[0]) > 0  # log-odds: the outcome is likelier than not
    best = beam[0]
    while keeps and beam[0][0].sum() > 1:
        tries = [(kept & (np.arange(n) != u), [*gone, int(u)]) for kept, gone in beam for u in np.flatnonzero(kept)]
        tries = list({kept.tobytes(): (kept, gone) for kept, gone in tries}.values())
        values = yield from coalition_values(case, np.array([k for k, _ in tries]), params.replacement)  # type: ignore[arg-type]
        order = [i for i in np.argsort(-values, kind="stable")[: params.beam].tolist() if values[i] > 0]
        if not order:
            break
        beam = [tries[i] for i in order]
        best = beam[0]
    scores = np.ones(n)
    for place, unit in enumerate(best[1]):
        scores[unit] = (place + 1) / (n + 1)
    return case.attribution(
        unit_scores=scores, value_input=float(whole[0]), baseline=case.stands_in(params.replacement)
    )
