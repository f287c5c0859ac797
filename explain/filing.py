"""Ties records to their reports: what a face needs to file an explanation with its page, and to show a record again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from explain.audit import envelope
from explain.audit.entry import NOTE, RECORD, Draft, Entry
from explain.audit.listing import corrections
from explain.audit.records import Content, Header
from explain.audit.store import Store
from explain.render.picture import picture
from explain.render.report import Filing, Said, named, report, state, unreviewed

REPORT, PICTURE = "report.html", "words.svg"
BEGUN = 240
"""Characters of a reviewer's words below a picture."""


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
    """Two of its lines: which decision a record is about, and what production and people said (of a long note, the
    beginning; the report holds it whole).
    """
    purpose = filing.purpose
    reviews = "; ".join(f"{s.who} {_begun(s.words)}" for s in filing.said if s.kind == "review")
    return (
        f"case: {purpose.case_id or 'not named'} · use: {purpose.intended_use or 'not named'} · filed by: "
        f"{named(filing.who)}",
        f"decision in production: {filing.content.matches} · {reviews or unreviewed(filing)}",
    )


def _begun(words: str) -> str:
    return words if len(words) <= BEGUN else f"{words[: BEGUN - 1]}…"


def filing(store: Store, record: str) -> Filing:
    """Everything that a report of a stored record says; raises AuditError when it is erased."""
    entry = store.read(record)
    own, later = entry.header, [one.header for one in corrections(store, record)]
    former = store.read(str(own.detail["corrects"])).header.sequence if own.kind == "correction" else None
    events = (said(store, event) for event in store.events(record))
    return shown(entry, store.content(record), (*corrected(own, former, later), *events))


def shown(entry: Entry, content: Content, added: tuple[Said, ...]) -> Filing:
    """The same for a record that is open already; `added` is what was said about it."""
    added = tuple(sorted(added, key=lambda one: one.when))
    header = entry.header
    listed = next(f for f in header.files if f.name == RECORD)
    key = next(iter(envelope.unwrap(entry.bytes, envelope.PAYLOAD).signatures), None)
    return Filing(content, header.who, header.purpose, listed.commitment, key, header, entry.digest, added)


def corrected(own: Header, former: int | None, later: Iterable[Header]) -> Iterator[Said]:
    """In whose place a record stands (a sequence number), and which stand in its own: nobody should rely on what was
    corrected.
    """
    if former is not None:
        yield Said(own.kind, named(own.who), own.recorded, f"this record stands in the place of record {former}")
    for one in later:
        words = f"record {one.sequence} stands in the place of this one"
        yield Said(one.kind, named(one.who), one.recorded, words)


def page(store: Store, record: str) -> str:
    """The report of a stored record as it is now, with everything that was said about it."""
    found = filing(store, record)
    return report(found.content.explanation, found)


def said(store: Store, event: Entry) -> Said:
    """What an event about a record says, as a report shows it."""
    note = ""
    if any(f.name == NOTE for f in event.header.files) and not event.state.erased:
        note = store.opened(event, NOTE, store.key(event.header.id)).decode("utf-8")
    return told(event.header, note)


def told(header: Header, note: str) -> Said:
    """The same for an event whose note, empty if it has none, is open already."""
    detail = header.detail
    words = {
        "review": f"{detail.get('verdict')}s{', signed off' if detail.get('signed_off') else ''}",
        "retention": f"kept {detail.get('retention')}",
        "screenshot": ", ".join(f.name for f in header.files if f.name != NOTE),
        **dict.fromkeys(("erase", "hold", "release"), str(detail.get("reason") or "")),
    }.get(header.kind, "")
    return Said(header.kind, named(header.who), header.recorded, ". ".join(x for x in (words, note) if x))


__all__ = ["PICTURE", "REPORT", "case", "corrected", "filing", "footer", "page", "pictures", "said", "shown", "told"]
