"""What a reader must know about the input and the target before believing anything else."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

import numpy as np
import regex

from explain.records import ModelInfo, Notice, Prediction, Target, Tokens
from explain.units import word_spans

BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
SMALL_MARGIN = 0.1
UNKNOWN_SHARE = 0.3
_SCRIPTS = ("Latin", "Cyrillic", "Greek", "Armenian", "Hebrew", "Arabic", "Cherokee", "Georgian", "Coptic")
_SCRIPT = {name: regex.compile(rf"\p{{Script={name}}}") for name in _SCRIPTS}


def notices(
    info: ModelInfo, tokens: Tokens, prediction: Prediction, target: Target, unknown_id: int | None, special: set[int]
) -> tuple[Notice, ...]:
    """Everything that applies, most serious first.

    Args:
        info: the model.
        tokens: what it read.
        prediction: what it decided.
        target: what is explained.
        unknown_id: the tokenizer's id for unknown words, None if it has none.
        special: all special ids of the tokenizer.
    """
    found = [
        *_truncated(tokens),
        *_unknown(tokens, unknown_id),
        *_typed_specials(tokens, special - {unknown_id}),
        *_hidden_characters(tokens),
        *_mixed_scripts(tokens),
        *_labels(info),
        *_margin(prediction),
        *_target(target),
    ]
    return tuple(found)


def is_invisible(character: str) -> bool:
    """Whether a character leaves no mark but may change what the model reads (format and control characters)."""
    return character in BIDI or (
        unicodedata.category(character) in ("Cf", "Cc", "Co", "Cn") and character not in "\t\n\r"
    )


def _truncated(tokens: Tokens) -> Iterator[Notice]:
    if tokens.truncated_at is not None:
        last = len(tokens.texts) - 1
        end = len(tokens.texts[last])
        yield Notice(
            "truncated",
            f"The model read {len(tokens.ids):,} tokens and stopped at character {tokens.truncated_at:,} of {end:,}. "
            "What follows had no influence on the decision.",
            last,
            ((tokens.truncated_at, end),),
        )


def _unknown(tokens: Tokens, unknown_id: int | None) -> Iterator[Notice]:
    unknown = (tokens.ids == unknown_id) & ~tokens.special if unknown_id is not None else np.zeros(0, dtype=bool)
    if not unknown.any():
        return
    share = float(unknown.sum() / max(1, (~tokens.special).sum()))
    spans = tuple((int(a), int(b)) for a, b in tokens.offsets[unknown])
    severe = share >= UNKNOWN_SHARE
    yield Notice(
        "mostly_unknown" if severe else "unknown_tokens",
        f"{share:.0%} of the tokens are unknown to the model: it sees the same placeholder for each of them."
        + (" Its decision is about very little of this text." if severe else ""),
        int(tokens.segment[unknown][0]),
        spans,
    )


def _typed_specials(tokens: Tokens, special: set[int]) -> Iterator[Notice]:
    typed = np.isin(tokens.ids, list(special)) & ~tokens.special
    if typed.any():
        names = ", ".join(dict.fromkeys(tokens.strings[t] for t in np.flatnonzero(typed)))
        yield Notice(
            "typed_special_tokens",
            f"The text itself contains {names}, which the model reads as a control token, not as words.",
            int(tokens.segment[typed][0]),
            tuple((int(a), int(b)) for a, b in tokens.offsets[typed]),
        )


def _hidden_characters(tokens: Tokens) -> Iterator[Notice]:
    for segment, text in enumerate(tokens.texts):
        bidi = [i for i, c in enumerate(text) if c in BIDI]
        hidden = [i for i, c in enumerate(text) if c not in BIDI and is_invisible(c) and not _joins_emoji(text, i)]
        if bidi:
            names = ", ".join(dict.fromkeys(f"U+{ord(text[i]):04X}" for i in bidi))
            yield Notice(
                "bidirectional_controls",
                f"The text contains {len(bidi)} invisible character(s) that change the reading direction ({names}). "
                "They are shown as codes here.",
                segment,
                tuple((i, i + 1) for i in bidi),
            )
        if hidden:
            names = ", ".join(list(dict.fromkeys(f"U+{ord(text[i]):04X}" for i in hidden))[:5])
            yield Notice(
                "invisible_characters",
                f"The text contains {len(hidden)} invisible or control character(s) ({names}). What the model reads "
                "may differ from what you see.",
                segment,
                tuple((i, i + 1) for i in hidden),
            )


def _joins_emoji(text: str, i: int) -> bool:
    """A zero-width joiner between two emoji is how families and flags are written."""
    return text[i] == "\u200d" and 0 < i < len(text) - 1 and ord(text[i + 1]) > 0x2000


def _mixed_scripts(tokens: Tokens) -> Iterator[Notice]:
    """Words that mix alphabets, as look-alike letters do (UTS #39, single-script restriction)."""
    for segment, text in enumerate(tokens.texts):
        mixed = []
        for start, end in word_spans(text):
            scripts = [name for name, pattern in _SCRIPT.items() if pattern.search(text, start, end)]
            if len(scripts) > 1:
                mixed.append((start, end))
        if mixed:
            yield Notice(
                "mixed_scripts",
                f"{len(mixed)} word(s) mix letters of different alphabets that may look alike. The model reads them as "
                "different words.",
                segment,
                tuple(mixed),
            )


def _labels(info: ModelInfo) -> Iterator[Notice]:
    if info.labels and all(regex.fullmatch(r"(not )?LABEL_\d+", label) for label in info.labels):
        yield Notice(
            "unnamed_labels",
            "The model's author did not name its labels (LABEL_0, LABEL_1, …). "
            "Look up their meaning before you read on.",
        )


def _margin(prediction: Prediction) -> Iterator[Notice]:
    margin = prediction.margin
    if margin is not None and margin < SMALL_MARGIN and len(prediction.labels) > 1:
        yield Notice(
            "small_margin",
            f"A close call: only {margin * 100:.1f} points separate the decision from another. "
            "Small changes may flip it.",
        )


def _target(target: Target) -> Iterator[Notice]:
    if target.kind == "probability":
        yield Notice(
            "probability_target",
            "Explaining a probability: where the model is sure, everything looks unimportant (saturation). "
            "Log-odds do not have this fault.",
        )
    if target.kind == "logit":
        yield Notice(
            "logit_target",
            "Explaining a raw logit: it can change without the prediction changing. Log-odds cannot.",
        )
