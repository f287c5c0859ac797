"""What `tests/benchmarks/methods.py` measured, as a summary, as tables, and as one sentence on the best trade-off.

Intervals are 95 %, by drawing sentences with replacement (Efron 1979). Methods are held against random orders sentence
by sentence. The best trade-off is, by a rule set before the figures were known, the cheapest method that gets at least
nine tenths of the largest margin over random orders, averaged over the eight measurements; a gradient evaluation counts
four forward passes, as in every method's budget. A method measured on fewer sentences is not compared in this.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import rankdata

from explain.methods import find

RESULTS = Path(__file__).parent / "results" / "methods.json"
FEW, COSTLY = 40, 500
DRAWS, ENOUGH = 4000, 0.9
MEASURES = [
    f"{name}, {scale}, {how}"
    for scale in ("log-odds", "probability")
    for name in ("comprehensiveness", "sufficiency")
    for how in ("mask", "remove")
]
Row = dict[str, Any]
Summary = dict[str, Any]


def costly(rows: Sequence[Row], texts: Sequence[str]) -> set[str]:
    """The methods whose median cost over the first sentences is above the limit."""
    first = set(texts[:FEW])
    spent: dict[str, list[int]] = {}
    for row in rows:
        if row["text"] in first:
            spent.setdefault(row["method"], []).append(row["forward"] + row["gradient"])
    return {name for name, each in spent.items() if np.median(each) > COSTLY}


def summary(rows: Sequence[Row], texts: Sequence[str]) -> Summary:
    """All figures of all methods; those that know nothing first."""
    known: dict[str, dict[str, Row]] = {}
    for row in rows:
        if row["text"] in set(texts):
            known.setdefault(row["method"], {})[row["text"]] = row
    dear, found = costly(rows, texts), {}
    exact, random = known.get("exact_shapley", {}), known["random"]
    for name, by_text in known.items():
        whole = name not in dear or find(name).info.limit is not None
        own = [row for text, row in by_text.items() if whole or text in texts[:FEW]]
        aopc = np.array([[row["aopc"][m] for m in MEASURES] for row in own])  # (N, 8)
        other = np.array([[random[row["text"]]["aopc"][m] for m in MEASURES] for row in own])
        near = np.array([agreement(name, row, exact[text]) for text, row in by_text.items() if text in exact])
        found[name] = {
            "sentences": len(own),
            "seconds": round(float(np.median([row["seconds"] for row in own])), 3),
            "forward": float(np.median([row["forward"] for row in own])),
            "gradient": float(np.median([row["gradient"] for row in own])),
            "measures": dict(zip(MEASURES, intervals(aopc), strict=True)),
            "beyond_random": dict(zip(MEASURES, intervals(aopc - other), strict=True)),
            "short_sentences": len(near),
            "spearman": intervals(near)[0] if len(near) else None,
            "same_top_word": intervals(near)[1] if len(near) else None,
        }
    full = {name: each for name, each in found.items() if each["sentences"] == found["random"]["sentences"]}
    largest = {m: max(_gain(each, m) for each in full.values()) for m in MEASURES}
    for each in full.values():
        each["share"] = round(float(np.mean([_gain(each, m) / largest[m] for m in MEASURES])), 3)
    return {"methods": found}


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
    good = {name: each for name, each in found["methods"].items() if each.get("share", 0) >= ENOUGH}
    return str(min(good, key=lambda name: cost(good[name])))


def table(found: Summary, scale: str, which: str = "measures") -> str:
    """A Markdown table, the largest margin first; `which` is measures or beyond_random."""
    shown = [m for m in MEASURES if f", {scale}, " in m]
    lines = [
        "| method | sentences | forward + gradient | seconds | "
        + " | ".join(m.replace(f", {scale}, ", ", ").replace("remove", "deletion") for m in shown)
        + " | margin | rank correlation | same top word |",
        "|---|" + "--:|" * (len(shown) + 6),
    ]
    methods = found["methods"]
    for name in sorted(methods, key=lambda n: (n == "random", -_gain(methods[n]))):
        each = methods[name]
        cells = [_cell(each[which][m], name != "random" and _lost(each, m)) for m in shown]
        title = "Random order" if name == "random" else find(name).info.title
        price = "–" if name == "random" else f"{each['forward']:g} + {each['gradient']:g}"
        share = "" if "share" not in each else f"{100 * each['share']:.0f} %"
        near = [_cell(each[k]) if each[k] else "" for k in ("spearman", "same_top_word")]
        seconds = "–" if name == "random" else f"{each['seconds']:.2f}"
        row = (title, f"{each['sentences']}", price, seconds, *cells, share, *near)
        lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines)


def sentence(found: Summary) -> str:
    """What the table says, in words."""
    name, methods = best(found), found["methods"]
    ours, default = methods[name], methods["integrated_gradients"]
    top = max((n for n in methods if "share" in methods[n]), key=lambda n: methods[n]["share"])
    text = (
        f"By this table the best trade-off is **{find(name).info.title}**: the cheapest of the methods that get at "
        f"least {100 * ENOUGH:.0f} % of the largest margin over random orders (mean of the eight measurements; a "
        f"gradient evaluation counts four passes). It gets {100 * ours['share']:.0f} % for {cost(ours):g} passes"
    )
    if top != name:
        text += f"; {find(top).info.title} gets {100 * methods[top]['share']:.0f} % for {cost(methods[top]):g}"
    if name != "integrated_gradients":
        text += f"; the default, integrated gradients, {100 * default['share']:.0f} % for {cost(default):g}"
    return text + "."


def report(found: Summary) -> str:
    """Everything, to be printed."""
    parts = [f"{key:<16} {value}" for key, value in found["made"].items()]
    for scale in ("log-odds", "probability"):
        parts += [f"\nOn {scale}:", table(found, scale), "\nLess random orders:", table(found, scale, "beyond_random")]
    return "\n".join([*parts, "", sentence(found)])


def markdown(path: Path = RESULTS) -> str:
    """The README's block."""
    found = json.loads(path.read_text("utf-8"))
    return f"{table(found, 'log-odds')}\n\n{sentence(found)}"


def _gain(each: Mapping[str, Any], measure: str | None = None) -> float:
    """How far beyond random orders, in the direction that is better; without a measure the sum of all."""
    if measure is None:
        return sum(_gain(each, m) for m in MEASURES if "log-odds" in m)
    return float(each["beyond_random"][measure][0]) * (-1 if measure.startswith("sufficiency") else 1)


def _lost(each: Mapping[str, Any], measure: str) -> bool:
    """Whether random orders do as well, within the paired interval."""
    _, low, high = each["beyond_random"][measure]
    return bool(high >= 0 if measure.startswith("sufficiency") else low <= 0)


def _cell(values: Sequence[float], lost: bool = False) -> str:
    """Mean, and half the interval's width."""
    mean, low, high = values
    return f"{round(mean, 2) + 0:.2f} ± {(high - low) / 2:.2f}{'°' if lost else ''}"


if __name__ == "__main__":
    print(markdown())
