"""Rated sentences: read, kept apart from the development sentences, spelt in two ways, and cut into fragments."""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from explain.errors import InputError


class Rated(NamedTuple):
    """A sentence, its mean human rating from -4 to 4, and the corpus it came from."""

    text: str
    rating: float
    source: str


def read_rated(path: Path) -> list[Rated]:
    """Read `text, rating, source` rows (tab separated, one header line)."""
    return [Rated(text, float(rating), source) for text, rating, source in _rows(path)]


def read_labelled(path: Path) -> list[tuple[str, bool]]:
    """Read `text, label` rows (tab separated, one header line); label 1 is positive."""
    return [(text, label == "1") for text, label in _rows(path)]


def _rows(path: Path) -> list[list[str]]:
    if not path.is_file():
        raise InputError(f"The training data has no file {path.name}; pass the folder that holds it as `data`.")
    return [line.split("\t") for line in path.read_text(encoding="utf-8").split("\n")[1:] if line]


def is_selection(text: str) -> bool:
    """Whether a sentence belongs to the 5 % kept from training; depends on the text alone."""
    return int(hashlib.sha256(text.encode()).hexdigest(), 16) % 20 == 0


def treebank_style(text: str) -> str:
    """Write a sentence as treebanks print it: lower case, split negations, named brackets, few marks."""
    text = text.lower().replace("’", "'")
    text = re.sub(r'"([^"]*)"', r" `` \1 '' ", text).replace('"', " ")
    text = re.sub(r"(\w)n't\b", r"\1 n't", text).replace("cannot", "can not")
    text = text.replace("(", " lrb ").replace(")", " rrb ")
    return " ".join(re.sub(r"[.;:/*–—-]+", " ", text).split())


def split(rows: Sequence[Rated], dev: Sequence[tuple[str, bool]]) -> tuple[list[Rated], list[Rated]]:
    """Training and selection rows, without any that equals a development sentence or shares six words in a row."""
    known = {run for text, _ in dev for run in _runs(text)}
    clean = [row for row in rows if known.isdisjoint(_runs(row.text))]
    return [r for r in clean if not is_selection(r.text)], [r for r in clean if is_selection(r.text)]


def _runs(text: str, size: int = 6) -> set[tuple[str, ...]]:
    words = [word for word in re.findall(r"\w+", treebank_style(text)) if word not in ("lrb", "rrb")]
    return {tuple(words[i : i + size]) for i in range(max(1, len(words) - size + 1))}


def fragments(rows: Sequence[Rated], rng: random.Random) -> list[str]:
    """One random run of 3 to 16 words from every sentence that is long enough: new text for a teacher to label."""
    found = []
    for words in (row.text.split() for row in rows):
        if len(words) >= 8:
            size = rng.randint(3, min(len(words) - 1, 16))
            start = rng.randint(0, len(words) - size)
            found.append(" ".join(words[start : start + size]))
    return found
