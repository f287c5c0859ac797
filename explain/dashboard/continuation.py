"""How a text goes on: the tokens that the model would write, each a button that explains it."""

from __future__ import annotations

import streamlit as st

from explain import bundled
from explain.dashboard import jobs, panels
from explain.dashboard.link import DECIDED, NOTHING
from explain.dashboard.progress import anew
from explain.generation import GenerateRequest, Generation
from explain.plugins import LONGEST
from explain.records import Explanation
from explain.render import html, written
from explain.render.pieces import visible

TASK = "text-generation"
TOKENS = 24
WHOLE = "Explains the log-probability of all of it; without anything, the next token is explained."
AGAINST = "Another continuation: explains by how much the first one is likelier."
ABOUT = "The likeliest token each time. Choose one, and the text before it is explained, with it as the decision."


def followed(model: str) -> tuple[str | None, str | None]:
    """Draw the inputs for a whole continuation, and for what it is held against; None for what is not written."""
    known = bundled.card(model).task if bundled.is_bundled(model) else jobs.task(model)
    if known != TASK:
        return None, None
    left, right = st.columns(2)
    first = left.text_input("What may follow", key="followed", max_chars=LONGEST, help=WHOLE)
    second = right.text_input("instead of", key="instead", max_chars=LONGEST, help=AGAINST, disabled=not first.strip())
    return first.strip() or None, (second.strip() or None) if first.strip() else None


def continuation(explanation: Explanation, model: str, *, running: bool) -> None:
    """Offer to go on with the text where the model says what comes next, and to step through what it wrote."""
    if explanation.model.task != TASK:
        return
    state, text = st.session_state, explanation.tokens.texts[0]
    st.html(html.heading("How the text goes on", ABOUT))
    found, place = state.get("written"), _place(state.get("written"), explanation)
    if place is None and state.get("written_for") == text and not running:
        found = panels.answered(GenerateRequest(text, TOKENS), model, "Writing…")
        if not isinstance(found, Generation):
            return
        state.written, place = found, _place(found, explanation)
    if found is None or place is None:
        _offer(text, running=running)
        return
    key = f"written {found.digest[:12]}"
    state[key] = place if explanation.target.index == found.ids[place] else None
    st.pills(
        "Tokens that the model would write",
        found.explainable,
        key=key,
        format_func=lambda i: html.markdown(visible(found.pieces[i]).strip() or "␣"),
        on_change=_chosen,
        args=(found, key),
        label_visibility="collapsed",
    )
    _steps(found, place)
    if place == found.explainable[-1]:
        _offer(text, running=running)
    st.caption(html.markdown(written.summary(found)))
    with st.expander("Every token with its probability"):
        st.html(html.table(("token", "written", "log p", "probability", "place"), written.rows(found)))


def _place(found: object, explanation: Explanation) -> int | None:
    """Which token of what was written stands behind the explained text; None where none does."""
    if not isinstance(found, Generation) or found.model.weights_sha256 != explanation.model.weights_sha256:
        return None
    places = {found.prefix(i): i for i in found.explainable}
    return places.get(explanation.tokens.texts[0])


def _offer(text: str, *, running: bool) -> None:
    wish = {"written_for": text, "written": None}
    st.button("Write on", key="write", disabled=running, on_click=st.session_state.update, args=(wish,))


def _steps(found: Generation, place: int) -> None:
    """To the token before this one and behind it, of those that can be explained."""
    at, able = found.explainable.index(place), found.explainable
    before, after = able[at - 1] if at else None, able[at + 1] if at + 1 < len(able) else None
    back, on, where = st.columns([1, 1, 2], vertical_alignment="center")
    for column, label, key, other in ((back, "Previous token", "P", before), (on, "Next token", "N", after)):
        column.button(
            label, key=f"step {key}", shortcut=key, disabled=other is None, width="stretch", on_click=_show,
            args=(found, other),
        )  # fmt: skip
    where.caption(f"{at + 1} of {len(able)}: this text, and the token that the model wrote behind it.")


def _chosen(found: Generation, key: str) -> None:
    _show(found, st.session_state[key])


def _show(found: Generation, place: int | None) -> None:
    """Explain the text before a token; the token is what the model decides there, since it took the likeliest."""
    if place is not None:
        anew(text=found.prefix(place), target=DECIDED, contrast=NOTHING)
