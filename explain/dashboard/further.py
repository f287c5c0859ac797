"""More ways to look inside: layer by layer, direct contributions, words' paths, exchanged states, and a toy."""

from __future__ import annotations

import numpy as np
import streamlit as st

from explain.catalog import Request
from explain.dashboard import panels, privacy
from explain.dashboard.examples import EXAMPLES
from explain.errors import InputError
from explain.lens import Direct, DirectRequest, Lens, LensRequest, Patch, PatchRequest
from explain.render import further as render
from explain.render import html
from explain.render import road as numbers
from explain.render import road_figures as figures
from explain.road import Road
from explain.worked_toy import MEANING, TOKENS, sinusoids, work

CHOICES = ("Layer by layer", "Direct contributions", "Paths of the words", "Exchange states", "Worked toy")
PARTNERS = {
    "Clear": ("stirring", "boring"),
    "Mixed": ("superb", "awful"),
    "Negated": ("enjoy", "hate"),
    "Opposites": ("kind", "cruel"),
}
"""A word of an example, and one of as many tokens to exchange it for."""


def show(road: Road, about: Request, model: str) -> None:
    """The chooser and what was chosen."""
    st.html(html.heading("Look further", "Five more ways to see what happens between text and prediction."))
    choice = st.segmented_control("Look further", CHOICES, key="further", required=True, label_visibility="collapsed")
    if choice == "Worked toy":
        toy()
    elif choice == "Exchange states":
        exchange(about, model)
    elif choice == "Direct contributions":
        direct(about, model)
    else:
        found = panels.answered(LensRequest(about), model, "Reading every layer…")
        if isinstance(found, Lens):
            (layer_by_layer if choice == CHOICES[0] else word_paths)(found, road)


def _picture(figure: object, key: str) -> None:
    st.plotly_chart(figure, width="stretch", key=f"further-{key}", config={"displaylogo": False})


def layer_by_layer(found: Lens, road: Road) -> None:
    """The lens."""
    st.html(html.heading("", render.lens_sentence(found), level=4))
    _picture(figures.lens(found), "lens")
    with st.expander("The same numbers as a table"):
        st.html(numbers.table(*render.lens_table(found)))
    st.caption(html.markdown(found.caveat))


def direct(about: Request, model: str) -> None:
    """Direct logit attribution."""
    found = panels.answered(DirectRequest(about), model, "Following every part to the answer…")
    if not isinstance(found, Direct):
        return
    st.html(html.heading("", render.direct_sentence(found), level=4))
    _picture(figures.contributions_by_part(found), "direct")
    st.caption(
        html.markdown(f"Blue adds to {found.target.name[:80]}, orange takes away; the largest has the full colour.")
    )
    with st.expander("The same numbers as a table"):
        st.html(numbers.table(*render.direct_table(found)))
    st.caption(html.markdown(found.caveat))


def word_paths(found: Lens, road: Road) -> None:
    """Principal components of all states."""
    st.html(html.heading("", render.paths_sentence(found, road), level=4))
    places = sorted({*range(min(render.PATHS, len(found.tokens.ids))), road.token})
    _picture(figures.paths(found, places, road.token), "paths")
    with st.expander("The same numbers as a table"):
        st.html(numbers.table(*render.paths_table(found, places)))
    if road.near_after:
        st.html(
            html.heading(
                f"Nearest word vectors to “{numbers.name(road, road.token)}” after layer {road.layer}",
                "Approximate: cosine between a state and the table of words, which live in different spaces.",
                level=4,
            )
        )
        st.html(numbers.neighbours(road.near_after))


def exchange(about: Request, model: str) -> None:
    """Activation patching between this text and another."""
    text = about.texts[0]
    if st.session_state.get("patch_of") != text:
        st.session_state.patch_of, st.session_state.patch_other = text, _partner(text)
    st.text_input(
        "Another text of as many tokens", key="patch_other",
        help="Exchange one word for another of the same length, so that every token has a partner.",
    )  # fmt: skip
    other = privacy.value(st.session_state.patch_other)
    if other == text or not other.strip():
        st.info("Change a word in the text above, to see in which layer and at which token the change matters.")
        return
    found = panels.answered(PatchRequest(about, other), model, "Exchanging states…")
    if not isinstance(found, Patch):
        return
    st.html(html.heading("", render.patch_sentence(found), level=4))
    limit = float(max(np.abs(v).max() for v in (found.into, found.back)))
    for key, title, values, control in (
        ("into", "This text, with a state of the other", found.into, found.control_into),
        ("back", "The other text, with a state of this one", found.back, found.control_back),
    ):
        st.html(html.heading(title, render.control_sentence(found, values, control), level=4))
        _picture(figures.patched(found, values, limit), key)
        with st.expander("The same numbers as a table, with the control"):
            st.html(numbers.table(*render.patch_table(found, values, control)))
    about_colours = f"Blue raises {found.target.name[:80]}, orange lowers it; both pictures share one scale. "
    st.caption(html.markdown(about_colours + found.caveat))


def _partner(text: str) -> str:
    name = next((n for n, example in EXAMPLES.items() if example == text), "")
    return text.replace(*PARTNERS[name]) if name in PARTNERS else text


def toy() -> None:
    """Three tokens, editable, computed exactly."""
    pair = " ".join(f"{t} ({m})" for t, m in zip(TOKENS, MEANING, strict=True))
    st.html(
        html.heading(
            "", f"Attention on three tokens, {pair}, small enough to check by hand. Every cell can be edited.", level=4
        )
    )
    names = ("Q", "K", "V")
    matrices = []
    for name, place in zip(names, st.columns(3), strict=True):
        start = {f"d{j}": {t: float(i == j) for i, t in enumerate(TOKENS)} for j in range(3)}
        with place:
            st.caption(f"{name}: one row a token")
            edited = st.data_editor(start, key=f"toy_{name}", num_rows="fixed", width="stretch")
            matrices.append(np.array([[edited[f"d{j}"][t] for j in range(3)] for t in TOKENS], dtype=np.float64))
    causal = st.toggle("Causal mask: no token sees a later one", key="toy_causal")
    try:
        found = work(*(np.nan_to_num(m, nan=0.0) for m in matrices), causal=causal)
    except InputError as error:
        st.warning(html.markdown(str(error)))
        return
    for title, formula, head, rows in render.toy_steps(found):
        st.html(html.heading(title, None, level=4))
        left, right = st.columns([2, 3], vertical_alignment="center")
        with left:
            st.latex(formula)
        with right:
            st.html(numbers.table(head, rows))
    st.html(
        html.heading("Sinusoidal positions", "What would be added at the first 24 places, in 16 dimensions.", level=4)
    )
    st.latex(r"P_{t,2i} = \sin\frac{t}{10000^{2i/D}},\quad P_{t,2i+1} = \cos\frac{t}{10000^{2i/D}}")
    waves = sinusoids(24, 16)
    _picture(figures.waves(waves), "waves")
    with st.expander("The same numbers as a table"):
        st.html(
            numbers.table(
                ("place", *(f"d{i}" for i in range(16))),
                [(str(t), *(numbers.number(float(x), 2) for x in row)) for t, row in enumerate(waves)],
            )
        )
