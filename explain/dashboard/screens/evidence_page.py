"""Evidence: stored records, whether they hold, what people said about them."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from explain.audit import listing, verify
from explain.audit.entry import Entry
from explain.audit.records import FILED
from explain.audit.store import Store
from explain.dashboard import access, evidence
from explain.dashboard.dossier import done, dossier, levels
from explain.errors import ExplainError
from explain.render import html, spreadsheet
from explain.render.pieces import visible_line

ROWS = 25
NAMED = 12
"""Numbers of records that a question names one by one."""
REVIEWS = {"all": None, "not reviewed": "none", "agreed": "agree", "disagreed": "disagree"}


def table() -> None:
    """The list: filters, a page of rows, and what can be done with the store as a whole."""
    signed = "signed" if evidence.store("read evidence").signed else "UNSIGNED"
    st.html(html.heading("Evidence", f"Filed explanations: {signed}, chained, encrypted. Tick a row to open it."))
    if done_before := st.session_state.pop("evidence_said", None):
        st.success(html.markdown(done_before))
    one, two, three = st.columns([3, 1.4, 1.2])
    search = one.text_input("Search", key="evidence_search", placeholder="case, actor, intended use, model, label, id")
    review = two.selectbox("Review", list(REVIEWS), key="evidence_review")
    erased = three.selectbox("Content", ["all", "there", "erased"], key="evidence_erased")
    wish = listing.Wish(search=search, review=REVIEWS[review], erased=None if erased == "all" else erased == "erased")
    place = st.session_state.get("evidence_page", 1)
    store = evidence.store("read evidence")
    found = listing.page(store, wish, offset=(place - 1) * ROWS, limit=ROWS)
    pages = max(1, -(-found.total // ROWS))
    if place > pages:  # fewer are found than on the page before
        st.session_state.evidence_page = place = pages
        found = listing.page(store, wish, offset=(place - 1) * ROWS, limit=ROWS)
    if not found.total:
        anything = not search and wish.review is None and wish.erased is None
        st.info(
            "No record is filed yet. Explain a text and choose ‘Save as evidence’."
            if anything
            else "Nothing found. Clear the search, or set Review and Content to ‘all’."
        )
        _store()
        return
    shown = [
        {
            "no.": row["sequence"],
            "filed (UTC)": row["recorded"][:19].replace("T", " "),
            "decision": _cell(row["label"]) or "erased",
            "case": _cell(row["case_id"]),
            "by": _cell(row["actor"]),
            "signed": _signed(store, row["sequence"]),
            "review": (row["review"] or "") + (", signed off" if row["signed_off"] else ""),
            "kept until": "erased" if row["erased"] else "legal hold" if row["held"] else (row["due"] or "no end")[:10],
        }
        for row in found.rows
    ]
    chosen = st.dataframe(
        shown, hide_index=True, width="stretch", on_select="rerun", selection_mode="single-row", key="evidence_rows"
    )
    numbers = {row["sequence"]: row["id"] for row in found.rows}
    left, middle, right = st.columns([2.8, 1.2, 1.2], vertical_alignment="bottom")
    left.caption(f"{found.total:,} in all, page {place} of {pages}")
    opened = middle.selectbox("Open record", list(numbers), None, key="evidence_open")  # without a mouse, too
    if rows := chosen["selection"]["rows"]:
        opened = found.rows[rows[0]]["sequence"]
    if opened is not None:
        st.query_params["record"] = numbers[opened]
        st.rerun()
    if pages > 1:
        right.number_input("Page", 1, pages, key="evidence_page")
    _store()


def _cell(name: str | None) -> str:
    """A name for the table, which people also download as CSV."""
    return spreadsheet.defused(visible_line(name or ""))


def _signed(store: Store, sequence: int) -> str:
    """Does somebody claim to have signed this record? Whether the signature holds, only Verify says."""
    try:
        return "yes" if store.read(sequence, checked=False).header.signed else "UNSIGNED"
    except ExplainError:
        return "damaged"


def _store() -> None:
    """Verification of the whole, checkpoints, retention, and which key signs."""
    store = evidence.store("read evidence")
    with st.expander("The store as a whole"):
        one, two, three = st.columns(3)
        checks, keeps = access.may("verify evidence"), access.may("keep evidence")
        if checks and one.button("Verify everything", key="verify_all", width="stretch"):
            with st.spinner("Reading every record…"):
                levels(verify.store(evidence.store("verify evidence")))
        if checks and two.button("Write a checkpoint", key="checkpoint", width="stretch"):
            try:
                written = evidence.store("verify evidence").checkpoint()
                if written is None:
                    st.info("There is no record yet, so no checkpoint was written.")
                else:
                    st.success(html.markdown(f"Written to {written.parent}."))
            except ExplainError as error:
                st.error(html.markdown(str(error)))
        about = "Records whose time is over. It asks before it erases."
        if keeps and three.button("Erase what is over", key="expire", width="stretch", help=about):
            st.session_state.over = store.over()
        if keeps and (over := st.session_state.get("over")) is not None:
            _ask(over)
        mark = f"Records are signed by key {store.fingerprint}." if store.fingerprint else "Records are UNSIGNED."
        st.caption(f"{mark} Deleting the end of the chain shows only in checkpoints that are kept elsewhere.")


def _ask(over: Mapping[int, str]) -> None:
    """Say which records would be erased, and erase exactly these once somebody says so."""
    if not over:
        st.info("No record's time is over, so there is nothing to erase.")
        del st.session_state.over
        return
    named = ", ".join(f"{number}" for number in list(over)[:NAMED])
    more = f" and {len(over) - NAMED:,} more" if len(over) > NAMED else ""
    records = "1 record is" if len(over) == 1 else f"{len(over):,} records are"
    said = f"{records} over and would be erased for good: number {named}{more}."
    st.warning(html.markdown(f"{said} Text, scores and notes go, and nothing brings them back."))
    evidence.speaker(st.columns(2)[0])
    yes, no = st.columns(2)
    if no.button("Keep them", key="expire_no", width="stretch"):
        del st.session_state.over
        st.rerun()
    if yes.button(f"Erase {len(over):,} for good", key="expire_yes", width="stretch"):
        done("keep evidence", Store.expire, evidence.who(), among=set(over.values()), say=_gone, erases=True)


def _gone(erased: list[str]) -> str:
    del st.session_state.over
    return f"Erased, being over: {len(erased):,}."


def _wanted(record: str) -> Entry | None:
    """The record that the address names by its id or number, or that an event is about; None is said in words."""
    try:
        entry = evidence.store("read evidence").read(
            int(record) if record.isdecimal() and len(record) < 10 else record.lower()
        )
        if entry.header.kind in FILED:
            return entry
        said = f"Record {entry.header.sequence} is of the kind ‘{entry.header.kind}’"
        if entry.header.about is None:
            st.info(html.markdown(f"{said} and is about the store, not about an explanation."))
            return None
        about = evidence.store("read evidence").read(entry.header.about)
        st.info(html.markdown(f"{said}, about record {about.header.sequence}, which stands here."))
        return about
    except ExplainError as error:
        st.warning(html.markdown(str(error)))
        return None


try:
    record = st.query_params.get("record", "")
    found = _wanted(record) if record else None
    if found is not None:
        dossier(found)
    else:
        table()
except ExplainError as error:
    st.warning(html.markdown(str(error)))
