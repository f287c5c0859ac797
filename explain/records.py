"""What an explanation is made of: frozen, plain data that any face can show, store and compare.

Letters in shapes: T tokens, U units (words or tokens that are scored), C classes, L layers,
H heads, D embedding width, K whatever the line says. Arrays are numpy, read-only, and belong to the
record. Nothing here can compute: records are readable without torch, for as long as there is JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int32, Int64

from explain.candidates import Candidates
from explain.origin import Machine as Machine
from explain.origin import ModelInfo as ModelInfo
from explain.origin import Provenance as Provenance
from explain.prediction import Prediction as Prediction  # part of what an explanation is made of
from explain.record import Record
from explain.words import Word, words_of

SCHEMA = "explain/3"
READ = ("explain/1", "explain/2", SCHEMA)
"""Schemas that are read: what a former one did not know is None."""

NORMAL = 1.96
"""A standard error times this is half of a 95 % interval."""

Status = Literal["pass", "warn", "fail", "not checked", "n/a"]
Question = Literal["computed correctly", "reacts as the scores say", "robust", "agrees with people"]
Stopped = Literal["settled", "budget", "asked"]
"""Why sampling ended: its intervals were tight, the budget was spent, a person had seen enough."""
Granularity = Literal["word", "token", "sentence"]
Kind = Literal["encoder", "causal", "cross"]
"""Which tokens look at which: all at all; each at those up to it; a decoder's at those that an encoder has read."""


@dataclass(frozen=True, eq=False)
class Tokens(Record):
    """What the model read. `texts` are the raw inputs, untouched (two for a sentence pair).

    `segment` is the index of the text a token comes from (−1: special), `offsets` its character span
    in that text (0, 0 if special), `words` the index of the word it belongs to (−1: special). The question is special
    too, but keeps its segment and offsets: a mask that the text asks about, or a hypothesis, which is the second text.
    `truncated_at` is the character of the last text (that is no question) where reading stopped, None if all was read.
    Of a conversation, `texts` are its messages and `roles` who wrote each; `rendered` is the whole text that was read,
    with what the model's chat template writes around them, whose tokens are special. () and None where there is none.
    """

    texts: tuple[str, ...]
    segment: Int32[np.ndarray, "T"]
    ids: Int64[np.ndarray, "T"]
    strings: tuple[str, ...]
    offsets: Int32[np.ndarray, "T 2"]
    special: Bool[np.ndarray, "T"]
    words: Int32[np.ndarray, "T"]
    truncated_at: int | None = None
    roles: tuple[str, ...] = ()
    rendered: str | None = None


@dataclass(frozen=True, eq=False)
class Target(Record):
    """The scalar that is explained. `index` is a class or vocabulary index; None for regression.

    kinds: log_odds (default), logit, margin, probability, contrast (index − contrast), value. `against` is the name
    of what is contrasted with, and `name` says both. `position` is the token that the target is read at, None for the
    whole text; `positions` are all of them where there are several, and the value is their mean. `joined` are outcomes
    that count as one (B-PER and I-PER for PER), of which `index` is the likeliest; `joined_against` are the contrast's.
    `span` says what of an answer is explained where answers are parts of the text: its start, its end, or both at once;
    `positions` are then its first and last token, one of them, or the contrast's too, and there is no mean. Else None.
    """

    kind: Literal["log_odds", "logit", "margin", "probability", "contrast", "value"]
    index: int | None
    name: str
    unit: str
    contrast: int | None = None
    position: int | None = None
    against: str | None = None
    positions: tuple[int, ...] = ()
    span: Literal["start", "end", "both"] | None = None
    joined: tuple[int, ...] = ()
    joined_against: tuple[int, ...] = ()

    @property
    def has_probability(self) -> bool:
        """Whether a probability follows from the value: log-odds v mean 1 / (1 + e^−v), a mean of several does not."""
        return self.kind == "log_odds" and (len(self.positions) < 2 or self.span is not None)


@dataclass(frozen=True, eq=False)
class Evaluations(Record):
    """Passes through the model: `forward` only, and `backward` (a forward and a backward each).

    A pass that several rows share (`explain.model.prefixes`) counts for each of them, as if it were alone.
    """

    forward: int = 0
    backward: int = 0


@dataclass(frozen=True, eq=False)
class Attribution(Record):
    """One method's answer to 'which part of the text moved the target, and by how much?'.

    `scores` are in units of the target (saliency: target per unit of embedding), one for each unit;
    `units` are character spans in the text of `unit_segment`; `unit_of` maps tokens to units (−1
    special). `special` is the specials' total. `baseline` names what the text was compared with;
    `gross` is Σ|token scores| of each unit (None where a method scores units whole).
    `value_baseline`, `residual` (value_input − value_baseline − Σ scores − special), `scale` and
    `scale_rule` are None for methods without one. `numeric_error` is what more evaluations could
    still move, `error` a sampling method's standard error, widened where samples are few so that ±1.96 of it
    is a 95 % interval. `path` holds the integration intervals as (start, end, nodes), so that a replay repeats
    and never re-decides. `exhausted`: the budget ended the refinement. `stopped` says why a sampling method
    ended: its intervals were tight, the budget was spent, or a person had seen enough; None for methods that do
    not sample in rounds.
    """

    method: str
    params: Mapping[str, Any]
    target: Target
    granularity: Granularity
    units: Int32[np.ndarray, "U 2"]
    unit_segment: Int32[np.ndarray, "U"]
    unit_of: Int32[np.ndarray, "T"]
    scores: Float32[np.ndarray, "U"]
    special: float
    signed: bool
    value_input: float
    gross: Float32[np.ndarray, "U"] | None = None
    baseline: str | None = None
    value_baseline: float | None = None
    residual: float | None = None
    scale: float | None = None
    scale_rule: Literal["difference", "scores", "floor"] | None = None
    numeric_error: Float32[np.ndarray, "U"] | None = None
    path: Float64[np.ndarray, "K 3"] | None = None
    error: Float32[np.ndarray, "U"] | None = None
    seed: int | None = None
    exhausted: bool = False
    stopped: Stopped | None = None
    evaluations: Evaluations = field(default_factory=Evaluations)

    @property
    def uncertainty(self) -> Float64[np.ndarray, "U"]:
        """How far each score may be off: its numeric error, half a sampling method's 95 % interval, or 0."""
        if self.numeric_error is not None:
            return self.numeric_error.astype(np.float64)
        return np.zeros(len(self.scores)) if self.error is None else NORMAL * self.error.astype(np.float64)

    @property
    def relative_residual(self) -> float | None:
        """|residual| / scale: how far the scores are from adding up. None without a baseline."""
        if self.residual is None or self.scale is None:
            return None
        return abs(self.residual) / self.scale


@dataclass(frozen=True, eq=False)
class Effects(Record):
    """What the model answers when words are really taken out: measured, not attributed.

    `without` is the target's value without each unit, `probs` the probability of the explained
    outcome without it (None where there is none). `named` are the units that the headline names,
    `without_named` and `prob_named` the same two numbers with all of those removed at once.
    """

    replacement: str
    units: Int32[np.ndarray, "U 2"]
    value_input: float
    prob_input: float | None
    without: Float32[np.ndarray, "U"]
    probs: Float32[np.ndarray, "U"] | None
    named: tuple[int, ...] = ()
    without_named: float | None = None
    prob_named: float | None = None


@dataclass(frozen=True, eq=False)
class Interactions(Record):
    """What pairs of units do together, beyond what each does alone: Shapley interaction indices.

    `units` are those that came and went; where the text has more, the others always stayed in it.
    `pairs` are indices into `units`, the first smaller; `scores` are in units of the target, positive where the two
    together speak more for it than apart. `error` is the standard error (None: exact). `baseline` names what
    stands in a removed unit's place. `stopped` as in Attribution; `evaluations` are the passes spent.
    """

    target: Target
    units: Int32[np.ndarray, "U 2"]
    unit_segment: Int32[np.ndarray, "U"]
    pairs: Int32[np.ndarray, "P 2"]
    scores: Float32[np.ndarray, "P"]
    baseline: str
    error: Float32[np.ndarray, "P"] | None = None
    seed: int | None = None
    stopped: Stopped | None = None
    evaluations: Evaluations = field(default_factory=Evaluations)


@dataclass(frozen=True, eq=False)
class AttentionMaps(Record):
    """Attention of one layer: rows are queries and sum to 1. It shows where heads look, not why.

    Of a model with an encoder and a decoder there are up to three of one `layer`, which counts from 0 on in each stack:
    `encoder` among the text's tokens, the first ones; `causal` among the decoder's, which follow; `cross` from the
    decoder's (rows) to the text's (columns). Of other models `kind` says whether any token looks ahead.
    """

    layer: int
    heads: tuple[int, ...]
    weights: Float32[np.ndarray, "H Tq Tk"]
    kind: Literal["encoder", "causal", "cross"]


@dataclass(frozen=True, eq=False)
class Check(Record):
    """One answer to 'may I believe this picture?'.

    `value` is what was measured, `yardstick` what a random explanation scores, `interval` a 95 %
    interval of `value`, `threshold` what it is held against (None: none). `attribution` is the
    index of the attribution in the explanation. `details` holds the numbers behind the sentence.
    """

    name: str
    attribution: int
    question: Question
    status: Status
    sentence: str
    value: float | None = None
    yardstick: float | None = None
    interval: tuple[float, float] | None = None
    threshold: float | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Notice(Record):
    """Something about the input or the target that a reader must know; `spans` says where (or is empty)."""

    code: str
    message: str
    segment: int = 0
    spans: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, eq=False)
class Report(Record):
    """What every answer about one decision begins with: whose decision, about what, and with what it was computed."""

    model: ModelInfo
    tokens: Tokens
    prediction: Prediction
    target: Target
    provenance: Provenance


@dataclass(frozen=True, eq=False)
class Explanation(Report):
    """All that the screen shows and the API returns; `candidates` as in Request, None for the model's outcomes."""

    attributions: tuple[Attribution, ...]
    effects: Effects | None
    attention: tuple[AttentionMaps, ...] | None
    checks: tuple[Check, ...]
    warnings: tuple[Notice, ...]
    interactions: Interactions | None = None
    candidates: Candidates | None = None
    schema: str = SCHEMA

    READ: ClassVar[tuple[str, ...]] = READ

    def words(self, attribution: int = 0) -> list[Word]:
        """The scored units of one attribution, in text order."""
        return words_of(self, self.attributions[attribution])
