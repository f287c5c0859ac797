"""The tokens of a vocabulary as outcomes: how each is written for people, and which one a person means."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from explain.errors import InputError

_BEGINNINGS = ("Ġ", "▁")  # how byte-level and SentencePiece tokenizers write the space before a word
_SIGNS = {"\n": "↵", "\t": "⇥", " ": "␣"}


def names(tokenizer: Any) -> tuple[str, ...]:
    """Every token of the vocabulary for people, in order of its id; no two are the same.

    A token that begins a word is written as the word, one that goes on with a word as '…ing'. White space is written
    with signs, and half a character as the tokenizer writes it.
    """
    found: list[str] = []
    taken: set[str] = set()
    special = set(tokenizer.all_special_ids)
    tokens = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    for index, token in enumerate(tokens):
        name = str(token) if index in special or token is None else _name(tokenizer, index, str(token))
        if name in taken:
            name = f"{name} (#{index})"
        taken.add(name)
        found.append(name)
    return tuple(found)


def _name(tokenizer: Any, index: int, token: str) -> str:
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
