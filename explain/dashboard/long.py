"""A text that is longer than the model reads: its beginning alone, or all of it through windows that overlap."""

from __future__ import annotations

import streamlit as st

from explain.catalog import Request
from explain.dashboard.progress import anew
from explain.records import Explanation

THROUGH, BEGINNING = "Explain it in windows", "Explain its beginning only"
WORDS = "text-classification"
"""The task whose sentences can come first."""
ABOUT = {
    (WORDS, 1): "The text is seen in parts that overlap, each as long as the model reads; the decision is that of the "
    "mean of their logits. Sentences come first, and words only where it matters: Settings, Score by.",
    ("question-answering", 2): "The context is read in parts that overlap, each with the whole question; the answer is "
    "the likeliest in any of them, and is explained in the part that holds it.",
}
"""How a task with so many texts sees one that is too long."""


def wanted(text: str) -> bool:
    """Whether a person asked for windows on this text."""
    return bool(st.session_state.get("windows_for") == text)


def long(explanation: Explanation, *, running: bool) -> None:
    """Offer the other way to read a text that is too long; nothing for one that was read at once."""
    codes = {notice.code for notice in explanation.warnings}
    about = ABOUT.get((explanation.model.task, len(explanation.tokens.texts)))
    if running or about is None:
        return
    if "windows" in codes:
        _back()
    elif "truncated" in codes:
        text = explanation.tokens.texts[0]
        wish = {"windows_for": text}
        if explanation.model.task == WORDS:
            wish["granularity"] = "hierarchical"  # all of its words would take long
        st.button(THROUGH, key="windows", help=about, on_click=anew, kwargs=wish)


def refused(request: Request) -> None:
    """The way back where a text was to be seen through windows, and was not: it cannot be, or takes too much."""
    if request.windows:
        _back()


def _back() -> None:
    """The beginning alone, and by word where sentences came first: it is short."""
    wish: dict[str, str | None] = {"windows_for": None}
    if st.session_state.get("granularity") == "hierarchical":
        wish["granularity"] = "word"
    st.button(BEGINNING, key="beginning", on_click=anew, kwargs=wish)
