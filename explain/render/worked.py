"""One number of each step of a token's road, worked out as LaTeX with the record's own numbers."""

from __future__ import annotations

import numpy as np

from explain.render.road import explained, fixed
from explain.road import FeedForwardStep, NormStep, Road


def add(road: Road) -> str:
    """The first residual connection in the first dimension."""
    step = road.sums[0]
    terms = " + ".join(_bracketed(float(v[0])) for v in step.terms.values())
    return rf"x_0 \leftarrow {terms} = {float(step.total[0]):.3f}"


def embedding(road: Road) -> str:
    """The sum of the looked-up vectors in the first dimension; empty where it is not the whole story."""
    found = road.embedding
    if found is None or found.unexplained or len(found.parts) < 2:
        return ""
    terms = [float(p.vector[0]) for p in found.parts]
    total = float(found.norm.before[0]) if found.norm is not None else float(found.entering[0])
    return f"{' + '.join(map(_bracketed, terms))} = {total:.3f}"


def norm(step: NormStep) -> str:
    """A normalisation of the first dimension."""
    x, gain, shift, after = (float(v[0]) for v in (step.before, step.gain, step.shift, step.after))
    top = f"{x:.3f}" if step.kind == "RMS norm" else f"{x:.3f} - {_bracketed(step.mean)}"
    tail = f" + {_bracketed(shift)}" if step.shift.any() else ""
    spread = rf"\sqrt{{{step.deviation:.3f}^2 + \varepsilon}}"
    return rf"y_0 = {_bracketed(gain)} \cdot \frac{{{top}}}{{{spread}}}{tail} = {after:.3f}"


def feed_forward(feed: FeedForwardStep) -> str:
    """The feed-forward as a formula; from the neurons h on where what goes into them was not seen."""
    if feed.before is None:
        return r"y = W_2\,h + b_2"
    inner = r"g(W_1 x + b_1)" if feed.gate is None else r"(g(W_g x) \odot W_1 x)"
    return rf"y = W_2\,{inner} + b_2"


def neuron(road: Road) -> str:
    """The strongest neuron; empty where what goes into the activation was not seen."""
    feed = road.feed_forward
    if feed is None or feed.before is None or not feed.activation:
        return ""
    n = int(feed.lengths.argmax())
    before, hidden = float(feed.before[n]), float(feed.hidden[n])
    if feed.gate is None:
        return rf"h_{{{n}}} = g({before:.3f}) = {hidden:.3f}"
    return rf"h_{{{n}}} = g({float(feed.gate[n]):.3f}) \cdot {_bracketed(before)} = {hidden:.3f}"


def logit(road: Road) -> str:
    """The logit of the row that is shown for the explained outcome; empty where the head was not found."""
    found = road.answer
    if found is None:
        return ""
    c, _ = explained(road)
    product = float(found.weight[c].astype(float) @ found.vector)
    return rf"z_{{{c}}} = {product:.3f} + {_bracketed(float(found.bias[c]))} = {float(found.logits[c]):.3f}"


def products(road: Road, outcome: str, shown: int = 16) -> str:
    """What a picture of the largest products of a logit leaves out, as a sentence."""
    found = road.answer
    if found is None:
        return ""
    c, _ = explained(road)
    values = found.weight[c].astype(float) * found.vector
    order = np.argsort(-np.abs(values), kind="stable")
    sizes = np.abs(values[order])
    half = int((np.cumsum(sizes) < sizes.sum() / 2).sum()) + 1
    rest = order[shown:]
    return (
        f"The {min(shown, len(values))} largest products in the logit of {outcome}; the other {len(rest)} add "
        f"{fixed(float(values[rest].sum()))}. Half of all sizes come from {half} of the {len(values)} numbers."
    )


def probability(road: Road) -> str:
    """The top outcome's probability; empty for a bare number."""
    found, top = road.prediction, road.prediction.top
    if found.probs is None:
        return ""
    p, z = float(found.probs[top]), found.logits.astype(float)
    if found.activation == "sigmoid":
        return rf"p = \frac{{1}}{{1 + e^{{{-z[top]:.3f}}}}} = {p:.4f}"
    total = 1 / p if found.left_out else np.exp(z - z.max()).sum()  # of those left out too
    return rf"p = \frac{{1}}{{{total:.4f}}} = {p:.4f}"


def _bracketed(value: float) -> str:
    """A number for a formula, in brackets where it is negative."""
    shown = f"{value:.3f}"
    return f"({shown})" if float(shown) < 0 else shown.replace("-", "")
