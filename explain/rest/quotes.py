"""What a refusal leaves out of its sentence: what the sentence quotes of the question.

Other faces quote it, for the person who wrote it. Answers of a service are kept in logs and reports of programs that
ask on behalf of others, where no text of theirs should be.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import cache, lru_cache
from typing import Any

from explain import canonical

MARKS = {"'": "'", '"': '"', "“": "”", "‘": "’"}
LEFT_OUT = "…"


def unquoted(sentence: str, asked: Any) -> str:
    """The sentence, with three dots for whatever it quotes of `asked`, whole or in part.

    `asked` is a request's body, a record, or plain values; names of fields may be quoted, but not those in `params`.
    """
    return leaving_out(asked)(sentence)


def leaving_out(asked: Any) -> Callable[[str], str]:
    """`unquoted` for many refusals of one question, which is read once, at the first sentence that quotes something."""

    @cache
    def said() -> str:
        return "\n".join(form for one in _strings(_read(asked)) for form in (one, repr(one)[1:-1]))

    @lru_cache
    def left(sentence: str) -> str:
        return _left(sentence, said()) if any(mark in sentence for mark in MARKS) else sentence

    return left


def _left(sentence: str, said: str) -> str:
    """The sentence without what it quotes of the words that were said."""
    at = 0
    while at < len(sentence):
        ends = _ends(sentence, at)
        whole = next((end for end in reversed(ends) if (q := sentence[at + 1 : end].strip()) and q in said), None)
        if whole is not None:  # the longest: what is quoted may hold marks
            sentence = sentence[: at + 1] + LEFT_OUT + sentence[whole:]
            at += len(LEFT_OUT) + 1
        elif ends:
            at = ends[0]
        at += 1
    return sentence


def _ends(sentence: str, at: int) -> list[int]:
    """Where a quotation that begins here may end, in order; none where none begins, as in “model's”."""
    close = MARKS.get(sentence[at])
    if close is None or (at and sentence[at - 1].isalnum()):
        return []
    return [i for i in range(at + 1, len(sentence)) if sentence[i] == close and not sentence[i + 1 : i + 2].isalnum()]


def _strings(value: Any, keys: bool = False) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        if keys:
            yield from value
        for name, inner in value.items():
            yield from _strings(inner, keys or name == "params")
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner, keys)


def _read(asked: Any) -> Any:
    try:
        return json.loads(asked) if isinstance(asked, bytes) else canonical.plain(asked)
    except (ValueError, RecursionError):  # no JSON: then it was refused in words that quote nothing
        return None
