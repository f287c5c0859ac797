"""Alignment → sentences and rows: which word of the text each written token hangs on most."""

from __future__ import annotations

import numpy as np

from explain.alignment import Alignment
from explain.render.sentences import signed
from explain.render.written import numbered

MOST = 3
"""Words that a row of the table names."""


def words(found: Alignment) -> list[str]:
    """The words of the text itself; a number tells equal ones apart."""
    return numbered([word for word, s in zip(found.words, found.unit_segment.tolist(), strict=True) if s == 0])


def tokens(found: Alignment) -> list[str]:
    """The written tokens; a number tells equal ones apart."""
    return numbered(found.pieces)


def summary(found: Alignment) -> str:
    """How much of what is written hangs on the text at all, in numbers."""
    effects, own = found.effects.astype(float), found.unit_segment == 0
    text, before = effects[:, own].max(1, initial=0), effects[:, ~own].max(1, initial=0)  # (K,) each
    counts = (
        int((text > before).sum()),
        int((before >= text)[before > 0].sum()),
        int(((text <= 0) & (before <= 0)).sum()),
    )
    return (
        f"Of {len(found.ids)} written tokens, {counts[0]} have the word that speaks for them most in the text, "
        f"{counts[1]} in what was written before; for {counts[2]} no word speaks."
    )


def meaning(found: Alignment) -> str:
    """What the numbers are."""
    name, cut = found.replaced.upper(), found.tokens.truncated_at
    read = f"The model stopped reading the text at character {cut:,}. " if cut is not None else ""
    return read + (
        "Measured: how far a token's log-odds fall when one word, of the text or of what was written before, is "
        f"replaced by [{name}], all else as it is written. Blue is plus: the word speaks for the token; orange is "
        "minus. Not the model's attention."
    )


def rows(found: Alignment) -> list[tuple[str, str, str, str]]:
    """Each written token: its number, itself, its log-odds, and the words that speak for it most, of both texts."""
    own = found.unit_segment.tolist()
    names = [word if s == 0 else f"{word} (written)" for word, s in zip(found.words, own, strict=True)]
    each = zip(found.pieces, found.values.tolist(), found.effects.astype(float), strict=True)
    return [
        (
            str(k),
            repr(piece),
            signed(value),
            ", ".join(f"{names[u]} {signed(float(effects[u]))}" for u in _best(effects)) or "none",
        )
        for k, (piece, value, effects) in enumerate(each)
    ]


def _best(effects: np.ndarray) -> list[int]:
    return [u for u in np.argsort(-effects, kind="stable")[:MOST].tolist() if effects[u] > 0]
