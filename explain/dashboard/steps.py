"""The steps of the Inside page: for each box of the diagram, its numbers, their formula and their pictures."""

from __future__ import annotations

from collections.abc import Callable

import plotly.graph_objects as go
import streamlit as st

from explain.render import html, worked
from explain.render import road as render
from explain.render import road_figures as figures
from explain.render import road_sentences as say
from explain.road import Road

POSITIONS = {
    "learned": "Learned: a table with one vector for each place, added to the word's vector.",
    "sinusoidal": "Sinusoidal: waves of different lengths, the same for every text, added to the word's vector.",
    "rotary": "Rotary: nothing is added. In every layer queries and keys are turned, pair by pair of dimensions, by an "
    "angle that grows with the place, so that a score depends on the distance between two words.",
    "relative": "Relative: nothing is added to the vector. The score of two words gets a bias that depends on how far "
    "apart they are.",
    "none found": "Not found: no table of places, no rotation and no bias on the scores was seen in this architecture.",
}


def show(road: Road, step: str) -> None:
    """Open one box."""
    _STEPS[step](road)


def _picture(figure: go.Figure | None, key: str) -> None:
    if figure is not None:
        config = {"displaylogo": False, "toImageButtonOptions": {"filename": f"whyboard-{key}", "scale": 2}}
        st.plotly_chart(figure, width="stretch", key=f"step-{key}", config=config)


def _numbers(table: str, label: str = "The same numbers as a table") -> None:
    with st.expander(label):
        st.html(table)


def _data(road: Road) -> None:
    st.html(
        html.heading("Data: the text as it arrives", "Nothing else enters the model; the token you follow is marked.")
    )
    st.html(render.marked_text(road))


def _preprocessing(road: Road) -> None:
    tokens = road.tokens
    cut = "" if tokens.truncated_at is None else f" Reading stopped at character {tokens.truncated_at}."
    st.html(
        html.heading(
            "Pre-processing: from characters to numbers",
            f"The tokenizer cuts the text into {len(tokens.ids)} tokens of its vocabulary and writes down the number "
            f"of each; {int((tokens.segment < 0).sum())} of them are special tokens that it adds.{cut}",
        )
    )
    st.latex(r"\text{text} \;\to\; (t_0, t_1, \dots) \;\to\; (\mathrm{id}_0, \mathrm{id}_1, \dots)")
    st.html(render.table(("token", "place", "id", "characters"), render.token_rows(road), road.token))


def _embedding(road: Road) -> None:
    found = road.embedding
    st.html(
        html.heading(
            "Embedding: from a number to a vector",
            say.embedding_sentence(road),
        )
    )
    if found is not None:
        sum_ = " + ".join(
            {"word": r"E_{\mathrm{id}}", "position": "P_{t}", "token type": "S_{s}"}.get(p.kind, "O")
            for p in found.parts
        )
        norm = "" if found.norm is None else found.norm.kind.title().replace(" ", "")
        st.latex(rf"x_t = \mathrm{{{norm}}}({sum_})" if norm else f"x_t = {sum_}")
        if example := worked.embedding(road):
            st.latex(example)
        strips = figures.embedding(found)
        _picture(figures.strips(strips), "embedding")
        st.caption("The first 64 dimensions, blue above and orange below zero, each row over its own largest.")
        _numbers(render.columns(strips))
    st.html(render.table(("vector", "from", "length", "first numbers"), render.embedding_rows(road)))
    if "embedding" in road.reasons:
        st.caption(html.markdown(road.reasons["embedding"]))
    st.html(html.heading(f"Position: {road.position.kind}", POSITIONS[road.position.kind], level=4))
    if road.position.kind == "sinusoidal":
        st.latex(r"P_{t,2i} = \sin\frac{t}{10000^{2i/D}},\quad P_{t,2i+1} = \cos\frac{t}{10000^{2i/D}}")
    elif road.position.kind == "rotary":
        st.latex(r"\theta_{t,i} = t \cdot \mathrm{inv\_freq}_i")
    _picture(figures.positions(road.position, road.tokens, road.token), "positions")
    if road.position.table is not None:
        _numbers(render.position_table(road), "The same numbers as a table (first 16 of each place)")
    near = road.near
    if near:
        st.html(
            html.heading(
                "Nearest neighbours of the word's vector",
                "Cosine with every other vector of the table; exact.",
                level=4,
            )
        )
        st.html(render.neighbours(near))


def _attention(road: Road) -> None:
    found = road.attention
    st.html(html.heading(f"Self-attention: layer {road.layer}, head {road.head}", say.attention_sentence(road)))
    if found is None:
        return
    best = int(found.weights.argmax())
    dot, width = float(found.query @ found.key[best]), len(found.query)
    scale = rf"\sqrt{{{width}}}" if abs(found.scaling * width**0.5 - 1) < 1e-6 else f"{1 / found.scaling:.4g}"
    st.latex(
        rf"s_j = \frac{{q \cdot k_j}}{{{scale}}},\quad "
        r"a_j = \frac{e^{s_j}}{\sum_i e^{s_i}},\quad z = \sum_j a_j v_j"
    )
    st.latex(rf"\frac{{{dot:.3f}}}{{{scale}}} = {dot * found.scaling:.3f} \;\to\; a = {float(found.weights[best]):.3f}")
    st.caption(html.markdown(f"The second line is the token looked at most, “{render.name(road, best)}”."))
    _picture(figures.weights(found, road.tokens), "weights")
    head = ("looks at", "q · k", "÷ scale", "bias or mask", "softmax", "length of v", "weight × length")
    rows = render.attention_rows(road)
    _numbers(
        render.table(head, rows),
        "The same numbers as a table" if len(rows) == len(found.weights) else f"The {len(rows)} largest as a table",
    )
    st.html(
        html.heading(
            "The query, the keys it meets, and what comes out",
            f"The first {min(64, len(found.query))} of {len(found.query)} dimensions of the head; the keys that it "
            f"looks at most, {min(8, len(found.weights))} of {len(found.weights)}.",
            level=4,
        )
    )
    order = found.weights.argsort()[::-1][:8].tolist()
    strips = [
        (f"query of {render.name(road, road.token)}", found.query),
        *((f"key of {render.name(road, j)}", found.key[j]) for j in sorted(order)),
        ("weighted sum of values", found.mixed),
    ]
    _picture(figures.strips(strips), "qkv")
    _numbers(render.columns(strips))
    rows = [("query", render.number(render.length(found.query)), render.preview(found.query, 6))]
    rows += [
        (f"{what} of {render.name(road, j)}", render.number(render.length(x[j])), render.preview(x[j], 6))
        for j in sorted(order)
        for what, x in (("key", found.key), ("value", found.value))
    ]
    rows.append(("weighted sum of values", render.number(render.length(found.mixed)), render.preview(found.mixed, 6)))
    if found.projected is not None and found.output is not None:
        rows.append(
            (
                "through the output projection",
                render.number(render.length(found.projected)),
                render.preview(found.projected, 6),
            )
        )
        rows.append(
            (
                "all heads, with the constant",
                render.number(render.length(found.output)),
                render.preview(found.output, 6),
            )
        )
    _numbers(render.table(("vector", "length", "first numbers"), rows), "Keys, values and what becomes of them")


def _norm(road: Road) -> None:
    kinds = sorted({s.kind for s in road.norms})
    st.html(
        html.heading(
            "Add & norm: the residual stream",
            "Each part of the layer adds its result to what the token already carries"
            + (f", and a {' and a '.join(kinds)} brings the numbers back to one scale." if kinds else "."),
        )
    )
    st.latex(r"x \leftarrow x + f(x)")
    if road.sums:
        st.latex(worked.add(road))
        st.html(render.table(("vector", "", "length", "first numbers"), render.sum_rows(road)))
    if road.norms:
        centre = any(s.kind == "layer norm" for s in road.norms)
        st.latex(
            r"y = \gamma \odot \frac{x - \mu}{\sqrt{\sigma^2 + \varepsilon}} + \beta"
            if centre
            else r"y = \gamma \odot \frac{x}{\sqrt{\tfrac{1}{D}\sum_i x_i^2 + \varepsilon}}"
        )
        st.latex(worked.norm(road.norms[0]))
        st.html(render.table(render.NORM_COLUMNS, render.norm_rows(road.norms)))
        st.caption("“Normed” is before the learned gain and shift, “after” with them.")
        _picture(figures.before_and_after(road.norms), "norms")
    for reason in ("sums", "norms"):
        if reason in road.reasons:
            st.caption(html.markdown(road.reasons[reason]))


def _feed_forward(road: Road) -> None:
    feed = road.feed_forward
    st.html(html.heading("Feed-forward: the neurons", say.neuron_sentence(road)))
    if feed is None:
        return
    st.latex(worked.feed_forward(feed))
    if example := worked.neuron(road):
        st.latex(example)
    if feed.activation:
        st.caption(html.markdown(f"g is {feed.activation}. Each dot is one neuron, for this token in this layer."))
    _picture(figures.activation(feed), "activation")
    if "neurons" in road.reasons:
        st.caption(html.markdown(road.reasons["neurons"]))
    gate = () if feed.gate is None else ("gate",)
    st.html(render.table(("neuron", *gate, "before", "after", "length of what it adds"), render.neuron_rows(road)))


def _output(road: Road) -> None:
    found = road.answer
    if found is None:
        st.html(html.heading("Output layer", road.reasons.get("answer", "")))
        return
    st.html(html.heading("Output layer: from a vector to logits", say.output_sentence(road)))
    st.latex(r"z_c = w_c \cdot h + b_c")
    st.latex(worked.logit(road))
    st.html(render.table(("outcome", "w · h", "constant", "logit"), render.answer_rows(road)))
    index, shown = render.explained(road)
    _picture(figures.contributions(found, index), "contributions")
    st.caption(html.markdown(worked.products(road, shown)))
    _numbers(render.table(("dimension", "weight", "number", "product"), render.product_rows(road)))
    rows = [
        (
            s.name,
            s.kind,
            render.number(render.length(s.given)),
            render.number(render.length(s.made)),
            render.preview(s.made),
        )
        for s in found.steps
    ]
    _numbers(
        render.table(("module", "kind", "length in", "length out", "first numbers out"), rows),
        "Every module on the way",
    )


def _prediction(road: Road) -> None:
    found = road.prediction
    st.html(html.heading("Prediction", f"The decision is {found.rule}: {found.label}."))
    if found.activation == "softmax":
        st.latex(r"p_c = \frac{e^{z_c - \max z}}{\sum_i e^{z_i - \max z}}")
        head: tuple[str, ...] = ("outcome", "logit z", "exp(z − max)", "probability")
    elif found.activation == "sigmoid":
        st.latex(r"p_c = \frac{1}{1 + e^{-z_c}}")
        head = ("outcome", "logit z", "exp(−z)", "probability")
    else:
        head = ("output", "number")
    if example := worked.probability(road):
        st.latex(example)
    st.html(render.table(head, render.prediction_rows(road), found.top))


_STEPS: dict[str, Callable[[Road], None]] = {
    "data": _data,
    "preprocessing": _preprocessing,
    "embedding": _embedding,
    "attention": _attention,
    "norm": _norm,
    "feed_forward": _feed_forward,
    "output": _output,
    "prediction": _prediction,
}
