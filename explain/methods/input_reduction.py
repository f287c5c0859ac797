"""Input reduction: take words away, one by one, as long as the decision stays; what is left is a smallest text.

    at each step remove the word whose removal leaves the decision surest; stop before the decision would change

Feng, Wallace, Grissom, Iyyer, Rodriguez & Boyd-Graber 2018, with measured instead of estimated removals and a beam.
What is compared is the decision's lead over the best other label (a sigmoid's log-odds), whatever quantity was asked.
The k-th of n words to go scores k / (n + 1), those that remain score 1. It is smallest only among the texts that the
search saw. What remains often means nothing to people: that is the finding, not a reason.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool

from explain.case import Ask, Case, Steps
from explain.catalog import TargetKind
from explain.coalitions import coalition_values
from explain.errors import MethodError
from explain.methods import method
from explain.plugins import choice, number
from explain.records import Attribution, ModelInfo, Target


@dataclass(frozen=True)
class Params:
    """`beam` is how many shortened texts are followed at once."""

    replacement: str = choice("remove", "remove", "mask", "pad", "unk", help="what stands in a removed word's place")
    beam: int = number(3, 1, 20, help="shortened texts that are followed at once")


def _why_not(info: ModelInfo) -> str | None:
    return "a regression decides nothing that a shorter text could keep." if info.problem == "regression" else None


@method(
    title="Input reduction",
    family="perturbation",
    cite="Feng et al. 2018, arXiv:1804.07781",
    misleads="What remains often reads as nonsense, and the model may be surer of it than of the text.",
    signed=False,
    why_not=_why_not,
    cost=lambda units: (4 * units * (units + 1) // 5, 0),  # what three beams ask is often the same
)
def input_reduction(case: Case, params: Params) -> Steps[Attribution]:
    """Takes words away while the decision stays, and shows the shortest text that still gets it."""
    n, lead = case.n_units, _lead(case)
    answer = yield Ask([case.row()])
    value = float(answer.values[0])
    beam: list[tuple[Bool[np.ndarray, "U"], list[int]]] = [(np.ones(n, dtype=bool), [])]
    best = beam[0]
    while beam[0][0].sum() > 1:
        tries = [(kept & (np.arange(n) != u), [*gone, int(u)]) for kept, gone in beam for u in np.flatnonzero(kept)]
        tries = list({kept.tobytes(): (kept, gone) for kept, gone in tries}.values())
        values = yield from coalition_values(case, np.array([k for k, _ in tries]), params.replacement, lead)  # type: ignore[arg-type]
        order = [i for i in np.argsort(-values, kind="stable")[: params.beam].tolist() if values[i] > 0]
        if not order:
            break
        beam = [tries[i] for i in order]
        best = beam[0]
    scores = np.ones(n)
    for place, unit in enumerate(best[1]):
        scores[unit] = (place + 1) / (n + 1)
    return case.attribution(unit_scores=scores, value_input=value, baseline=case.stands_in(params.replacement))


def _lead(case: Case) -> Target:
    """What is above 0 exactly where the explained label is decided; raises MethodError where this text's is not."""
    if case.target.index not in case.prediction.decided:
        few = [f"“{case.prediction.labels[i][:80]}”" for i in case.prediction.decision[:3]]
        more = ["others"] if len(case.prediction.decision) > 3 else []
        decided = " and ".join(few + more) or "none of its labels"
        raise MethodError(
            f"Input reduction keeps a decision, and for this text the model decides {decided}, not what "
            "is explained. Choose a label that it decides, or use another method.",
            code="not_decided",
        )
    kind: TargetKind = "margin" if case.prediction.activation == "softmax" else "log_odds"
    return replace(case.target, kind=kind, contrast=None)
