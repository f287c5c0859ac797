"""Labels of a person's own, asked for where a model of inference can choose among them."""

from __future__ import annotations

import streamlit as st

from explain.candidates import LONGEST, TEMPLATE, Candidates, candidates, sides
from explain.dashboard import jobs, privacy
from explain.dashboard.link import DECIDED, NOTHING
from explain.errors import InputError
from explain.records import Explanation
from explain.render import html

TASK = "zero-shot-classification"
ABOUT = "Separated by semicolons. The model says which of them fits; without any, it classifies as it was trained."
APART = "Each label is judged without the others: entailment against contradiction, so that none or several may fit."


def own(model: str) -> Candidates | None:
    """Draw the inputs, where the model is known to take labels; None where there are none."""
    if jobs.task(model) != TASK:
        return None
    st.session_state.setdefault("template", TEMPLATE)
    left, middle, right = st.columns([3, 2, 1.4], vertical_alignment="bottom")
    written = left.text_input("Your labels", key="labels", max_chars=10 * LONGEST, help=ABOUT, on_change=_changed)
    template = middle.text_input("Asked as", key="template", max_chars=LONGEST, on_change=_changed)
    apart = right.toggle("Each by itself", key="apart", help=APART, on_change=_changed)
    labels = [privacy.value(label) for part in written.split(";") if (label := part.strip())]
    if not labels:
        return None
    try:
        return candidates(labels, apart, privacy.value(template))
    except InputError as error:
        st.caption(html.markdown(str(error)))
        return None


def noticed(explanation: Explanation, model: str) -> bool:
    """Whether it was only now seen that this model takes labels; an example's text then makes way for one with some."""
    tags = explanation.prediction.tagging is not None  # whatever they are called
    if jobs.task(model) == TASK or tags or sides(explanation.model.labels) is None:
        return False
    jobs.learn(model, TASK)
    st.session_state.refit = st.session_state.example is not None
    return True


def _changed() -> None:
    st.session_state.target, st.session_state.contrast = DECIDED, NOTHING
