"""Generation → sentences: how a continuation came about, token by token."""

from __future__ import annotations

import math
from collections.abc import Sequence

from explain.generation import Generation
from explain.render.sentences import percent, signed


def summary(found: Generation) -> str:
    """How a continuation came about, and how likely it was."""
    how = "the most likely one each time" if found.settings["seed"] is None else "drawn by their probabilities"
    end = {"end": "the model ended the text", "room": "there is no room for more", "length": "enough were asked for"}
    asked = "the next token of the text before it"
    if found.apart:
        asked = "what is written next, by its place (from 0 on) in all that is written"
    return (
        f"{len(found.ids)} tokens, {how}; {end[found.stopped]}. Log-probability of all of them: "
        f"{signed(found.log_prob)}. Explain one as {asked}."
    )


def numbered(names: Sequence[str]) -> list[str]:
    """Tokens or words as names that differ: a number tells equal ones apart. White space is written as a sign."""
    bare = [name.strip() or "␣" for name in names]
    return [n if bare.count(n) == 1 else f"{n} ({bare[: i + 1].count(n)})" for i, n in enumerate(bare)]


def rows(found: Generation) -> list[tuple[str, ...]]:
    """Each token that was written: its number, itself, its log-probability, probability, and place among all."""
    each = zip(found.pieces, found.log_probs.tolist(), found.ranks.tolist(), strict=True)
    return [
        (str(i), repr(piece), signed(log_p, 3), percent(math.exp(log_p)), str(rank))
        for i, (piece, log_p, rank) in enumerate(each)
    ]
