"""The settings of the Explain page: drawn where a person opens them, and read from the session.

Closed, they were 31 of the 80 messages that a browser was sent each time the page was drawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import streamlit as st

from explain import list_checks, list_methods, spans
from explain.catalog import MethodInfo, Request
from explain.dashboard import choices, jobs, privacy
from explain.dashboard.answer import TASK as ANSWERS
from explain.dashboard.continuation import WRITER
from explain.dashboard.link import DECIDED, GRAINS, NOTHING, QUANTITIES
from explain.dashboard.long import wanted
from explain.errors import InputError
from explain.plugins import LONGEST
from explain.render import html
from explain.settings import settings

FIRST = "Sentences first: each is scored as a whole, but for those that move the decision most, whose words are scored."
KEPT = ("pair", "beside", "target", "contrast", "quantity", "granularity", "fixed", "phrases", "rationale")
"""What a person set, beside the parameters of methods."""
NAMED = {
    "phrases": (
        "Score as one",
        "Parts of the text that count as one unit, separated by semicolons: three-hour film; sad robot",
    ),
    "rationale": (
        "Words you would point at",
        "What you take for the reason, separated by semicolons; the page compares it with the scores.",
    ),
}
"""Parts of the text that a person writes down again: by key, label and help."""


def chosen(
    texts: tuple[str, ...], labels: tuple[str, ...], model: str, about: Mapping[str, Any], *, closed: bool
) -> Request:
    """Draw the settings if they are open; returns what is asked.

    Args:
        texts: what is asked about.
        labels: outcomes of the model, as far as they are known; `closed`: there are no others.
        about: what is asked beside the settings, and comes before them.
    """
    state = st.session_state
    known = {m.name: m for m in list_methods()}
    box = st.expander("Settings", key="settings", on_change="rerun")
    if not (box.open and state.get("drawn")):
        # What a control that is not drawn says would be forgotten; one that is drawn again must be told what it says
        above = {"pair"} if jobs.task(model) == ANSWERS else set()  # drawn there
        for key in [key for key in map(str, state) if key in KEPT or key.startswith(choices.PREFIX)]:
            if key not in above:
                state[key] = state[key]
    state.drawn = box.open
    if box.open:
        with box:
            _draw(known, texts, labels, model, about, closed=closed)
    return _asked(known[state.method], texts, labels if closed else None, about)


def _asked(
    method: MethodInfo, texts: tuple[str, ...], outcomes: tuple[str, ...] | None, about: Mapping[str, Any]
) -> Request:
    """What the session says is asked; `outcomes`: all that the model has (None: there may be others)."""
    state = st.session_state
    values = {name: privacy.value(given) for name, given in choices.given(method).items()}
    target, contrast = (
        None if wish == none or (outcomes is not None and wish not in outcomes) else wish
        for wish, none in ((state.target, DECIDED), (state.contrast, NOTHING))
    )
    thorough = state.get("thorough_for") == texts[0]
    request = Request(
        texts=texts,
        methods=(method.name, *(name for name in state.beside if name != method.name)),
        params={method.name: values} if values else {},
        target=target,
        contrast=contrast,
        place=place(texts[0]),
        quantity=state.quantity,
        granularity=state.granularity or "word",
        truncate=True,
        windows=_through(texts, about),
        orders=200 if thorough else 20,
        checks=tuple(list_checks()) if thorough else None,
        forced=state.get("forced") == [str(state.model or settings().model), method.name],
        checked=1,  # the page shows the checks of the first method; those beside it are compared, not checked
        phrases=_named("phrases", texts)[0],
        rationale=_named("rationale", texts)[0],
    )
    return replace(request, **about)


def _through(texts: tuple[str, ...], about: Mapping[str, Any]) -> bool:
    return not about and wanted(texts[0])


def place(text: str) -> int | None:
    """Which mask, word or written token of this text a person chose, on any page; None where nobody did.

    Nor is it known behind what a model wrote once that is masked: the token may stand elsewhere.
    """
    state = st.session_state
    if state.get("pair_for") == text and not privacy.keeps((state.get("pair") or "",)):
        return None
    return state.get("place") if state.get("place_for") == text else None


def _draw(
    known: Mapping[str, MethodInfo],
    texts: tuple[str, ...],
    labels: tuple[str, ...],
    model: str,
    about: Mapping[str, Any],
    *,
    closed: bool,
) -> None:
    """All controls, with what every method would cost for this text."""
    state = st.session_state
    plain = Request(
        texts, truncate=True, windows=_through(texts, about), granularity=state.granularity or "word", **about
    )
    method = choices.pick(known, jobs.forecasts(plain, model), jobs.refused(model))
    choices.parameters(method)
    state.beside = [n for n in state.beside if n != method.name]
    st.multiselect(
        "Beside it",
        [n for n in known if n != method.name],
        key="beside",
        format_func=lambda n: f"{known[n].title} · {known[n].family}",
        max_selections=4,
        help="Other methods on the same words, to see where they disagree.",
    )
    one, two, three = st.columns(3)
    for column, label, key, none in ((one, "Explain", "target", DECIDED), (two, "rather than", "contrast", NOTHING)):
        others = [none, *labels, *_typed(state[key], (none, *labels), closed)]
        column.selectbox(label, others, key=key, accept_new_options=not closed)
    three.selectbox("Measured in", list(QUANTITIES), key="quantity", format_func=QUANTITIES.__getitem__)
    one, two = st.columns(2, vertical_alignment="bottom")
    one.segmented_control(
        "Score by", list(GRAINS), key="granularity", format_func=GRAINS.__getitem__, required=True, help=FIRST
    )
    two.toggle(
        "Fixed colour scale (± 2 log-odds)", key="fixed", help="Fixed, so that small scores look small everywhere."
    )
    if jobs.task(model) != ANSWERS and "roles" not in about:  # else it is the context, and stands above
        second = "Written so far" if jobs.task(model) == WRITER else "Second text (for models that compare two)"
        st.text_area(second, key="pair", height=68)
    for column, key, (label, help_) in zip(st.columns(2), NAMED, NAMED.values(), strict=True):
        with column:
            st.text_input(label, key=key, help=help_, max_chars=LONGEST)
            for unknown in _named(key, texts)[1]:
                st.caption(html.markdown(unknown))
    st.caption("Follows your system's light or dark theme; ⋮ → Settings changes it.")


def _typed(wish: str, known: tuple[str, ...], closed: bool) -> list[str]:
    """An outcome that a person wrote or a link names, where others than those listed exist."""
    return [wish] if not closed and wish and wish not in known else []


def _named(key: str, texts: tuple[str, ...]) -> tuple[tuple[spans.Span, ...], list[str]]:
    """Parts of the text that a person wrote down again, and what is to be said of those that are not in it."""
    found: tuple[spans.Span, ...] = ()
    unknown = []
    for want in (part.strip() for part in st.session_state.get(key, "").split(";") if part.strip()):
        try:
            found += spans.found(texts, [want])
        except InputError as error:
            unknown.append(str(error))
    return found, unknown
