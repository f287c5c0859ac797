"""De-identification on the page: what is recognised is masked before anything is computed; the record says where."""

from __future__ import annotations

from typing import Any

import streamlit as st

from explain import masking
from explain.audit.records import Masking
from explain.render import html


def switch() -> None:
    """Draw the switch, which stands below the text on every page that asks about one."""
    about = "E-mail addresses, telephone, card, account, IP and identity numbers become [EMAIL], [PHONE], …"
    st.toggle("Mask identifiers first", key="masking", help=f"{about} Names stay: reduced, not anonymous.")


def reduced(texts: tuple[str, ...]) -> tuple[str, ...]:
    """The texts, masked where the switch is on, which then says what was masked. Nothing else may be asked about."""
    state = st.session_state
    if not state.masking:
        return texts
    key = texts, state.get("by_model")
    if state.get("reduced_of", (None, ()))[0] != key:  # the page runs again and again while something is computed
        state.reduced_of = (key, _masked(texts))
    found = state.reduced_of[1]
    record = masking.as_record(found)
    kinds = ", ".join(sorted({kind for _, _, _, kind in record.spans})) or "nothing"
    st.caption(html.markdown(f"Masked: {kinds}. {record.statement} What is explained is the masked text."))
    whole = tuple(one.text for one in found)
    state.setdefault("deidentified", {})[whole] = record
    return whole


def wrote(texts: tuple[str, ...], prompt: str) -> None:
    """Say that these texts are `prompt` and what a model wrote behind it, or about it, and are asked about now."""
    st.session_state.by_model = (texts, prompt)


def written(texts: tuple[str, ...]) -> bool:
    """Whether these texts are as a model wrote them, and were asked about by a click on one of its tokens."""
    return bool(texts == st.session_state.get("by_model", ((), ""))[0])


def _masked(texts: tuple[str, ...]) -> list[masking.Masked]:
    """Each text masked, with the places that were masked before it came back with more behind it.

    What a model wrote stays as it wrote it: masking it would move the token that is asked about. That does not hold
    behind a prompt that was not masked, from which a model may repeat what it read.
    """
    prompt = st.session_state.by_model[1] if written(texts) else ""
    if prompt and masking.mask(prompt).text == prompt:
        return [_joined(text, masking.Masked(text, ())) for text in texts]
    return [_joined(text, masking.mask(text)) for text in texts]


def _joined(text: str, now: masking.Masked) -> masking.Masked:
    """What is masked now, with what was masked at the beginning of the text in this session."""
    earlier: dict[tuple[str, ...], Masking] = st.session_state.get("deidentified", {})
    known = [
        (one, [masking.Span(*place) for of, *place in record.spans if of == i])
        for whole, record in earlier.items()
        for i, one in enumerate(whole)
        if text.startswith(one)
    ]
    same = next((i for i, (a, b) in enumerate(zip(text, now.text, strict=False)) if a != b), len(now.text))
    for _, spans in sorted(known, key=lambda k: len(k[0]), reverse=True):
        if kept := tuple(span for span in spans if span.end <= same):
            return masking.Masked(now.text, (*kept, *now.spans))
    return now


def value(typed: Any) -> Any:
    """A parameter that somebody typed, masked where the switch is on."""
    return masking.mask(typed).text if isinstance(typed, str) and st.session_state.masking else typed


def masking_of(texts: tuple[str, ...]) -> Masking | None:
    """What was masked in these texts in this session; None if they were not de-identified."""
    found: dict[tuple[str, ...], Masking] = st.session_state.get("deidentified", {})
    return found.get(texts) if st.session_state.get("masking") else None
