"""De-identification on the page: what is recognised is masked before anything is computed; the record says where."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
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
    if state.get("reduced_of", ((), ()))[0] != texts:  # the page runs again and again while something is computed
        state.reduced_of = (texts, [_joined(text, masking.mask(text)) for text in texts])
    found = state.reduced_of[1]
    record = masking.as_record(found)
    kinds = ", ".join(sorted({kind for _, _, _, kind in record.spans})) or "nothing"
    st.caption(html.markdown(f"Masked: {kinds}. {record.statement} What is explained is the masked text."))
    whole = tuple(one.text for one in found)
    state.setdefault("deidentified", {})[whole] = record
    return whole


def keeps(texts: tuple[str, ...]) -> bool:
    """Whether these texts are asked about as they are: the switch is off, or nothing in them is recognised."""
    return not st.session_state.get("masking") or all(masking.mask(text).text == text for text in texts)


def marks(before: str, pieces: Sequence[str]) -> tuple[str | None, ...]:
    """What stands for each piece behind a text that is a part of an identifier, [EMAIL] or another kind; else None.

    Where the switch is off, nothing is looked for.
    """
    found: list[str | None] = [None] * len(pieces)
    if not st.session_state.get("masking"):
        return tuple(found)
    ends = list(accumulate(map(len, pieces), initial=len(before)))
    for span in masking.recognised(before + "".join(pieces)):
        for i, piece in enumerate(pieces):
            if piece and span.start < ends[i + 1] and ends[i] < span.end:
                found[i] = f"[{span.kind}]"
    return tuple(found)


def _joined(text: str, now: masking.Masked) -> masking.Masked:
    """What is masked now, with what was masked in this session in a text that comes back as the beginning of this one.

    Its marks are in this text, where nothing is recognised any more; the record of it says that they are marks.
    """
    earlier: dict[tuple[str, ...], Masking] = st.session_state.get("deidentified", {})
    same = now.spans[0].start if now.spans else len(text)  # up to there the text is as it was
    found: tuple[masking.Span, ...] = ()
    for whole, record in earlier.items():
        for i, one in enumerate(whole):
            kept = tuple(masking.Span(a, b, kind) for of, a, b, kind in record.spans if of == i and b <= same)
            if len(kept) > len(found) and text.startswith(one):
                found = kept
    return masking.Masked(now.text, found + now.spans)


def value(typed: Any) -> Any:
    """A parameter that somebody typed, masked where the switch is on."""
    return masking.mask(typed).text if isinstance(typed, str) and st.session_state.masking else typed


def masking_of(texts: tuple[str, ...]) -> Masking | None:
    """What was masked in these texts in this session; None if they were not de-identified."""
    found: dict[tuple[str, ...], Masking] = st.session_state.get("deidentified", {})
    return found.get(texts) if st.session_state.get("masking") else None
