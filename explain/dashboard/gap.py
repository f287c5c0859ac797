"""What may stand at a mask: the model's candidates, each a button that explains it; and which of several masks."""

from __future__ import annotations

import streamlit as st

from explain.dashboard.link import DECIDED, NOTHING
from explain.dashboard.progress import anew
from explain.records import Explanation
from explain.render import html
from explain.render.sentences import percent

ABOUT = "The likeliest tokens of the whole vocabulary. Choose one to see what speaks for it; Settings takes any other."


def gap(explanation: Explanation) -> None:
    """Offer the candidates for the mask, where the text has one."""
    place, prediction = explanation.target.position, explanation.prediction
    if place is None or prediction.tagging is not None or prediction.answering is not None:
        return
    st.html(html.heading("What may stand there", ABOUT))
    tokens = explanation.tokens
    masks = [t for t, i in enumerate(tokens.ids.tolist()) if i == tokens.ids[place]]
    if len(masks) > 1:
        key, text = f"mask {tokens.digest[:12]}", tokens.texts[0]
        st.segmented_control(
            "Which mask", range(len(masks)), default=masks.index(place), key=key, required=True,
            format_func=lambda i: f"mask {i + 1}", on_change=_choose, args=(key, text),
        )  # fmt: skip
    shares = dict(prediction.ranked())
    key = f"candidates {explanation.digest[:12]}"
    st.pills(
        "Candidates",
        list(shares),
        key=key,
        default=explanation.target.name if explanation.target.name in shares else None,
        format_func=lambda name: f"{html.markdown(name)} · {percent(shares[name])}",
        on_change=_explain,
        args=(key,),
        label_visibility="collapsed",
    )


def _choose(key: str, text: str) -> None:
    anew(place=st.session_state[key], place_for=text, target=DECIDED, contrast=NOTHING)


def _explain(key: str) -> None:
    anew(target=st.session_state[key] or DECIDED)
