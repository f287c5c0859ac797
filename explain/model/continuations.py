"""A prompt with what may follow it: read together as one text, the continuation as the question."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Int32, Int64

from explain.errors import InputError
from explain.model.encoding import Encoding, check_texts, read
from explain.records import Tokens


def encode(tokenizer: Any, texts: tuple[str, ...], ends: tuple[str, ...], max_tokens: int) -> Encoding:
    """The prompt with each continuation behind it; the first one's tokens are the encoding's own.

    A continuation that begins with a letter or a digit gets a space before it where the prompt ends without one, unless
    it is written '…ing', which goes on with the prompt's last word.

    Raises:
        InputError: nothing to explain, too long, or the prompt would be read as other tokens than without it.
    """
    check_texts(texts, pairs=False)
    (prompt,) = texts
    plain = _stripped(read(tokenizer(prompt, return_offsets_mapping=True, verbose=False), texts, None))
    options = tuple(_followed(tokenizer, prompt, plain, spaced(prompt, end), max_tokens) for end in ends)
    begin = len(plain.tokens.ids)
    tails = tuple({name: a[begin:] for name, a in o.inputs.items()} for o in options)
    return replace(options[0], options=options, tails=tails)


def spaced(prompt: str, end: str) -> str:
    """A continuation as it stands behind a text, with the space between them where there is none."""
    if end.startswith("…"):
        return end[1:]
    return f" {end}" if end[:1].isalnum() and not prompt[-1:].isspace() else end


def _stripped(found: Encoding) -> Encoding:
    """Without special tokens at the end, behind which nothing would follow."""
    tokens, last = found.tokens, int(np.flatnonzero(~found.tokens.special)[-1]) + 1
    cut = replace(
        tokens, strings=tokens.strings[:last],
        **{n: getattr(tokens, n)[:last] for n in ("segment", "ids", "offsets", "special", "words")},
    )  # fmt: skip
    return replace(found, tokens=cut, inputs={name: a[:last] for name, a in found.inputs.items()})


def _followed(tokenizer: Any, prompt: str, plain: Encoding, end: str, max_tokens: int) -> Encoding:
    require(end)
    both = _stripped(read(tokenizer(prompt + end, return_offsets_mapping=True, verbose=False), (prompt + end,), None))
    begin, length = len(plain.tokens.ids), len(both.tokens.ids)
    if length > max_tokens:
        raise InputError(
            f"Text and continuation have {length:,} tokens and this model reads {max_tokens:,}. Shorten one of them.",
            code="too_long",
        )
    if length <= begin or both.tokens.ids[:begin].tolist() != plain.tokens.ids.tolist():
        raise other_tokens(end)
    tail, offsets = both.tokens.ids[begin:], np.maximum(both.tokens.offsets[begin:] - len(prompt), 0)
    return replace(both, tokens=behind(plain.tokens, end, tail, both.tokens.strings[begin:], offsets))


def behind(
    old: Tokens, end: str, ids: Int64[np.ndarray, "K"], strings: tuple[str, ...], offsets: Int32[np.ndarray, "K 2"]
) -> Tokens:
    """A text's tokens with those of a question behind them, which is a text of its own and no evidence."""
    count = len(ids)
    return replace(
        old,
        texts=(*old.texts, end),
        segment=np.concatenate([old.segment, np.full(count, len(old.texts), dtype=np.int32)]),
        ids=np.concatenate([old.ids, ids]),
        strings=(*old.strings, *strings),
        offsets=np.concatenate([old.offsets, offsets.astype(np.int32)]),
        special=np.concatenate([old.special, np.ones(count, dtype=bool)]),
        words=np.concatenate([old.words, np.full(count, -1, dtype=np.int32)]),
    )


def other_tokens(end: str) -> InputError:
    """The error where a text is read otherwise with a continuation behind it."""
    return InputError(
        f"With “{end[:40]}” behind it, the end of the text is read as other tokens than without it, so nothing could "
        "be said of this continuation alone. End the text at the end of a word.",
        code="other_tokens",
    )


def require(end: str) -> None:
    """Raise InputError for a continuation of nothing."""
    if not end.strip():
        raise InputError("The continuation is empty. Write what may follow the text.", code="empty_continuation")
