"""A text with what a decoder has written about it so far: read by two stacks, each with tokens of its own.

The tokens of a row are those of the text, which the encoder reads, and behind them those of the decoder: the ones that
it always begins with, which belong to no text, and the second text. Both texts are evidence for what is written next.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from explain.bounds import require_whole
from explain.errors import InputError, ModelError
from explain.model import continuations
from explain.model.encoding import Encoding, check_texts
from explain.model.encoding import encode as read_text
from explain.model.rows import Row
from explain.records import Target, Tokens
from explain.units import units_of

if TYPE_CHECKING:
    from explain.model.runner import Runner


def encode(
    tokenizer: Any,
    texts: tuple[str, ...],
    begin: tuple[int, ...],
    most: tuple[int, int],
    truncate: bool,
    place: int | None,
) -> Encoding:
    """The text as the encoder reads it, and what stands before the asked token as the decoder reads it.

    Args:
        tokenizer: a fast tokenizer.
        texts: the text, and what is written about it; without the second, nothing is yet.
        begin: ids that the decoder begins with.
        most: the most tokens that the encoder reads, and the decoder.
        truncate: cut a longer text instead of refusing it; what was written is never cut.
        place: which token of the second text is asked about: it and what follows is not read. None: the next one.

    Raises:
        InputError: nothing to explain, too long, or there is no such place.
    """
    check_texts(texts)
    source = read_text(tokenizer, texts[:1], most[0], truncate, pairs=False)
    given = tokenizer(
        texts[1] if len(texts) > 1 else "", add_special_tokens=False, return_offsets_mapping=True, verbose=False
    )
    count = len(given["input_ids"])
    if place is not None:
        require_whole("place", place, 0, count)
        count = place
    _fits(count, begin, most[1])
    return _joined(tokenizer, source, texts, given, begin, count)


def followed(
    tokenizer: Any,
    texts: tuple[str, ...],
    begin: tuple[int, ...],
    ends: tuple[str, ...],
    most: tuple[int, int],
    truncate: bool,
) -> Encoding:
    """The text as the encoder reads it, with each of the `ends` as all that is written about it: the question.

    Args are those of `encode`. Raises InputError as it does, and where nothing is written.
    """
    if len(texts) > 1:
        raise InputError(
            "A continuation is all that is written about a text. Give the text alone, and what is written as the "
            "continuation.",
            code="bad_continuation",
        )
    check_texts(texts)
    source = read_text(tokenizer, texts, most[0], truncate, pairs=False)
    plain = _joined(tokenizer, source, texts, {"input_ids": [], "offset_mapping": []}, begin, 0)
    given = [tokenizer(end, add_special_tokens=False, return_offsets_mapping=True, verbose=False) for end in ends]
    options = []
    for end, one in zip(ends, given, strict=True):
        continuations.require(end)
        ids = np.array(one["input_ids"], dtype=np.int64)
        _fits(len(ids), begin, most[1])
        offsets = np.array(one["offset_mapping"], dtype=np.int32).reshape(-1, 2)
        tokens = continuations.behind(plain.tokens, end, ids, tuple(one.tokens()), offsets)
        options.append(replace(plain, tokens=tokens, inputs={"input_ids": tokens.ids}))
    tails = tuple({"input_ids": option.tokens.ids[len(plain.tokens.ids) :]} for option in options)
    return replace(options[0], options=tuple(options), tails=tails)


def _fits(count: int, begin: tuple[int, ...], most: int) -> None:
    if len(begin) + count > most:
        raise InputError(
            f"What is written has {count:,} tokens, and this model writes at most {most - len(begin):,}. Shorten it.",
            code="too_long",
        )


def _joined(
    tokenizer: Any, source: Encoding, texts: tuple[str, ...], given: Any, begin: tuple[int, ...], count: int
) -> Encoding:
    old, size, first = source.tokens, len(source.tokens.ids), len(begin)
    ids = np.array([*old.ids.tolist(), *begin, *given["input_ids"][:count]], dtype=np.int64)  # (T,)
    offsets = np.zeros((len(ids), 2), dtype=np.int32)
    offsets[:size] = old.offsets
    read = texts[:1]
    if count:
        offsets[size + first :] = given["offset_mapping"][:count]
        read = (*read, texts[1][: int(offsets[size + first :, 1].max())])
    signs = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
    control = np.isin(ids, list(signs))  # a language's code, say: no part of what is said
    special = np.concatenate([old.special, np.ones(first, dtype=bool), control[size + first :]])
    offsets[size:][special[size:]] = 0
    segment = np.concatenate([old.segment, np.where(special[size:], -1, 1).astype(np.int32)])
    tokens = Tokens(
        texts=read,
        segment=segment,
        ids=ids,
        strings=(*old.strings, *map(str, tokenizer.convert_ids_to_tokens(ids[size:].tolist()))),
        offsets=offsets,
        special=special,
        words=units_of(read, segment, offsets, special, "word").of_token,
        truncated_at=old.truncated_at,
    )
    return replace(source, tokens=tokens, inputs={"input_ids": ids}, source=size)


def bare(inputs: Mapping[str, Int64[np.ndarray, "T"]], begin: tuple[int, ...], target: Target) -> Row:
    """A row of the model's integer inputs, with what a decoder begins with behind them where there is one."""
    if not begin:
        return Row(inputs, target)
    ids = inputs["input_ids"]
    return Row({"input_ids": np.concatenate([ids, np.array(begin, dtype=ids.dtype)])}, target, source=len(ids))


def inputs(runner: Runner, rows: Sequence[Row]) -> dict[str, Tensor]:
    """The module's inputs for rows that two stacks read: ids and masks of both."""
    found: dict[str, Tensor] = {}
    for prefix, parts in (("", [r.ids[: r.source] for r in rows]), ("decoder_", [r.ids[r.source :] for r in rows])):
        ids = runner.padded("input_ids", parts)  # (N, S) and (N, P)
        lengths = torch.tensor([len(part) for part in parts], device=runner.device)
        mask = (torch.arange(ids.shape[1], device=runner.device) < lengths[:, None]).long()
        found |= {f"{prefix}input_ids": ids, f"{prefix}attention_mask": mask}
    return found


def apart(
    rows: Sequence[Row], embeds: Tensor, given: Mapping[str, Tensor]
) -> tuple[Tensor, tuple[Tensor, Tensor] | None]:
    """Vectors (N, T, D) of the rows' tokens as the encoder's (N, S, D), and the decoder's ids with theirs (N, P, D).

    Padded with zeros. Where one stack reads all, its vectors are all, and there is no decoder.
    """
    if not rows[0].source:
        return embeds, None
    each = list(zip(embeds, rows, strict=True))
    decoded = pad_sequence([vectors[row.source : len(row)] for vectors, row in each], batch_first=True)
    source = pad_sequence([vectors[: row.source] for vectors, row in each], batch_first=True)
    return source, (given["decoder_input_ids"], decoded)


def require_one_stack(rows: Sequence[Row]) -> None:
    """Raise ModelError where a model's layers would be looked into whose text two stacks read."""
    if any(row.source for row in rows):
        raise ModelError(
            "This model reads a text with an encoder and writes with a decoder, and layers and heads are shown for "
            "models with one stack only. Ask which words count (explain) instead.",
            code="two_stacks",
        )
