"""Text in, tokens out; text that cannot be explained is refused here, once, with a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Int32, Int64

from explain.errors import InputError
from explain.model.rows import Row
from explain.records import Granularity, Target, Tokens
from explain.settings import settings
from explain.units import Units, units_of


@dataclass(frozen=True, eq=False)
class Encoding:
    """One text as the model reads it: the record of its tokens, and the integer inputs by name.

    `places` are the tokens that the answer is read at, where the text asks about some of its own; else (). `tagged`
    are the words that get an answer each, as (first token, first character, character after the last); else ().
    `options` are the text with each hypothesis or continuation behind it, () where there are none; `tails`, `own`,
    `rivals` and `source` as in Row. `windows` are all parts that the text is read in, () where it is read at once.
    `window` is the one of them that rows read, where one holds the answer (until that is known, the first); None: all.
    """

    tokens: Tokens
    inputs: Mapping[str, Int64[np.ndarray, "T"]]
    places: tuple[int, ...] = ()
    tagged: tuple[tuple[int, int, int], ...] = ()
    options: tuple[Encoding, ...] = ()
    tails: tuple[Mapping[str, Int64[np.ndarray, "K"]], ...] = ()
    own: int = 0
    rivals: Bool[np.ndarray, "T"] | None = None
    windows: tuple[Int64[np.ndarray, "K"], ...] = ()
    window: int | None = None
    source: int = 0

    def row(self, target: Target, **more: Any) -> Row:
        """The text as one pass through the model, with what else a Row may say."""
        also = {n: getattr(self, n) for n in ("places", "tails", "own", "rivals", "source")}
        return Row(self.inputs, target, **{**also, "windows": self.seen, **more})

    @property
    def read_at(self) -> tuple[int, ...]:
        """The tokens that a prediction is read at, () for the last one."""
        return tuple(t for t, _, _ in self.tagged) or self.places

    @property
    def seen(self) -> tuple[Int64[np.ndarray, "K"], ...]:
        """The windows that a row reads."""
        return self.windows if self.window is None else (self.windows[self.window],)

    def within(self, window: int) -> Encoding:
        """The text of which rows read this one of its windows, and where no other token is a rival."""
        inside = np.isin(np.arange(len(self.tokens.ids)), self.windows[window])  # (T,)
        return replace(self, window=window, rivals=None if self.rivals is None else self.rivals & inside)

    def units(self, granularity: Granularity, phrases: tuple[tuple[int, int, int], ...] = ()) -> Units:
        """What is scored of the text; see `explain.units.units_of`."""
        tokens = self.tokens
        return units_of(tokens.texts, tokens.segment, tokens.offsets, tokens.special, granularity, phrases)

    @property
    def begin(self) -> int:
        """Where the end of the text begins that is its question; behind the text where there is none."""
        return len(self.tokens.ids) - (len(self.tails[self.own]["input_ids"]) if self.tails else 0)

    def about(self, index: int | None) -> Encoding:
        """The text with the end of one outcome behind it; itself where there are none."""
        if not self.options:
            return self
        chosen = self.options[index or 0]
        return replace(self, tokens=chosen.tokens, inputs=chosen.inputs, own=index or 0)


def whole(encoding: Encoding, place: int | None) -> Encoding:
    """The encoding, for a task whose answer is about a whole text; raises InputError where a place was named."""
    if place is not None:
        raise InputError(
            "This model's answer is about the whole text, so there is no place to choose. Ask without one.",
            code="bad_place",
        )
    return encoding


def check_texts(texts: tuple[str, ...], pairs: bool = True) -> None:
    """Refuse what no tokenizer should see; raises InputError."""
    if not 1 <= len(texts) <= (2 if pairs else 1) or not all(isinstance(t, str) for t in texts):
        wish = "one text, or two for a sentence pair" if pairs else "one text, since this model reads no pairs"
        raise InputError(f"Expected {wish}; got {len(texts)}.", code="bad_text")
    check_characters(texts)


def check_characters(texts: tuple[str, ...]) -> None:
    """Refuse texts that are empty, too long, or not valid Unicode; raises InputError."""
    limit = settings().max_characters
    for text in texts:
        if len(text) > limit:
            raise InputError(
                f"The text has {len(text):,} characters; at most {limit:,} are read. Explain it in parts.",
                code="too_large",
            )
        if not text:
            raise InputError("The text is empty. Enter a sentence.", code="empty_text")
        if not text.isprintable() and any("\ud800" <= c <= "\udfff" for c in text):
            raise InputError(
                "The text holds half of a character (a lone surrogate). Send it as valid Unicode.",
                code="invalid_unicode",
            )


def encode(tokenizer: Any, texts: tuple[str, ...], max_tokens: int, truncate: bool, *, pairs: bool = True) -> Encoding:
    """Tokenize one text or a pair.

    Args:
        tokenizer: a fast tokenizer.
        texts: the raw texts.
        max_tokens: the most that the model reads, special tokens included.
        truncate: cut a longer text (the record says where) instead of refusing it.
        pairs: whether the model may be given two texts.

    Raises:
        InputError: nothing to explain, or too long.
    """
    check_texts(texts, pairs)
    full = tokenizer(*texts, return_offsets_mapping=True, verbose=False)
    count = len(full["input_ids"])
    cut = count > max_tokens
    if cut and not truncate:
        raise InputError(
            f"The text has {count:,} tokens and at most {max_tokens:,} are read. Shorten it, allow it to be cut "
            "(truncate=True), or, if it is one text to be classified or the context of a question, to be seen through "
            "windows (windows=True).",
            code="too_long",
        )
    return read(_cut(tokenizer, texts, max_tokens, full) if cut else full, texts, len(texts) - 1 if cut else None)


def read(enc: Any, texts: tuple[str, ...], cut: int | None) -> Encoding:
    """What a tokenizer gave, as an Encoding; `cut` is the text that was not read whole, None where all were.

    Raises InputError where there is nothing to explain.
    """
    segment = np.array([-1 if s is None else s for s in enc.sequence_ids()], dtype=np.int32)  # (T,)
    offsets = np.array(enc["offset_mapping"], dtype=np.int32).reshape(-1, 2)
    offsets[segment < 0] = 0
    truncated_at = None
    if cut is not None:
        mine = segment == cut
        truncated_at = int(offsets[mine, 1].max()) if mine.any() else 0
    return placed(enc, texts, segment, offsets, truncated_at=truncated_at)


def placed(
    enc: Any, texts: tuple[str, ...], segment: Int32[np.ndarray, "T"], offsets: Int32[np.ndarray, "T 2"], **more: Any
) -> Encoding:
    """What a tokenizer gave, where it is known which text each token is of (-1: of none) and where it stands there.

    `more` are further fields of Tokens. Raises InputError where no token is of a text.
    """
    special = segment < 0
    if special.all():
        raise InputError(
            f"The {'messages hold' if more.get('roles') else 'text holds'} nothing that the model can read: only white "
            "space or invisible characters. Enter a sentence.",
            code="no_content_tokens",
        )
    tokens = Tokens(
        texts=texts,
        segment=segment,
        ids=np.array(enc["input_ids"], dtype=np.int64),
        strings=tuple(enc.tokens()),
        offsets=offsets,
        special=special,
        words=units_of(texts, segment, offsets, special, "word").of_token,
        **more,
    )
    names = [n for n in enc if n not in ("offset_mapping", "attention_mask", "special_tokens_mask")]
    return Encoding(tokens, {n: np.array(enc[n], dtype=np.int64) for n in names})


def _cut(tokenizer: Any, texts: tuple[str, ...], max_tokens: int, full: Any) -> Any:
    """Read as much of the last text as there is room for, from its start: `truncated_at` can say nothing else.

    Left to themselves, tokenizers also cut the first text of a pair, and some cut at the front.
    """
    last = len(texts) - 1
    if sum(s != last for s in full.sequence_ids()) >= max_tokens:
        raise InputError(
            f"The first text alone fills the {max_tokens:,} tokens that this model reads. Shorten it.", code="too_long"
        )
    side, tokenizer.truncation_side = tokenizer.truncation_side, "right"
    try:
        return tokenizer(
            *texts,
            return_offsets_mapping=True,
            verbose=False,
            truncation="only_second" if last else "only_first",
            max_length=max_tokens,
        )
    finally:
        tokenizer.truncation_side = side


def masked(encoding: Encoding, words: tuple[int, ...], tokenizer: Any) -> Encoding:
    """The same text with some words (by index) replaced by the mask token, or the one that the tokenizer has for it.

    Never by the padding token: decoders read the answer before it, and some encoders count places without it.

    Raises:
        InputError: there is no such word, or no token to put in its place.
    """
    tokens, known = encoding.tokens, set(encoding.tokens.words.tolist()) - {-1}
    if wrong := set(words) - known:
        raise InputError(f"There is no word {min(wrong)}: the text has {len(known)}, from 0 on.", code="no_such_word")
    options = [tokenizer.mask_token_id, tokenizer.unk_token_id, tokenizer.eos_token_id, tokenizer.bos_token_id]
    options += tokenizer("_", add_special_tokens=False)["input_ids"]
    filler = next((i for i in options if i is not None and i != tokenizer.pad_token_id), None)
    if filler is None:
        raise InputError("This model's tokenizer has no token that could stand in for a word.", code="no_filler")
    gone = np.isin(tokens.words, words)  # (T,)
    name = str(tokenizer.convert_ids_to_tokens(filler))
    strings = tuple(name if g else s for g, s in zip(gone.tolist(), tokens.strings, strict=True))
    ids = np.where(gone, filler, tokens.ids)
    inputs = {**encoding.inputs, "input_ids": ids}
    others = tuple(masked(option, words, tokenizer) for option in encoding.options)
    return replace(encoding, tokens=replace(tokens, ids=ids, strings=strings), inputs=inputs, options=others)
