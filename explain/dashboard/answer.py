"""The answer to a question, marked in its context, and the next best ones, each a button that explains it."""

from __future__ import annotations

import streamlit as st

from explain.dashboard.link import DECIDED, NOTHING
from explain.dashboard.progress import anew
from explain.records import Explanation
from explain.render import html
from explain.render.answers import marked
from explain.render.sentences import percent

TASK = "question-answering"
ABOUT = "The likeliest answers. Choose one to see what speaks for it; Settings takes any other words of the context."


def answer(explanation: Explanation) -> None:
    """Show where the answer stands, and offer others."""
    prediction = explanation.prediction
    if prediction.answering is None:
        return
    st.html(html.heading("Where the answer stands", ABOUT))
    st.html(marked(explanation))
    shares = dict(prediction.ranked())
    place = prediction.place(explanation.target.index)
    key = f"answers {explanation.digest[:12]}"
    st.pills(
        "Answers",
        list(shares),
        key=key,
        default=None if place is None else prediction.labels[place],
        format_func=lambda name: f"{html.markdown(name)} · {percent(shares[name])}",
        on_change=_explain,
        args=(key,),
        label_visibility="collapsed",
    )


def _explain(key: str) -> None:
    anew(target=st.session_state[key] or DECIDED, contrast=NOTHING)
