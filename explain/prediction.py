"""What a model decided about a text: one decision, or one for each of its words. Plain data, no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float32

from explain.record import Record


@dataclass(frozen=True, eq=False)
class Tag(Record):
    """What a `word` is tagged as: the likeliest label at its first `token`, and its probability there.

    `start` and `end` are its characters in the text.
    """

    word: str
    token: int
    start: int
    end: int
    label: str
    prob: float


@dataclass(frozen=True, eq=False)
class Entity(Record):
    """Neighbouring words whose tags belong together, as the Hub's pipeline joins them; a word tagged 'O' is in none.

    `label` is theirs without B- or I-, `prob` the mean of their probabilities. `first` and `last` count tags, both
    included; `start` and `end` are characters in the text, and `words` is what stands there.
    """

    words: str
    label: str
    prob: float
    start: int
    end: int
    first: int
    last: int


@dataclass(frozen=True, eq=False)
class Tagging(Record):
    """The tags of all words of a text, in its order. `asked` is the word that the prediction is about."""

    tags: tuple[Tag, ...]
    entities: tuple[Entity, ...]
    asked: int


@dataclass(frozen=True, eq=False)
class Answer(Record):
    """A part of a context that may answer a question: its `words`, which are its characters from `start` to `end`.

    `first` and `last` are the tokens that it begins and ends at, `prob` the product of the probabilities of both.
    """

    words: str
    start: int
    end: int
    first: int
    last: int
    prob: float


@dataclass(frozen=True, eq=False)
class Answering(Record):
    """The likeliest answers that a context holds, best first, one for each outcome of the prediction.

    `nothing` is the probability that the context holds none: that both ends are at the first token. None where the
    tokenizer has no token that models learn this at.
    """

    answers: tuple[Answer, ...]
    nothing: float | None


def kind(label: str) -> str:
    """What a tag says, without saying whether it begins (B-) or goes on (I-)."""
    return label[2:] if label.startswith(("B-", "I-")) else label


def kinds(labels: tuple[str, ...]) -> tuple[str, ...]:
    """The kinds of entities that labels with B- and I- tell of, but for those that are labels themselves."""
    return tuple(dict.fromkeys(kind(label) for label in labels if kind(label) not in labels))


@dataclass(frozen=True, eq=False)
class Prediction(Record):
    """What the model decided. `probs` is None for regression.

    `decision` holds the indices decided for: one by argmax, any number by thresholds, none for
    regression. `rule` says it in words. `calibration` tells how probabilities were calibrated.
    `position` is the token position the prediction is made at, None for the whole text. Of a whole vocabulary only the
    best outcomes are kept: `indices` are theirs (None: all are kept, from 0 on), and `left_out` is how many are not;
    `decision` counts places among those kept. `tagging` holds the tags of all words, where each word has one; the rest
    is then about the word that is asked about. `answering` holds the answers, where they are parts of the text.
    """

    labels: tuple[str, ...]
    logits: Float32[np.ndarray, "C"]
    probs: Float32[np.ndarray, "C"] | None
    activation: Literal["softmax", "sigmoid", "none"]
    rule: str
    decision: tuple[int, ...]
    calibration: str | None = None
    position: int | None = None
    indices: tuple[int, ...] | None = None
    left_out: int = 0
    tagging: Tagging | None = None
    answering: Answering | None = None

    @property
    def top(self) -> int:
        """Place of the highest logit among those kept."""
        return int(np.argmax(self.logits))

    @property
    def decided(self) -> tuple[int, ...]:
        """The indices decided for, as targets count them."""
        return tuple(self.outcome(place) for place in self.decision)

    def outcome(self, place: int) -> int:
        """Class or vocabulary index of a kept outcome."""
        return place if self.indices is None else self.indices[place]

    def place(self, index: int | None) -> int | None:
        """Where an outcome is kept; None where it is not."""
        if self.indices is not None:
            return self.indices.index(index) if index in self.indices else None
        return index if index is not None and 0 <= index < len(self.labels) else None

    @property
    def label(self) -> str:
        """The decision in words: a label, several joined by ', ', 'none', or the regression value."""
        if self.activation == "none":
            return f"{self.logits[0]:.4g}"
        return ", ".join(self.labels[i] for i in self.decision) or "none"

    @property
    def margin(self) -> float | None:
        """Probability lead of the top label over the next, or distance from the nearest threshold; None: neither."""
        if self.probs is None:
            return None
        if self.activation == "sigmoid":
            return float(np.abs(self.probs - 0.5).min() * 2)
        best = np.sort(self.probs)[::-1]
        return float(best[0] - best[1]) if len(best) > 1 else None

    def ranked(self, k: int | None = None) -> list[tuple[str, float]]:
        """The `k` best labels (None: all) with probability, or with the raw value for regression."""
        values = self.logits if self.probs is None else self.probs
        order = np.argsort(-values, kind="stable")[:k]
        return [(self.labels[i], float(values[i])) for i in order]
