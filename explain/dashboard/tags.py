"""The words of a text with their tags: what was found, and a choice of the word whose tag is explained."""

from __future__ import annotations

import streamlit as st

from explain.dashboard.link import DECIDED, NOTHING
from explain.dashboard.progress import anew
from explain.prediction import kinds
from explain.records import Explanation
from explain.render import html
from explain.render.sentences import percent, short
from explain.render.tags import legend, tagged

ABOUT = "Every word has a tag, and neighbours with one kind of tag are joined. Choose one to see what speaks for it."
BUTTONS = 24
"""Entities that get a button of their own; the list of words has all."""


def tags(explanation: Explanation) -> None:
    """Show what the model found, and let a person choose, where each word has a tag."""
    found = explanation.prediction.tagging
    if found is None:
        return
    st.html(html.heading("What the model finds", ABOUT))
    st.html(f"{tagged(explanation)}{legend(found)}")
    whole = bool(explanation.target.joined)
    mine = f"{explanation.tokens.digest[:12]} {found.asked} {whole}"
    entities = found.entities[:BUTTONS]
    if entities:
        key = f"entities {mine}"
        st.pills(
            "Explain the tag of",
            range(len(entities)),
            default=next((i for i, e in enumerate(entities) if whole and e.first <= found.asked <= e.last), None),
            key=key,
            format_func=lambda i: (
                f"{html.markdown(short(entities[i].words))} · {html.markdown(short(entities[i].label))} · "
                f"{percent(entities[i].prob)}"
            ),
            on_change=_choose_entity,
            args=(key, explanation),
            required=True,
        )
    key = f"words {mine}"
    st.selectbox(
        "or of any word",
        range(len(found.tags)),
        index=found.asked,
        key=key,
        format_func=lambda i: f"{short(found.tags[i].word)} · {found.tags[i].label} · {percent(found.tags[i].prob)}",
        on_change=_choose_word,
        args=(key, explanation.tokens.texts[0]),
        help="An entity is explained as a whole, as the mean over its words; a word by its own tag.",
    )


def _choose_entity(key: str, explanation: Explanation) -> None:
    prediction = explanation.prediction
    assert prediction.tagging is not None
    entity = prediction.tagging.entities[st.session_state[key]]
    target = entity.label if entity.label in kinds(prediction.labels) else DECIDED
    _ask(entity.first, explanation.tokens.texts[0], target)


def _choose_word(key: str, text: str) -> None:
    _ask(st.session_state[key], text, DECIDED)


def _ask(word: int, text: str, target: str) -> None:
    """Ask about a word of the text that the answer is about: masked where the switch is on."""
    anew(place=word, place_for=text, target=target, contrast=NOTHING)
