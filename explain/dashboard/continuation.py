"""How a text goes on: the tokens that the model would write, each a button that explains it."""

from __future__ import annotations

import streamlit as st

from explain import bundled
from explain.alignment import Alignment, AlignRequest
from explain.dashboard import jobs, panels
from explain.dashboard.link import DECIDED, NOTHING
from explain.dashboard.progress import anew
from explain.generation import GenerateRequest, Generation
from explain.plugins import LONGEST
from explain.record import Record
from explain.records import Explanation
from explain.render import aligned, figures, html, written
from explain.render.pieces import visible

TASK, WRITER = "text-generation", "text2text-generation"
TOKENS, WRITTEN = 24, 48
"""Tokens that are written behind a text, and about one."""
WHOLE = "Explains the log-probability of all of it; without anything, the next token is explained."
AGAINST = "Another continuation: explains by how much the first one is likelier."
ABOUT = "The likeliest token each time. Choose one, and the text before it is explained, with it as the decision."
ALIGNED = "Every written token beside the words of the text that it was written from."
WRITES = (
    "The likeliest token each time. Choose one to see what speaks for it, in the text and in what is written before."
)


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
    _tokens(GenerateRequest(text, TOKENS), model)


def written_about(explanation: Explanation, model: str, *, running: bool) -> None:
    """What the model writes about the text: a translation or a summary, whose tokens are what can be explained."""
    if explanation.model.task != WRITER:
        return
    st.html(html.heading("What the model writes", WRITES))
    if running:
        st.caption("Follows once the explanation is done.")
    else:
        found = _tokens(GenerateRequest(explanation.tokens.texts[0], WRITTEN, truncate=True), model)
        if found is not None and len(found.ids):
            _alignment(found, model)


def _tokens(question: GenerateRequest, model: str) -> Generation | None:
    """What the model writes, with a button for each token that can be explained; None until it is written."""
    found: Record | None = panels.answered(question, model, "Writing…")
    if not isinstance(found, Generation):
        return None
    # What stands before a token must be read as the model wrote it, or the explanation would be of other tokens.
    options = [i for i in range(len(found.pieces)) if found.question(i) is not None]
    key, names = f"written {found.digest[:12]}", written.numbered([visible(piece) for piece in found.pieces])
    st.pills(
        "Tokens that the model would write",
        options,
        default=_chosen(found, options),
        key=key,
        format_func=lambda i: html.markdown(names[i]),  # which must differ: by it the browser says what was chosen
        on_change=_explain,
        args=(found, key),
        label_visibility="collapsed",
    )
    st.caption(html.markdown(written.summary(found)))
    with st.expander("Every token with its probability"):
        st.html(html.table(("token", "written", "log p", "probability", "place"), written.rows(found)))
    return found


def _alignment(found: Generation, model: str) -> None:
    """Which words of the text each written token hangs on: measured when a person asks, a pass for each word."""
    state, texts = st.session_state, (found.question(0) or {}).get("text")
    if not isinstance(texts, tuple):  # what is written is not read as the same tokens again
        return
    title = st.empty()
    title.html(html.heading("What each written token hangs on", ALIGNED))
    if state.get("aligned_for") != found.prompt:
        about = "Asks the model once for each word, of the text and of what is written, with that word replaced."
        wish = {"aligned_for": found.prompt}
        st.button("Align", key="align", help=about, on_click=state.update, args=(wish,))
        return
    measured: Record | None = panels.answered(AlignRequest(texts, truncate=True), model, "Aligning…")
    if not isinstance(measured, Alignment):
        return
    title.html(html.heading("What each written token hangs on", aligned.summary(measured)))
    st.plotly_chart(
        figures.alignment_heatmap(measured), width="stretch", key="aligned", config=panels.config("aligned")
    )
    st.caption(html.markdown(aligned.meaning(measured)))
    with st.expander("The same numbers as a table"):
        st.html(html.table(("token", "written", "log-odds", "words that speak for it"), aligned.rows(measured)))


def _chosen(found: Generation, options: list[int]) -> int | None:
    """The token that is explained now, where it stands in what was written about the text."""
    state = st.session_state
    asked = state.get("place_for") == found.prompt and found.apart
    return state.get("place") if asked and state.get("place") in options else None


def _explain(found: Generation, key: str) -> None:
    state = st.session_state
    if state[key] is None:
        return
    asked = found.question(state[key]) or {}
    if not found.apart:
        anew(text=asked["text"], written_for=asked["text"], target=DECIDED, contrast=NOTHING)
        return
    text, about = found.prompt, {"place": asked.get("place"), "place_for": found.prompt}
    pair = "" if isinstance(asked["text"], str) else asked["text"][1]
    anew(text=text, pair=pair, pair_for=text, target=DECIDED, contrast=NOTHING, **about)
