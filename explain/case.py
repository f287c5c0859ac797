"""One text with one target, as methods and checks see it: rows to ask for, and sums over words.

A method or check is a generator. It yields an `Ask` (rows of which it wants values, or gradients
too), receives an `Answer`, and returns its result. So it is written for one text, and whoever drives
it evaluates the rows of all texts together.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, TypeVar, cast

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int64

from explain.errors import MethodError
from explain.model.encoding import Encoding
from explain.model.rows import Row
from explain.records import (
    NORMAL,
    Attribution,
    Evaluations,
    Granularity,
    Kind,
    ModelInfo,
    Prediction,
    Stopped,
    Target,
    Tokens,
)
from explain.units import Units

T = TypeVar("T")
Replacement = Literal["mask", "pad", "unk", "remove"]


@dataclass(frozen=True, eq=False)
class Ask:
    """Rows to evaluate: their values, and what else is asked for.

    `gradients`: also d value / d embeddings. With `layer`, the output of that block is returned too, and
    gradients are taken with respect to it. With `attention`, every layer's weights are returned, and
    gradients are taken with respect to them. With `heads`, the queries, keys, values and weights of this
    layer are returned, and values are 0: the pass ends there. Rows with an `ablation` are asked for by themselves.
    With `rescaled`, gradients are DeepLIFT's multipliers against the embeddings at the row's start. With `survey`, the
    one row's answer holds that summary of each layer (see `explain.model.heads.surveyed`). `kind` says whose attention
    is meant where two stacks read the rows, by all of these and by ablations; None where one does.
    """

    rows: Sequence[Row]
    gradients: bool = False
    layer: int | None = None
    attention: bool = False
    heads: int | None = None
    survey: Callable[..., Any] | None = None
    rescaled: bool = False
    kind: Kind | None = None


@dataclass(frozen=True, eq=False)
class Answer:
    """`values` of the rows, in their order, and one array a row of what was asked for; empty if it was not.

    `gradients` (T, D), or (L, H, T, T) with attention; `states` (T, D): the block's output; `attention` (L, H, T, T),
    or between the tokens of a kind (`Row.sides`); `heads` are `explain.model.heads.Heads`, or summaries. `cost` is what
    was spent where the Ask was answered at once (`Case.evaluate`).
    """

    values: Float32[np.ndarray, "N"]
    gradients: Sequence[Float32[np.ndarray, "..."]] = ()
    states: Sequence[Float32[np.ndarray, "T D"]] = ()
    attention: Sequence[Float32[np.ndarray, "L H Q T"]] = ()
    heads: Sequence[Any] = ()
    cost: Evaluations = field(default_factory=Evaluations)

    def part(self, start: int, stop: int) -> Answer:
        """The answer to the rows from `start` to `stop`."""
        return Answer(
            self.values[start:stop],
            self.gradients[start:stop],
            self.states[start:stop],
            self.attention[start:stop],
            self.heads[start:stop],
        )


@dataclass(frozen=True, eq=False)
class Draft:
    """A first answer that may be shown while the method refines it; yielded like an Ask, answered by nothing."""

    attribution: Attribution


Steps = Generator[Ask | Draft, Answer, T]


def at_once(steps: Steps[T], evaluate: Callable[[Ask], Answer]) -> T:
    """Run a generator by itself, each Ask answered by `evaluate`: for a model that nobody else is asked about."""
    answer: Any = None
    try:
        while True:
            said = steps.send(answer)
            answer = None if isinstance(said, Draft) else evaluate(said)
    except StopIteration as stop:
        return cast(T, stop.value)


@dataclass(frozen=True, eq=False)
class Case:
    """Everything about one question that a method may use; arrays are numpy.

    `special_ids` maps mask, pad and unk to token ids where the tokenizer has them; `embed` looks ids
    up; `evaluate` answers an Ask at once, for libraries that want to be given a function. `retold(texts, **changes)`
    makes the case of other texts with the same question, or with what the changes to the request say (raises
    InputError); with `ordinary=True` the texts are sentences that the task first makes a question of. `redrawn(seed)`
    is the same for a copy of the model whose weights were dealt anew; its cases are driven by `at_once` with their own
    `evaluate`, and the copy lives as long as they do. `nearest(token, count)` are the words
    with the nearest vectors. `kept` remembers what was found out about the model, whatever the text. `rationale` holds
    the (text, start, end) characters that a person marked as the reason; `enough` says whether a person has seen enough
    of a sampling method; `shift` is added to the word vectors (see `shifted`). `path` holds the intervals that an
    earlier answer ended with (`Attribution.path`), for a replay to end with the same ones; None to decide.
    """

    info: ModelInfo
    encoding: Encoding
    prediction: Prediction
    target: Target
    granularity: Granularity
    units: Units
    special_ids: Mapping[str, int]
    embed: Callable[[Int64[np.ndarray, "T"]], Float32[np.ndarray, "T D"]]
    mean_embedding: Callable[[], Float32[np.ndarray, "D"]]
    tokenize: Callable[[str], Int64[np.ndarray, "K"]]
    evaluate: Callable[[Ask], Answer]
    seed: int
    budget: int
    orders: int
    retold: Callable[..., Case]
    redrawn: Callable[[int], Callable[..., Case]]
    nearest: Callable[[int, int], list[str]]
    kept: MutableMapping[Hashable, Any]
    rationale: tuple[tuple[int, int, int], ...] = ()
    enough: Callable[[], bool] = lambda: False
    shift: Float32[np.ndarray, "T D"] | None = None
    path: Float64[np.ndarray, "K 3"] | None = None

    @cached_property
    def embeds(self) -> Float32[np.ndarray, "T D"]:
        """The vectors of the text's tokens; looked up at first use, since some models have no table."""
        found = self.embed(self.tokens.ids)
        return found if self.shift is None else found + self.shift

    def shifted(self, shift: Float32[np.ndarray, "T D"]) -> Case:
        """The same text with its word vectors moved; for methods that ask through `row`, `point` and `baseline`."""
        return replace(self, shift=shift)

    @property
    def tokens(self) -> Tokens:
        """The text's tokens."""
        return self.encoding.tokens

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts that the question is about; a hypothesis is none of them."""
        return self.tokens.texts[:-1] if self.encoding.options else self.tokens.texts

    @property
    def n_units(self) -> int:
        """How many units are scored."""
        return len(self.units.spans)

    def row(self, target: Target | None = None) -> Row:
        """The text as it is."""
        if self.shift is not None:
            return self.encoding.row(target or self.target, start=self.embeds, end=self.embeds)
        return self.encoding.row(target or self.target)

    def point(
        self, start: Float32[np.ndarray, "T D"], alpha: float, end: Float32[np.ndarray, "T D"] | None = None
    ) -> Row:
        """The text with its embeddings at start + alpha · (end − start); `end` defaults to its own embeddings."""
        return self.encoding.row(self.target, start=start, end=self.embeds if end is None else end, alpha=alpha)

    def baseline(self, name: str, text: str = "") -> tuple[str, Float32[np.ndarray, "T D"]]:
        """Embeddings of the text with every non-special token replaced, and the name of what replaced them.

        `name` is mask, pad, unk, zero, mean (of the vocabulary), text (the tokens of `text`, filled up) or auto
        (the first of mask, pad, zero that exists); raises MethodError when the tokenizer has no such token.
        """
        keep = self.tokens.special[:, None]  # (T, 1)
        if name == "zero" or (name == "auto" and not {"mask", "pad"} & self.special_ids.keys()):
            return "zero", np.where(keep, self.embeds, np.float32(0))
        if name == "mean":
            return "mean", np.where(keep, self.embeds, self.mean_embedding())
        chosen, ids = self.baseline_ids(name, text)
        return chosen, np.where(keep, self.embeds, self.embed(ids))

    def baseline_ids(self, name: str, text: str = "") -> tuple[str, Int64[np.ndarray, "T"]]:
        """As `baseline`, as token ids: for methods that need a text, so that there is no zero and no mean."""
        if name == "text":
            return "text", self._written_over(text)
        chosen = next((n for n in ("mask", "pad") if n in self.special_ids), "pad") if name == "auto" else name
        if chosen not in self.special_ids:
            raise MethodError(
                f"This model's tokenizer has no {chosen} token to compare with. Use one of: "
                f"auto, {', '.join(self.special_ids)}, zero.",
                code="no_baseline",
            )
        return chosen, np.where(self.tokens.special, self.tokens.ids, self.special_ids[chosen])

    def _written_over(self, text: str) -> Int64[np.ndarray, "T"]:
        """The ids of another text in the places of this one's words: cut where it is longer, filled where shorter."""
        content = np.flatnonzero(~self.tokens.special)
        other = self.tokenize(text)[: len(content)]
        if not len(other):
            raise MethodError("The baseline 'text' needs a text to compare with (baseline_text=…).", code="no_baseline")
        ids = self.tokens.ids.copy()
        ids[content] = self.filler("mask")[1]
        ids[content[: len(other)]] = other
        return ids

    @property
    def read(self) -> Int64[np.ndarray, "M"]:
        """The units that are read: all of them, or where one window holds the answer, those with a token in it."""
        if self.encoding.window is None:
            return np.arange(self.n_units)
        within = self.units.of_token[self.encoding.windows[self.encoding.window]]
        return np.unique(within[within >= 0]).astype(np.int64)

    def without(self, units: Bool[np.ndarray, "U"], how: Replacement, target: Target | None = None) -> Row:
        """The text with the marked units replaced by a token, or removed.

        Where a removed unit holds a place that the answer is read at, a token stays there and stands in (`filler`).
        Windows stay where they were, and lose what was removed in them.
        """
        gone = np.zeros(len(self.tokens.ids), dtype=bool)  # (T,)
        scored = self.units.of_token >= 0
        gone[scored] = units[self.units.of_token[scored]]
        inputs, places, rivals = dict(self.encoding.inputs), self.encoding.places, self.encoding.rivals
        windows, source = self.encoding.seen, self.encoding.source
        inputs["input_ids"] = np.where(gone, self.filler(how)[1], inputs["input_ids"])
        if how == "remove":
            stays = ~gone
            stays[list(places)] = True  # nothing else could be asked about them
            for read in windows or (np.arange(source or self.encoding.begin),):
                stays[read[0]] |= not stays[read].any()  # a model needs one token to read
            at = np.cumsum(stays) - 1
            windows = tuple(at[w[stays[w]]] for w in windows)
            if rivals is not None:
                if (rivals & stays).sum() < 2:  # an answer is one of several
                    stays[np.flatnonzero(rivals & ~stays)[:1]] = True
                rivals = rivals[stays]
            inputs = {name: array[stays] for name, array in inputs.items()}
            places, source = tuple(int(stays[:place].sum()) for place in places), int(stays[:source].sum())
        changed: dict[str, Any] = {"inputs": inputs, "places": places, "rivals": rivals, "source": source}
        return replace(self.encoding.row(target or self.target), **changed, windows=windows)

    def stands_in(self, how: str) -> str:
        """What really stands in a removed word's place: 'remove', or the name of the token that the tokenizer has."""
        return how if how == "remove" else self.filler(how)[0]

    def stop(
        self,
        scores: Float[np.ndarray, "U"],
        error: Float[np.ndarray, "U"],
        tolerance: float,
        *,
        spent: int,
        following: int,
    ) -> Stopped | None:
        """Why a sampling method should stop now; None: another round, of `following` forward passes.

        Settled: half of every word's 95 % interval is within `tolerance` of the largest score. The budget counts
        gradient evaluations, and a forward pass costs about a quarter of one.
        """
        if NORMAL * error.max(initial=0) <= tolerance * np.abs(scores).max(initial=0):
            return "settled"
        if self.enough():
            return "asked"
        return "budget" if spent + following > 4 * self.budget else None

    def filler(self, how: str) -> tuple[str, int]:
        """Name and id of the token that stands in; the first of mask, pad, unk if the wished one is missing."""
        for name in (how, "mask", "pad", "unk"):
            if name in self.special_ids:
                return name, self.special_ids[name]
        return "token 0", 0

    def per_unit(self, scores: Float[np.ndarray, "... T"]) -> Float[np.ndarray, "... U"]:
        """Sum token scores over each unit; specials are left out."""
        found, scored = np.zeros((*scores.shape[:-1], self.n_units), scores.dtype), self.units.of_token >= 0
        np.add.at(found, (..., self.units.of_token[scored]), scores[..., scored])  # type: ignore[arg-type]
        return found

    def of_specials(self, scores: Float[np.ndarray, "T"]) -> float:
        """The total of the tokens that belong to no unit."""
        return float(scores[self.units.of_token < 0].sum())

    def attribution(
        self,
        *,
        unit_scores: Float[np.ndarray, "U"],
        value_input: float,
        special: float = 0.0,
        token_scores: Float[np.ndarray, "T"] | None = None,
        baseline: str | None = None,
        value_baseline: float | None = None,
        **rest: Any,
    ) -> Attribution:
        """Assemble the record; who drives the method fills in its name, parameters, sign and cost."""
        scores = unit_scores.astype(np.float64)
        residual = scale = rule = None
        if value_baseline is not None:
            difference = value_input - value_baseline
            residual = difference - float(scores.sum()) - special
            scale, rule = residual_scale(difference, scores)
        return Attribution(
            method="",
            params={},
            target=self.target,
            granularity=self.granularity,
            units=self.units.spans,
            unit_segment=self.units.segment,
            unit_of=self.units.of_token,
            scores=scores.astype(np.float32),
            special=special,
            signed=True,
            value_input=float(value_input),
            gross=None if token_scores is None else self.per_unit(np.abs(token_scores)).astype(np.float32),
            baseline=baseline,
            value_baseline=value_baseline,
            residual=residual,
            scale=scale,
            scale_rule=rule,
            **rest,
        )


def residual_scale(
    difference: float, scores: Float[np.ndarray, "U"]
) -> tuple[float, Literal["difference", "scores", "floor"]]:
    """What a residual is measured against: the largest of |f(x) − f(x')|, 0.1 Σ|scores|, 0.05; and which it was."""
    options: list[tuple[float, Literal["difference", "scores", "floor"]]] = [
        (abs(difference), "difference"),
        (0.1 * float(np.abs(scores).sum()), "scores"),
        (0.05, "floor"),
    ]
    return max(options, key=lambda option: option[0])
