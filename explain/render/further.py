"""Lens, patching and the worked toy → sentences and tables made from their numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from explain.lens import Direct, Lens, Patch
from explain.render.pieces import visible
from explain.render.road import fixed, number
from explain.render.road_figures import layer_names
from explain.render.sentences import percent, short, signed
from explain.road import Road
from explain.worked_toy import DOWN, TOKENS, UP, Toy

PATHS = 24
"""Tokens whose paths are drawn."""
Table = tuple[tuple[str, ...], list[tuple[str, ...]]]


def lens_sentence(found: Lens) -> str:
    """From which layer on the head's reading has the final sign, and where it moves most."""
    values, names = found.values.astype(float), layer_names(len(found.values))
    if found.target.kind == "value" or len(values) < 2:
        return "What the model's own head says when it reads the states after each layer."
    centre = 0.5 if found.target.kind == "probability" else 0.0
    same = np.sign(values - centre) == np.sign(values[-1] - centre)
    settled = len(values) - int(np.argmin(same[::-1])) if not same.all() else 0
    step = int(np.abs(np.diff(values)).argmax()) + 1
    name = short(found.target.name)
    since = "at every layer" if settled == 0 else f"from {names[settled]} on"
    step_said = (
        f"The largest step, {signed(values[step] - values[step - 1])} {found.target.unit}, happens in {names[step]}; "
        f"at the end it is {signed(values[-1])}."
    )
    reader = "decoder and head" if found.decoder else "own head"
    if found.target.kind == "logit" and found.prediction.activation == "softmax":  # its sign alone says nothing
        return f"Read by the model's {reader} after each layer. {step_said}"
    return f"Read by the model's {reader}, the states point to the final side of {name} {since}. {step_said}"


def lens_table(found: Lens) -> Table:
    """The value and every logit after each layer."""
    names = layer_names(len(found.values))
    labels = () if found.logits is None else tuple(f"logit of {short(label)}" for label in found.prediction.labels)
    rows = [
        (n, number(float(v)), *(() if found.logits is None else (number(float(z)) for z in found.logits[i])))
        for i, (n, v) in enumerate(zip(names, found.values, strict=True))
    ]
    return ("after", f"{found.target.unit} of {short(found.target.name)}", *labels), rows


def paths_sentence(found: Lens, road: Road) -> str:
    """What the picture keeps, and how far the followed token goes."""
    one, two = found.shares
    steps = np.linalg.norm(np.diff(found.points[:, road.token], axis=0), axis=1)
    names = layer_names(len(found.points))
    return (
        f"All tokens after all layers, on the two directions in which they differ most; together these keep "
        f"{percent(one + two)} of the differences, the rest is not visible. "
        f"“{visible(found.tokens.strings[road.token])}” moves farthest in "
        f"this picture in {names[int(steps.argmax()) + 1]}."
    )


def paths_table(found: Lens, tokens: Sequence[int]) -> Table:
    """The coordinates of every token that is drawn: first and second direction, layer by layer."""
    rows: list[tuple[str, ...]] = [
        (
            f"{t} {visible(found.tokens.strings[t])}",
            *(f"{fixed(x, 2)}, {fixed(y, 2)}" for x, y in found.points[:, t].tolist()),
        )
        for t in tokens
    ]
    return ("token", *layer_names(len(found.points))), rows


def patch_sentence(found: Patch) -> str:
    """Both answers, and the exchange that moves this text's most."""
    layer, token = np.unravel_index(int(np.abs(found.into).argmax()), found.into.shape)
    unit = found.target.unit
    return (
        f"{short(found.target.name)} stands at {signed(found.value)} {unit} for this text and at "
        f"{signed(found.other_value)} for the other. The exchange that moves this text most is at "
        f"“{visible(found.tokens.strings[token])}” after layer {layer}: {signed(float(found.into[layer, token]))}, "
        f"where a random change of the same length moves it by {float(found.control_into[layer, token]):.2f} on "
        "average."
    )


def control_sentence(found: Patch, values: Float[np.ndarray, "L T"], control: Float[np.ndarray, "L T"]) -> str:
    """How many exchanges move the answer noticeably, and how many of these more than their controls do."""
    tenth = 0.1 * abs(found.value - found.other_value)
    strong = np.abs(values) > max(tenth, 1e-6)
    clear = strong & (np.abs(values) > 2 * control)
    return (
        f"{int(strong.sum())} of {values.size} exchanges move the answer by more than a tenth of the difference "
        f"between the texts ({tenth:.2f}); {int(clear.sum())} of these move it more than twice as far as random "
        "changes of the same length do."
    )


def patch_table(found: Patch, values: Float[np.ndarray, "L T"], control: Float[np.ndarray, "L T"]) -> Table:
    """Every place with its effect and its control."""
    rows = [
        (
            f"{t} {visible(s)}",
            *(f"{signed(float(v))} ({float(c):.2f})" for v, c in zip(values[:, t], control[:, t], strict=True)),
        )
        for t, s in enumerate(found.tokens.strings)
    ]
    return ("token", *(f"after layer {i} (control)" for i in range(len(values)))), rows


def direct_sentence(found: Direct) -> str:
    """What is added up, and the largest parts of it."""
    unit, name = found.target.unit, short(found.target.name)
    names, values = zip(*_writers(found), strict=True)
    best = sorted(range(len(values)), key=lambda i: -abs(values[i]))[:3]
    largest = ", ".join(f"{names[i]} ({signed(values[i])})" for i in best)
    return (
        f"{name} stands at {signed(found.value)} {unit}. On the direct path, what entered the first layer adds "
        f"{signed(found.start)}, all heads {signed(float(found.heads.sum()))}, all feed-forwards "
        f"{signed(float(found.feed_forward.sum()))}, and constants and what the head's curve leaves over "
        f"{signed(found.rest + float(found.constants.sum()))}. Largest: {largest}."
    )


def direct_table(found: Direct) -> Table:
    """Every contribution, layer by layer."""
    count = found.heads.shape[1]
    rows = [
        (f"layer {i}", fixed(float(f)), *(fixed(float(h)) for h in heads))
        for i, (heads, f) in enumerate(zip(found.heads, found.feed_forward, strict=True))
    ]
    return ("", "feed-forward", *(f"head {h}" for h in range(count))), rows


def _writers(found: Direct) -> list[tuple[str, float]]:
    heads = [
        (f"head {h} of layer {i}", float(found.heads[i, h]))
        for i in range(len(found.heads))
        for h in range(found.heads.shape[1])
    ]
    return [*heads, *((f"the feed-forward of layer {i}", float(f)) for i, f in enumerate(found.feed_forward))]


def toy_steps(toy: Toy) -> list[tuple[str, str, tuple[str, ...], list[tuple[str, ...]]]]:
    """Title, formula, columns and rows of every step of the worked toy."""

    def rows(matrix: Float[np.ndarray, "3 K"]) -> list[tuple[str, ...]]:
        return [(t, *(number(float(x)) for x in row)) for t, row in zip(TOKENS, matrix, strict=True)]

    wide, dims = ("", *TOKENS), ("", "d0", "d1", "d2")
    spread = [
        (t, number(float(m)), number(float(d)), *(number(float(x)) for x in row))
        for t, m, d, row in zip(TOKENS, toy.mean, toy.deviation, toy.normed, strict=True)
    ]
    return [
        ("1  Scores", r"S = \frac{Q K^\top}{\sqrt{d_k}},\quad d_k = 3", wide, rows(toy.scores)),
        (
            "2  Weights",
            _lines(r"A = \mathrm{softmax}(S)", _first_weight(toy)),
            wide,
            rows(toy.weights),
        ),
        ("3  Weighted sum", r"Z = A V", dims, rows(toy.attended)),
        ("4  Residual", r"X' = V + Z", dims, rows(toy.summed)),
        ("5  Layer norm", r"\frac{x - \mu}{\sqrt{\sigma^2 + 10^{-5}}}", ("", "mean", "deviation", *dims[1:]), spread),
        (
            "6  Feed-forward, 4 neurons",
            _lines(r"H = \max(0, X W_1)", f"W_1 = {_matrix(UP)}"),
            ("", "n0", "n1", "n2", "n3"),
            rows(toy.hidden),
        ),
        (
            "7  Feed-forward, output",
            _lines("Y = H W_2", f"W_2 = {_matrix(DOWN)}"),
            dims,
            rows(toy.output),
        ),
    ]


def _first_weight(toy: Toy) -> str:
    """The softmax of the first row, written out with its numbers."""
    seen = toy.scores[0][:1] if toy.causal else toy.scores[0]  # not by weight: a softmax may round to 0
    first, *rest = (f"e^{{{s:.3f}}}" for s in seen)
    return rf"\frac{{{first}}}{{{' + '.join([first, *rest])}}} = {toy.weights[0, 0]:.3f}"


def _lines(*formulas: str) -> str:
    """Formulas below each other."""
    below = r" \\[.6em] ".join(formulas)
    return rf"\begin{{gathered}} {below} \end{{gathered}}"


def _matrix(values: Float[np.ndarray, "R K"]) -> str:
    rows = r" \\ ".join(" & ".join(f"{v:g}" for v in row) for row in values)
    return rf"\begin{{bmatrix}} {rows} \end{{bmatrix}}"
