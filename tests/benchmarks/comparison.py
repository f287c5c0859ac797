"""What `tests/benchmarks/methods.py` measured, as a summary, as tables, and as one sentence on the best trade-off.

Intervals are 95 %, by drawing sentences with replacement (Efron 1979). Methods are held against random orders sentence
by sentence. A method's margin is how far it is beyond random orders, as a share of the farthest method on the same
sentences (which its interval takes as known), averaged over the eight measurements. The best trade-off is, by a rule
set before the figures were known, the cheapest method with a margin of at least nine tenths; a gradient evaluation
counts four forward passes, as in every method's budget.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64
from scipy.stats import rankdata

from explain.methods import find

RESULTS = Path(__file__).parent / "results" / "methods.json"
PILOT, FEW, COSTLY = 10, 40, 500
DRAWS, ENOUGH = 4000, 0.9
MEASURES = [
    f"{name}, {scale}, {how}"
    for scale in ("log-odds", "probability")
    for name in ("comprehensiveness", "sufficiency")
    for how in ("mask", "remove")
]
BETTER = np.array([-1 if m.startswith("sufficiency") else 1 for m in MEASURES])
Row = dict[str, Any]
Summary = dict[str, Any]


def costly(rows: Sequence[Row], texts: Sequence[str]) -> set[str]:
    """The methods whose median cost on the first ten sentences is above the limit, unless they only take short ones."""
    pilot = set(texts[:PILOT])
    spent: dict[str, list[int]] = {}
    for row in rows:
        if row["text"] in pilot:
            spent.setdefault(row["method"], []).append(row["forward"] + row["gradient"])
    above = {name for name, each in spent.items() if np.median(each) > COSTLY}
    return {name for name in above if find(name).info.limit is None}


def summary(rows: Sequence[Row], texts: Sequence[str]) -> Summary:
    """All figures of all methods; those that know nothing first."""
    known: dict[str, dict[str, Row]] = {}
    for row in rows:
        if row["text"] in set(texts):
            known.setdefault(row["method"], {})[row["text"]] = row
    dear, found, margins = costly(rows, texts), {}, {}
    exact, random = known.get("exact_shapley", {}), known["random"]
    gains = {name: {text: _gain(row, random[text]) for text, row in by_text.items()} for name, by_text in known.items()}
    for name, by_text in known.items():
        own = [text for text in by_text if name not in dear or text in texts[:FEW]]
        aopc = np.array([[by_text[text]["aopc"][m] for m in MEASURES] for text in own])  # (N, 8)
        gain = np.array([gains[name][text] for text in own])  # (N, 8)
        peers = [g for g in gains.values() if g.keys() >= set(own)]
        largest = np.max([np.mean([g[text] for text in own], axis=0) for g in peers], axis=0)  # (8,)
        near = np.array([agreement(name, row, exact[text]) for text, row in by_text.items() if text in exact])
        margins[name] = dict(zip(own, (gain / largest).mean(1).tolist(), strict=True))
        found[name] = {
            "sentences": len(own),
            **{k: round(float(np.median([by_text[t][k] for t in own])), 3) for k in ("seconds", "forward", "gradient")},
            "measures": dict(zip(MEASURES, intervals(aopc), strict=True)),
            "beyond_random": dict(zip(MEASURES, intervals(gain), strict=True)),
            "margin": intervals(np.array([*margins[name].values()])[:, None])[0],
            "short_sentences": len(near),
            "spearman": intervals(near)[0] if len(near) else None,
            "same_top_word": intervals(near)[1] if len(near) else None,
        }
    ahead = margins[best({"methods": found})]
    for name, theirs in margins.items():  # sentence by sentence, where both were measured on the same ones
        less = [[margin - ahead[text]] for text, margin in theirs.items()] if theirs.keys() == ahead.keys() else None
        found[name]["less_best"] = intervals(np.array(less))[0] if less else None
    return {"methods": found}


def _gain(row: Row, random: Row) -> Float64[np.ndarray, "8"]:
    """How far beyond random orders, in the direction that is better."""
    ours, other = (np.array([each["aopc"][m] for m in MEASURES]) for each in (row, random))
    return np.asarray((ours - other) * BETTER)


def intervals(values: np.ndarray) -> list[list[float]]:
    """Mean, low and high of each column."""
    drawn = np.random.default_rng(0).integers(0, len(values), (DRAWS, len(values)))
    low, high = np.percentile(values[drawn].mean(1), [2.5, 97.5], axis=0)
    return np.stack([values.mean(0), low, high], axis=1).round(4).tolist()  # type: ignore[no-any-return]


def agreement(name: str, row: Row, exact: Row) -> tuple[float, float]:
    """Spearman's rank correlation with exact Shapley values, and whether the largest score is of the same word.

    Methods without a sign are compared with the values' sizes; scores that are all equal rank nothing, which is 0.
    """
    true = np.array(exact["scores"][0])
    if name != "random" and not find(name).info.signed:
        true = np.abs(true)
    rho, top = [], []
    for scores in np.array(row["scores"]):
        flat = np.ptp(scores) == 0 or np.ptp(true) == 0
        rho.append(0.0 if flat else np.corrcoef(rankdata(scores), rankdata(true))[0, 1])
        top.append(np.argmax(np.abs(scores)) == np.argmax(np.abs(true)))
    return float(np.mean(rho)), float(np.mean(top))


def cost(each: Mapping[str, Any]) -> float:
    """In forward passes."""
    return float(each["forward"] + 4 * each["gradient"])


def best(found: Summary) -> str:
    """The method that the rule chooses."""
    good = {name: each for name, each in found["methods"].items() if each["margin"][0] >= ENOUGH}
    return str(min(good, key=lambda name: cost(good[name])))


def table(found: Summary, scale: str, which: str = "measures") -> str:
    """A Markdown table, the largest margin first; `which` is measures or beyond_random."""
    shown = [m for m in MEASURES if f", {scale}, " in m]
    heads = [m.replace(f", {scale}, ", ", ").replace("remove", "deletion") for m in shown]
    ends = ["margin over random", "rank correlation", "same top word"]
    lines = [f"| {' | '.join(['method', 'sentences', 'forward + gradient', 'seconds', *heads, *ends])} |"]
    lines.append("|---|" + "--:|" * (len(shown) + 6))
    methods = found["methods"]
    for name in sorted(methods, key=lambda n: -methods[n]["margin"][0]):
        each, plain = methods[name], name == "random"
        cells = [_cell(each[which][m], not plain and each["beyond_random"][m][1] <= 0) for m in shown]
        row = [
            "Random orders" if plain else find(name).info.title,
            f"{each['sentences']}",
            "" if plain else f"{each['forward']:g} + {each['gradient']:g}",
            "" if plain else f"{each['seconds']:.2f}",
            *cells,
            "0" if plain else f"{100 * each['margin'][0]:.0f} ± {50 * (each['margin'][2] - each['margin'][1]):.0f} %",
            *(_cell(each[k]) if each[k] else "" for k in ("spearman", "same_top_word")),
        ]
        lines.append(f"| {' | '.join(row)} |")
    return "\n".join(lines)


def sentence(found: Summary) -> str:
    """What the table says, in words."""
    name, methods = best(found), found["methods"]
    top, default = max(methods, key=lambda n: methods[n]["margin"][0]), "integrated_gradients"

    def price(n: str) -> str:
        return f"{100 * methods[n]['margin'][0]:.0f} % for {cost(methods[n]):,.0f} passes"

    others = {n: f"{find(n).info.title} gets {price(n)}" for n in (top, default) if n != name}
    if default in others:
        mean, low, high = (100 * x for x in methods[default]["less_best"])
        others[default] += f" (difference on the same sentences {mean:+.0f} points, from {low:+.0f} to {high:+.0f})"
    return (
        f"By this table the best trade-off is **{find(name).info.title}**: the cheapest of the methods that get at "
        f"least {100 * ENOUGH:.0f} % of the largest margin, where a gradient counts four forward passes. "
        + "; ".join([f"It gets {price(name)}", *others.values()])
        + "."
    )


def explained(found: Summary) -> str:
    """What stands in the table."""
    random = found["methods"]["random"]
    return (
        f"Every method at its defaults on {random['sentences']} development sentences (at most {FEW} for methods above "
        f"{COSTLY} evaluations; exact Shapley values up to 12 words). Words are taken out, highest score first "
        "(comprehensiveness: more is better), or only they are kept (sufficiency: less is better); the figure is the "
        "mean fall in log-odds, with 95 % intervals over sentences, and ° where random orders do as well. The margin "
        "over random orders is a share of the largest on the same sentences, over log-odds and probability. Rank "
        f"correlation and same top word compare with exact Shapley values on {random['short_sentences']} short "
        "sentences. Methods without a sign are ranked by size; methods that take words out themselves are at home in "
        "these measurements. Passes and processor seconds are medians; seconds are indicative "
        f"({found['made']['machine']}). Made by `python -m tests.benchmarks.methods dev.tsv --save`."
    )


def report(found: Summary) -> str:
    """Everything, to be printed."""
    parts = [f"{key:<16} {value}" for key, value in found["made"].items()]
    for scale in ("log-odds", "probability"):
        parts += [
            f"\nOn {scale}:",
            table(found, scale),
            "\nBeyond random orders:",
            table(found, scale, "beyond_random"),
        ]
    return "\n".join([*parts, "", explained(found), "", sentence(found)])


def markdown() -> str:
    """The README's block."""
    found = json.loads(RESULTS.read_text("utf-8"))
    return f"{explained(found)}\n\n{table(found, 'log-odds')}\n\n{sentence(found)}"


def _cell(values: Sequence[float], lost: bool = False) -> str:
    """Mean, and half the interval's width."""
    mean, low, high = values
    return f"{round(mean, 2) + 0:.2f} ± {(high - low) / 2:.2f}{'°' if lost else ''}"
