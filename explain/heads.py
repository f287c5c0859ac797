"""What attention looks like over one text: plain data, readable without torch.

Letters in shapes: L layers, H heads, T tokens, Q tokens that look where they are others than those looked at, d the
width of a head. Where heads look is no explanation of a decision; every report carries that sentence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Bool, Float32

from explain.catalog import Request
from explain.record import Record
from explain.records import Kind, Report, Tokens

CAVEAT = (
    "Where heads look is not why the model decided: attention often disagrees with measured effects (Jain & Wallace "
    "2019), whether it can explain at all is disputed (Wiegreffe & Pinter 2019), and it can be trained to deceive "
    "(Pruthi et al. 2020)."
)
Ablation = Literal["mean", "resample", "zero"]
PARALLEL = ("segment", "ids", "strings", "offsets", "special", "words")
"""What Tokens say of each token."""


@dataclass(frozen=True, eq=False)
class HeadsRequest(Record):
    """A question about attention: the text and target of `about`, and how heads are taken out (None: they are not).

    `masked` are words (their index) that the model does not get to read.
    """

    about: Request
    ablation: Ablation | None = "mean"
    masked: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class StackRequest(HeadsRequest):
    """The same about a model with an encoder and a decoder, of whose heads `kind` names some."""

    kind: Kind = "cross"


@dataclass(frozen=True, eq=False)
class HeadRequest(Record):
    """A question about one head of one layer, or about the mean of all its heads (`head` None).

    `kind` says whose layer, of a model with an encoder and a decoder; else it is None.
    """

    about: Request
    layer: int
    head: int | None
    masked: tuple[int, ...] = ()
    kind: Kind | None = None


@dataclass(frozen=True, eq=False)
class Glance(Report):
    """All heads at a glance.

    `statistics` holds a number a head by name (`explain.attention.statistics.MEANING`). `effects` is how far the
    target falls when a head is replaced (None: not measured, `unmeasured` says why). A quantity that this text has no
    case of is left out. `difference` is how far the answer of the recorded passes was from a plain one.
    """

    statistics: Mapping[str, Float32[np.ndarray, "L H"]]
    effects: Float32[np.ndarray, "L H"] | None
    ablation: Ablation | None
    unmeasured: str
    difference: float


@dataclass(frozen=True, eq=False)
class StackReport(Glance):
    """The heads of one `kind`, of a model with an encoder and a decoder: each stack's own, or those between both.

    Layers count from 0 on in each stack. What of attention is followed through all layers ends in one stack, and is no
    part of it.
    """

    kind: Kind
    caveat: str = CAVEAT
    schema: str = "stack/1"


@dataclass(frozen=True, eq=False)
class HeadsReport(Glance):
    """The heads of a model with one stack.

    `read` are the positions of the last layer that move the answer, by the slope there: all where
    that cannot be asked. `position` is the one (None: several). `rollout` rows are positions of the last layer, columns
    input tokens. `flow` is what each input token can send to `position` (None for texts of more than 64 tokens, and
    where there is no one position). `decoder_layers` have attention too, and are left out.
    """

    kind: Literal["encoder", "causal"]
    rollout: Float32[np.ndarray, "T T"]
    flow: Float32[np.ndarray, "T"] | None
    position: int | None
    read: tuple[int, ...] = ()
    decoder_layers: int = 0
    caveat: str = CAVEAT
    schema: str = "heads/1"


@dataclass(frozen=True, eq=False)
class HeadMap(Record):
    """One head (None: the mean of the layer's) over one text: `weights` rows are queries and sum to 1.

    Of a model with an encoder and a decoder `kind` says whose it is, and `sides` which of the `tokens` rows and columns
    are; else it is None, and all are both.
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
    weights: Float32[np.ndarray, "Q T"]
    norms: Float32[np.ndarray, "Q T"] | None = None
    query: Float32[np.ndarray, "Q d"] | None = None
    key: Float32[np.ndarray, "T d"] | None = None
    scaling: float | None = None
    total: Float32[np.ndarray, "Q"] | None = None
    visible: Bool[np.ndarray, "Q T"] | None = None
    cap: float | None = None
    sink: Float32[np.ndarray, "Q"] | None = None
    kind: Kind | None = None
    caveat: str = CAVEAT
    schema: str = "head/2"

    READ: ClassVar[tuple[str, ...]] = ("head/1", "head/2")

    @property
    def sides(self) -> tuple[Tokens, Tokens]:
        """The tokens that look (rows), and those that are looked at (columns)."""
        return sides(self.tokens, self.kind, self.weights.shape)


def sides(tokens: Tokens, kind: Kind | None, shape: tuple[int, ...]) -> tuple[Tokens, Tokens]:
    """The tokens that look and those looked at, of weights of this `kind` and `shape` (rows, columns).

    Where an encoder reads and a decoder writes, its tokens are the first ones and the decoder's the last ones.
    """
    rows, columns = shape
    first, last = _part(tokens, slice(0, columns)), _part(tokens, slice(len(tokens.ids) - rows, None))
    if kind == "cross":
        return last, first
    return (last, last) if kind == "causal" else (first, first)


def _part(tokens: Tokens, which: slice) -> Tokens:
    """Some tokens in a row, of the same texts."""
    cut = {name: getattr(tokens, name)[which] for name in PARALLEL}
    return replace(tokens, **cut)
