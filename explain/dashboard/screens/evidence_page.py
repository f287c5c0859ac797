"""Evidence: stored records, whether they hold, what people said about them."""

from __future__ import annotations

import streamlit as st

from explain.audit import ids, listing, verify
from explain.audit.store import Store
from explain.dashboard import access, evidence
from explain.dashboard.dossier import done, dossier, levels
from explain.errors import ExplainError
from explain.render import html, spreadsheet
from explain.render.pieces import visible_line

ROWS = 25
REVIEWS = {"all": None, "not reviewed": "none", "agreed": "agree", "disagreed": "disagree"}


def table() -> None:
    """The list: filters, a page of rows, and what can be done with the store as a whole."""
    st.html(html.heading("Evidence", "Filed explanations: signed, chained, encrypted. Choose a row to open it."))
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
            "No record is filed yet. Explain a text and choose ‘Save as evidence’." if anything else "Nothing found."
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
            "review": (row["review"] or "") + (", signed off" if row["signed_off"] else ""),
            "kept until": "legal hold" if row["held"] else (row["due"] or "no end")[:10],
        }
        for row in found.rows
    ]
    chosen = st.dataframe(
        shown, hide_index=True, width="stretch", on_select="rerun", selection_mode="single-row", key="evidence_rows"
    )
    if rows := chosen["selection"]["rows"]:
        st.query_params["record"] = found.rows[rows[0]]["id"]
        st.rerun()
    left, right = st.columns([4, 1.2], vertical_alignment="bottom")
    left.caption(f"{found.total:,} in all, page {place} of {pages}")
    if pages > 1:
        right.number_input("Page", 1, pages, key="evidence_page")
    _store()


def _cell(name: str | None) -> str:
    """A name for the table, which people also download as CSV."""
    return spreadsheet.defused(visible_line(name or ""))


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
                evidence.store("verify evidence").checkpoint()
                st.success("Written to the second place.")
            except ExplainError as error:
                st.error(html.markdown(str(error)))
        about = "Records whose time is over."
        if keeps and three.button("Erase what is over", key="expire", width="stretch", help=about):
            done("keep evidence", Store.expire, evidence.who())
        mark = f"Records are signed by key {store.fingerprint}." if store.fingerprint else "Records are UNSIGNED."
        st.caption(f"{mark} Deleting the end of the chain shows only in checkpoints that are kept elsewhere.")


try:
    record = st.query_params.get("record", "")
    if record and ids.valid(record):
        dossier(evidence.store("read evidence").read(record))
    else:
        table()
except ExplainError as error:
    st.warning(html.markdown(str(error)))
