"""Ties records to their reports: what a face needs to file an explanation with its page, and to show a record again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from explain.audit import envelope
from explain.audit.entry import NOTE, RECORD, Draft, Entry
from explain.audit.listing import corrections
from explain.audit.store import Store
from explain.render.picture import picture
from explain.render.report import Filing, Said, named, report, state, unreviewed

REPORT, PICTURE = "report.html", "words.svg"


def pictures(draft: Draft) -> Mapping[str, bytes]:
    """The report and the picture that are filed with an explanation, and bound by its signature."""
    filing = Filing(draft.content, draft.who, draft.purpose, draft.commitment, draft.fingerprint)
    explanation = draft.content.explanation
    return {
        REPORT: report(explanation, filing).encode("utf-8"),
        PICTURE: picture(explanation, *footer(filing)).encode("utf-8"),
    }


def footer(filing: Filing) -> tuple[str, ...]:
    """What every picture of a record says below it: which record, signed or not, which case, reviewed by whom."""
    content = filing.content
    return (f"record {content.id} · content {filing.commitment} · {state(filing)}", *case(filing), *content.limits)


def case(filing: Filing) -> tuple[str, str]:
    """Two of its lines: which decision a record is about, and what production and people said."""
    purpose = filing.purpose
    reviews = "; ".join(f"{s.who} {s.words}" for s in filing.said if s.kind == "review")
    return (
        f"case: {purpose.case_id or 'not named'} · use: {purpose.intended_use or 'not named'} · filed by: "
        f"{named(filing.who)}",
        f"decision in production: {filing.content.matches} · {reviews or unreviewed(filing)}",
    )


def filing(store: Store, record: str) -> Filing:
    """Everything that a report of a stored record says; raises AuditError when it is erased."""
    entry = store.read(record)
    content = store.content(record)
    listed = next(f for f in entry.header.files if f.name == RECORD)
    added = (*_corrected(store, entry), *(said(store, event) for event in store.events(record)))
    key = next(iter(envelope.unwrap(entry.bytes, envelope.PAYLOAD).signatures), None)
    header = entry.header
    return Filing(content, header.who, header.purpose, listed.commitment, key, header, entry.digest, added)


def _corrected(store: Store, entry: Entry) -> Iterator[Said]:
    """In whose place a record stands, and which stand in its own: nobody should rely on what was corrected."""
    own = entry.header
    if own.kind == "correction":
        former = store.read(str(own.detail["corrects"])).header.sequence
        yield Said(own.kind, named(own.who), own.recorded, f"this record stands in the place of record {former}")
    for later in (one.header for one in corrections(store, own.id)):
        words = f"record {later.sequence} stands in the place of this one"
        yield Said(later.kind, named(later.who), later.recorded, words)


def page(store: Store, record: str) -> str:
    """The report of a stored record as it is now, with everything that was said about it."""
    found = filing(store, record)
    return report(found.content.explanation, found)


def said(store: Store, event: Entry) -> Said:
    """What an event about a record says, as a report shows it."""
    header = event.header
    note = ""
    if any(f.name == NOTE for f in header.files) and not event.state.erased:
        note = store.opened(event, NOTE, store.key(header.id)).decode("utf-8")
    detail = header.detail
    words = {
        "review": f"{detail.get('verdict')}s{', signed off' if detail.get('signed_off') else ''}",
        "retention": f"kept {detail.get('retention')}",
        "screenshot": ", ".join(f.name for f in header.files if f.name != NOTE),
    }.get(header.kind, "")
    return Said(header.kind, named(header.who), header.recorded, ". ".join(x for x in (words, note) if x))


__all__ = ["PICTURE", "REPORT", "case", "filing", "footer", "page", "pictures", "said"]
