"""A text that a model goes on with: plain data, readable without torch.

Letters in shapes: K generated tokens. Each token was chosen from what the model said after the prompt and the tokens
before it, so each can be explained as the next token of `prefix(i)`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from jaxtyping import Bool, Float32, Int32, Int64

from explain.catalog import Request
from explain.messages import answered, whole
from explain.record import Record
from explain.records import Explanation, ModelInfo, Provenance

SCHEMA = "generation/2"
READ = ("generation/1", SCHEMA)
"""Schemas that are read: the first one knows no conversations."""


@dataclass(frozen=True, eq=False)
class GenerateRequest(Record):
    """How should this text go on? At most `tokens` more; the most likely one each time, or drawn with `seed`.

    `temperature` divides the logits before a token is drawn. A prompt that is too long is refused, since the text would
    go on elsewhere; `truncate` cuts it where what is written is a text of its own. `num_beams` beginnings are kept at a
    time in a beam search (`explain.beams`); 1: none. Of a conversation, `texts` are the messages and `roles` who wrote
    each, and the prompt is empty.
    """

    prompt: str
    tokens: int = 40
    seed: int | None = None
    temperature: float = 1.0
    truncate: bool = False
    num_beams: int = 1
    texts: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Generation(Record):
    """What a model wrote, token by token.

    `pieces` are what each token adds to the text. `log_probs` are each token's log-probability after the prompt and
    those before it, at temperature 1 whatever was drawn with, so that they can be compared; `ranks` its place among all
    tokens, from 1. `readable` says whether prompt and pieces up to here, written as text, are read as the same tokens
    again; only there `prefix` stands for what the model saw. `apart`: the pieces are a text of their own, a translation
    or a summary of the prompt, and not what follows it; `prefix` is of that text then. `stopped`: the model said that
    the text ends, there is room for no more, or enough tokens were written.

    Of a conversation, `texts` are its messages, `roles` who wrote each, and `prompt` is the whole as the chat template
    writes it. The pieces are the assistant's answer, or go on with its message where that is the last one; `readable`
    then says whether the conversation with the answer up to here is read as the same tokens.
    """

    model: ModelInfo
    prompt: str
    ids: Int64[np.ndarray, "K"]
    pieces: tuple[str, ...]
    log_probs: Float32[np.ndarray, "K"]
    ranks: Int32[np.ndarray, "K"]
    readable: Bool[np.ndarray, "K"]
    settings: Mapping[str, Any]
    stopped: Literal["end", "room", "length"]
    provenance: Provenance
    apart: bool = False
    texts: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    schema: str = SCHEMA

    READ: ClassVar[tuple[str, ...]] = READ

    @property
    def text(self) -> str:
        """The prompt and everything behind it; what was written alone where that stands apart."""
        return self.prefix(len(self.pieces))

    def prefix(self, count: int) -> str:
        """What stands before token `count`: the first `count` pieces, behind the prompt unless they stand apart."""
        return ("" if self.apart else self.prompt) + "".join(self.pieces[:count])

    def question(self, index: int) -> dict[str, Any] | None:
        """What `explain` is asked about token `index`; None where what stands before it cannot be written as text."""
        target = int(self.ids[index])
        if not self.apart:
            if index and not self.readable[index - 1]:
                return None
            return {"text": self._before(index), "target": target}
        plain = [n for n in range(max(index, 1), len(self.pieces) + 1) if self.readable[n - 1]]
        about = {"target": target} | ({"truncate": True} if self.settings.get("truncate") else {})
        if not plain:
            return {"text": self.prompt, **about} if index == 0 else None
        return {"text": (self.prompt, self.prefix(plain[-1])), "place": index, **about}

    def _before(self, count: int) -> Any:
        """What was read before token `count`: a text, or the conversation with the answer so far."""
        if not self.roles:
            return self.prefix(count)
        return whole(*answered(self.texts, self.roles, "".join(self.pieces[:count])))

    @property
    def explainable(self) -> tuple[int, ...]:
        """Tokens, from 0 on, that there is a `question` about."""
        return tuple(i for i in range(len(self.ids)) if self.question(i) is not None)

    @property
    def log_prob(self) -> float:
        """Log-probability of the whole continuation, given the prompt."""
        return float(self.log_probs.astype(np.float64).sum())


@dataclass(frozen=True, eq=False)
class TokensRequest(Record):
    """Why was each of these tokens written? `requests` ask it of each, `model` is who wrote them."""

    model: ModelInfo
    requests: tuple[Request, ...]


@dataclass(frozen=True, eq=False)
class Explanations(Record):
    """One explanation for each token that was asked about, in that order."""

    found: tuple[Explanation, ...]
