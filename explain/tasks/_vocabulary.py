"""The tokens of a vocabulary as outcomes: how each is written for people, and which one a person means.

The outcomes exclude each other, so the target is the log-odds of one token, log p − log(1 − p), unless another quantity
is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32

from explain.catalog import TargetKind
from explain.errors import InputError
from explain.model.encoding import Encoding
from explain.model.rows import Row
from explain.records import Prediction, Target
from explain.tasks import Task, _exclusive

KEPT = 16
"""Tokens that a prediction keeps, the most likely ones; a record of a whole vocabulary would be unreadable."""
_BEGINNINGS = ("Ġ", "▁")  # how byte-level and SentencePiece tokenizers write the space before a word
_SIGNS = {"\n": "↵", "\t": "⇥", " ": "␣"}


def names(tokenizer: Any) -> tuple[str, ...]:
    """Every token of the vocabulary for people, in order of its id; no two are the same.

    A token that begins a word is written as the word, one that goes on with a word as '…ing'. White space is written
    with signs, and half a character as the tokenizer writes it.
    """
    prefix = getattr(tokenizer.backend_tokenizer.model, "continuing_subword_prefix", None) or ""
    found: list[str] = []
    taken: set[str] = set()
    special = set(tokenizer.all_special_ids)
    tokens = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    if any(str(token).startswith(_BEGINNINGS) for token in tokens):
        prefix = ""  # what begins a word is marked, and not what goes on with one
    for index, token in enumerate(tokens):
        name = str(token) if index in special or token is None else _name(tokenizer, index, str(token), prefix)
        if name in taken:
            name = f"{name} (#{index})"
        taken.add(name)
        found.append(name)
    return tuple(found)


def _name(tokenizer: Any, index: int, token: str, prefix: str) -> str:
    if prefix:
        return f"…{token.removeprefix(prefix)}" if token.startswith(prefix) and token != prefix else token
    text = str(tokenizer.decode([index], clean_up_tokenization_spaces=False))
    if not text or "\ufffd" in text:
        return token
    bare = text.strip(" ")
    shown = "".join(_SIGNS.get(c, c) for c in (bare or text))
    goes_on = not token.startswith(_BEGINNINGS) and text[0] != " " and shown[0].isalnum()
    return f"…{shown}" if goes_on else shown


def find(labels: tuple[str, ...], wish: str | int) -> int:
    """The id that a person means: a token's name, or its id.

    Raises:
        InputError: no single token of this vocabulary is written like that.
    """
    if isinstance(wish, bool) or not isinstance(wish, (str, int)):
        raise InputError(f"Expected a word of the vocabulary or a token's id, got {wish!r:.40}.", code="bad_target")
    known = _places(labels)
    word = str(wish)
    for name in (word, word.strip(), f"…{word}"):
        if isinstance(wish, str) and name in known:
            return known[name]
    if word.isdecimal() and len(word) < 9 and int(word) < len(labels):
        return int(word)
    raise InputError(
        f"'{word[:40]}' is no single token of this model's vocabulary of {len(labels):,}. Give a shorter word, a part "
        "of a word as '…ing', or an id.",
        code="bad_target",
    )


@lru_cache(maxsize=8)
def _places(labels: tuple[str, ...]) -> Mapping[str, int]:
    return {name: i for i, name in enumerate(labels)}


class OpenVocabulary(Task):
    """What tasks share whose answer is one token of a vocabulary. Raw output: logits (N, V) at each row's place."""

    def vocabulary(self, tokenizer: Any) -> tuple[str, ...]:
        return names(tokenizer)

    def read(self, outputs: Any, rows: Sequence[Row]) -> torch.Tensor:
        return _exclusive.at(outputs, rows)

    def prediction(
        self, raw: Float32[np.ndarray, "1 V"], labels: tuple[str, ...], problem: str, encoding: Encoding
    ) -> Prediction:
        (raw,) = raw
        best = np.argsort(-raw, kind="stable")[:KEPT]
        return Prediction(
            labels=tuple(labels[i] if i < len(labels) else f"#{i}" for i in best),
            logits=raw[best].astype(np.float32),
            probs=_exclusive.softmax(raw)[best].astype(np.float32),
            activation="softmax",
            rule="the token with the highest probability",
            decision=(0,),
            position=next(iter(encoding.places), None),
            indices=tuple(int(i) for i in best),
            left_out=len(raw) - len(best),
        )

    def target(
        self,
        prediction: Prediction,
        labels: tuple[str, ...],
        problem: str,
        wish: str | int | None,
        contrast: str | int | None,
        quantity: TargetKind,
        encoding: Encoding,
    ) -> Target:
        index = prediction.outcome(prediction.top) if wish is None else find(labels, wish)
        name = labels[index] if index < len(labels) else f"#{index}"
        other = None if contrast is None else find(labels, contrast)
        return _exclusive.target(index, name, None if other is None else (other, labels[other]), quantity)

    def score(self, raw: torch.Tensor, target: Target, problem: str) -> torch.Tensor:
        return _exclusive.score(raw, target)
