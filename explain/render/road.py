"""A token's road → the diagram's boxes, tables and sentences, all made from the record's own numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from explain.render.html import text
from explain.render.pieces import visible
from explain.render.sentences import percent
from explain.road import NormStep, Road

STEPS = ("data", "preprocessing", "embedding", "attention", "norm", "feed_forward", "output", "prediction")
NORM_COLUMNS = (
    *("norm", "mean before", "deviation before", "mean, normed"),
    *("deviation, normed", "mean after", "deviation after"),
)
NEURONS = 12
"""Neurons that are listed, the strongest first."""
LISTED = 40
"""Tokens that a table of the attention lists."""


def number(value: float, digits: int = 3) -> str:
    """A number with a real minus; very small and very large ones in powers of ten."""
    size = abs(value)
    shown = f"{value:.{digits}f}" if size == 0 or 10**-digits <= size < 1e5 else f"{value:.2e}"
    return shown.replace("-", "−")


def fixed(value: float, digits: int = 3) -> str:
    """A number with so many decimals and a real minus; zero has none."""
    shown = f"{value:.{digits}f}"
    return shown.replace("-", "−" if float(shown) else "")


def preview(vector: Float[np.ndarray, "D"], count: int = 4) -> str:
    """The first numbers of a vector."""
    rest = ", …" if len(vector) > count else ""
    return ", ".join(fixed(v) for v in vector[:count].tolist()) + rest


def length(vector: Float[np.ndarray, "D"]) -> float:
    """Euclidean length."""
    return float(np.linalg.norm(vector))


def name(road: Road, token: int) -> str:
    """A token as it is shown."""
    return visible(road.tokens.strings[token])


def diagram(road: Road, step: str) -> dict[str, Any]:
    """The tokens and the boxes for the browser, each box with this text's own numbers."""
    tokens, attention, feed, answer = road.tokens, road.attention, road.feed_forward, road.answer
    shown = {
        "data": ("Data", f"{sum(map(len, tokens.texts))} characters", "the text as it is"),
        "preprocessing": ("Pre-processing", f"{len(tokens.ids)} tokens", f"this one is id {tokens.ids[road.token]}"),
        "embedding": ("Embedding", f"{len(road.entering)} numbers", f"positions: {road.position.kind}"),
        "attention": ("Self-attention", "not shown", "this architecture hides it"),
        "norm": ("Add & norm", f"{len(road.sums)} sums", f"{len(road.norms)} norms"),
        "feed_forward": ("Feed-forward", "not shown", "this architecture hides it"),
        "output": ("Output layer", "not shown", "no single matrix"),
        "prediction": ("Prediction", road.prediction.label, ""),
    }
    if attention is not None:
        most = int(attention.weights.argmax())
        shown["attention"] = ("Self-attention", f"{attention.weights[most]:.2f}", f"on {name(road, most)}")
    if feed is not None:
        most = int(feed.lengths.argmax())
        shown["feed_forward"] = ("Feed-forward", f"{len(feed.hidden):,} neurons", f"strongest: {most}")
    if answer is not None:
        shown["output"] = ("Output layer", ", ".join(number(float(z), 2) for z in answer.logits[:2]), "logits")
    if road.prediction.probs is not None:
        shown["prediction"] = ("Prediction", road.prediction.label, percent(float(road.prediction.probs.max())))
    depth = {"embedding": 1, "attention": 2, "norm": 2, "feed_forward": 2}
    return {
        "lead": "Follow one token through the model; every box shows this text's own numbers, and opens.",
        "tokens": [{"text": visible(s), "special": bool(tokens.special[t])} for t, s in enumerate(tokens.strings)],
        "token": road.token,
        "step": step,
        "frames": ["Pretrained model", f"layer {road.layer} of 0 to {road.model.n_layers - 1} · head {road.head}"],
        "steps": [
            {"id": s, "title": shown[s][0], "number": shown[s][1], "note": shown[s][2], "depth": depth.get(s, 0)}
            for s in STEPS
        ],
    }


def table(head: Sequence[str], rows: Iterable[Sequence[str]], marked: int | None = None) -> str:
    """A table whose first column is a name and whose others are numbers; row `marked` stands out."""
    top = "".join(f"<th>{text(h)}</th>" for h in head)
    body = "".join(
        f"<tr{' class=wb-chosen' if i == marked else ''}><th><bdi>{text(row[0])}</bdi></th>"
        + "".join(f"<td>{text(c)}</td>" for c in row[1:])
        + "</tr>"
        for i, row in enumerate(rows)
    )
    return f'<table class="wb-table wb-numbers"><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>'


def columns(rows: Sequence[tuple[str, Float[np.ndarray, "D"]]], count: int = 64) -> str:
    """The vectors of a picture as a table: one column a vector, one row a dimension."""
    shown = [
        (str(i), *(fixed(float(v[i])) if i < len(v) else "" for _, v in rows))
        for i in range(min(count, max(len(v) for _, v in rows)))
    ]
    return table(("dimension", *(n for n, _ in rows)), shown)


def position_table(road: Road, count: int = 16) -> str:
    """How order comes in, place by place: the first numbers of each."""
    values = road.position.table
    if values is None:
        return ""
    rows = [
        (f"{t} {name(road, t)}", *(fixed(float(x)) for x in row[:count]))
        for t, row in enumerate(values[: len(road.tokens.ids)])
    ]
    what = "bias" if road.position.kind == "relative" else "dimension" if values.shape[1] > 1 else ""
    return table(("place", *(f"{what} {i}" for i in range(min(count, values.shape[1])))), rows, road.token)


def product_rows(road: Road, count: int = 16) -> list[tuple[str, ...]]:
    """The largest products in the explained outcome's logit: dimension, weight, number, product."""
    found = road.answer
    if found is None:
        return []
    weight = found.weight[explained(road)[0]].astype(float)
    vector = found.vector.astype(float)
    order = np.argsort(-np.abs(weight * vector), kind="stable")[:count].tolist()
    return [(f"dim {i}", *(fixed(x, 4) for x in (weight[i], vector[i], weight[i] * vector[i]))) for i in order]


def neighbours(found: Sequence[tuple[str, float]]) -> str:
    """Tokens with their cosines, side by side."""
    cells = "".join(f'<span role="listitem"><bdi>{text(n)}</bdi> <b>{fixed(c, 2)}</b></span>' for n, c in found)
    return f'<div class="wb-near" role="list">{cells}</div>'


def marked_text(road: Road) -> str:
    """The raw texts, with the characters of the token marked."""
    tokens, found = road.tokens, []
    for segment, raw in enumerate(tokens.texts):
        start, end = tokens.offsets[road.token].tolist()
        if int(tokens.segment[road.token]) != segment:
            start = end = 0
        found.append(f"{text(raw[:start])}<mark>{text(raw[start:end])}</mark>{text(raw[end:])}")
    return "".join(f'<p class="wb-raw" dir="auto">{f}</p>' for f in found)


def token_rows(road: Road) -> list[tuple[str, ...]]:
    """Every token with its place, id and characters."""
    tokens = road.tokens
    return [
        (
            visible(s),
            str(t),
            str(tokens.ids[t]),
            "special" if tokens.special[t] else "{}–{}".format(*tokens.offsets[t].tolist()),
        )
        for t, s in enumerate(tokens.strings)
    ]


def explained(road: Road) -> tuple[int, str]:
    """The row of the head's matrix that the explained outcome's logit comes from, and the name of that logit.

    A binary head has one logit only: the second label's, whichever of the two is explained. Of a vocabulary the best
    token stands in for one that is not kept.
    """
    labels, count = road.prediction.labels, 0 if road.answer is None else len(road.answer.logits)
    if count == 1:
        return 0, labels[-1] if labels else "the outcome"
    index = min(road.prediction.place(road.target.index) or 0, max(0, count - 1))
    return index, labels[index] if index < len(labels) else "the outcome"


def embedding_rows(road: Road) -> list[tuple[str, ...]]:
    """What is added up to the vector that enters the first block."""
    found = road.embedding
    if found is None:
        return [("entering", "", number(length(road.entering)), preview(road.entering))]
    rows: list[tuple[str, ...]] = [
        (f"{p.kind} vector", f"row {p.index}", number(length(p.vector)), preview(p.vector)) for p in found.parts
    ]
    if found.norm is not None:
        rows.append(("sum", "", number(length(found.norm.before)), preview(found.norm.before)))
        rows.append((f"after the {found.norm.kind}", "", number(length(found.entering)), preview(found.entering)))
    else:
        rows.append(("sum", "", number(length(found.entering)), preview(found.entering)))
    return rows


def attention_rows(road: Road) -> list[tuple[str, ...]]:
    """For every token looked at: score, bias or mask, weight, length of its value, and of what it gives."""
    found = road.attention
    if found is None:
        return []
    order = sorted(np.argsort(-found.weights, kind="stable")[:LISTED].tolist())
    values = np.linalg.norm(found.value, axis=1)
    return [
        (
            name(road, j),
            number(float(found.key[j] @ found.query)),
            number(float(found.scores[j])),
            number(float(found.bias[j])) if found.visible[j] else "masked",
            number(float(found.weights[j])),
            number(float(values[j])),
            number(float(found.weights[j] * values[j])),
        )
        for j in order
    ]


def norm_rows(steps: Sequence[NormStep]) -> list[tuple[str, ...]]:
    """Each normalisation before and after."""
    return [
        (
            f"{s.kind} ({s.name})",
            fixed(float(s.before.mean())),
            fixed(float(s.before.std()) if s.kind == "layer norm" else s.deviation),
            fixed(float(((s.after - s.shift) / np.where(s.gain == 0, 1, s.gain)).mean())),
            fixed(float(((s.after - s.shift) / np.where(s.gain == 0, 1, s.gain)).std())),
            fixed(float(s.after.mean())),
            fixed(float(s.after.std())),
        )
        for s in steps
    ]


def sum_rows(road: Road) -> list[tuple[str, ...]]:
    """Each residual connection: what is added, with lengths."""
    rows: list[tuple[str, ...]] = []
    for step in road.sums:
        for term, vector in step.terms.items():
            rows.append((term, "added", number(length(vector)), preview(vector)))
        rows.append((step.name, "total", number(length(step.total)), preview(step.total)))
    return rows


def neuron_rows(road: Road) -> list[tuple[str, ...]]:
    """The strongest neurons of the feed-forward."""
    feed = road.feed_forward
    if feed is None:
        return []
    rows = []
    for n in np.argsort(-feed.lengths, kind="stable")[:NEURONS].tolist():
        before = "" if feed.before is None else number(float(feed.before[n]))
        gate = () if feed.gate is None else (number(float(feed.gate[n])),)
        rows.append((str(n), *gate, before, number(float(feed.hidden[n])), number(float(feed.lengths[n]))))
    return rows


def answer_rows(road: Road) -> list[tuple[str, ...]]:
    """Each outcome's logit as a product and a constant."""
    found = road.answer
    if found is None:
        return []
    products = found.weight.astype(float) @ found.vector
    return [
        (label, number(float(p)), number(float(b)), number(float(z)))
        for label, p, b, z in zip(
            road.prediction.labels[-len(products) :], products, found.bias, found.logits, strict=False
        )
    ]


def prediction_rows(road: Road) -> list[tuple[str, ...]]:
    """From logits to probabilities, number by number."""
    found = road.prediction
    logits = found.logits.astype(float)
    if found.probs is None:
        return [(label, number(float(z))) for label, z in zip(found.labels, logits, strict=True)]
    raised = np.exp(logits - logits.max()) if found.activation == "softmax" else np.exp(-logits)
    return [
        (label, number(float(z)), number(float(e)), number(float(p), 4))
        for label, z, e, p in zip(found.labels, logits, raised, found.probs, strict=True)
    ]


def how(road: Road) -> list[tuple[str, str]]:
    """How it was computed, as label and value."""
    made, model = road.provenance, road.model
    return [
        ("Model", f"{model.id} @ {model.revision[:12]}"),
        ("Weights", f"SHA-256 {model.weights_sha256[:16]}… · {model.licence or 'licence not stated'}"),
        ("Recorded pass", f"answers as a plain one to within {max(road.difference, 1e-9):.0e}"),
        ("Parts", "found by what they compute, and checked to add up to within 1 in 10,000"),
        ("Computed in", f"{made.dtype} · {made.device} · {made.threads} thread(s)"),
        ("Time", f"{made.created.split('.')[0].replace('T', ' ')} UTC · {made.seconds:.1f} s"),
    ]
