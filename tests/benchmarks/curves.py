"""What `scaling.py` measured, as a picture for a light page and one for a dark page, and as the README's table."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results" / "scaling.json"
ASSETS = Path(__file__).resolve().parents[2] / "assets"
WIDTH, HEIGHT, GAP = 880, 380, 90
LEFT, TOP, BOTTOM, RIGHT = 70, 62, 58, 16
FONT = 'font-family="system-ui, DejaVu Sans, sans-serif"'
Points = list[tuple[float, float]]


@dataclass(frozen=True)
class Theme:
    """Colours of a page: text, grid, and the two lines."""

    ink: str
    faint: str
    explain: str
    predict: str


THEMES = {
    "light": Theme("#14202b", "#d5dbe1", "#2b6fc9", "#cf5f1a"),
    "dark": Theme("#e6edf3", "#3a4550", "#6ea8f0", "#f0925a"),
}


@dataclass(frozen=True)
class Line:
    """One line of a plot: its name ('' is not named), its colour, its points, and whether it is a floor."""

    name: str
    colour: str
    points: Points
    floor: bool = False


def place(theme: str) -> Path:
    """The file of a picture."""
    return ASSETS / f"scaling-{theme}.svg"


def keep(found: dict[str, Any]) -> None:
    """Write the figures, and draw both pictures from them."""
    RESULTS.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    for theme in THEMES:
        place(theme).write_text(drawn(found, theme), "utf-8")


def floor(found: dict[str, Any], operations: float) -> float:
    """Seconds that so many operations take at the rate of a matrix product."""
    return float(operations / found["made"]["rate"])


def drawn(found: dict[str, Any], theme: str) -> str:
    """Both plots side by side, as a self-contained SVG."""
    colours, half = THEMES[theme], (WIDTH - GAP) / 2
    length = [line for what in ("explain", "predict") for line in _by_length(found, what, colours)]
    batch = [
        Line("one explanation", colours.explain, [(p["texts"], p["seconds"]) for p in found["batch"]]),
        Line(
            "floor", colours.explain, [(p["texts"], floor(found, p["operations"])) for p in found["batch"]], floor=True
        ),
    ]
    parts = [
        *_plot(0, half, "Seconds for one text", "tokens of the text", length, colours),
        *_plot(half + GAP, half, "Seconds a text, explained together", "texts in a batch", batch, colours),
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'role="img"><title>{escape(alt(found))}</title>{"".join(parts)}</svg>\n'
    )


def _by_length(found: dict[str, Any], what: str, colours: Theme) -> list[Line]:
    name, colour = ("first answer", colours.explain) if what == "explain" else ("prediction", colours.predict)
    lines = []
    for some in (found["length"], found["long"]):
        lines.append(Line(name, colour, [(p["tokens"], p[what]["seconds"]) for p in some]))
        lines.append(Line("", colour, [(p["tokens"], floor(found, p[what]["operations"])) for p in some], floor=True))
        name = ""
    return lines


def _plot(x: float, width: float, title: str, below: str, lines: Sequence[Line], colours: Theme) -> list[str]:
    """One plot, both axes logarithmic: powers of ten above one another, powers of two side by side."""
    left, right, top, bottom = x + LEFT, x + width - RIGHT, float(TOP), float(HEIGHT - BOTTOM)
    points = [point for line in lines for point in line.points]
    low, high = (math.log2(end(p[0] for p in points)) for end in (min, max))
    least, most = math.floor(math.log10(min(p[1] for p in points))), math.ceil(math.log10(max(p[1] for p in points)))
    least, high = min(least, most - 1), max(high, low + 1)

    def at(tokens: float, seconds: float) -> tuple[float, float]:
        across, up = (math.log2(tokens) - low) / (high - low), (math.log10(seconds) - least) / (most - least)
        return left + across * (right - left), bottom - up * (bottom - top)

    parts = [_label(left, top - 34, title, colours.ink, 15, "start", "600")]
    for power in range(least, most + 1):
        y = at(2**low, 10.0**power)[1]
        parts.append(_stroke([(left, y), (right, y)], colours.faint, 1))
        parts.append(_label(left - 8, y + 4, f"{10.0**power:g} s", colours.ink, 12, "end"))
    for power in range(math.ceil(low), math.floor(high) + 1, 1 if high - low < 6 else 2):
        parts.append(_label(at(2**power, 10.0**least)[0], bottom + 20, f"{2**power:,}", colours.ink, 12, "middle"))
    parts.append(_label((left + right) / 2, bottom + 44, below, colours.ink, 13, "middle"))
    named = [line for line in lines if line.name]
    for line in lines:
        spots = [at(*point) for point in line.points]
        parts.append(_stroke(spots, line.colour, 1.5 if line.floor else 2.5, "5 4" if line.floor else ""))
        if not line.floor:
            parts += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3" fill="{line.colour}"/>' for a, b in spots]
    at_x = left
    for line in [*named, *([] if any(line.floor for line in named) else [Line("floor", colours.ink, [], floor=True)])]:
        dash = "5 4" if line.floor else ""
        parts.append(_stroke([(at_x, top - 16), (at_x + 24, top - 16)], line.colour, 2, dash))
        parts.append(_label(at_x + 30, top - 12, line.name, colours.ink, 12, "start"))
        at_x += 44 + 7 * len(line.name)
    return parts


def _stroke(points: Points, colour: str, width: float, dash: str = "") -> str:
    path, dashes = " ".join(f"{a:.1f},{b:.1f}" for a, b in points), f' stroke-dasharray="{dash}"' if dash else ""
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width:g}"{dashes}/>'


def _label(x: float, y: float, value: str, colour: str, size: int, anchor: str, weight: str = "400") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" {FONT} font-size="{size}" font-weight="{weight}" text-anchor="{anchor}" '
        f'fill="{colour}">{escape(value)}</text>'
    )


def alt(found: dict[str, Any]) -> str:
    """The picture in words."""
    every = [*found["length"], *found["long"]]
    ends, few, many = (every[0], every[-1]), found["batch"][0], found["batch"][-1]
    return (
        f"A first answer takes {ends[0]['explain']['seconds']:.2g} s at {ends[0]['tokens']:,} tokens and "
        f"{ends[1]['explain']['seconds']:.2g} s at {ends[1]['tokens']:,}; an explanation takes {few['seconds']:.2g} s "
        f"a text alone and {many['seconds']:.2g} s among {many['texts']:,}."
    )


def table(found: dict[str, Any]) -> str:
    """All points in Markdown: seconds, and how many times the floor that is."""

    def times(seconds: float, operations: float) -> str:
        return f"{seconds:.3g} | {seconds / floor(found, operations):.1f}"

    rows = ["| tokens | prediction, s | × floor | first answer, s | × floor |", "|--:|--:|--:|--:|--:|"]
    for which, mark in (("length", ""), ("long", "*")):
        for p in found[which]:
            cells = " | ".join(times(**p[what]) for what in ("predict", "explain"))
            rows.append(f"| {p['tokens']:,}{mark} | {cells} |")
    rows += ["", "| texts | s a text | × floor | in the model | padding |", "|--:|--:|--:|--:|--:|"]
    for p in found["batch"]:
        inside = p["inside"] / p["seconds"]
        cells = times(p["seconds"], p["operations"])
        rows.append(f"| {p['texts']:,} | {cells} | {inside:.0%} | {p['padding']:.1%} |")
    return "\n".join(rows)


def explained(found: dict[str, Any]) -> str:
    """What stands in picture and table."""
    made = found["made"]
    return (
        "Left: a prediction, and the first answer of integrated gradients (4 forward passes, 21 with gradients), for "
        f"one text; up to {made['limit']:,} tokens by the bundled model, marked * by a random model of the same shape "
        "that reads more. Right: whole explanations without checks, refined as far as they need, in batches. The floor "
        "is what the counted operations of the same passes would take at the rate of a square matrix product in "
        f"float32, {made['rate'] / 1e9:.0f} GFLOP/s in the same run ({made['machine']}). Made by "
        "`python -m tests.benchmarks.scaling train.tsv --save`."
    )


def report(found: dict[str, Any]) -> str:
    """Everything, to be printed."""
    return f"{explained(found)}\n\n{table(found)}"


def markdown() -> str:
    """The README's block from what was kept."""
    found = json.loads(RESULTS.read_text("utf-8"))
    picture = (
        f'<picture><source media="(prefers-color-scheme: dark)" srcset="assets/{place("dark").name}">'
        f'<img src="assets/{place("light").name}" alt="{escape(alt(found))}"></picture>'
    )
    return f"{picture}\n\n{explained(found)}\n\n<details><summary>All points</summary>\n\n{table(found)}\n\n</details>"
