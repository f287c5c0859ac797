"""DeepLIFT (rescale rule): the change from a baseline, handed back through the model layer by layer.

    score_t = Σ_d (x_td − b_td) · m_td,   m: gradients in which an activation's slope is Δ output / Δ input

Shrikumar, Greenside & Kundaje 2017. Two passes instead of many, and exact for layers that are linear or activations.
It has no rule for normalisation, attention, or activations that are not modules, which Transformers are full of; so its
claim that the scores add up is measured on each model first, and where it fails the method is refused unless forced.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from explain.case import Ask, Case, Steps
from explain.methods import method
from explain.plugins import choice
from explain.records import Attribution, Evaluations


@dataclass(frozen=True)
class Params:
    """What the text is compared with."""

    baseline: str = choice(
        "auto", "auto", "mask", "pad", "unk", "zero", "mean", help="what every word is compared with"
    )


def _reason(module: Any) -> str:
    from explain.model.rescale import without_rule  # 3 s of torch that listing methods must not pay

    kinds = without_rule(module)
    if getattr(getattr(module, "config", None), "num_attention_heads", 0):
        kinds.append("attention")
    if not kinds:
        return "The model computes something that is not a module of its own, and for that it has no rule."
    return f"It has no rule for {' and '.join(filter(None, (', '.join(kinds[:-1]), kinds[-1])))}."


@method(
    title="DeepLIFT (rescale)",
    family="gradient",
    cite="Shrikumar, Greenside & Kundaje 2017, arXiv:1704.02685",
    misleads="No rule for normalisation and attention: on most Transformers it misses its own claim and is refused.",
    axioms=("complete",),
    gated=_reason,
    cost=lambda units: (2, 1),
)
def deep_lift(case: Case, params: Params) -> Steps[Attribution]:
    """Hands the change from a neutral text back through the layers, each by its own step; two passes."""
    name, start = case.baseline(params.baseline)
    before = yield Ask([case.point(start, 0.0)])
    after = yield Ask([case.point(start, 1.0)], gradients=True, rescaled=True)
    scores = ((case.embeds - start).astype(float) * after.gradients[0]).sum(1)  # (T,)
    return case.attribution(
        unit_scores=case.per_unit(scores),
        token_scores=scores,
        special=case.of_specials(scores),
        value_input=float(after.values[0]),
        baseline=name,
        value_baseline=float(before.values[0]),
        evaluations=Evaluations(forward=1),  # the start, run again beside the text
    )
