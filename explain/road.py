"""One token's road through a model, number by number: plain data, readable without torch.

Letters in shapes: T tokens, D the width of the model, d and e the widths of a head's keys and values, N neurons of a
feed-forward, C outcomes. Every vector belongs to one token unless T is in its shape. What an architecture does not
show is None, and `reasons` of the report says why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float32

from explain.catalog import Request
from explain.record import Record
from explain.records import Report

PositionKind = Literal["learned", "sinusoidal", "rotary", "relative", "none found"]


@dataclass(frozen=True, eq=False)
class RoadRequest(Record):
    """A question about one token in one layer, seen through one head."""

    about: Request
    layer: int
    head: int
    token: int


@dataclass(frozen=True, eq=False)
class TablePart(Record):
    """What a table of vectors adds for the token: row `index` of the table that the model calls `name`."""

    kind: Literal["word", "position", "token type", "other"]
    name: str
    index: int
    vector: Float32[np.ndarray, "D"]


@dataclass(frozen=True, eq=False)
class NormStep(Record):
    """One normalisation: after = gain · (before − mean) / √(deviation² + eps) + shift.

    An RMS norm does not subtract the mean: its `mean` is the number that was not used, its `deviation` the root of the
    mean square.
    """

    name: str
    kind: Literal["layer norm", "RMS norm"]
    before: Float32[np.ndarray, "D"]
    mean: float
    deviation: float
    eps: float
    gain: Float32[np.ndarray, "D"]
    shift: Float32[np.ndarray, "D"]
    after: Float32[np.ndarray, "D"]


@dataclass(frozen=True, eq=False)
class EmbeddingStep(Record):
    """What enters the first block: the sum of the parts, normalised where the model does that.

    `unexplained` is the length of entering − norm(Σ parts): what the model adds without looking it up in a table.
    """

    parts: tuple[TablePart, ...]
    norm: NormStep | None
    entering: Float32[np.ndarray, "D"]
    unexplained: float


@dataclass(frozen=True, eq=False)
class PositionStep(Record):
    """How the model knows the order of the words.

    `table` holds what is added at each position (the first 64 dimensions), or the angles by which a rotary model turns
    pairs of dimensions, or the row of biases that a relative one adds to the scores of this token.
    """

    kind: PositionKind
    table: Float32[np.ndarray, "T K"] | None


@dataclass(frozen=True, eq=False)
class AttentionStep(Record):
    """One head, as the token sees it.

    weights = softmax(scores + bias where visible), scores = query · keyᵀ · scaling, mixed = Σ weights · value. A model
    with a sink (a learned logit without a token) gives `sink` of its weight to nothing: the weights sum to 1 − sink.
    `bias` is all that is added to the scores, a cap's effect (cap · tanh(scores / cap)) included.
    `projected` is what this head's output becomes through the output projection, without its constant; `output` is all
    heads together, with it. Both are None where no projection was found.
    """

    query: Float32[np.ndarray, "d"]
    key: Float32[np.ndarray, "T d"]
    value: Float32[np.ndarray, "T e"]
    scaling: float
    scores: Float32[np.ndarray, "T"]
    bias: Float32[np.ndarray, "T"]
    visible: Bool[np.ndarray, "T"]
    weights: Float32[np.ndarray, "T"]
    mixed: Float32[np.ndarray, "e"]
    projected: Float32[np.ndarray, "D"] | None
    output: Float32[np.ndarray, "D"] | None
    sink: float = 0.0


@dataclass(frozen=True, eq=False)
class SumStep(Record):
    """A residual connection: total = Σ terms, each with the name of where it comes from."""

    name: str
    terms: Mapping[str, Float32[np.ndarray, "D"]]
    total: Float32[np.ndarray, "D"]


@dataclass(frozen=True, eq=False)
class FeedForwardStep(Record):
    """The feed-forward part: output = hidden · out + constant.

    hidden = activation(before), or activation(gate) · before with a gate; these and `given` are None where they were
    not seen. `lengths` is how long a vector each neuron
    adds: |hidden| times the length of its row in the last matrix.
    """

    given: Float32[np.ndarray, "D"] | None
    gate: Float32[np.ndarray, "N"] | None
    before: Float32[np.ndarray, "N"] | None
    activation: str
    hidden: Float32[np.ndarray, "N"]
    lengths: Float32[np.ndarray, "N"]
    output: Float32[np.ndarray, "D"]


@dataclass(frozen=True, eq=False)
class HeadStep(Record):
    """One module between the last block and the answer, on the vector that the answer is read from."""

    name: str
    kind: str
    given: Float32[np.ndarray, "K"]
    made: Float32[np.ndarray, "M"]


@dataclass(frozen=True, eq=False)
class AnswerStep(Record):
    """The head: logits = weight · vector + bias, for the outcomes that the prediction keeps.

    `reads` is the token that the vector comes from.

    `reads` is None where the vector mixes several tokens, or where the way from the last block was not found. `steps`
    chain: each is given what the one before made. With `decoder`, `reads` is a place of the decoder, not of the block.
    """

    reads: int | None
    steps: tuple[HeadStep, ...]
    vector: Float32[np.ndarray, "K"]
    weight: Float32[np.ndarray, "C K"]
    bias: Float32[np.ndarray, "C"]
    logits: Float32[np.ndarray, "C"]
    decoder: bool = False


@dataclass(frozen=True, eq=False)
class Road(Report):
    """Everything that happens to one token in one block, with its beginning and its end.

    `near` are the other tokens of the vocabulary whose vectors point most nearly the way of this token's word vector,
    with the cosine; `near_after` the same for what leaves the block, which compares different spaces: only a hint.
    `difference` is how far the answer of the recorded pass was from a plain one.
    """

    layer: int
    head: int
    token: int
    embedding: EmbeddingStep | None
    position: PositionStep
    entering: Float32[np.ndarray, "D"]
    attention: AttentionStep | None
    sums: tuple[SumStep, ...]
    norms: tuple[NormStep, ...]
    feed_forward: FeedForwardStep | None
    leaving: Float32[np.ndarray, "D"]
    answer: AnswerStep | None
    near: tuple[tuple[str, float], ...]
    near_after: tuple[tuple[str, float], ...]
    reasons: Mapping[str, str]
    difference: float
    schema: str = "road/1"
