"""One record on the page Evidence: what it says, whether it holds, what people said, and what may be done with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from explain import filing
from explain.audit import bundle, verify
from explain.audit.entry import JOBS, Entry
from explain.audit.store import Store
from explain.audit.verdict import Verdict, words
from explain.dashboard import access, evidence, frames
from explain.errors import ExplainError
from explain.keys import Action
from explain.render import computed, html, sentences
from explain.render.report import Said, report, state
from explain.settings import settings

MARKS = {"holds": ("pass", "✓"), "broken": ("fail", "✕"), "not checked": ("not-checked", "○")}
"""Class and sign of a level's mark."""


def dossier(entry: Entry) -> None:
    """Everything about one record, from top to bottom."""
    header, store = entry.header, evidence.store("read evidence")
    if st.button("All records", icon=":material/arrow_back:"):
        del st.query_params["record"]
        st.rerun()
    st.html(html.heading(f"Record {header.sequence}", f"{header.id} · filed {header.recorded[:19]} UTC", level=3))
    _verify(entry)
    if entry.state.erased:
        st.info("The content of this record was erased. What is left names no text; the chain still holds.")
        _said([filing.said(store, event) for event in store.events(header.id)])
        return
    found = filing.filing(store, header.id)
    st.caption(html.markdown(f"{state(found)} · contains the text, which may be personal data"))
    for line in filing.case(found):
        st.caption(html.markdown(line))
    document = report(found.content.explanation, found)
    address = frames.place(
        f"record {header.id} {len(found.said)} {entry.digest}",
        lambda: document,
        gone=lambda: store.read(header.id).state.erased,  # also by the command line, or by another session
    )
    st.iframe(address, height=900, alt="The report of this record")
    if access.may("export evidence"):
        _downloads(entry, document)
    if access.may("review evidence") or access.may("keep evidence"):
        evidence.speaker(st.columns(2)[0])  # once, for everything that can be said or done below
    if access.may("review evidence"):
        _review(entry, len(found.said))
    _said(found.said)
    _compare(entry)
    _keep(entry)


def levels(verdict: Verdict) -> None:
    """What a verification found, in words, level by level."""
    items = "".join(
        f'<li><i class="wb-mark wb-{kind}" aria-hidden="true">{mark}</i>'
        f"<span><b>{level} {found}</b> {html.text(words(level, found))}.</span></li>"
        for level, found in verdict.levels.items()
        for kind, mark in [MARKS[found]]
    )
    st.html(f'<div class="wb-question"><ul>{items}</ul></div>')
    for fault in verdict.faults[:50]:
        st.error(html.markdown(f"{fault.level}, {fault.where}: {fault.what}."))
    st.caption(html.markdown(" ".join([verdict.summary, *verdict.notes])))


def done(
    action: Action,
    act: Callable[..., Any],
    *args: Any,
    say: Callable[[Any], str] | None = None,
    erases: bool = False,
    **options: Any,
) -> bool:
    """Do something to the store and look again; a refusal is said where the button is. `act` is a method of Store.

    `say` makes a sentence of what it returned, which the list then shows. What `erases` drops the documents that are
    shown; others stay, and none that is gone is served.
    """
    try:
        found = act(evidence.store(action), *args, **options)
    except ExplainError as error:
        st.error(html.markdown(str(error)))
        return False
    finally:
        if erases:  # afterwards, or another session's look in between would bring back what was erased
            frames.forget()
    if say is not None:
        st.session_state.evidence_said = say(found)
    st.rerun()
    return True


def _verify(entry: Entry) -> None:
    if access.may("verify evidence") and st.button(
        "Verify", key="verify", help="Compare every byte with what was signed; computes nothing."
    ):
        try:
            levels(verify.record(evidence.store("verify evidence"), entry.header.id))
        except ExplainError as error:
            st.error(html.markdown(str(error)))


def _downloads(entry: Entry, document: str) -> None:
    header, store = entry.header, evidence.store("export evidence")
    name = f"whyboard-record-{header.sequence}"
    one, two, three = st.columns(3)
    one.download_button("Report (HTML)", document, f"{name}.html", "text/html", on_click="ignore", width="stretch")
    content, kind = store.content(header.id).to_json(), "application/json"
    two.download_button("Content (JSON)", content, f"{name}.json", kind, on_click="ignore", width="stretch")
    packed = bundle.write(store, header.id)
    help_ = "Everything that somebody else needs to verify it: explain verify FILE. It holds the text."
    three.download_button(
        "Bundle (zip)", packed, f"{name}.zip", "application/zip", on_click="ignore", width="stretch", help=help_
    )


def _review(entry: Entry, said: int) -> None:
    st.html(html.heading("Your review", "It becomes a record of its own: signed, in the chain, and never changed."))
    with st.form(f"review {said}", border=False):  # a new one, and empty, once something was said
        verdict = st.radio("Was the decision right?", ["agree", "disagree", "only a note"], horizontal=True)
        rationale = st.text_input("Words that are the reason, in your eyes", max_chars=400)
        note = st.text_area("Note", max_chars=9_000, height=80)
        off = st.checkbox("Sign off", help="Of this verdict; a later review takes its place, signed off or not.")
        pressed = st.form_submit_button("File the review", type="primary")
    if not pressed:
        return
    words = {"note": (f"Reason in the reviewer's eyes: {rationale}. " if rationale else "") + note}
    if verdict == "only a note" and off:
        st.error("Only a verdict can be signed off: agree or disagree. Nothing was filed.")
    elif verdict == "only a note":
        done("review evidence", Store.add, "note", entry.header.id, evidence.who(), **words)
    else:
        agreed: dict[str, Any] = {"agree": verdict == "agree", "sign_off": off}
        done("review evidence", Store.review, entry.header.id, evidence.who(), **agreed, **words)


def _said(said: Sequence[Said]) -> None:
    """Everything that was added, oldest first."""
    if said:
        rows = [(s.when[:19], s.who, s.kind, s.words) for s in said]
        st.html(html.heading("What was added", None))
        shown = html.table(("when (UTC)", "who", "what", "words"), rows)
        st.html(f'<div class="wb-added">{shown}</div>')


def _compare(entry: Entry) -> None:
    with st.expander("Compare with another record"):
        other = st.number_input("Its number", min_value=1, value=None, step=1, key="other")
        if other is None:
            return
        try:
            store = evidence.store("read evidence")
            two = store.read(int(other))
            left, right = (store.content(e.header.id).explanation for e in (entry, two))
        except ExplainError as error:
            st.warning(html.markdown(str(error)))
            return
        rows = [("decision", sentences.verdict(left), sentences.verdict(right))]
        mine, theirs = dict(computed.how(left)), dict(computed.how(right))
        names = [name for name in {**mine, **theirs} if mine.get(name) != theirs.get(name)]
        rows += [(name, mine.get(name, "–"), theirs.get(name, "–")) for name in names]
        st.html(html.table(("", f"record {entry.header.sequence}", f"record {int(other)}"), rows))
        if why := sentences.apart(left, right):
            st.caption(html.markdown(why))
            return
        pairs = list(zip(left.words(), right.words(), strict=True))
        cells = [(a.text, *map(sentences.signed, (a.score, b.score, b.score - a.score))) for a, b in pairs]
        st.html(html.table(("word", "here", "there", "difference"), cells))


def _keep(entry: Entry) -> None:
    if not access.may("keep evidence"):
        return
    record = entry.header.id
    with st.expander("Keep or erase"):
        until = entry.state.due[:10] if entry.state.due else "no end"
        held = " A legal hold is on it." if entry.state.held else ""
        st.caption(f"Kept {evidence.RETENTION.get(entry.state.retention, '')}, until {until}.{held}")
        classes = list(evidence.RETENTION)
        wish = st.selectbox(
            "Keep the text", classes, classes.index(entry.state.retention), format_func=evidence.RETENTION.__getitem__
        )
        if st.button("Change", key="keep", disabled=wish == entry.state.retention):
            done("keep evidence", Store.add, "retention", record, evidence.who(), detail={"retention": wish})
        st.divider()
        on = entry.state.held
        st.caption("A legal hold keeps it from being erased, whatever its time. Name and reason stay in the chain.")
        why = st.text_input("Reason of the hold, or of its release (name no person)", key="why", max_chars=400)
        if st.button("Release the legal hold" if on else "Put a legal hold on it", key="hold"):
            done("keep evidence", Store.hold, record, evidence.who(), why, release=on)
        if not access.may("erase evidence"):
            return
        st.divider()
        if on:
            st.caption("A legal hold is on it, so it cannot be erased.")
            return
        st.caption("Erasing destroys the key: text, scores and notes are gone for good. The chain still verifies.")
        if settings().jobs is not None:
            st.caption(JOBS)
        reason = st.text_input("Reason (it stays, so name no person)", key="reason", max_chars=400)
        sure = st.text_input("Type ‘erase’ to confirm", key="sure")
        if st.button("Erase for good", key="erase", disabled=sure.strip().lower() != "erase"):
            done("erase evidence", Store.erase, record, evidence.who(), reason, erases=True)
