"""Interactions → what may be said of pairs of words, their table, and the square that the heat map draws.

Intervals hold for all pairs at once (95 %, Bonferroni), since among a hundred pairs some single interval misses.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
from jaxtyping import Float64

from explain.records import Explanation, Interactions
from explain.render import palette
from explain.render.sentences import signed

NAMED, SHARE, SEEN = 3, 0.5, 0.005
"""At most three pairs are named, each with at least half of the first one's index, and none that reads as 0.00."""
ROWS = 20
"""Pairs in the table, the strongest first."""


def sentence(explanation: Explanation, found: Interactions) -> str:
    """Which pairs do most together beyond what their words do apart, as far as that may be said."""
    names, target = unit_texts(explanation, found), f"{found.target.unit} of {found.target.name}"
    named, leading = _named(found)
    parts = [
        (" and ".join(f"“{names[u]}”" for u in found.pairs[p].tolist()), signed(float(found.scores[p]))) for p in named
    ]
    if not len(found.pairs):
        return "There are no two words to pair."
    if not parts:
        return "No pair of words clearly does more or less together than its two words do apart."
    if len(parts) == 1 and leading:
        return f"{parts[0][0]} together move the {target} by {parts[0][1]} beyond what the two do apart."
    start = "Beyond" if leading else "Among the strongest beyond"
    return f"{start} what their words do apart, in {target}: {', '.join(f'{pair} {n}' for pair, n in parts)}."


def meaning(explanation: Explanation, found: Interactions) -> str:
    """What the numbers are, and how they were found."""
    gone = "deleted" if found.baseline == "remove" else f"replaced by [{found.baseline.upper()}]"
    passes = f"{found.evaluations.forward:,} passes"
    how = (
        f"exact, {passes}" if found.error is None else f"sampled, {passes}; ± is a 95 % interval for all pairs at once"
    )
    rest = "" if _whole(explanation, found) else f" Only these {len(found.units)} words were ever taken out."
    more = f"raise {found.target.name} more" if found.target.kind == "value" else f"speak more for {found.target.name}"
    return (
        f"Plus: together the two {more} than apart; minus: less. One word turning another shows here, and two that "
        f"say the same. An average over this text with other words {gone} ({how}).{rest}"
    )


def rows(explanation: Explanation, found: Interactions, most: int = ROWS) -> list[tuple[str, str, str]]:
    """The strongest pairs as text, index and ±; ± is empty where the index is exact."""
    names, half = unit_texts(explanation, found), half_widths(found)
    order = np.argsort(-np.abs(found.scores), kind="stable")[:most]
    return [
        (
            " + ".join(names[u] for u in found.pairs[p]),
            signed(float(found.scores[p])),
            "" if found.error is None else f"{half[p]:.2g}",
        )
        for p in order.tolist()
    ]


def square(found: Interactions) -> Float64[np.ndarray, "U U"]:
    """The index of every two units, symmetric; NaN where there is none."""
    table = np.full((len(found.units), len(found.units)), np.nan)
    i, j = found.pairs.T
    table[i, j] = table[j, i] = found.scores
    return table


def colours(explanation: Explanation, found: Interactions) -> str:
    """Which colour of the heat map is which sign."""
    plus, minus = ("Blue", "orange") if palette.direction(explanation, found) > 0 else ("Orange", "blue")
    return f"{plus} is plus, {minus} is minus, empty was not computed."


def unit_texts(explanation: Explanation, found: Interactions) -> list[str]:
    """The units' own characters; a number tells equal ones apart."""
    texts, spans = explanation.tokens.texts, zip(found.unit_segment.tolist(), found.units.tolist(), strict=True)
    names = [texts[s][a:b] for s, (a, b) in spans]
    return [n if names.count(n) == 1 else f"{n} ({names[: u + 1].count(n)})" for u, n in enumerate(names)]


def half_widths(found: Interactions) -> Float64[np.ndarray, "P"]:
    """Half of each pair's interval; zero where the index is exact."""
    if found.error is None or not len(found.scores):
        return np.zeros(len(found.scores))
    return NormalDist().inv_cdf(1 - 0.025 / len(found.scores)) * found.error.astype(np.float64)


def _named(found: Interactions) -> tuple[list[int], bool]:
    """The strongest pairs whose interval excludes zero, and whether they lead all others by more than the intervals."""
    size, half = np.abs(found.scores.astype(np.float64)), half_widths(found)
    order = np.argsort(-size, kind="stable").tolist()
    clear = [p for p in order if size[p] > half[p] and size[p] >= max(SEEN, SHARE * size[order[0]])]
    for count in range(min(NAMED, len(clear)), 0, -1):
        rest = [p for p in order if p not in clear[:count]]
        if (size - half)[clear[:count]].min() > (size + half)[rest].max(initial=0.0):
            return clear[:count], True
    return clear[:NAMED], False


def _whole(explanation: Explanation, found: Interactions) -> bool:
    """Did every token of the text come and go?"""
    tokens = explanation.tokens
    starts = {
        (s, c) for s, (a, b) in zip(found.unit_segment.tolist(), found.units.tolist(), strict=True) for c in range(a, b)
    }
    mine = zip(tokens.segment.tolist(), tokens.offsets.tolist(), tokens.special.tolist(), strict=True)
    return all(special or a == b or (s, b - 1) in starts for s, (a, b), special in mine)
