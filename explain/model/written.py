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
from jaxtyping import Int32, Int64
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from explain.bounds import require_whole
from explain.errors import InputError, ModelError
from explain.model import continuations
from explain.model.encoding import Encoding, check_texts
from explain.model.encoding import encode as read_text
from explain.model.rows import Row
from explain.records import Kind, Target, Tokens
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
    before: Tokens | None = None,
) -> Encoding:
    """The text as the encoder reads it, and what stands before the asked token as the decoder reads it.

    Args:
        tokenizer: a fast tokenizer.
        texts: the text, and what is written about it; without the second, nothing is yet.
        begin: ids that the decoder begins with.
        most: the most tokens that the encoder reads, and the decoder.
        truncate: cut a longer text instead of refusing it; what was written is never cut.
        place: which token of the second text is asked about: it and what follows is not read. None: the next one.
        before: how these texts, or others with the same second one, were read before. A second text that was cut before
            its place, inside a character, say, is other tokens by itself, and the same ones again with this.

    Raises:
        InputError: nothing to explain, too long, or there is no such place.
    """
    known = _known(tokenizer, texts, begin, most, before)
    check_texts(texts if known is None else texts[:1])
    source = read_text(tokenizer, texts[:1], most[0], truncate, pairs=False)
    ids, offsets = _cut(tokenizer, texts[1] if len(texts) > 1 else "") if known is None else known
    if place is not None:
        require_whole("place", place, 0, len(ids))
        ids, offsets = ids[:place], offsets[:place]
    _fits(len(ids), begin, most[1])
    end = int(offsets[:, 1].max()) if known is None and len(ids) else None  # None: all of it was read
    return _joined(tokenizer, source, (texts[0], *([texts[1][:end]] if len(ids) else [])), ids, offsets, begin)


def _cut(tokenizer: Any, text: str) -> tuple[Int64[np.ndarray, "K"], Int32[np.ndarray, "K 2"]]:
    """What is written as the decoder reads it: token ids, and where each stands."""
    given = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    offsets = np.array(given["offset_mapping"], dtype=np.int32).reshape(-1, 2)
    return np.array(given["input_ids"], dtype=np.int64), offsets


def _known(
    tokenizer: Any, texts: tuple[str, ...], begin: tuple[int, ...], most: tuple[int, int], before: Tokens | None
) -> tuple[Int64[np.ndarray, "K"], Int32[np.ndarray, "K 2"]] | None:
    """The second text's tokens as they were read before; None where it is another, or these are no tokens of it.

    They are if they differ from those of the text by itself at its last character only, of which they hold a part.
    """
    if before is None or len(texts) < 2 or before.texts[1:] != texts[1:]:
        return None
    size = len(read_text(tokenizer, before.texts[:1], most[0], True, pairs=False).tokens.ids)
    first = size + len(begin)
    ids, offsets = before.ids[first:], before.offsets[first:]
    if before.ids[size:first].tolist() != list(begin) or not ((ids >= 0) & (ids < len(tokenizer))).all():
        return None
    again, ends = _cut(tokenizer, texts[1])
    sure = int((ends[:, 1] < len(texts[1])).sum())  # tokens before its last character
    part, whole = (tokenizer.decode(some[sure:], clean_up_tokenization_spaces=False) for some in (ids, again))
    same = np.array_equal(ids[:sure], again[:sure]) and whole.startswith(part.rstrip(" \ufffd"))
    return (ids, offsets) if same else None


def followed(
    tokenizer: Any,
    texts: tuple[str, ...],
    begin: tuple[int, ...],
    ends: tuple[str, ...],
    most: tuple[int, int],
    truncate: bool,
    before: Tokens | None = None,
) -> Encoding:
    """The text as the encoder reads it, with each of the `ends` as what is written about it: the question.

    A second text is what stands written before, and evidence too; args are those of `encode`.

    Raises:
        InputError: as `encode`; nothing follows, or what stands before would be read as other tokens than without it.
    """
    plain = encode(tokenizer, texts, begin, most, truncate, None, before)
    first, prefix = plain.source + len(begin), "".join(texts[1:])
    said, options = plain.tokens.ids[first:].tolist(), []
    for end in ends:
        continuations.require(end)
        joined = continuations.spaced(prefix, end) if prefix else end
        ids, offsets = _cut(tokenizer, prefix + joined)
        _fits(len(ids), begin, most[1])
        if len(ids) == len(said) or ids[: len(said)].tolist() != said:
            raise continuations.other_tokens(end)
        tail, there = ids[len(said) :], np.maximum(offsets[len(said) :] - len(prefix), 0)
        tokens = continuations.behind(plain.tokens, joined, tail, _strings(tokenizer, tail), there)
        options.append(replace(plain, tokens=tokens, inputs={"input_ids": tokens.ids}))
    tails = tuple({"input_ids": option.tokens.ids[len(plain.tokens.ids) :]} for option in options)
    return replace(options[0], options=tuple(options), tails=tails)


def _fits(count: int, begin: tuple[int, ...], most: int) -> None:
    if len(begin) + count > most:
        raise InputError(
            f"What is written has {count:,} tokens, and this model writes at most {most - len(begin):,}. Shorten it.",
            code="too_long",
        )


def _strings(tokenizer: Any, ids: Int64[np.ndarray, "K"]) -> tuple[str, ...]:
    return tuple(map(str, tokenizer.convert_ids_to_tokens(ids.tolist())))


def _joined(
    tokenizer: Any,
    source: Encoding,
    texts: tuple[str, ...],
    written: Int64[np.ndarray, "K"],
    there: Int32[np.ndarray, "K 2"],
    begin: tuple[int, ...],
) -> Encoding:
    """Both texts as one encoding, the second of which is `written` as tokens that stand `there` in it."""
    old, size, first = source.tokens, len(source.tokens.ids), len(begin)
    ids = np.concatenate([old.ids, np.array(begin, dtype=np.int64), written])  # (T,)
    offsets = np.concatenate([old.offsets, np.zeros((first, 2), dtype=np.int32), there])
    signs = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
    control = np.isin(ids, list(signs))  # a language's code, say: no part of what is said
    special = np.concatenate([old.special, np.ones(first, dtype=bool), control[size + first :]])
    offsets[size:][special[size:]] = 0
    segment = np.concatenate([old.segment, np.where(special[size:], -1, 1).astype(np.int32)])
    tokens = Tokens(
        texts=texts,
        segment=segment,
        ids=ids,
        strings=(*old.strings, *_strings(tokenizer, ids[size:])),
        offsets=offsets,
        special=special,
        words=units_of(texts, segment, offsets, special, "word").of_token,
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


def require_stack(rows: Sequence[Row], kind: Kind | None = None) -> None:
    """Refuse to look into layers where nothing says whose, or where there is one stack and a kind is named.

    Raises:
        ModelError: two stacks read the text, and no kind of attention is named (code two_stacks).
        InputError: one stack reads it, and a kind is (code bad_kind).
    """
    if kind is None and any(row.source for row in rows):
        raise ModelError(
            "This model reads a text with an encoder and writes with a decoder, and what passes from layer to layer is "
            "shown for models with one stack only. Ask which words count (explain), or where heads look: those of the "
            "encoder, of the decoder (causal) or between both (cross), with kind, or --kind on the command line.",
            code="two_stacks",
        )
    if kind is not None and not all(row.source for row in rows):
        raise InputError(
            "A kind of attention is chosen of models that read a text with an encoder and write with a decoder. Ask "
            "without one.",
            code="bad_kind",
        )
