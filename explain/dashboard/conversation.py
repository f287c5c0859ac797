"""A conversation in place of a text: who says what, message by message, for models with a chat template."""

from __future__ import annotations

from collections.abc import Iterable

import streamlit as st

from explain.dashboard import jobs
from explain.messages import MOST, ROLES
from explain.records import Explanation
from explain.render.pieces import visible

TEXT, TALK = "Text", "Conversation"
EXAMPLES: dict[str, tuple[tuple[str, str], ...]] = {
    "Question": (("user", "Which animal should I fear in the forest?"),),
    "With a rule": (
        ("system", "Answer like a king in a fairy tale, in one sentence."),
        ("user", "May I have a piece of bread?"),
    ),
    "Go on": (("user", "Tell me how the tale ends."), ("assistant", "And so the youngest brother became")),
}
"""Conversations to begin with: role and content of each message."""
NEXT = {"user": "assistant"}
"""Who speaks after whom; after everybody else the user does."""
LEFT_OUT = "A message without words is left out."
READ = "What the model reads: the messages in its chat template"
SHORT = 600
"""Characters of a filled template that are shown without a click."""
ABOUT = "Messages with roles, put together by the model’s own chat template. The next token of the answer is explained."


def choose(model: str) -> bool:
    """Draw the choice between a text and a conversation where a model is known to read them; was the latter chosen?"""
    if not jobs.talks(model):
        return False
    st.session_state.setdefault("form", TEXT)
    chosen = st.segmented_control("Ask about", (TEXT, TALK), key="form", required=True, label_visibility="collapsed")
    return chosen == TALK


def begin(messages: Iterable[tuple[str, str]]) -> None:
    """Put other messages, (role, content) each, in place of all that are there."""
    state = st.session_state
    state.turns = {}
    for role, content in messages:
        _append(role, content)


def turns() -> tuple[str, ...]:
    """Draw the messages, examples and what adds and removes one; returns those that hold something, or ('',)."""
    state = st.session_state
    if not state.get("turns"):
        begin([("user", state.text)])
    st.caption(ABOUT)
    for place, number in enumerate(list(state.turns), start=1):
        _turn(place, number, alone=len(state.turns) == 1)
    st.button("Add a message", key="add message", on_click=_add, disabled=len(state.turns) >= MOST)
    key = f"conversations {state.turns_made}"
    st.pills("Examples", list(EXAMPLES), key=key, on_change=_use_example, args=(key,), label_visibility="collapsed")
    said = _said()
    if 0 < len(said) < len(state.turns):
        st.caption(LEFT_OUT)
    return tuple(content for _, content in said) or ("",)


def roles() -> tuple[str, ...]:
    """Who wrote each of what `turns` returned."""
    return tuple(role for role, _ in _said()) or ("user",)


def noticed(model: str) -> bool:
    """Whether it was only now seen that this model reads conversations."""
    known = model in st.session_state.get("talking", ())
    return not known and jobs.talks(model)


def filled(explanation: Explanation) -> None:
    """The whole text that the model read of a conversation, as its template writes it."""
    whole = explanation.tokens.rendered
    if whole is not None:
        with st.expander(READ, expanded=len(whole) <= SHORT):
            st.code(visible(whole), language=None, wrap_lines=True)


def _turn(place: int, number: int, *, alone: bool) -> None:
    """One message. What a person typed is kept beside the widgets, which forget it while another page is shown."""
    state = st.session_state
    keys = f"role {number}", f"content {number}"
    for key, value in zip(keys, state.turns[number], strict=True):
        state.setdefault(key, value)
    who, what, less = st.columns([1.5, 5, 1.1], vertical_alignment="bottom")
    with who:
        role = st.selectbox(f"Role of message {place}", ROLES, key=keys[0])
    with what:
        content = st.text_area(f"Message {place}", key=keys[1], height=68, placeholder="Write what is said.")
    state.turns[number] = (role, content)
    less.button(
        "Remove", key=f"remove {number}", on_click=_remove, args=(number,), disabled=alone, width="stretch",
        help=f"Takes message {place} out.",
    )  # fmt: skip


def _said() -> list[tuple[str, str]]:
    return [(role, content) for role, content in st.session_state.get("turns", {}).values() if content.strip()]


def _append(role: str, content: str) -> None:
    state = st.session_state
    number = state.turns_made = state.get("turns_made", 0) + 1  # no key comes twice, so no widget shows an old value
    state.turns[number] = (role, content)


def _add() -> None:
    last = next(reversed(st.session_state.turns.values()))[0]
    _append(NEXT.get(last, "user"), "")


def _remove(number: int) -> None:
    st.session_state.turns.pop(number, None)


def _use_example(key: str) -> None:
    chosen = st.session_state[key]
    if chosen:
        begin(EXAMPLES[chosen])
