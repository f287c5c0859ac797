"""One row is one pass through the model: the ids of one input, and where its embeddings are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int64

from explain.records import Kind, Target


@dataclass(frozen=True, eq=False)
class Slope(Target):
    """Σ weight · logit: what a target is near one point, or everywhere where it is linear. Never recorded."""

    weights: tuple[float, ...] = ()


@dataclass(frozen=True, eq=False, slots=True)
class Row:
    """`inputs` holds the model's integer inputs by name, each of its own length; `input_ids` is
    the one that is explained.

    Without `start` the model looks its embeddings up. With it, they are the point
    start + alpha · (end − start) of a straight path; rows of one path share both arrays. With `layer`
    that point stands in place of the output of this block instead. `muted` is a token whose value vector
    is zero in the attention of the block that is asked about. `places` are the tokens that the answer is read at, ()
    for the last one; of several, the value is the mean. `ablation` names a head (layer, head) whose output is
    replaced by a vector (d,) at every token. `tails` are the inputs that may stand at the row's end, one for every
    hypothesis or continuation that is asked about; `own` is the one that stands there. `rivals` are the tokens
    among which an answer is chosen, None where none is. `windows` are the tokens that the model reads at a time, ()
    where it reads all at once: such a row is a pass for each, and what is read is the mean, or all that is said in each
    (`explain.model.windows`).
    `source` is how many of the tokens, from the first on, an encoder reads while a decoder of its own reads the others;
    0 where one stack reads all.
    """

    inputs: Mapping[str, Int64[np.ndarray, "K"]]
    target: Target
    start: Float32[np.ndarray, "T D"] | None = None
    end: Float32[np.ndarray, "T D"] | None = None
    alpha: float = 1.0
    layer: int | None = None
    muted: int | None = None
    places: tuple[int, ...] = ()
    ablation: tuple[int, int, Float32[np.ndarray, "d"]] | None = None
    tails: tuple[Mapping[str, Int64[np.ndarray, "K"]], ...] = ()
    own: int = 0
    rivals: Bool[np.ndarray, "T"] | None = None
    windows: tuple[Int64[np.ndarray, "K"], ...] = ()
    source: int = 0

    @property
    def ids(self) -> Int64[np.ndarray, "T"]:
        """The token ids that are explained."""
        return self.inputs["input_ids"]

    @property
    def read(self) -> tuple[int, ...]:
        """The tokens that the answer is read at."""
        return self.places or (len(self) - 1,)

    def sides(self, kind: Kind | None) -> tuple[int, int]:
        """How many tokens look, and are looked at, in attention of this kind; all at all where one stack reads."""
        if not self.source:
            return len(self), len(self)
        written = len(self) - self.source
        return (self.source if kind == "encoder" else written), (written if kind == "causal" else self.source)

    def __len__(self) -> int:
        return len(self.inputs["input_ids"])
