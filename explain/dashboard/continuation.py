"""How a text goes on: the tokens that the model would write, each a button that explains it."""

from __future__ import annotations

import streamlit as st

from explain import bundled
from explain.dashboard import jobs, panels
from explain.dashboard.link import DECIDED, NOTHING
from explain.dashboard.progress import anew
from explain.generation import GenerateRequest, Generation
from explain.plugins import LONGEST
from explain.record import Record
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
    """Offer to go on with the text, where the model says what comes next."""
    if explanation.model.task != TASK:
        return
    state, text = st.session_state, explanation.tokens.texts[0]
    st.html(html.heading("How the text goes on", ABOUT))
    if running or state.get("written_for") != text:
        wish = {"written_for": text}
        st.button("Write on", key="write", disabled=running, on_click=state.update, args=(wish,))
        return
    found: Record | None = panels.answered(GenerateRequest(text, TOKENS), model, "Writing…")
    if not isinstance(found, Generation):
        return
    key = f"written {found.digest[:12]}"
    st.pills(
        "Tokens that the model would write",
        found.explainable,
        key=key,
        format_func=lambda i: html.markdown(visible(found.pieces[i]).strip() or "␣"),
        on_change=_explain,
        args=(found, key),
        label_visibility="collapsed",
    )
    st.caption(html.markdown(written.summary(found)))
    with st.expander("Every token with its probability"):
        st.html(html.table(("token", "written", "log p", "probability", "place"), written.rows(found)))


def _explain(found: Generation, key: str) -> None:
    state = st.session_state
    if state[key] is not None:
        text = found.prefix(state[key])
        anew(text=text, written_for=text, target=DECIDED, contrast=NOTHING)
