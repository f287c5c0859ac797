"""The inputs: text, model and settings in, a Request out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import streamlit as st

from explain import bundled
from explain.catalog import Request
from explain.dashboard import access, conversation, jobs, link, options, privacy
from explain.dashboard.answer import TASK as ANSWERS
from explain.dashboard.continuation import followed
from explain.dashboard.examples import CONTEXTS, EXAMPLES, LABELS, of
from explain.dashboard.labels import own
from explain.dashboard.link import DECIDED, NOTHING
from explain.settings import settings


@dataclass(frozen=True)
class Asked:
    """What the person asked for. `pressed`: the Explain button was just used."""

    request: Request
    model: str
    fixed_scale: bool
    pressed: bool


def ask(labels: tuple[str, ...], *, closed: bool = True) -> Asked:
    """Draw the inputs and return what they say.

    Args:
        labels: outcomes of the model in use, as far as they are known.
        closed: whether there are no others; of a vocabulary, `labels` are the best few, and any word may be typed.
    """
    link.restore(st.query_params.to_dict())
    talking = conversation.choose(str(st.session_state.model or settings().model))
    texts, model, pressed = text_and_model("Explain", pairs=True, talking=talking)
    about: dict[str, Any] = {}
    if talking:
        about = {"roles": conversation.roles(), "place": None}
    elif about := _behind(model):  # the question is what stands behind the text, so that there is no second one
        texts = texts[:1]
    request = options.chosen(texts, labels, model, about, closed=closed and bool(labels))
    fixed = bool(st.session_state.fixed)
    link.write(request, model, fixed_scale=fixed, quoted=jobs.task(model) == ANSWERS)
    return Asked(request, model, fixed, pressed)


def _behind(model: str) -> dict[str, Any]:
    """Draw the inputs for labels of a person's own and for what may follow, and return what they ask about."""
    among, (follows, instead) = own(model), map(privacy.value, followed(model))
    about: dict[str, Any] = {} if among is None else {"candidates": among}
    if follows is not None:
        about |= {"continuation": follows, "contrast": instead, "target": None, "quantity": "log_odds", "place": None}
    return about


def text_and_model(button: str, *, pairs: bool = False, talking: bool = False) -> tuple[tuple[str, ...], str, bool]:
    """Draw the text, the examples, the model and the button.

    Returns:
        texts: what may be asked about: the text, and the second one if the page takes `pairs` and there is one, or,
            `talking`, the messages of a conversation (see `conversation.roles`); masked where the switch is on.
        model: its name.
        pressed: was the button pressed?
    """
    state = st.session_state
    texts = conversation.turns() if talking else _text(button)
    left, middle, right = st.columns([1.9, 1.1, 1], vertical_alignment="bottom")
    with left:
        model = st.selectbox(
            "Model",
            _models(),
            key="model",
            on_change=_use_model,
            accept_new_options=True,
            help="A bundled model, a Hub id such as owner/model, or a folder with config.json and safetensors.",
        )
    with middle:
        privacy.switch()
    with right:
        pressed = st.button(
            button, type="primary", width="stretch", on_click=_close_settings, disabled=not access.may("explain")
        )
    name = str(model or settings().model)
    if not talking and (pairs or jobs.task(name) == ANSWERS) and state.get("pair"):
        texts = (*texts, state.pair)
    return privacy.reduced(texts), name, pressed


def _text(button: str) -> tuple[str, ...]:
    """Draw the text, a context where the model answers questions, and examples that suit it; returns the text."""
    state = st.session_state
    known = jobs.task(str(state.model or settings().model))
    fitting, asks = of(str(state.model or settings().model), known), known == ANSWERS
    if state.pop("refit", False):  # the model cannot be asked about a text that nobody wrote
        state.edits += 1
        _take(fitting[0])
    if state.get("pair_for") not in (None, state.text):  # what was written about another text
        state.pair, state.pair_for = "", None
    what = ("Question", "question") if asks else ("Text", "sentence")
    st.text_area(what[0], key="text", height=68 if asks else 110, placeholder=f"Type a {what[1]}, then press {button}.")
    if asks:
        st.text_area("Context", key="pair", height=110, help="The answer is a part of it.")
    if state.get("forgotten") and not state.text:
        st.caption("An address never holds a person's text: paste it again.")
    if state.example and state.text != EXAMPLES[state.example]:
        # An edited example is no longer that example, and the choice begins anew. Were the old one set to None, a
        # browser that has not heard of it would send its choice again, which would count as a new one: the example's
        # text would overwrite the person's.
        state.example, state.edits = None, state.edits + 1
    st.pills(
        "Examples", fitting, default=state.example if state.example in fitting else None, key=f"examples {state.edits}",
        on_change=_use_example, args=(state.edits,), label_visibility="collapsed",
    )  # fmt: skip
    return (state.text,)


def _close_settings() -> None:
    st.session_state.settings = False  # so that the answer is in view


def _use_example(edits: int) -> None:
    state = st.session_state
    if edits == state.edits:  # else a browser that is behind sent the choice before the edit
        state.example = state[f"examples {edits}"]
        if state.example:
            _take(state.example)


def _take(example: str) -> None:
    state = st.session_state
    state.example, state.text, state.pair = example, EXAMPLES[example], CONTEXTS.get(example, "")
    state.labels, state.followed, state.instead, state.pair_for = LABELS.get(example, ""), "", "", None


def _use_model() -> None:
    """A text that nobody wrote makes way for an example that suits the new model; so do choices of the old one's."""
    state = st.session_state
    state.target, state.contrast, state.place_for = DECIDED, NOTHING, None
    state.windows_for = state.aligned_for = None
    if state.get("pair") and state.get("wrote") == state.pair:  # the old model wrote it
        state.pair, state.pair_for = "", None
    fitting = of(str(state.model or settings().model), jobs.task(str(state.model or settings().model)))
    if state.example not in fitting:
        state.edits += 1
        if state.example is not None:
            _take(fitting[0])


def _models() -> list[str]:
    names = bundled.names()
    current = st.session_state.get("model")
    return names if current in names or not current else [*names, current]
