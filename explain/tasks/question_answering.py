"""Which part of a context answers a question: a start and an end among its tokens.

Start and end are chosen apart, each by a softmax over the tokens of the context (and the first one, where the tokenizer
puts a token there that stands for 'no answer'), as the Hub's pipeline does. An answer's probability is the product of
both. With a and b the log-odds of its start and of its end, what is explained by default is the log-odds of the answer,

    log p / (1 − p),  p = σ(a) σ(b)      which is      − log(e^−a + e^−b + e^−a−b)

and not the sum of the two logits, which changes when anything is added to the logits of all tokens while the answer and
its probability stay. That sum can be asked for (`logit`); so can the start or the end alone, and one answer rather than
another, where all other tokens cancel. Of a context that is read in windows, the answer is the likeliest in any, and
what is explained is that answer in its window (`explain.model.contexts`). Words of the question and of the context are
evidence alike, those of the answer too. Where words are deleted, a token stays and stands in for the answer's first and
last, since else there were none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64
from transformers import AutoModelForQuestionAnswering
from transformers.models.auto.modeling_auto import MODEL_FOR_QUESTION_ANSWERING_MAPPING_NAMES

from explain.catalog import TargetKind
from explain.errors import InputError, ModelError
from explain.model.encoding import Encoding, whole
from explain.model.rows import Row
from explain.prediction import Answer, Answering, Prediction
from explain.records import Target, Tokens
from explain.tasks import Task
from explain.tasks._exclusive import UNITS

ANSWER = "answer-span"
LONGEST = 15
"""Tokens that an answer may have, as in the Hub's pipeline."""
KEPT = 16
"""Answers that a prediction keeps, the likeliest ones; of those with the same words the likeliest."""
ENDS = ("start", "end")
ORDINARY = "What does this say?"
"""What ordinary sentences are asked."""


class QuestionAnswering(Task):
    """See the module's text. Raw output (M, 4) at each place: logit and log-odds as a start, and the same as an end."""

    name = "question-answering"
    summary = "The part of a context that answers a question: the likeliest, any other, its start or its end alone."
    problems = (ANSWER,)
    auto_class = AutoModelForQuestionAnswering
    classes = MODEL_FOR_QUESTION_ANSWERING_MAPPING_NAMES
    pairs = True
    windows = "one"

    def problem(self, config: Any, wish: str) -> str:
        if config.num_labels != 2:
            raise ModelError(
                "A head that finds answers has two outputs, for their start and their end, and config.json gives this "
                f"one {config.num_labels} labels. Use a checkpoint that was fine-tuned to answer questions.",
                code="two_outputs",
            )
        return ANSWER

    def posed(self, texts: tuple[str, ...], tokenizer: Any) -> tuple[str, ...]:
        return texts if len(texts) > 1 else (ORDINARY, *texts)

    def asked(self, encoding: Encoding, tokenizer: Any, place: int | None) -> Encoding:
        tokens = encoding.tokens
        if len(tokens.texts) < 2:
            raise InputError(
                "This model finds the answer to a question in a context, and it was given one text. Give it both: the "
                "question first, then the context (--pair on the command line).",
                code="no_context",
            )
        context = (tokens.segment == 1) & (tokens.words >= 0)  # (T,)
        if not context.any():
            raise InputError(
                "Nothing was read of the context. Enter a text that answers may stand in.", code="no_context"
            )
        rivals = context.copy()
        rivals[0] |= bool(tokens.special[0] and tokens.ids[0] == tokenizer.cls_token_id)
        if rivals.sum() < 2:
            raise InputError("The context is one token, so nothing is decided. Enter a longer one.", code="no_context")
        return replace(whole(encoding, place), rivals=rivals, places=tuple(np.flatnonzero(rivals).tolist()))

    def read(self, outputs: Any, rows: Sequence[Row]) -> torch.Tensor:
        named = (getattr(outputs, name, None) for name in ("start_logits", "end_logits"))
        both = [z for z in named if isinstance(z, torch.Tensor)]  # (N, T) each
        if len(both) < 2 or any(z.ndim != 2 or z.shape[1] < max(map(len, rows)) for z in both):
            raise ModelError("This model does not answer with a start and an end for every token.", code="no_logits")
        found = []
        for i, row in enumerate(rows):
            at = torch.tensor(row.read, device=both[0].device)  # (P,)
            rivals = None if row.rivals is None else torch.tensor(np.flatnonzero(row.rivals), device=at.device)  # (K,)
            found.append(torch.stack([part for z in both for part in _against(z[i].float(), rivals, at)], -1))
        return torch.cat(found)  # (M, 4)

    def prediction(
        self, raw: Float32[np.ndarray, "K 4"], labels: tuple[str, ...], problem: str, encoding: Encoding
    ) -> Prediction:
        tokens, all_places = encoding.tokens, np.array(encoding.places)
        each = [all_places[np.isin(all_places, w)] for w in encoding.windows] or [all_places]
        places = np.concatenate(each)  # (K,) tokens, one window after the other
        log_p = -np.logaddexp(0, -raw[:, [1, 3]].astype(np.float64))  # (K, 2): of starts and of ends
        begins = np.cumsum([0, *map(len, each)])  # where each window's begin
        context = tokens.segment[places] == 1  # (K,)
        spans = encoding.units("word").spans
        kept: dict[int, tuple[Answer, float]] = {}
        pairs, shares = _best(log_p, [a + np.flatnonzero(context[a:b]) for a, b in pairwise(begins.tolist())])
        for (first, last), share in zip(pairs.tolist(), shares.tolist(), strict=True):
            s, e = int(places[first]), int(places[last])
            one, two = int(tokens.words[s]), int(tokens.words[e])
            if _code(one, two) not in kept:
                start, end, prob = int(spans[one, 0]), int(spans[two, 1]), float(np.float32(np.exp(share)))
                found = Answer(tokens.texts[1][start:end], start, end, s, e, prob)
                kept[_code(one, two)] = found, float(raw[first, 0] + raw[last, 2])
            if len(kept) == KEPT:
                break
        answers = tuple(answer for answer, _ in kept.values())
        nothing = None if context.all() else float(np.float32(np.exp(log_p[begins[:-1]].sum(1).min())))
        many = f" of any of its {len(each)} windows" if encoding.windows else ""
        return Prediction(
            labels=tuple(_named(answers, i, code) for i, code in enumerate(kept)),
            logits=np.array([logit for _, logit in kept.values()], dtype=np.float32),
            probs=np.array([answer.prob for answer in answers], dtype=np.float32),
            activation="softmax",
            rule=f"the likeliest start and end in the context{many}, at most {LONGEST} tokens from one to the other",
            decision=(0,),
            position=answers[0].first,
            indices=tuple(kept),
            left_out=len(np.unique(places[pairs], axis=0)) - len(kept),
            answering=Answering(answers, nothing),
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
        if quantity == "margin" and contrast is None:
            raise InputError(
                "A margin is not measured between answers that overlap. Use log_odds, or name the answer to hold this "
                "one against (contrast).",
                code="bad_target",
            )
        part: Literal["start", "end", "both"] = wish if wish in ENDS else "both"  # type: ignore[assignment]
        code, name, places = _meant(prediction, encoding, None if wish in ENDS else wish)
        chosen = {"start": [0], "end": [1], "both": [0, 1]}[part]
        own = tuple(places[i] for i in chosen)
        whole = f"“{name}”" if part == "both" else f"the {part} of “{name}”"
        if contrast is None:
            return Target(kind=quantity, index=code, name=whole, unit=UNITS[quantity], positions=own, span=part)
        other, title, there = _meant(prediction, encoding, contrast)
        others = tuple(there[i] for i in chosen)
        if others == own:
            raise InputError("Target and contrast are the same. Choose two different answers.", code="bad_target")
        return Target(
            kind="contrast",
            index=code,
            contrast=other,
            name=f"{whole} rather than “{title}”",
            unit="log-odds",
            against=f"“{title}”",
            positions=(*own, *others),
            span=part,
        )

    def sought(self, prediction: Prediction, target: Target) -> Target:
        """The answer itself, whose window is explained also where only its start or its end is, or a contrast."""
        assert prediction.answering is not None
        place = prediction.place(target.index)
        answers = prediction.answering.answers
        both = target.positions[:2] if place is None else (answers[place].first, answers[place].last)
        return replace(target, kind="log_odds", contrast=None, span="both", positions=both)

    def score(self, raw: torch.Tensor, target: Target, problem: str) -> torch.Tensor:
        """The value of each row, once for each of its places: it is one value of all of them."""
        each = raw.reshape(-1, len(target.positions), 4)  # (N, P, 4)
        count = 2 if target.span == "both" else 1
        ends = _ends(each[:, :count], target)
        value = torch.stack([z for z, _ in ends]).sum(0)  # (N,)
        if target.kind == "contrast":
            value = value - torch.stack([z for z, _ in _ends(each[:, count:], target)]).sum(0)
        elif target.kind != "logit":
            odds = [a for _, a in ends]
            value = (
                odds[0] if count == 1 else -torch.logsumexp(torch.stack([-odds[0], -odds[1], -odds[0] - odds[1]]), 0)
            )
            value = torch.sigmoid(value) if target.kind == "probability" else value
        return value[:, None].expand(-1, each.shape[1]).reshape(-1)


def _against(z: torch.Tensor, among: torch.Tensor | None, at: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (P,) at the places `at`, and their log-odds against the other tokens of `among` (K,), None for none."""
    if among is None:
        return z[at], z[at]
    others = z[among].expand(len(at), -1).masked_fill(among == at[:, None], -torch.inf)  # (P, K)
    return z[at], z[at] - torch.logsumexp(others, -1)


def _ends(raw: torch.Tensor, target: Target) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Logit and log-odds (N,) of each end that is explained, from the raw output (N, 1 or 2, 4) there."""
    columns = {"start": (0,), "end": (2,), "both": (0, 2)}[target.span or "both"]
    return [(raw[:, place, column], raw[:, place, column + 1]) for place, column in enumerate(columns)]


def _best(
    log_p: Float64[np.ndarray, "K 2"], each: Sequence[Int64[np.ndarray, "C"]]
) -> tuple[Int64[np.ndarray, "S 2"], Float64[np.ndarray, "S"]]:
    """All answers as first and last place of one of several contexts, the likeliest first, and their log-probabilities.

    Of equally likely ones the first in the first context.
    """
    found = [
        np.stack([mine[: len(mine) - d], mine[d:]], axis=1) for mine in each for d in range(min(LONGEST, len(mine)))
    ]
    pairs = np.concatenate(found)  # (S, 2)
    shares = log_p[pairs[:, 0], 0] + log_p[pairs[:, 1], 1]  # (S,)
    order = np.argsort(-shares, kind="stable")
    return pairs[order], shares[order]


def _code(first: int, last: int) -> int:
    """An outcome's index, by its words: the same in a text where only the tokens of other words have changed."""
    return LONGEST * first + last - first


def _named(answers: tuple[Answer, ...], place: int, code: int) -> str:
    """What an answer is called: its words, with its index where a likelier one has the same words."""
    words = answers[place].words
    short = words if len(words) <= 80 else f"{words[:79]}…"
    return f"{short} (#{code})" if words in [a.words for a in answers[:place]] else short


def _meant(prediction: Prediction, encoding: Encoding, wish: str | int | None) -> tuple[int, str, tuple[int, int]]:
    """Index, name and both tokens of the answer that a person means; raises InputError where there is none."""
    assert prediction.answering is not None
    assert prediction.indices is not None
    if isinstance(wish, bool) or not isinstance(wish, (str, int, type(None))):
        raise InputError(f"Expected words of the context, got {wish!r:.40}.", code="bad_target")
    tokens = encoding.tokens
    code = prediction.indices[0] if wish is None else None
    if isinstance(wish, str):
        code = prediction.indices[prediction.labels.index(wish)] if wish in prediction.labels else _found(tokens, wish)
    if code is None and str(wish).isdecimal() and len(str(wish)) < 9:
        code = int(str(wish))
    place = None if code is None else prediction.place(code)
    if code is not None and place is not None:
        answer = prediction.answering.answers[place]
        return code, prediction.labels[place], (answer.first, answer.last)
    first, last = (-1, -1) if code is None else (code // LONGEST, code // LONGEST + code % LONGEST)
    mine = np.flatnonzero((tokens.segment == 1) & (tokens.words >= first) & (tokens.words <= last))
    if code is None or not len(mine) or not {first, last} <= set(tokens.words[mine].tolist()) or len(mine) > LONGEST:
        raise InputError(
            f"'{str(wish)[:80]}' is no answer that stands in the context: it takes words of it as they are written, of "
            f"at most {LONGEST} tokens; or 'start' or 'end', for one end of the model's own answer.",
            code="bad_target",
        )
    start, end = int(tokens.offsets[mine[0], 0]), int(tokens.offsets[mine[-1], 1])
    return code, tokens.texts[1][start:end].strip(), (int(mine[0]), int(mine[-1]))


def _found(tokens: Tokens, wish: str) -> int | None:
    """The index of the answer made of the words of the context that hold `wish`, where it first stands; else None."""
    start = tokens.texts[1].find(wish.strip()) if wish.strip() else -1
    end = start + len(wish.strip())
    inside = (tokens.segment == 1) & (tokens.offsets[:, 0] < end) & (tokens.offsets[:, 1] > start)
    words = tokens.words[inside & (tokens.words >= 0)]
    if start < 0 or not len(words) or (tokens.truncated_at is not None and end > tokens.truncated_at):
        return None
    return _code(int(words[0]), int(words[-1])) if words[-1] - words[0] < LONGEST else None


TASK = QuestionAnswering()
