"""What the interactive word view shows: text in pieces, and one row a word; plain data for the browser."""

from __future__ import annotations

import unicodedata
from typing import Any

import numpy as np

from explain.records import Attribution, Explanation
from explain.render import palette
from explain.render.pieces import pieces, visible
from explain.render.sentences import part, percent
from explain.words import Word


def payload(
    explanation: Explanation, index: int = 0, *, fixed_scale: bool = True, failed: bool = False
) -> dict[str, Any]:
    """Everything the view needs to draw one attribution.

    Args:
        explanation: what is shown.
        index: which attribution.
        fixed_scale: hold the colour scale at ± 2 log-odds, so that two screens compare.
        failed: a check says that the scores are wrong; the words lose their colour.
    """
    attribution = explanation.attributions[index]
    words = explanation.words(index)
    ranks = [w.rank for w in words]
    limit = palette.scale_limit(attribution, fixed=fixed_scale)
    turn = palette.direction(explanation, attribution)
    low, high = palette.sides(explanation, attribution)
    return {
        "segments": [
            {
                "name": part(explanation, segment),
                "direction": direction(text),
                "pieces": [
                    {"unit": p.unit, "kind": p.kind, "parts": [{"t": t, "code": code} for t, code in p.parts]}
                    for p in pieces(explanation.tokens, attribution, segment)
                ],
            }
            for segment, text in enumerate(explanation.tokens.texts)
        ],
        "words": [
            _row(explanation, attribution, u, w, turn / limit, ranks.count(w.rank) > 1) for u, w in enumerate(words)
        ],
        "specials": {"score": _signed(attribution.special), "byConstruction": _held(attribution)},
        "legend": {
            "low": visible(low)[:40],
            "high": visible(high)[:40],
            "limit": f"{limit:.3g}",
            "turned": turn < 0,  # colours belong to classes, numbers to the explained one
            "unit": attribution.target.unit if attribution.signed else "",  # a size is in units of its method
            "signed": attribution.signed,
            "widened": fixed_scale and palette.held(attribution) and limit > palette.FIXED_SCALE,
        },
        "total": None
        if attribution.value_baseline is None  # such scores do not add up to anything
        else _signed(float(attribution.scores.astype(float).sum()) + attribution.special),
        "measured": explanation.effects is not None and words and words[0].without is not None,
        "hasProbability": explanation.effects is not None and explanation.effects.probs is not None,
        "hasError": attribution.numeric_error is not None or attribution.error is not None,
        "failed": failed,
    }


def direction(text: str) -> str:
    """'rtl' or 'ltr', by the first letter that has a direction (UAX #9, rules P2 and P3)."""
    first = next((c for c in map(unicodedata.bidirectional, text) if c in ("L", "R", "AL")), "L")
    return "ltr" if first == "L" else "rtl"


def _row(
    explanation: Explanation, attribution: Attribution, unit: int, word: Word, factor: float, tied: bool
) -> dict[str, Any]:
    mine = np.flatnonzero(attribution.unit_of == unit).tolist()
    return {
        "text": visible(word.name),
        "whole": word.whole,
        "score": _signed(word.score) if attribution.signed else f"{word.score:.3g}",
        "value": word.score,
        "tint": max(-1.0, min(1.0, word.score * factor)),
        "bar": max(-1.0, min(1.0, word.score * abs(factor))),
        "error": f"± {float(attribution.uncertainty[unit]):.1g}" if attribution.uncertainty.any() else "",
        "share": f"{word.share * 100:.0f} %",
        "rank": word.rank,
        "tied": tied,
        "cancels": word.cancels,
        "without": "" if word.without is None else _signed(word.without),
        "probWithout": "" if word.prob_without is None else percent(word.prob_without),
        "contradicts": word.contradicts,
        "tokens": visible(" ".join(f"{explanation.tokens.strings[t]} ({explanation.tokens.ids[t]})" for t in mine)),
    }


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−").replace("+0.00", "0.00").replace("−0.00", "0.00")


def _held(attribution: Attribution) -> bool:
    """Whether the specials' zero is there by construction, because the baseline keeps them."""
    return attribution.value_baseline is not None and attribution.special == 0.0
