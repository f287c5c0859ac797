"""A token's road, the lens and patching → Plotly figures; data are the records' own numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float

from explain.lens import Direct, Lens, Patch
from explain.records import Tokens
from explain.render.figures import _label, plain
from explain.render.palette import BLUE, GREY, ORANGE
from explain.render.pieces import visible
from explain.road import AnswerStep, AttentionStep, EmbeddingStep, FeedForwardStep, NormStep, PositionStep

DIVERGING = [[0, ORANGE], [0.5, "rgba(128,128,128,0.06)"], [1, BLUE]]
SHOWING = "%{x}: %{y:.3f}<extra></extra>"
SHOWN = 64
"""Dimensions of a vector that are drawn."""


def strips(rows: Sequence[tuple[str, Float[np.ndarray, "D"]]]) -> go.Figure:
    """Vectors as rows of coloured cells, the first 64 numbers; each row over its own largest."""
    kept = [v[:SHOWN].astype(float) for _, v in rows]
    z = [v / max(float(np.abs(v).max(initial=0)), 1e-12) for v in kept]
    return _map(z, [n for n, _ in rows], kept, "dimension", 70 + 34 * len(rows))


def embedding(found: EmbeddingStep) -> list[tuple[str, Float[np.ndarray, "D"]]]:
    """What is added up, and what comes of it, as rows of strips."""
    rows = [(f"{p.kind} vector", p.vector) for p in found.parts]
    if found.norm is not None:
        rows.append(("sum", found.norm.before))
    return [*rows, ("enters layer 0", found.entering)]


def positions(step: PositionStep, tokens: Tokens, token: int) -> go.Figure | None:
    """How order comes in: what is added at each position, how far each pair is turned, or each bias."""
    if step.table is None:
        return None
    names = [f"{t} {visible(s)}" for t, s in enumerate(tokens.strings)]
    if step.kind == "relative":
        figure = go.Figure(go.Bar(x=list(range(len(names))), y=step.table[:, 0].tolist(), marker={"color": BLUE}))
        _ticks(figure, names)
        figure.update_yaxes(title="bias on the score")
        return plain(figure, 260)
    table = np.cos(step.table) if step.kind == "rotary" else step.table
    limit = max(float(np.abs(table).max()), 1e-12)
    what = "pair of dimensions (shown: cosine of the angle)" if step.kind == "rotary" else "dimension"
    figure = _map(table / limit, names, step.table, what, min(640, 90 + 20 * len(names)))
    figure.add_shape(
        type="rect", x0=-0.5, x1=table.shape[1] - 0.5, y0=token - 0.5, y1=token + 0.5, line={"color": GREY, "width": 2}
    )
    return figure


def weights(step: AttentionStep, tokens: Tokens) -> go.Figure:
    """Scores before, and weights after the softmax, token by token."""
    names = [visible(s) for s in tokens.strings]
    x = list(range(len(names)))
    figure = go.Figure()
    scores = np.where(step.visible, step.scores + step.bias, np.nan)
    figure.add_bar(x=x, y=step.weights.tolist(), name="weight (after softmax)", marker={"color": BLUE})
    figure.add_scatter(
        x=x, y=[None if np.isnan(s) else float(s) for s in scores], name="score (before)", mode="markers", yaxis="y2",
        marker={"color": ORANGE, "symbol": "diamond", "size": 9 if len(names) <= 96 else 4},
    )  # fmt: skip
    _ticks(figure, names)
    figure.update_layout(
        legend={"orientation": "h", "y": 1.14, "x": 0},
        yaxis={"title": "weight"},
        yaxis2={
            "title": "score",
            "overlaying": "y",
            "side": "right",
            "showgrid": False,
            "tickmode": "auto",
            "nticks": 5,
        },
    )
    figure = plain(figure, 320)
    figure.update_layout(margin={"r": 64})
    return figure


def before_and_after(steps: Sequence[NormStep]) -> go.Figure:
    """How the numbers of the token's vector spread, before and after each norm."""
    figure = go.Figure()
    for i, step in enumerate(steps):
        for what, values, color in (("before", step.before, GREY), ("after", step.after, BLUE)):
            figure.add_box(
                x=values.tolist(), y=[f"{i + 1} {what}"] * len(values), orientation="h", name=what, showlegend=False,
                marker={"color": color, "size": 3}, line={"width": 1.5}, boxpoints="outliers",
            )  # fmt: skip
    figure.update_yaxes(autorange="reversed", title="norm")
    figure.update_xaxes(title="the vector's numbers", zeroline=True)
    return plain(figure, 90 + 52 * 2 * len(steps))


def activation(step: FeedForwardStep) -> go.Figure | None:
    """Every neuron as a dot: what goes into the activation, and what comes out."""
    x = step.before if step.gate is None else step.gate
    if x is None:
        return None
    strongest = np.argsort(-step.lengths, kind="stable")
    figure = go.Figure()
    for members, what, color, size in (
        (strongest[12:2000], "neurons", GREY, 4),
        (strongest[:12], "strongest", BLUE, 9),
    ):
        figure.add_scatter(
            x=x[members].tolist(), y=step.hidden[members].tolist(), mode="markers", name=what,
            marker={"color": color, "size": size, "opacity": 0.75}, text=[f"neuron {n}" for n in members.tolist()],
            hovertemplate="%{text}: %{x:.3f} → %{y:.3f}<extra></extra>",
        )  # fmt: skip
    figure.update_xaxes(
        title="before the activation" if step.gate is None else "gate, before the activation", zeroline=True
    )
    figure.update_yaxes(title="after" if step.gate is None else "after, times the other half", zeroline=True)
    figure.update_layout(legend={"orientation": "h", "y": 1.14, "x": 0})
    return plain(figure, 320)


def contributions(step: AnswerStep, index: int) -> go.Figure:
    """The dimensions of the vector that add most to one outcome's logit."""
    row = min(index, len(step.weight) - 1)
    products = step.weight[row].astype(float) * step.vector
    best = np.argsort(-np.abs(products), kind="stable")[:16]
    names, values = [f"dim {i}" for i in best.tolist()], products[best].tolist()
    figure = go.Figure(
        go.Bar(x=names, y=values, marker={"color": [BLUE if v >= 0 else ORANGE for v in values]}, hovertemplate=SHOWING)
    )  # fmt: skip
    figure.update_yaxes(title="weight × number", zeroline=True)
    figure.update_xaxes(tickangle=-45)
    return plain(figure, 320)


def layer_names(count: int) -> list[str]:
    """Rows of the lens: what enters, and each layer."""
    return ["embeddings", *(f"layer {i}" for i in range(count - 1))]


def lens(found: Lens) -> go.Figure:
    """The target's value, as the head reads it after every layer."""
    figure = go.Figure(
        go.Scatter(
            x=layer_names(len(found.values)),
            y=found.values.tolist(),
            mode="lines+markers",
            line={"color": BLUE, "width": 3},
            marker={"size": 9},
            hovertemplate="%{x}: %{y:.3f}<extra></extra>",
        )
    )
    figure.add_hline(y=0, line={"color": GREY, "width": 1, "dash": "dot"})
    figure.update_yaxes(title=f"{found.target.unit} of {_label(found.target.name)}")
    return plain(figure, 300)


def paths(found: Lens, tokens: Sequence[int], chosen: int) -> go.Figure:
    """Where tokens' states lie after each layer, on the two directions in which all of them differ most."""
    figure = go.Figure()
    layers = layer_names(len(found.points))
    for t in tokens:
        mine = t == chosen
        name = f"{t} {visible(found.tokens.strings[t])}"
        figure.add_scatter(
            x=found.points[:, t, 0].tolist(), y=found.points[:, t, 1].tolist(), name=_label(name),
            mode="lines+markers+text" if mine else "lines+markers",
            text=[str(i - 1) if i else "in" for i in range(len(layers))], textposition="top center",
            customdata=layers, hovertemplate=_label(name) + ", %{customdata}<extra></extra>",
            line={"color": BLUE if mine else GREY, "width": 3 if mine else 1}, opacity=1 if mine else 0.55,
            marker={"size": 8 if mine else 5}, showlegend=False,
        )  # fmt: skip
        if not mine:
            label = _label(visible(found.tokens.strings[t]))
            figure.add_annotation(
                x=float(found.points[-1, t, 0]), y=float(found.points[-1, t, 1]), text=label,
                showarrow=False, yshift=10, font={"size": 11}, opacity=0.8,
            )  # fmt: skip
    one, two = found.shares
    figure.update_xaxes(title=f"first direction ({one:.0%} of the differences)", zeroline=False)
    figure.update_yaxes(title=f"second ({two:.0%})", zeroline=False)
    return plain(figure, 460)


def contributions_by_part(found: Direct) -> go.Figure:
    """Direct contributions: a row for every layer, a column for its feed-forward and each head."""
    values = np.concatenate([found.feed_forward[:, None], found.heads], axis=1).astype(float)
    columns = ["feed-forward", *(f"head {h}" for h in range(found.heads.shape[1]))]
    rows = [f"layer {i}" for i in range(len(values))]
    limit = max(float(np.abs(values).max()), 1e-12)
    return _map(values / limit, rows, values, "", 140 + 30 * len(rows), columns)


def patched(found: Patch, values: Float[np.ndarray, "L T"], limit: float) -> go.Figure:
    """Effects by layer and token; colours mean the same in every picture with the same `limit`."""
    names = [
        visible(a) if a == b else f"{visible(a)} / {visible(b)}"
        for a, b in zip(found.tokens.strings, found.other.strings, strict=True)
    ]
    return _map(
        values / max(limit, 1e-12),
        [f"layer {i}" for i in range(len(values))],
        values,
        "",
        150 + 26 * len(values),
        names,
    )


def _map(
    z: Sequence[Float[np.ndarray, "K"]] | Float[np.ndarray, "R K"],
    rows: Sequence[str],
    values: Sequence[Float[np.ndarray, "K"]] | Float[np.ndarray, "R K"],
    what: str,
    height: int,
    columns: Sequence[str] | None = None,
) -> go.Figure:
    """Rows of cells tinted from −1 to 1; hovering shows the numbers themselves."""
    figure = go.Figure(
        go.Heatmap(
            z=np.round(np.array(z, dtype=float), 4),
            customdata=np.array(values, dtype=float),
            colorscale=DIVERGING,
            zmin=-1,
            zmax=1,
            showscale=False,
            xgap=1 if len(values[0]) <= 32 else 0,
            ygap=1,
            hovertemplate="%{y}, %{x}: %{customdata:.4f}<extra></extra>",
        )
    )
    figure.update_yaxes(
        tickmode="array", tickvals=list(range(len(rows))), ticktext=[_label(r) for r in rows], autorange="reversed",
        showgrid=False,
        zeroline=False,
    )  # fmt: skip
    if columns is not None:
        _ticks(figure, columns)
    figure.update_xaxes(title=what or None, showgrid=False, zeroline=False)
    return plain(figure, height)


def _ticks(figure: go.Figure, names: Sequence[str]) -> None:
    every = 1 if len(names) <= 48 else -(-len(names) // 24)
    figure.update_xaxes(
        tickmode="array", tickvals=list(range(0, len(names), every)), ticktext=[_label(n) for n in names[::every]],
        tickangle=-45,
    )  # fmt: skip


def waves(table: Float[np.ndarray, "T D"]) -> go.Figure:
    """Sinusoidal positions: one row a place."""
    return _map(table, [str(t) for t in range(len(table))], table, "dimension", 420)
