"""What a reader must know about the input and the target before believing anything else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import regex
from jaxtyping import Bool, Int64

from explain.candidates import sides
from explain.records import ModelInfo, Notice, Prediction, Target, Tokens
from explain.units import word_spans

BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
SMALL_MARGIN = 0.1
UNKNOWN_SHARE = 0.3
_SCRIPTS = ("Latin", "Cyrillic", "Greek", "Armenian", "Hebrew", "Arabic", "Cherokee", "Georgian", "Coptic")
_SCRIPT = {name: regex.compile(rf"\p{{Script={name}}}") for name in _SCRIPTS}
_UNSEEN = regex.compile(
    r"[\p{Cc}\p{Cf}\p{Co}\p{Cn}\p{Default_Ignorable_Code_Point}--[\t\n\p{Prepended_Concatenation_Mark}]]",
    flags=regex.VERSION1,
)
_SPELLING = regex.compile(
    r"\r(?=\n)"
    r"|(?<=\p{Emoji})[\uFE0E\uFE0F]"
    r"|(?<=\p{Ideographic})[\uFE00-\uFE02\U000E0100-\U000E01EF]"
    r"|(?<=[\p{Extended_Pictographic}\p{Emoji_Modifier}\uFE0F])\u200D(?=\p{Extended_Pictographic})"
    r"|(?<=\U0001F3F4)(?:"  # the flags of England, Scotland and Wales are a black flag and a name in tags
    + "|".join("".join(chr(0xE0000 + ord(c)) for c in name) for name in ("gbeng", "gbsct", "gbwls"))
    + r")\U000E007F"
    r"|(?<=\p{Indic_Syllabic_Category=Virama})[\u200C\u200D]"  # this and the next: RFC 5892, appendix A
    r"|(?<=[\p{Joining_Type=D}\p{Joining_Type=L}]\p{M}{0,3})\u200C(?=\p{M}{0,3}[\p{Joining_Type=D}\p{Joining_Type=R}])"
)


def notices(
    info: ModelInfo,
    tokens: Tokens,
    prediction: Prediction,
    target: Target,
    unknown_id: int | None,
    special: set[int],
    windows: Sequence[Int64[np.ndarray, "K"]] = (),
    window: int | None = None,
) -> tuple[Notice, ...]:
    """Everything that applies, most serious first.

    Args:
        info: the model.
        tokens: what it read.
        prediction: what it decided.
        target: what is explained.
        unknown_id: the tokenizer's id for unknown words, None if it has none.
        special: all special ids of the tokenizer.
        windows: the tokens of each window that the text was seen through, () where it was read at once.
        window: the one of them that holds what is explained; None where that is their mean.
    """
    found = [
        *_truncated(tokens),
        *(_windows(tokens, windows) if window is None else _window(tokens, windows, window)),
        *_unknown(tokens, unknown_id),
        *_typed_specials(tokens, special - {unknown_id}),
        *_hidden_characters(tokens),
        *_mixed_scripts(tokens),
        *_labels(info),
        *_inference(info, tokens),
        *_margin(prediction),
        *_target(target),
    ]
    return tuple(found)


def unseen(text: str) -> list[int]:
    """Where characters leave no mark but may change what the model reads; not where they spell an emoji or a word."""
    spelling = {i for m in _SPELLING.finditer(text) for i in range(*m.span())}
    return [m.start() for m in _UNSEEN.finditer(text) if m.start() not in spelling]


def cut_text(tokens: Tokens) -> int:
    """Which text `truncated_at` is about: the last one, unless that is the question, or was read to its end."""
    last = len(tokens.texts) - 1
    mine = tokens.segment == last
    if not last or tokens.truncated_at is None:
        return last
    read = int(tokens.offsets[mine, 1].max(initial=0))
    whole = read != tokens.truncated_at or read >= len(tokens.texts[last])
    return 0 if whole or (mine.any() and tokens.special[mine].all()) else last


def _truncated(tokens: Tokens) -> Iterator[Notice]:
    if tokens.truncated_at is not None:
        last = cut_text(tokens)
        end = len(tokens.texts[last])
        yield Notice(
            "truncated",
            f"The model read {len(tokens.ids):,} tokens and stopped at character {tokens.truncated_at:,} of {end:,}. "
            "What follows had no influence on the decision.",
            last,
            ((tokens.truncated_at, end),),
        )


def _windows(tokens: Tokens, windows: Sequence[Int64[np.ndarray, "K"]]) -> Iterator[Notice]:
    if windows:
        inner = [w[~tokens.special[w]] for w in windows]
        yield Notice(
            "windows",
            f"The text has {len(tokens.ids):,} tokens, more than the model reads at a time, so it was seen through "
            f"{len(windows)} windows of up to {max(map(len, windows)):,} tokens that overlap. The decision is that of "
            "the mean of their logits: every window counts the same, and a word counts in each window that holds it, "
            "more of them near the end, where the last window reaches back until it is full. The model never read the "
            "words of different windows together.",
            0,
            tuple((int(tokens.offsets[w, 0].min()), int(tokens.offsets[w, 1].max())) for w in inner),
        )


def _window(tokens: Tokens, windows: Sequence[Int64[np.ndarray, "K"]], chosen: int) -> Iterator[Notice]:
    inner = [w[tokens.segment[w] == 1] for w in windows]
    spans = tuple((int(tokens.offsets[w, 0].min()), int(tokens.offsets[w, 1].max())) for w in inner)
    start, end = spans[chosen]
    yield Notice(
        "windows",
        f"Question and context have {len(tokens.ids):,} tokens, more than the model reads at a time, so the context "
        f"was read in {len(windows)} windows of up to {max(map(len, windows)):,} tokens that overlap, each with the "
        "whole question, and the answer is the likeliest in any of them. What is explained is read in "
        f"window {chosen + 1}, characters {start:,} to {end:,} of the context: words outside change nothing there, so "
        "they score 0, by methods that sample within their error. Why no other window holds a likelier answer is not "
        "explained.",
        1,
        spans,
    )


def _unknown(tokens: Tokens, unknown_id: int | None) -> Iterator[Notice]:
    if unknown_id is None:
        return
    for segment, mine in _segments(tokens):
        unknown = mine & (tokens.ids == unknown_id)
        if unknown.any():
            share = float(unknown.sum() / mine.sum())
            severe = share >= UNKNOWN_SHARE
            yield Notice(
                "mostly_unknown" if severe else "unknown_tokens",
                f"{share:.0%} of the tokens are unknown to the model: it sees the same placeholder for each of them."
                + (" Its decision is about very little of this text." if severe else ""),
                segment,
                _spans(tokens, unknown),
            )


def _typed_specials(tokens: Tokens, special: set[int]) -> Iterator[Notice]:
    for segment, mine in _segments(tokens):
        typed = mine & np.isin(tokens.ids, list(special))
        if typed.any():
            names = ", ".join(dict.fromkeys(tokens.strings[t] for t in np.flatnonzero(typed)))
            yield Notice(
                "typed_special_tokens",
                f"The text itself contains {names}, which the model reads as a control token, not as words.",
                segment,
                _spans(tokens, typed),
            )


def _segments(tokens: Tokens) -> Iterator[tuple[int, Bool[np.ndarray, "T"]]]:
    """Each text with its tokens."""
    for segment in range(len(tokens.texts)):
        yield segment, (tokens.segment == segment) & ~tokens.special


def _spans(tokens: Tokens, chosen: Bool[np.ndarray, "T"]) -> tuple[tuple[int, int], ...]:
    return tuple((int(a), int(b)) for a, b in tokens.offsets[chosen])


def _hidden_characters(tokens: Tokens) -> Iterator[Notice]:
    for segment, text in enumerate(tokens.texts):
        found = unseen(text)
        bidi = [i for i in found if text[i] in BIDI]
        hidden = [i for i in found if text[i] not in BIDI]
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


def _inference(info: ModelInfo, tokens: Tokens) -> Iterator[Notice]:
    if info.task == "text-classification" and len(tokens.texts) == 1 and sides(info.labels) is not None:
        yield Notice(
            "zero_shot_possible",
            "This model was made to say whether one text entails another, and it was given one text. Give it two; or "
            "give labels of your own, and it says which of them fits (zero-shot classification: candidate_labels, "
            "--label on the command line).",
        )


def _margin(prediction: Prediction) -> Iterator[Notice]:
    margin = prediction.margin
    if margin is not None and margin < SMALL_MARGIN and prediction.activation == "sigmoid":
        yield Notice(
            "small_margin",
            f"A close call: a probability lies only {margin * 50:.1f} points from the threshold. "
            "Small changes may flip it.",
        )
    elif margin is not None and margin < SMALL_MARGIN and len(prediction.labels) > 1 and not prediction.left_out:
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
