"""What methods that look at layers share: their parameters, and where they do not apply."""

from __future__ import annotations

from dataclasses import dataclass

from explain.plugins import choice, number
from explain.records import ModelInfo


@dataclass(frozen=True)
class Params:
    """`layer` counts from 0; `steps` is the first number of nodes, `tolerance` the largest error of the total."""

    baseline: str = choice("auto", "auto", "mask", "pad", "unk", help="the text that this one is compared with")
    layer: int = number(0, 0, 200, help="the block whose output the change is divided at, counted from 0")
    steps: int = number(16, 4, 128, help="evaluations of the first try; doubled while the total is not exact")
    tolerance: float = number(0.01, 1e-5, 1.0, help="largest error of the total, as a share of the change explained")


def no_layers(info: ModelInfo) -> str | None:
    """Why a method that looks at layers does not apply to a model; None where it does."""
    if info.writes:
        return "the model has two stacks of layers, an encoder's and a decoder's."
    return None if info.n_layers else "the model does not say how many layers it has."
