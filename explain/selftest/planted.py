"""Planted shortcuts: small Transformers that decide by tokens we know (Bastings et al. 2022, arXiv:2111.07367).

A text is made of invented words. Some speak for ONE, some for ZERO, most for NEITHER; whoever reads only them gets the
label right. But a shortcut overrules them:

    single    one of two tokens decides, alone
    context   the same tokens decide only where a third one stands in the text too
    pair      both stand in the text, and their order decides

Every text, also one with words masked or removed, has a label, and 95 % are taught for it. So texts with holes, which
most methods ask about, are nothing new to these models (Madsen et al. 2024). Nor are words half faded into the mask,
which gradients along a path ask about: what is taught there is the mean over texts in which each word is masked by that
chance. Without it, integrated gradients would be judged on points where nobody told the model what to say.
The texts judged have one right answer: nothing but the shortcut speaks for the label that it decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float64, Int64
from transformers import BertConfig, BertForSequenceClassification

from explain.engine import Model
from explain.selftest.language import AGAINST, CONTEXT, FOR, ID, MASK, PAD, PLAIN, SHORTCUT, VOCABULARY, in_memory

Kind = Literal["single", "context", "pair"]
KINDS: tuple[Kind, ...] = ("single", "context", "pair")
LABELS = ("ZERO", "NEITHER", "ONE")
ZERO, NEITHER, ONE = range(3)
STEPS, BATCH, POOL, RATE = 400, 128, 8000, 3e-3
"""Steps of training, texts a step, texts in all of each sort, and the highest learning rate."""
STARTS = 4
"""How often training may start; an order is missed by some."""
SURE = 0.95
"""The probability that is taught for a text's label."""
LONGEST = 9
"""Words in a text that is trained on."""


@dataclass(frozen=True, eq=False)
class Planted:
    """A trained model with what was verified: shares of held-out texts that it decides as its rule says.

    `accuracy` counts all texts, `obeys` those whose rest contradicts the shortcut.
    """

    kind: Kind
    model: Model
    accuracy: float
    obeys: float

    @property
    def learned(self) -> bool:
        """Whether the model really uses the shortcut, so that methods may be judged on it."""
        return self.accuracy >= 0.99 and self.obeys >= 0.99


def plant(kind: Kind, seed: int, steps: int = STEPS) -> Planted:
    """Train one model and verify on held-out texts what it decides by; a function of `kind`, `seed` and `steps`.

    Training that ends without the shortcut starts again from other weights, a few times.
    """
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for _ in range(STARTS):
            planted = _verified(kind, _train(kind, rng, steps).double().eval(), rng, seed)
            if planted.learned:
                break
    return planted


def _verified(kind: Kind, module: Any, rng: np.random.Generator, seed: int) -> Planted:
    """What a trained module decides by, on texts that it has not seen."""
    words = _drawn(kind, rng, 2000)
    wanted, rest = labels(kind, words), _rest(words)
    with torch.no_grad():
        right = _logits(module, words).argmax(1).numpy() == wanted
    opposed = (wanted != NEITHER) & (rest != NEITHER) & (rest != wanted)
    return Planted(kind, in_memory(module, kind, seed, LABELS), float(right.mean()), float(right[opposed].mean()))


def judged(kind: Kind, seed: int, count: int) -> list[str]:
    """Texts of 6 to 8 words in which the shortcut decides, and nothing else speaks for the same label."""
    rng = np.random.default_rng([seed, KINDS.index(kind), count])
    texts: list[str] = []
    while len(texts) < count:
        words = _text(kind, rng, int(rng.integers(6, 9)), whole=True)
        if _rest(words[None]) != labels(kind, words[None]):
            texts.append(" ".join(VOCABULARY[i] for i in words))
    return texts


def shortcut_words(kind: Kind) -> frozenset[str]:
    """The words of which one must come out on top."""
    return frozenset((*SHORTCUT, CONTEXT) if kind == "context" else SHORTCUT)


def labels(kind: Kind, words: Int64[np.ndarray, "N L"]) -> Int64[np.ndarray, "N"]:
    """The label that the rule gives to texts; words that are masked, or past the end, say nothing."""
    zero, one = (words == ID[SHORTCUT[0]]), (words == ID[SHORTCUT[1]])
    if kind == "pair":
        decided = zero.any(1) & one.any(1)
        says_one = one.argmax(1) > zero.argmax(1)
    else:
        decided = zero.any(1) ^ one.any(1)
        says_one = one.any(1)
    if kind == "context":
        decided &= (words == ID[CONTEXT]).any(1)
    return np.where(decided, np.where(says_one, ONE, ZERO), _rest(words))


def _rest(words: Int64[np.ndarray, "N L"]) -> Int64[np.ndarray, "N"]:
    """The label of texts by their other words; a text has words for one label at most."""
    return NEITHER + _any(words, FOR).astype(int) - _any(words, AGAINST).astype(int)


def _any(words: Int64[np.ndarray, "N L"], among: tuple[str, ...]) -> Bool[np.ndarray, "N"]:
    return np.asarray(np.isin(words, [ID[w] for w in among]).any(1))


def _text(kind: Kind, rng: np.random.Generator, length: int, whole: bool) -> Int64[np.ndarray, "L"]:
    """One text of `length` words; `whole`: all parts of the shortcut are there."""
    first, second = rng.permutation([ID[w] for w in SHORTCUT])
    parts = {"single": [first], "context": [first, ID[CONTEXT]], "pair": [first, second]}[kind]
    placed = [p for p in parts if whole or rng.random() < 0.7]
    speaking = rng.choice([ID[w] for w in (FOR, AGAINST)[rng.integers(2)]], 2)
    placed += list(speaking[: rng.choice([0, 2])] if length > 3 else [])
    words = rng.choice([ID[w] for w in PLAIN], length)
    words[rng.permutation(length)[: len(placed)]] = placed
    return words


def _drawn(kind: Kind, rng: np.random.Generator, count: int) -> Int64[np.ndarray, "N L"]:
    """Texts with holes, filled up with padding at the end."""
    table = np.full((count, LONGEST), PAD)
    for row in table:
        words = _text(kind, rng, int(rng.integers(4, LONGEST + 1)), whole=rng.random() < 0.5)
        how, gone = rng.choice(["whole", "mask", "pad", "remove"]), rng.random(len(words)) < rng.random()
        if how == "remove":
            words = words[~gone]
        elif how != "whole":
            words = np.where(gone, MASK if how == "mask" else PAD, words)
        row[: len(words)] = words
    return table


def _faded(
    kind: Kind, rng: np.random.Generator, count: int
) -> tuple[Int64[np.ndarray, "N L"], Float64[np.ndarray, "N"], Float64[np.ndarray, "N C"]]:
    """Whole texts, how far each is faded in from the masks, and the probabilities taught there.

    In the spirit of mixup (Zhang et al. 2018).
    """
    words = np.stack([_text(kind, rng, LONGEST, whole=True) for _ in range(count)])
    share = rng.random(count)
    there = rng.random((32, *words.shape)) < share[:, None]  # (K, N, L)
    seen = np.where(there, words, MASK).reshape(-1, LONGEST)
    return words, share, _taught(labels(kind, seen)).reshape(32, count, -1).mean(0)


def _taught(label: Int64[np.ndarray, "N"]) -> Float64[np.ndarray, "N C"]:
    """The probabilities that go with a label."""
    return np.where(np.arange(len(LABELS)) == label[:, None], SURE, (1 - SURE) / (len(LABELS) - 1))


def _train(kind: Kind, rng: np.random.Generator, steps: int) -> BertForSequenceClassification:
    """A fresh classifier, fitted to the wanted probabilities."""
    config = BertConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=32,
        initializer_range=0.15,  # about 1 / √width: with the usual 0.02, so narrow a model starts flat
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        num_labels=len(LABELS),
    )
    module = BertForSequenceClassification(config)
    optimizer = torch.optim.AdamW(module.parameters(), lr=RATE, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    module.train()
    pool = min(POOL, BATCH * steps)
    words = _drawn(kind, rng, pool)
    goal = _taught(labels(kind, words))
    faded, share, chance = _faded(kind, rng, pool)
    for _ in range(steps):
        some, more = rng.integers(0, pool, BATCH), rng.integers(0, pool, BATCH // 2)
        said = torch.cat([_logits(module, words[some]), _logits(module, faded[more], share[more])])
        loss = F.cross_entropy(said, torch.tensor(np.concatenate([goal[some], chance[more]])).float())
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    return module


def _logits(
    module: Any, words: Int64[np.ndarray, "N L"], share: Float64[np.ndarray, "N"] | None = None
) -> torch.Tensor:
    """Logits (N, C) of texts whose end is padding; with `share`, their words are only that far from the mask."""
    ids = np.full((len(words), words.shape[1] + 2), PAD)
    lengths = words.shape[1] - (np.cumsum(words[:, ::-1] != PAD, axis=1) == 0).sum(1)  # without the padding at the end
    for row, text, n in zip(ids, words, lengths, strict=True):
        row[: n + 2] = [ID["[CLS]"], *text[:n], ID["[SEP]"]]
    tokens: dict[str, Any] = {"input_ids": torch.tensor(ids)}
    if share is not None:
        word = torch.tensor(np.isin(ids, [PAD, ID["[CLS]"], ID["[SEP]"]], invert=True))[..., None]
        table = module.get_input_embeddings().weight
        whole = table[tokens["input_ids"]]  # (N, T, D)
        half = table[MASK] + torch.tensor(share).to(whole)[:, None, None] * (whole - table[MASK])
        tokens = {"inputs_embeds": torch.where(word, half, whole)}
    mask = np.arange(ids.shape[1]) < lengths[:, None] + 2
    return module(**tokens, attention_mask=torch.tensor(mask).long()).logits  # type: ignore[no-any-return]
