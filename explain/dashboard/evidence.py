"""What pages share about evidence: the store, who is speaking, and the form that files what is on the screen."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache

import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from streamlit.runtime.scriptrunner import get_script_run_ctx

from explain import filing
from explain.audit import envelope
from explain.audit.entry import Entry
from explain.audit.records import Beside, Decision, Purpose, Who
from explain.audit.retention import CLASSES
from explain.audit.store import Store
from explain.catalog import Request
from explain.dashboard import access, privacy
from explain.errors import ExplainError
from explain.keys import Action
from explain.record import Record
from explain.records import Explanation
from explain.render import html

PAGE = "screens/evidence_page.py"
RETENTION = {"short": "30 days", "standard": "6 months", "long": "10 years", "permanent": "for ever"}
assert RETENTION.keys() == CLASSES.keys()


@cache
def opened() -> Store:
    """The store of this process, opened at first use; raises AuditError where it cannot be."""
    return Store()


def store(action: Action) -> Store:
    """The store, for one action; raises AccessError unless who looks at the page may do it."""
    access.require(action)
    return opened()


def who() -> Who:
    """Who is speaking: the person who is signed in, whatever the page is told; without a login, who they say it is."""
    person, context = access.person(), get_script_run_ctx()
    session = None if context is None else hashlib.sha256(context.session_id.encode()).hexdigest()
    name = person.name or st.session_state.get("actor") or None
    return Who(name, auth=person.auth, client="dashboard", session_sha256=session)


def speaker(place: DeltaGenerator) -> None:
    """Ask for a name, or show the one that is known."""
    if (name := access.person().name) is None:
        place.text_input("Your name or pseudonym", key="actor", max_chars=200)
    else:
        place.text_input("Signed in as", name, disabled=True)


def filed(answer: Record) -> Entry | None:
    """The record of this answer, if this session filed it."""
    known: dict[str, Entry] = st.session_state.setdefault("filed", {})
    return known.get(answer.digest) if known else None  # the digest walks over everything, at each look at a job


def state_of(answer: Record) -> str | None:
    """What a filed answer may claim to be; None if it was not filed."""
    entry = filed(answer)
    if entry is None:
        return None
    key = next(iter(envelope.unwrap(entry.bytes, envelope.PAYLOAD).signatures), None)  # that signed then
    mark = f"signed by key {key[:16]}…" if key else "UNSIGNED"
    return (
        f"FILED as record {entry.header.sequence} · {mark} · verify: explain verify {entry.header.id} · personal data"
    )


def save(explanation: Explanation, request: Request | None, *, running: bool) -> None:
    """File what is on the screen, as soon as its checks are finished."""
    if _known(explanation) or not access.may("file evidence"):
        return
    with st.expander("Save as evidence", key="save this", on_change="rerun"):  # stays open when the page is drawn anew
        if running:
            st.caption("The checks are not finished; what is filed is whole.")
            return
        _form(explanation, request, None)


def save_beside(beside: Beside, explained: Callable[[], Explanation | None]) -> None:
    """File an answer that does not say why, together with the explanation of the same text, made when it is needed."""
    if _known(beside.answer) or not access.may("file evidence"):
        return
    box = st.expander("Save as evidence", key="save", on_change="rerun")
    if not box.open:
        return
    with box:
        st.caption("It is filed with the explanation of the same text, which says which words count.")
        explanation = explained()
        if explanation is not None:
            _form(explanation, beside.question.about, beside)


def _known(answer: Record) -> bool:
    """Say under which number an answer was filed; False if it was not."""
    entry = filed(answer)
    if entry is None:
        return False
    st.html(html.strip([("Record", entry.header.id)], str(state_of(answer))))
    if access.may("read evidence"):
        st.page_link(PAGE, label="Open the page Evidence")
    return True


def _form(explanation: Explanation, request: Request | None, beside: Beside | None) -> None:
    """What a person says about the decision; files when they press the button."""
    with st.form("file", border=False):
        one, two = st.columns(2)
        case = one.text_input("Case", key="case", max_chars=200, help="The decision that this explanation is about.")
        use = two.text_input("Intended use", key="use", max_chars=200)
        speaker(one)
        retention = two.selectbox("Keep the text", list(RETENTION), 1, format_func=RETENTION.__getitem__)
        label = one.selectbox("Decision in production", ["not supplied", *explanation.prediction.labels])
        score = two.number_input("Its score", value=None, format="%.4f", help="Probability, or value of a regression.")
        threshold = one.number_input("Its threshold", value=None, format="%.4f")
        system = two.text_input("System that took it", max_chars=200)
        time = one.text_input("When it was taken", max_chars=200, placeholder="2026-11-25T09:30:00Z")
        weights = two.text_input("SHA-256 of its model's weights", max_chars=200)
        note = st.text_area("Note", max_chars=10_000, height=80)
        pressed = st.form_submit_button("File", type="primary")
    if pressed:
        wish = None if label == "not supplied" else label
        decided = Decision(
            wish, score, threshold, weights.strip() or None, system.strip() or None, time.strip() or None
        )
        given = any(value is not None for value in vars(decided).values())
        try:
            entry = store("file evidence").file(
                explanation,
                who=who(),
                purpose=Purpose(case or None, use or None, retention=retention),
                asked=request,
                decision=decided if given else None,
                note=note,
                masking=privacy.masking_of(explanation.tokens.texts),
                beside=beside,
                pictures=filing.pictures,
            )
        except ExplainError as error:
            st.error(html.markdown(str(error)))
            return
        st.session_state.filed[(beside.answer if beside is not None else explanation).digest] = entry
        st.rerun()
