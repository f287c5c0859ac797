"""A text with each of several hypotheses behind it, as a model of inference reads them: pairs that begin alike."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from explain.candidates import Candidates
from explain.errors import InputError
from explain.model.encoding import Encoding, check_texts, read


def encode(tokenizer: Any, texts: tuple[str, ...], asked: Candidates, max_tokens: int, truncate: bool) -> Encoding:
    """The text with each hypothesis behind it; the first one's tokens are the encoding's own.

    A text that is too long is cut to what fits beside the longest hypothesis, so that all pairs begin alike.

    Raises:
        InputError: nothing to explain, or too long.
    """
    check_texts(texts, pairs=False)
    (text,) = texts
    full = [tokenizer(text, said, return_offsets_mapping=True, verbose=False) for said in asked.hypotheses]
    ends = [sum(s != 0 for s in enc.sequence_ids()) for enc in full]
    room, length = max_tokens - max(ends), len(full[0]["input_ids"]) - ends[0]
    if room < 1:
        raise InputError(f"A hypothesis alone fills the {max_tokens:,} tokens that are read.", code="too_long")
    if length > room and not truncate:
        raise InputError(
            f"The text has {length:,} tokens, and beside its longest hypothesis this model reads {room:,}. Shorten it, "
            "or allow it to be cut (truncate=True).",
            code="too_long",
        )
    cut = 0 if length > room else None
    if cut is not None:
        side, tokenizer.truncation_side = tokenizer.truncation_side, "right"
        try:
            full = [
                tokenizer(text, said, return_offsets_mapping=True, truncation="only_first", max_length=room + end)
                for said, end in zip(asked.hypotheses, ends, strict=True)
            ]
        finally:
            tokenizer.truncation_side = side
    options = tuple(_question(read(e, (text, said), cut)) for e, said in zip(full, asked.hypotheses, strict=True))
    tails = tuple({name: a[_begin(o) :] for name, a in o.inputs.items()} for o in options)
    return replace(options[0], options=options, tails=tails)


def _question(pair: Encoding) -> Encoding:
    """The pair with its hypothesis as what is asked: no method takes it out, moves it, or scores it."""
    tokens = pair.tokens
    if (tokens.words[tokens.segment == 0] < 0).all() or not (tokens.segment == 1).any():
        raise InputError("The text or a hypothesis holds nothing that the model can read.", code="no_content_tokens")
    special, words = tokens.special | (tokens.segment == 1), np.where(tokens.segment == 1, -1, tokens.words)
    return replace(pair, tokens=replace(tokens, special=special, words=words))


def _begin(pair: Encoding) -> int:
    """Where the hypothesis begins."""
    return int(np.flatnonzero(pair.tokens.segment == 1)[0])
