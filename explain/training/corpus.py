"""Running text for a language model: one tokenizer, rows of token ids, and sequences that stand twice in a row.

A model of stories alone has few reasons to copy, so that a head that looks for earlier copies comes late or never.
Hence a share of the rows holds a random sequence twice, from the first step on: only copying can foretell the second.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from explain.errors import InputError
from explain.training.fitting import Plan

END = "<|endoftext|>"
"""Stands before every text and between two."""
IGNORED = -100
"""The target of a place that does not count."""


def read_text(path: Path) -> str:
    """A file of the data; raises InputError when it is missing."""
    if not path.is_file():
        raise InputError(f"The training data has no file {path.name}; pass the folder that holds it as `data`.")
    return path.read_text(encoding="utf-8")


def train_tokenizer(text: str, vocabulary: int, longest: int) -> PreTrainedTokenizerFast:
    """Byte-level BPE of so many entries, learned from `text`; every text begins with `END`."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    lines = [line for block in text.split(END) for line in block.strip("\n").splitlines(keepends=True)]
    core.train_from_iterator(lines, trainer)
    end = core.token_to_id(END)
    core.post_processor = processors.TemplateProcessing(single=f"{END} $A", special_tokens=[(END, end)])
    return PreTrainedTokenizerFast(
        tokenizer_object=core, bos_token=END, eos_token=END, pad_token=END, model_max_length=longest
    )


def encode(tokenizer: PreTrainedTokenizerFast, text: str) -> Int64[np.ndarray, "K"]:
    """The ids of a corpus, with one `END` between its blocks and none at its ends."""
    blocks = [block.strip("\n") for block in text.split(END)]
    rows = tokenizer([b for b in blocks if b], add_special_tokens=False)["input_ids"]
    joined = [i for row in rows for i in (tokenizer.eos_token_id, *row)]
    return np.array(joined[1:], dtype=np.int64)


@dataclass(frozen=True)
class Corpus:
    """Ids of the whole text, the length of a row, and what the repeated rows are made of."""

    ids: Int64[np.ndarray, "K"]
    end: int
    length: int
    share: float
    shortest: int
    longest: int

    @classmethod
    def of(cls, ids: Int64[np.ndarray, "K"], end: int, plan: Plan) -> Corpus:
        """As the tables `model` and `repeats` of a recipe say."""
        wish = plan["repeats"]
        return cls(ids, end, plan["model"]["context"], wish["share"], wish["shortest"], wish["longest"])

    def unigram(self) -> Float64[np.ndarray, "V"]:
        """How often each token stands in the text, as shares; `END` never."""
        counts = np.bincount(self.ids).astype(np.float64)
        counts[self.end] = 0
        return counts / counts.sum()

    def batches(self, rows: int, seed: int, first: int = 0) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Inputs and targets (rows, length) for every step from `first` on; a step's rows depend on seed and step."""
        shares, step = self.unigram(), first
        pieces = len(self.ids) // self.length - 1
        if pieces < 1:
            raise InputError(f"Expected a text of at least {2 * self.length:,} tokens, got {len(self.ids):,}.")
        while True:
            inputs = np.empty((rows, self.length), dtype=np.int64)
            targets = np.empty_like(inputs)
            for i in range(rows):
                epoch, place = divmod(step * rows + i, pieces)
                offset, order = _order(seed, epoch, pieces, self.length)
                start = offset + int(order[place]) * self.length
                piece = self.ids[start : start + self.length]
                inputs[i], targets[i] = [self.end, *piece[:-1]], piece
            rng = np.random.default_rng([seed, step, 1])
            for i in range(round(self.share * rows)):
                self._repeat(inputs[i], targets[i], shares, rng)
            yield inputs, targets
            step += 1

    def _repeat(
        self, inputs: np.ndarray, targets: np.ndarray, shares: Float64[np.ndarray, "V"], rng: np.random.Generator
    ) -> None:
        """Write a random sequence over two places of a row; what cannot be foretold does not count."""
        room = self.length - 1
        size = int(rng.integers(self.shortest, min(self.longest, room // 2) + 1))
        first = int(rng.integers(0, room - 2 * size + 1))
        second = int(rng.integers(first + size, room - size + 1))
        drawn = rng.choice(len(shares), size, p=shares)
        for start in (first, second):
            inputs[1 + start : 1 + start + size] = drawn
            targets[start : start + size] = drawn
        targets[first : first + size] = IGNORED
        targets[second] = IGNORED
        if second + size < room:
            targets[second + size] = IGNORED  # the story goes on where nobody could know
        if first + size < second:
            targets[first + size] = IGNORED


@lru_cache(maxsize=2)
def _order(seed: int, epoch: int, pieces: int, size: int) -> tuple[int, Int64[np.ndarray, "P"]]:
    """Where the pieces of an epoch begin, and in which order they come: other cuts in every epoch."""
    rng = np.random.default_rng([seed, epoch])
    return int(rng.integers(size)), rng.permutation(pieces)
