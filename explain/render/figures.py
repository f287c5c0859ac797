"""Explanation → Plotly figures. Titles state the finding, axes carry units; data are the record's own numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float

from explain.alignment import Alignment
from explain.heads import sides
from explain.records import AttentionMaps, Check, Explanation, Interactions, Tokens
from explain.render import aligned, pairs, palette
from explain.render.pieces import visible

SHOWN = 10
"""Words with a bar of their own in the waterfall; the rest is one bar."""
BESIDE, NEAR = 48, 0.25
"""Pixels for a number left of its bar, and the share of a phone's axis that they are."""
_DIVERGING = [[0, palette.ORANGE], [0.5, "rgba(207,95,26,0.05)"], [0.5, "rgba(43,111,201,0.05)"], [1, palette.BLUE]]
"""Each side keeps its hue and fades to the page, whether that is light or dark."""


def steps(explanation: Explanation, index: int = 0) -> list[tuple[str, str]]:
    """The bars of the waterfall as (name, signed number), in order; [] for methods without a baseline's value."""
    return [(name, f"{value:+.3f}".replace("-", "−")) for name, value in _steps(explanation, index)]


def _steps(explanation: Explanation, index: int) -> list[tuple[str, float]]:
    attribution = explanation.attributions[index]
    if attribution.value_baseline is None or attribution.residual is None:
        return []
    scores = attribution.scores.astype(float)
    order = np.argsort(-np.abs(scores), kind="stable")
    texts = [visible(w.name) for w in explanation.words(index)]
    found = [(texts[u], float(scores[u])) for u in sorted(order[:SHOWN].tolist())]
    if len(order) > SHOWN:
        rest = order[SHOWN:]
        found.append((f"{len(rest)} other words", float(scores[rest].sum())))
    found += [("special tokens", attribution.special), ("unexplained", attribution.residual)]
    first = (f"baseline [{(attribution.baseline or '').upper()}]", attribution.value_baseline)
    return [first, *found, ("this text", attribution.value_input)]


def waterfall(explanation: Explanation, index: int = 0) -> go.Figure | None:
    """From the baseline's value to the text's, word by word. None for methods without a baseline's value."""
    attribution = explanation.attributions[index]
    bars = _steps(explanation, index)
    if not bars:
        return None
    names, values = [n for n, _ in bars], [v for _, v in bars]
    turn = palette.direction(explanation, attribution)
    up, down = (palette.BLUE, palette.ORANGE) if turn > 0 else (palette.ORANGE, palette.BLUE)
    figure = go.Figure(
        go.Waterfall(
            orientation="h",
            y=list(range(len(names))),
            x=values,
            measure=["absolute", *["relative"] * (len(bars) - 2), "total"],
            text=[f"{v:+.2f}".replace("-", "−") for v in values],
            textposition="outside",
            cliponaxis=False,
            increasing={"marker": {"color": up}},
            decreasing={"marker": {"color": down}},
            totals={"marker": {"color": palette.GREY}},
            connector={"line": {"color": palette.GREY, "width": 1}},
            hoverinfo="skip",
        )
    )
    figure.update_yaxes(
        autorange="reversed", tickmode="array", tickvals=list(range(len(names))), ticktext=[_label(n) for n in names],
        ticklabelstandoff=_standoff(values),
    )  # fmt: skip
    figure.update_xaxes(title=f"{attribution.target.unit} of {_label(attribution.target.name)}", zeroline=True)
    return plain(figure, 60 + 26 * len(names))


def _standoff(values: Sequence[float]) -> int:
    """Pixels between the axis and the names of the waterfall's bars, on which no number of a bar may stand.

    The number of a bar that goes left stands left of it.
    """
    ends = [*np.cumsum(values[:-1]).tolist(), values[-1]]
    low, high = min(0.0, *ends), max(0.0, *ends)
    left = [end for value, end in zip(values, ends, strict=True) if value <= 0]
    return BESIDE if left and min(left) - low < NEAR * (high - low) else 0


def side_by_side(explanation: Explanation) -> go.Figure:
    """Methods × words: each row's scores over its own largest, vermilion to blue as on the page."""
    rows = {a.method.replace("_", " "): a.scores.tolist() for a in explanation.attributions}
    return rows_of_words(explanation, rows, [palette.direction(explanation, a) for a in explanation.attributions])


def rows_of_words(
    explanation: Explanation, found: Mapping[str, Sequence[float]], turns: Sequence[int] | None = None
) -> go.Figure:
    """Named rows of scores × words, each row over its own largest; `turns` are their directions (None: the first's)."""
    turns = turns or [palette.direction(explanation, explanation.attributions[0])] * len(found)
    names, rows = list(found), [np.array(row, dtype=float) for row in found.values()]
    z = [t * row / max(float(np.abs(row).max(initial=0)), 1e-12) for t, row in zip(turns, rows, strict=True)]
    words = [_label(w.name) for w in explanation.words()]
    figure = go.Figure(
        go.Heatmap(
            z=np.round(z, 4),
            customdata=np.array(rows),
            colorscale=[[0, palette.ORANGE], [0.5, "rgba(128,128,128,0.06)"], [1, palette.BLUE]],
            zmin=-1,
            zmax=1,
            showscale=False,
            hovertemplate="%{y}, %{x}: %{customdata:+.3g}<extra></extra>",
            xgap=1,
            ygap=1,
        )
    )
    figure.update_xaxes(tickmode="array", tickvals=list(range(len(words))), ticktext=words, tickangle=-45, side="top")
    figure.update_yaxes(tickmode="array", tickvals=list(range(len(names))), ticktext=names, autorange="reversed")
    return plain(figure, 120 + 34 * len(names))


def pair_heatmap(explanation: Explanation, found: Interactions) -> go.Figure:
    """Words × words: what each pair does together beyond what its words do apart; empty where it was not computed."""
    numbers = pairs.square(found)  # (U, U)
    largest = float(np.abs(found.scores).max(initial=0)) or 1.0
    limit = max(palette.FIXED_SCALE, largest) if found.target.unit == "log-odds" else largest
    labels = [_label(text) for text in pairs.unit_texts(explanation, found)]
    figure = go.Figure(
        go.Heatmap(
            z=[
                [None if np.isnan(v) else round(v, 4) for v in row]
                for row in palette.direction(explanation, found) * numbers
            ],
            customdata=np.nan_to_num(numbers),
            colorscale=_DIVERGING,
            zmin=-limit,
            zmax=limit,
            showscale=False,
            hoverongaps=False,
            hovertemplate="%{y} + %{x}: %{customdata:+.3g}<extra></extra>",
            xgap=1,
            ygap=1,
        )
    )
    ticks = {"tickmode": "array", "tickvals": list(range(len(labels))), "ticktext": labels, "showgrid": False}
    figure.update_xaxes(**ticks, side="top", tickangle=-45, zeroline=False)
    figure.update_yaxes(**ticks, autorange="reversed", zeroline=False)
    return plain(figure, min(760, 140 + 26 * len(labels)))


def alignment_heatmap(found: Alignment) -> go.Figure:
    """Written tokens × words of the text: how far each token's log-odds fall without the word."""
    mine = found.unit_segment == 0
    effects = found.effects[:, mine].astype(float)  # (K, S)
    limit = max(palette.FIXED_SCALE, float(np.abs(effects).max(initial=0)))
    words = [_label(word) for word in aligned.words(found)]
    tokens = [_label(piece) for piece in aligned.tokens(found)]
    figure = go.Figure(
        go.Heatmap(
            z=np.round(effects, 4),
            colorscale=_DIVERGING,
            zmin=-limit,
            zmax=limit,
            showscale=False,
            hovertemplate="%{y} without %{x}: log-odds fall by %{z:.3g}<extra></extra>",
            xgap=1,
            ygap=1,
        )
    )
    ticks = {"tickmode": "array", "showgrid": False, "zeroline": False}
    figure.update_xaxes(**ticks, tickvals=list(range(len(words))), ticktext=words, side="top", tickangle=-45)
    figure.update_yaxes(**ticks, tickvals=list(range(len(tokens))), ticktext=tokens, autorange="reversed")
    return plain(figure, min(900, 140 + 24 * len(tokens)))


def weakest(check: Check) -> dict[str, Any]:
    """The measurement of a removal check that its status rests on; those without a percentile tell nothing."""
    return min((r for r in check.details["measurements"] if r["percentile"] is not None), key=lambda r: r["percentile"])


def removal_curves(check: Check) -> go.Figure:
    """The target as words are taken out in the order of their scores, beside random orders."""
    row, removed = weakest(check), list(check.details["removed"])
    figure = go.Figure()
    kept = check.name == "sufficiency"
    figure.add_scatter(
        x=removed, y=row["random_curve"], name="random orders (mean)", line={"color": palette.GREY, "dash": "dot"}
    )
    figure.add_scatter(x=removed, y=row["curve"], name="order of the scores", line={"color": palette.BLUE, "width": 3})
    figure.update_xaxes(title="words kept" if kept else "words taken out")
    figure.update_yaxes(title=f"change of {row['scale']}")
    figure.update_layout(legend={"orientation": "h", "y": 1.12, "x": 0})
    return plain(figure, 280)


def attention_heatmap(
    explanation: Explanation, maps: AttentionMaps, head: int, selected: int | None = None
) -> go.Figure:
    """One head, merged to words: a row is where a word looks. Rows still sum to 1 (see `merged`)."""
    weights, *names = merged(explanation, maps, head)
    rows, columns = ([_label(n) for n in some] for some in names)
    figure = go.Figure(
        go.Heatmap(
            z=np.round(weights, 4),
            colorscale=[[0, "rgba(43,111,201,0.04)"], [1, palette.BLUE]],
            zmin=0,
            zmax=max(float(weights.max()), 1e-6),
            hovertemplate="row %{y}, column %{x}: %{z:.3f}<extra></extra>",
            colorbar={"title": "weight", "thickness": 12, "outlinewidth": 0},
            xgap=1,
            ygap=1,
        )
    )
    ticks = {"tickmode": "array", "showgrid": False}
    across, down = ({"tickvals": list(range(len(some))), "ticktext": some} for some in (columns, rows))
    figure.update_xaxes(**ticks, **across, side="top", title="looked at", tickangle=-45)
    figure.update_yaxes(**ticks, **down, autorange="reversed", title="looking")
    if selected is not None and selected < len(rows):
        figure.add_hline(y=selected, line={"color": palette.ORANGE, "width": 2})
    return plain(figure, min(900, 190 + 22 * len(rows)))


def merged(
    explanation: Explanation, maps: AttentionMaps, head: int
) -> tuple[Float[np.ndarray, "V W"], list[str], list[str]]:
    """One head between words and special tokens, with the names of rows and columns; rows still sum to 1."""
    weights = maps.weights[maps.heads.index(head)]
    (looking, rows), (seen, columns) = map(_words, sides(explanation.tokens, maps.kind, weights.shape))
    summed = np.stack([weights[:, g].sum(1) for g in seen], axis=1)  # (Q, W)
    return np.stack([summed[g].mean(0) for g in looking]), rows, columns  # (V, W)


def _words(tokens: Tokens) -> tuple[list[list[int]], list[str]]:
    """The tokens of each word, and each special one by itself, with their names."""
    groups: list[list[int]] = []
    names: list[str] = []
    seen: dict[int, int] = {}
    for t, word in enumerate(tokens.words.tolist()):
        if word < 0:
            groups.append([t])
            names.append(tokens.strings[t])
        elif word in seen:
            groups[seen[word]].append(t)
        else:
            seen[word] = len(groups)
            groups.append([t])
            names.append("")
    for word, place in seen.items():
        of_word = tokens.offsets[tokens.words == word]
        segment = int(tokens.segment[tokens.words == word][0])
        names[place] = visible(tokens.texts[segment][of_word[:, 0].min() : of_word[:, 1].max()].strip())
    return groups, names


def _label(text: str) -> str:
    """Text as an axis label: Plotly reads a little HTML and $LaTeX$ in labels, so their signs are replaced."""
    shown = visible(text)
    short = shown if len(shown) <= 24 else shown[:23] + "…"
    return short.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("$", "&#36;")


def plain(figure: go.Figure, height: int) -> go.Figure:
    """The look that all figures share; returns the figure."""
    layout: dict[str, Any] = {
        "height": height,
        "margin": {"l": 8, "r": 48, "t": 24, "b": 8},
        "showlegend": figure.layout.showlegend,
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"size": 13},
        "hoverlabel": {"namelength": -1},
        "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": palette.GREY, "activecolor": palette.BLUE},
    }
    figure.update_layout(**layout)
    figure.update_xaxes(automargin=True)
    figure.update_yaxes(automargin=True)
    return figure
