"""What attention looks like over one text: plain data, readable without torch.

Letters in shapes: L layers, H heads, T tokens, d the width of a head. Where heads look is no explanation of a
decision; every report carries that sentence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float32

from explain.catalog import Request
from explain.record import Record
from explain.records import Report, Tokens

CAVEAT = (
    "Where heads look is not why the model decided: attention often disagrees with measured effects (Jain & Wallace "
    "2019), whether it can explain at all is disputed (Wiegreffe & Pinter 2019), and it can be trained to deceive "
    "(Pruthi et al. 2020)."
)
Ablation = Literal["mean", "resample", "zero"]


@dataclass(frozen=True, eq=False)
class HeadsRequest(Record):
    """A question about attention: the text and target of `about`, and how heads are taken out (None: they are not).

    `masked` are words (their index) that the model does not get to read.
    """

    about: Request
    ablation: Ablation | None = "mean"
    masked: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class HeadRequest(Record):
    """A question about one head of one layer, or about the mean of all its heads (`head` None)."""

    about: Request
    layer: int
    head: int | None
    masked: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class HeadsReport(Report):
    """All heads at a glance.

    `statistics` holds a number a head by name (`explain.attention.statistics.MEANING`). `effects` is how far the
    target falls when a head is replaced (None: not measured, `unmeasured` says why). A quantity that this text has no
    case of is left out. `read` are the positions of the last layer that move the answer, by the slope there: all where
    that cannot be asked. `position` is the one (None: several). `rollout` rows are positions of the last layer, columns
    input tokens. `flow` is what each input token can send to `position` (None for texts of more than 64 tokens, and
    where there is no one position). `decoder_layers` have attention too, and are left out.
    `difference` is how far the answer of the recorded passes was from a plain one.
    """

    kind: Literal["encoder", "causal"]
    statistics: Mapping[str, Float32[np.ndarray, "L H"]]
    effects: Float32[np.ndarray, "L H"] | None
    ablation: Ablation | None
    unmeasured: str
    rollout: Float32[np.ndarray, "T T"]
    flow: Float32[np.ndarray, "T"] | None
    position: int | None
    difference: float
    read: tuple[int, ...] = ()
    decoder_layers: int = 0
    caveat: str = CAVEAT
    schema: str = "heads/1"


@dataclass(frozen=True, eq=False)
class HeadMap(Record):
    """One head (None: the mean of the layer's) over one text: `weights` rows are queries and sum to 1.

    Where the model has a sink (a logit without a token), rows sum to 1 − `sink`: this share is given to nothing.
    `norms` is the length of what each token (column) gives to each position (Kobayashi et al. 2020). `query` and `key`
    explain a weight element by element: weight = exp(logit − `total`) where `visible` (else a mask makes it 0), logit =
    query · key · `scaling`, capped to cap · tanh(· / cap) where there is a `cap`, plus biases; so the biases are what
    log(weight) + total leaves over. All are None where the architecture hides them; a mean of heads has norms (of all
    heads together), but no query and key.
    """

    layer: int
    head: int | None
    tokens: Tokens
    weights: Float32[np.ndarray, "T T"]
    norms: Float32[np.ndarray, "T T"] | None = None
    query: Float32[np.ndarray, "T d"] | None = None
    key: Float32[np.ndarray, "T d"] | None = None
    scaling: float | None = None
    total: Float32[np.ndarray, "T"] | None = None
    visible: Bool[np.ndarray, "T T"] | None = None
    cap: float | None = None
    sink: Float32[np.ndarray, "T"] | None = None
    caveat: str = CAVEAT
    schema: str = "head/1"
