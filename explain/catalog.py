"""What can be asked for: methods and their parameters, models, and the request itself. Plain data, no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from explain.candidates import Candidates
from explain.record import Record

TargetKind = Literal["log_odds", "logit", "margin", "probability"]
Grain = Literal["word", "token", "sentence", "hierarchical"]
"""What is scored; hierarchical: whole sentences, and the words of those that matter (see `explain.outline`)."""


@dataclass(frozen=True, eq=False)
class ParamInfo(Record):
    """One parameter of a method: all that a face needs to offer it. Bounds are None where there is none."""

    name: str
    kind: Literal["choice", "integer", "number", "boolean", "text"]
    default: Any
    help: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Claim(Record):
    """A method's claim that its scores add up, as measured on one model.

    `residual` is the median of |residual| / scale over `texts` fixed texts, `threshold` the most that is allowed,
    `kept` whether it is not exceeded, `reason` a sentence that says why it is ('' where the claim is kept).
    """

    residual: float
    threshold: float
    texts: int
    kept: bool
    reason: str = ""


@dataclass(frozen=True, eq=False)
class MethodInfo(Record):
    """A method as faces see it.

    `summary` says what it measures, `misleads` when not to believe it. `axioms` names what it
    claims: complete, dummy, symmetric. `cite` is the paper. `limit` is the most words it takes, None for any number.
    `claim` is what its claim measured on a model, None where there is no model or nothing to measure.
    """

    name: str
    title: str
    family: str
    summary: str
    misleads: str
    cite: str
    params: tuple[ParamInfo, ...]
    axioms: tuple[str, ...]
    signed: bool
    stochastic: bool
    limit: int | None = None
    claim: Claim | None = None


@dataclass(frozen=True, eq=False)
class ModelCard(Record):
    """A bundled model as a face lists it, read from its card's front matter."""

    name: str
    title: str
    task: str
    labels: tuple[str, ...]
    licence: str
    summary: str


@dataclass(frozen=True, eq=False)
class Request(Record):
    """One question: which text, which decision, which methods. The same for every face.

    `target` is a label, a class index, or None for what the model decided; `contrast` asks 'why the
    target and not this?'. `place` chooses among several masks, words with a tag each, or tokens of what is written,
    from 0 on; None: the first mask, the word that the prediction is about by itself, or what is written next.
    `candidates` are labels of a person's own to choose among, None for the model's outcomes. `continuation` is what may
    follow the text, or be written about it: its log-probability is explained, less that of `contrast`, which is a
    continuation too then.
    `roles` say who wrote each of the texts where they are the messages of a conversation, () where they are none.
    `attention` lists layers to keep, None for none. `checks` lists names,
    None for the default set; `checked` is how many of the methods, in order, they are run for (None: all).
    `orders` is how many random orders the removal checks draw. `budget` bounds the gradient evaluations
    spent on one text by one method. `phrases` are (text, start, end) characters that are scored as one unit,
    `rationale` those that a person marked as the reason. `forced` runs methods that miss their own claim on this model.
    `interactions` asks what pairs of words do together. `truncate` cuts a text that is too long; with `windows` it is
    seen through windows that overlap, up to 8,192 tokens (see `explain.model.windows`).
    """

    texts: tuple[str, ...]
    methods: tuple[str, ...] = ("integrated_gradients",)
    params: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    target: str | int | None = None
    contrast: str | int | None = None
    place: int | None = None
    candidates: Candidates | None = None
    continuation: str | None = None
    roles: tuple[str, ...] = ()
    quantity: TargetKind = "log_odds"
    granularity: Grain = "word"
    attention: tuple[int, ...] | None = None
    checks: tuple[str, ...] | None = None
    checked: int | None = None
    truncate: bool = False
    budget: int = 512
    orders: int = 20
    seed: int = 0
    phrases: tuple[tuple[int, int, int], ...] = ()
    rationale: tuple[tuple[int, int, int], ...] = ()
    forced: bool = False
    interactions: bool = False
    windows: bool = False


@dataclass(frozen=True, eq=False)
class Forecast(Record):
    """What an explanation will cost on this machine.

    `seconds` is None before anything was timed, infinite where it will be refused. `memory` is in bytes, the model's
    weights included: the most that is held at once; None before anything was counted, and where it will be refused.
    """

    seconds: float | None = None
    memory: int | None = None


@dataclass(frozen=True, eq=False)
class PredictRequest(Record):
    """What does the model decide? Without why. One text, or the two of a pair; `truncate` cuts what is too long.

    `place`, `candidates`, `windows` and `roles` as in Request.
    """

    texts: tuple[str, ...]
    truncate: bool = False
    place: int | None = None
    candidates: Candidates | None = None
    roles: tuple[str, ...] = ()
    windows: bool = False


@dataclass(frozen=True, eq=False)
class Progress(Record):
    """How far running work is: what is being computed, rows done, and rows in all (None: not known yet)."""

    stage: str
    done: int
    total: int | None = None
