"""Is a report, a picture or a PDF in somebody's hand the one that belongs to a record? Nothing here computes scores.

A copy is held against every file that was filed with the record or about it, and then against what is drawn from the
record anew, as it was after each thing that people said about it. Where no bytes are equal, the numbers and words of
an HTML report or an SVG picture are read back and compared, so that it is said what differs.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Literal

from securesystemslib.signer import SSlibKey

from explain import camera, filing
from explain.audit import bundle, envelope, state, verify
from explain.audit.entry import NOTE, RECORD, Entry, erased
from explain.audit.records import FILED, Content, Header
from explain.audit.store import Store
from explain.audit.verdict import Fault, Verdict
from explain.errors import AuditError, ExplainError
from explain.render.picture import picture
from explain.render.report import Filing, report
from explain.wire import decode

Kind = Literal["html", "svg", "pdf", "png"]
_BEGIN: Mapping[bytes, Kind] = {b"<!doctype html": "html", b"<svg": "svg", b"%PDF-": "pdf", b"\x89PNG": "png"}
_ID = re.compile(
    rb"(?:Whyboard report|>record) ([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?![0-9a-f])(?:, events: (\d{1,6}))?"
)
SHOWN = 20
"""Numbers that differ and are told one by one."""


@dataclass(frozen=True)
class Held:
    """A record to hold copies against: what its reports say now, and the bytes of a size that were filed about it.

    `filed` yields (sequence number, name, bytes) of each file of the record and its events that is `size` bytes long.
    """

    verdict: Verdict
    filing: Filing
    filed: Callable[[int], Iterator[tuple[int, str, bytes]]]


def kind(data: bytes) -> Kind | None:
    """What kind of copy these bytes are; None if Whyboard draws no such thing."""
    return next((name for begin, name in _BEGIN.items() if data[:32].lower().startswith(begin.lower())), None)


def named(data: bytes) -> str:
    """The record that a copy says it shows; raises AuditError where it names none."""
    found = _ID.search(data)
    if found is None:
        raise AuditError(
            "This names no record: it was drawn from an explanation that was not filed, or is none of Whyboard's. "
            "There is nothing to compare it with.",
            code="not_evidence",
        )
    return found[1].decode()


def in_store(
    store: Store, record: str, trusted: Mapping[str, SSlibKey] | None = None, model: str | None = None
) -> Held:
    """A record of a store, verified; raises AuditError where it is not there, or erased."""
    verdict = verify.record(store, record, trusted, model=model)

    def filed(size: int) -> Iterator[tuple[int, str, bytes]]:
        for entry in (store.read(record), *store.events(record)):
            for f in entry.header.files:
                if f.size == size:
                    yield entry.header.sequence, f.name, store.open(entry.header.id, f.name)

    if store.read(record, checked=False).state.erased:
        raise erased(record)
    return Held(verdict, filing.filing(store, record), filed)


def in_bundle(
    packed: bytes, record: str, trusted: Mapping[str, SSlibKey] | None = None, model: str | None = None
) -> Held:
    """The same for a record of a bundle."""
    verdict, parts = bundle.verify(packed, trusted), bundle.read(packed)
    about, known = [], dict[str, Header]()
    for name in sorted(name for name in parts if name.startswith("envelopes/")):
        try:
            header, subject = envelope.statement(envelope.unwrap(parts[name], envelope.PAYLOAD))
        except AuditError:
            continue  # the verdict says so
        known[header.id] = header
        if record in (header.id, header.about):
            about.append(Entry(header, subject, parts[name], state.first(header)))
    entry = next((e for e in about if e.header.id == record and e.header.kind in FILED), None)
    if entry is None:
        raise AuditError(f"There is no record {record} in this bundle.", code="no_record")
    if any(e.header.kind == "erase" for e in about) or f"files/{record}/{RECORD}" not in parts:
        raise erased(record)

    def filed(size: int) -> Iterator[tuple[int, str, bytes]]:
        for one in about:
            for f in one.header.files:
                if f.size == size and (name := f"files/{one.header.id}/{f.name}") in parts:
                    yield one.header.sequence, f.name, parts[name]

    content = decode(Content, parts[f"files/{record}/{RECORD}"])
    former = known.get(str(entry.header.detail.get("corrects")))
    later = [h for h in known.values() if h.kind == "correction" and h.detail.get("corrects") == record]
    said = tuple(
        filing.told(e.header, parts.get(f"files/{e.header.id}/{NOTE}", b"").decode("utf-8", "replace"))
        for e in about
        if e is not entry
    )
    verdict = verify.with_model(verdict, entry.header, model) if not verdict.faults else verdict
    stands = filing.corrected(entry.header, None if former is None else former.sequence, later)
    return Held(verdict, filing.shown(entry, content, (*stands, *said)), filed)


def compare(data: bytes, name: str, held: Held) -> Verdict:
    """The record's verdict, and whether the copy `data`, a file called `name`, is the record's.

    Raises:
        AuditError: a picture is none that was filed, and no browser is here to take it anew.
    """
    if held.verdict.faults:
        note = f"{name} was not compared: the record itself does not hold."
        return dataclasses.replace(held.verdict, notes=(*held.verdict.notes, note))
    shown = f"{name} shows record {held.filing.content.id}"
    for sequence, filed, known in held.filed(len(data)):
        if known == data:
            note = f"{shown}: its bytes are those of {filed}, filed as record {sequence}."
            return dataclasses.replace(held.verdict, notes=(*held.verdict.notes, note))
    of: Kind = kind(data) or "html"
    for count in _states(data, of, len(held.filing.said)):
        then = dataclasses.replace(held.filing, said=held.filing.said[:count])
        if _drawn(then, of) == data:
            when = "as it is now" if count == len(held.filing.said) else f"before event {count + 1} about it was filed"
            note = f"{shown}: its bytes are what is drawn from the record {when}."
            return dataclasses.replace(held.verdict, notes=(*held.verdict.notes, note))
    faults = tuple(Fault("V1", name, what) for what in _differs(data, held.filing, of))
    levels = {**held.verdict.levels, "V1": "broken"}
    note = f"{name} says that it shows record {held.filing.content.id}, which holds; the copy is not the record's."
    return dataclasses.replace(held.verdict, levels=levels, faults=faults, notes=(*held.verdict.notes, note))


def _states(data: bytes, of: Kind, now: int) -> range:
    """After how many events the record may have looked so, newest first; what a browser draws says it itself."""
    if of in ("html", "svg"):
        return range(now, -1, -1)
    found = _ID.search(data)
    said = int(found[2] or 0) if found is not None else 0
    return range(said, said - 1, -1) if said <= now else range(0)


def _drawn(found: Filing, of: Kind) -> bytes:
    """What is drawn of a record today, as `explain report` and `explain screenshot` do."""
    if of == "svg":
        return picture(found.content.explanation, *filing.footer(found)).encode("utf-8")
    page = report(found.content.explanation, found)
    if of == "html":
        return page.encode("utf-8")
    assert found.header is not None  # it was read from a store or a bundle
    try:
        return (camera.png(page) if of == "png" else camera.pdf(page, found.header.recorded)).data
    except ExplainError as error:
        raise AuditError(
            f"This is no picture that was filed (`explain screenshot --attach` files one), and it cannot be taken "
            f"again to compare: {error}",
            code="not_evidence",
        ) from None


def _differs(copy: bytes, now: Filing, of: Kind) -> list[str]:
    """In words, how a copy differs from what is drawn of its record."""
    if of in ("pdf", "png"):
        return [
            "its bytes are neither those of a file of the record nor those that this browser draws: it was changed, "
            "or taken by another browser or Whyboard. Nothing is read back from a picture; take it anew"
        ]
    mine, theirs = _Reader(copy), _Reader(_drawn(now, of))
    wrong = [
        f"{place}: {mine.numbers.get(place, 'nothing')} in the copy, {theirs.numbers.get(place, 'nothing')} filed"
        for place in sorted({*mine.numbers, *theirs.numbers})
        if mine.numbers.get(place) != theirs.numbers.get(place)
    ]
    found = wrong[:SHOWN] + [f"and {len(wrong) - SHOWN:,} more numbers"] * (len(wrong) > SHOWN)
    if not wrong and theirs.numbers:
        found.append(f"its bytes are not the record's, though its {len(theirs.numbers):,} numbers are")
    if mine.words != theirs.words:
        pairs = zip([*mine.words, ""], [*theirs.words, ""], strict=False)
        at = next(i for i, (a, b) in enumerate(pairs) if a != b)
        said, known = (" ".join(words[max(0, at - 3) : at + 5])[:80] for words in (mine.words, theirs.words))
        found.append(f"its words differ: “{said}” in the copy, “{known}” in the record as it is drawn today")
    elif not wrong:
        found.append("its words are the record's, too: another version drew it, or somebody changed how it looks")
    return found


class _Reader(HTMLParser):
    """The words of an HTML or SVG document, and its exact numbers by (table, row, place in the row)."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.words: list[str] = []
        self.numbers: dict[str, str] = {}
        self._table, self._row, self._place = "", 0, 0
        self.feed(data.decode("utf-8", "replace"))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "table":
            self._table, self._row = given.get("id") or "", -1
        elif tag == "tr":
            self._row, self._place = self._row + 1, 0
        elif tag == "data":
            self._place += 1
            place = f"{self._table}, row {self._row}, number {self._place}"
            self.numbers[place] = f"{given.get('value')}"

    def handle_data(self, data: str) -> None:
        if self.cdata_elem is None:  # not a style sheet
            self.words += data.split()
