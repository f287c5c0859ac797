"""Generation → sentences: how a continuation came about, token by token, and why each token."""

from __future__ import annotations

import math
from collections.abc import Sequence

from explain.generation import Generation
from explain.records import Explanation
from explain.render.sentences import percent, signed

STRONGEST = 3
"""Words that are shown for a token, the largest scores first, in either direction."""


def summary(found: Generation) -> str:
    """How a continuation came about, and how likely it was."""
    beams = found.settings.get("num_beams", 1)  # not in what a former version wrote
    how = "the most likely one each time" if found.settings["seed"] is None else "drawn by their probabilities"
    how = how if beams == 1 else f"the likeliest text of a search with {beams} beams"
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


def reasons(found: Generation, each: Sequence[Explanation]) -> list[tuple[str, ...]]:
    """Each explained token: its number, itself, the words with the largest scores, and what the scores miss."""
    rows: list[tuple[str, ...]] = []
    for i, one in zip(found.explainable, each, strict=True):
        attribution = one.attributions[0]
        words = sorted(one.words(), key=lambda w: -abs(w.score))[:STRONGEST]
        said = ", ".join(f"{w.text} {signed(w.score) if attribution.signed else f'{w.score:.3g}'}" for w in words)
        missed = attribution.relative_residual
        rows.append((str(i), repr(found.pieces[i]), said, "" if missed is None else f"{missed:.2%}"))
    return rows


def checked(found: Generation, each: Sequence[Explanation]) -> str:
    """What was computed of each token, and what was not."""
    able = len(each)
    left = len(found.ids) - able
    missed = [a.relative_residual for e in each for a in e.attributions[:1] if a.relative_residual is not None]
    parts = [f"{able} of {len(found.ids)} tokens explained, each as the next token of the text before it."]
    if left:
        parts.append(f"Before the other {left} stands a text that is read as other tokens than the model wrote.")
    if missed:
        parts.append(f"Scores add up to within {max(missed):.2%} everywhere.")
    parts.append("Nothing else was checked, so no word is named as the reason: explain a token alone for that.")
    return " ".join(parts)
