"""A label for each word of a text: named entities, parts of speech.

A word's tag is read at its first token, and neighbouring words are joined to entities, as the Hub's pipeline does with
the strategy 'first'. An explanation is about one word, the log-odds of a label at its first token; or, where the target
is a kind of entity (PER for B-PER and I-PER together), about the entity around that word, the mean over its words.
Words that are asked about are evidence like any other: methods replace and score them, and only their places must stay,
so where words are taken out of the text for good, these leave a token behind that stands in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32
from transformers import AutoModelForTokenClassification
from transformers.models.auto.modeling_auto import MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES

from explain.bounds import require_whole
from explain.catalog import TargetKind
from explain.errors import InputError, ModelError
from explain.model.encoding import Encoding
from explain.model.rows import Row
from explain.prediction import Entity, Prediction, Tag, Tagging, kind, kinds
from explain.records import Target
from explain.tasks import Task, _exclusive, _labels

TAGS = "word-tags"
OUTSIDE = "O"
"""What words are tagged as that belong to no entity."""


class TokenClassification(Task):
    """See the module's text. Raw output: logits (M, C) at each place."""

    name = "token-classification"
    summary = "The tag of a word or the kind of an entity, where each word has a tag: named entities, parts of speech."
    problems = (TAGS,)
    auto_class = AutoModelForTokenClassification
    classes = MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES

    def problem(self, config: Any, wish: str) -> str:
        if config.num_labels < 2:
            raise ModelError("This head has one label, so every word gets it. Nothing is decided.", code="one_label")
        return TAGS

    def labels(self, config: Any, problem: str) -> tuple[str, ...]:
        named = config.id2label or {}
        return tuple(str(named.get(i, f"LABEL_{i}")) for i in range(config.num_labels))

    def asked(self, encoding: Encoding, tokenizer: Any, place: int | None) -> Encoding:
        words = _words(encoding, tokenizer)
        if not words:
            raise InputError("The text holds no word that could be tagged. Enter a sentence.", code="no_content_tokens")
        if place is not None:
            require_whole("place", place, 0, len(words) - 1)
        return replace(encoding, tagged=words, places=() if place is None else (words[place][0],))

    def read(self, outputs: Any, rows: Sequence[Row]) -> torch.Tensor:
        return _exclusive.at(outputs, rows)

    def prediction(
        self, raw: Float32[np.ndarray, "W C"], labels: tuple[str, ...], problem: str, encoding: Encoding
    ) -> Prediction:
        text, firsts = encoding.tokens.texts[0], [token for token, _, _ in encoding.tagged]
        probs = _exclusive.softmax(raw)  # (W, C)
        best = probs.argmax(1)  # (W,)
        tags = tuple(
            Tag(text[start:end], token, start, end, labels[label], float(np.float32(share[label])))
            for (token, start, end), label, share in zip(encoding.tagged, best, probs, strict=True)
        )
        entities = _entities(tags, text)
        if encoding.places:
            asked = firsts.index(encoding.places[0])
        elif entities:
            asked = entities[0].first
        else:  # the word that comes closest to being in one
            asked = int(probs[:, labels.index(OUTSIDE)].argmin())
        return Prediction(
            labels=labels,
            logits=raw[asked].astype(np.float32),
            probs=probs[asked].astype(np.float32),
            activation="softmax",
            rule="at each word's first token, the label with the highest probability",
            decision=(int(best[asked]),),
            position=firsts[asked],
            tagging=Tagging(tags, entities, asked),
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
        name, mine = _meant(labels, prediction.top if wish is None else wish)
        title, others = ("", ()) if contrast is None else _meant(labels, contrast)
        if len(mine) == len(labels):
            raise InputError(f"Every label of this model is {name}, so nothing speaks against it.", code="bad_target")
        if set(mine) & set(others):
            raise InputError(f"Target and contrast are both '{name}'. Choose two different labels.", code="bad_target")
        positions = _around(prediction) if wish in kinds(labels) else ()
        best, worst = (max(some, key=lambda i: float(prediction.logits[i]), default=None) for some in (mine, others))
        whole = f"{name} over {len(positions)} words" if len(positions) > 1 else name
        found = _exclusive.target(best or 0, whole, None if worst is None else (worst, title), quantity)
        return replace(
            found,
            positions=positions if len(positions) > 1 else (),
            joined=mine if len(mine) > 1 else (),
            joined_against=others if len(others) > 1 else (),
        )

    def score(self, raw: torch.Tensor, target: Target, problem: str) -> torch.Tensor:
        return _exclusive.score(raw, target)


def _meant(labels: tuple[str, ...], wish: str | int) -> tuple[str, tuple[int, ...]]:
    """Name and indices of the label that a person means, or of the labels of a kind; raises InputError."""
    if wish in kinds(labels):
        return str(wish), tuple(i for i, label in enumerate(labels) if kind(label) == wish)
    index = _labels.find(labels, wish)
    return _labels.named(labels, index), (index,)


def _around(prediction: Prediction) -> tuple[int, ...]:
    """First tokens of the words of the entity that holds the word that is asked about; of the word alone in none."""
    found = prediction.tagging
    assert found is not None
    for entity in found.entities:
        if entity.first <= found.asked <= entity.last:
            return tuple(tag.token for tag in found.tags[entity.first : entity.last + 1])
    return (found.tags[found.asked].token,)


def _words(encoding: Encoding, tokenizer: Any) -> tuple[tuple[int, int, int], ...]:
    """The words as (first token, first character, character after the last).

    A tokenizer that marks what goes on with a word is believed. Others are not asked where words are (the Hub's
    pipeline takes white space, and so a full stop for a part of its word): there it is Unicode's words (UAX #29).
    """
    tokens, text = encoding.tokens, encoding.tokens.texts[0]
    prefix = getattr(tokenizer.backend_tokenizer.model, "continuing_subword_prefix", None)
    found: list[tuple[int, int, int]] = []
    before = None
    for token in np.flatnonzero(~tokens.special).tolist():
        start, end = tokens.offsets[token].tolist()
        if not text[start:end].strip():
            continue
        word = int(tokens.words[token])
        if found and (tokens.strings[token].startswith(prefix) if prefix else word == before):
            found[-1] = (*found[-1][:2], end)
        else:
            found.append((token, start + len(text[start:end]) - len(text[start:end].lstrip()), end))
        before = word
    return tuple(found)


def _entities(tags: tuple[Tag, ...], text: str) -> tuple[Entity, ...]:
    """Neighbours with one kind of tag joined, unless a B- says that another one begins."""
    groups: list[tuple[str, int, int]] = []
    for i, tag in enumerate(tags):
        if groups and groups[-1][0] == kind(tag.label) and not tag.label.startswith("B-"):
            groups[-1] = (*groups[-1][:2], i)
        else:
            groups.append((kind(tag.label), i, i))
    return tuple(
        Entity(
            words=text[tags[first].start : tags[last].end],
            label=label,
            prob=float(np.mean([t.prob for t in tags[first : last + 1]])),
            start=tags[first].start,
            end=tags[last].end,
            first=first,
            last=last,
        )
        for label, first, last in groups
        if label != OUTSIDE
    )


TASK = TokenClassification()
