"""One walk over a store that collects everything that does not fit: bytes, order, list, checkpoints."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import sqlalchemy as sa
from securesystemslib.signer import SSlibKey

from explain.audit import checkpoints, database, envelope, sealing, state
from explain.audit.belief import Belief
from explain.audit.entry import NOTHING, RECORD, columns, missing, state_of
from explain.audit.records import FILED, FileEntry, Header
from explain.audit.store import Store
from explain.audit.told import contradictions, names_its_files, spoken_of, told
from explain.audit.verdict import Fault, Verdict, judged
from explain.errors import AuditError


@dataclass(frozen=True)
class _Row:
    """A row of the list with its envelope and its key, as they are on the disk."""

    listed: Mapping[str, object]
    data: bytes | None
    wrapped: bytes | None


class Verifier:
    """Walks over a store once and collects what is wrong."""

    def __init__(self, store: Store, trusted: Mapping[str, SSlibKey] | None = None) -> None:
        self.store = store
        self.belief = Belief(trusted, store.keys.trusted())
        self.faults: list[Fault] = []
        self.keys: set[str] = set()
        self.checked = self.unsigned = self.erased = 0
        self.states: dict[str, tuple[str, state.State]] = {}
        self.rows: dict[str, Mapping[str, object]] = {}
        self.events: dict[str, list[str]] = defaultdict(list)  # what was added about each record, so far
        self.digests: dict[int, str] = {}
        self.ids: dict[str, str] = {}
        self.signers: dict[int, set[str]] = {}  # number → who signed it
        self.whole = False
        self.master, self.no_master = None, ""
        try:
            self.master = store.keys.master()
        except AuditError as error:
            self.no_master = str(error)

    def fault(self, level: str, where: str, what: str) -> None:
        """Note something that is wrong."""
        self.faults.append(Fault(level, where, what))

    def all(self, store_id: str | None = None) -> Verdict:
        """Every record, their order, and the checkpoints; `store_id` is the id that the store must have."""
        previous, last, self.whole = NOTHING, 0, True
        for row in self._rows():
            number = row.listed["sequence"]
            where = f"record {number}"
            if number != last + 1:
                missing = f"records {last + 1} to {int(str(number)) - 1} are missing"
                self.fault("V2", where, missing if int(str(number)) > last + 1 else "this number is there twice")
            last = int(str(number))
            if row.data is None:
                self.fault("V2", where, "its envelope is missing")
                continue
            read = self._envelope(row, where)
            digest = envelope.digest(row.data)
            self.digests[last] = digest
            if read is not None:
                header, subject = read
                if header.sequence != number:
                    self.fault("V2", where, f"its envelope says that it is number {header.sequence}")
                if header.previous != previous:
                    self.fault("V2", where, "it does not follow the record before it")
                if header.store != self.store.id:
                    self.fault("V2", where, "it belongs to another store")
                self._files(row, header, subject, where)
                self._happened(row, header, where)
            previous = digest
        self._lists()
        self._rows_without_an_entry()
        uncovered = self._checkpoints(last)
        if store_id is None:
            self._elsewhere()
        elif store_id != self.store.id:
            self.fault("V2", "store", f"it is {self.store.id}, and {store_id[:40]} was expected")
        return self._verdict(("V1", "V2"), self._strays(), uncovered)

    def one(self, record: str) -> Verdict:
        """One record and the events about it; order is not looked at, but for the changes of key."""
        for row in self._rows(record):
            where = f"record {row.listed['sequence']}"
            counts = record in (row.listed["id"], row.listed["about"])  # a change of key only says who signs since
            read = self._envelope(row, where, counts=counts) if row.data is not None else None
            if row.data is None:
                self.fault("V1", where, "its envelope is missing")
            elif read is not None:
                self._files(row, *read, where)
                self._happened(row, read[0], where)
        if not self.checked and not self.faults:
            raise missing(record)
        self._lists()
        return self._verdict(("V1",))

    def _rows(self, record: str | None = None) -> Iterator[_Row]:
        wish = (
            sa.select(database.entries, database.envelopes.c.bytes, database.keys.c.wrapped)
            .outerjoin(database.envelopes, database.envelopes.c.sequence == database.entries.c.sequence)
            .outerjoin(database.keys, database.keys.c.id == database.entries.c.id)
            .order_by(database.entries.c.sequence)
        )
        if record is not None:
            about = (database.entries.c.id == record, database.entries.c.about == record)
            wish = wish.where(sa.or_(*about, database.entries.c.kind == "key change"))
        with database.reading(self.store.engine) as connection:
            for found in connection.execution_options(yield_per=500).execute(wish).mappings():
                listed = {c.name: found[c.name] for c in database.entries.columns}
                yield _Row(listed, found["bytes"], found["wrapped"])

    def _envelope(self, row: _Row, where: str, *, counts: bool = True) -> tuple[Header, dict[str, str]] | None:
        """What an envelope says; one that `counts` is among those looked at, and its signers among theirs."""
        assert row.data is not None
        self.checked += counts
        try:
            wrapped = envelope.unwrap(row.data, envelope.PAYLOAD)
            header, subject = envelope.statement(wrapped)
        except AuditError as error:
            self.fault("V1", where, str(error))
            return None
        self.unsigned += counts and not wrapped.signatures
        try:
            self.signers[header.sequence] = self.belief.record(wrapped, header)
            self.keys |= self.signers[header.sequence] if counts else set()
        except AuditError as error:
            self.fault("V1", where, str(error))
        return header, subject

    def _files(self, row: _Row, header: Header, subject: Mapping[str, str], where: str) -> None:
        """Are the files the ones that were signed, and the key the one that opens them?"""
        self.rows[header.id] = row.listed
        if not names_its_files(header, subject, self.ids):
            self.fault("V1", where, "its subject does not name its files, or the record that it is about")
        self.ids[header.id] = envelope.digest(row.data or b"")
        if row.listed["erased"]:
            self.erased += header.kind in FILED
            if row.wrapped is not None:
                self.fault("V1", where, "it is erased, and its key is there: somebody put it back")
            return  # whether it may be erased is for `_lists` to say
        if not header.files:
            return
        key = self._key(row, header, where)
        for f in header.files:
            try:
                sealed = (self.store.place(header.id) / f.name).read_bytes()
            except OSError:
                self.fault("V1", f"{where}, {f.name}", "the file is missing")
                continue
            if envelope.digest(sealed) != f.sha256:
                self.fault("V1", f"{where}, {f.name}", "the file was changed")
            elif key is not None:
                self._plain(row, header, f, sealed, key, where)

    def _key(self, row: _Row, header: Header, where: str) -> bytes | None:
        if row.wrapped is None:
            self.fault("V1", where, "its key is missing, and no erasure says so")
            return None
        if self.master is None:
            if self.no_master:
                self.fault("V1", "master key", self.no_master)
            self.no_master = ""  # said once
            return None
        try:
            return sealing.decrypt(self.master, row.wrapped, header.id)
        except AuditError as error:
            self.fault("V1", f"{where}, key", str(error))
            return None

    def _plain(self, row: _Row, header: Header, listed: FileEntry, sealed: bytes, key: bytes, where: str) -> None:
        """Does the content open, and is it the one that was committed to?"""
        name = listed.name
        try:
            plain = sealing.decrypt(sealing.content_key(key), sealed, f"{header.id}/{name}")
        except AuditError as error:
            self.fault("V1", f"{where}, {name}", str(error))
            return
        if sealing.commitment(sealing.commitment_key(key), plain) != listed.commitment or len(plain) != listed.size:
            self.fault("V1", f"{where}, {name}", "the content is not the one that was committed to")
        elif name == RECORD:
            self._told(row, header, plain, f"{where}, {name}", where)

    def _told(self, row: _Row, header: Header, plain: bytes, place: str, where: str) -> None:
        found = told(plain)
        if found is None or found.label != row.listed["label"]:
            self.fault("V1", f"{where}, list, label", "the list says something else than the record")
        for what in contradictions(found, header):
            self.fault("V1", place, what)

    def _happened(self, row: _Row, header: Header, where: str) -> None:
        """Follow what the chain says about each record, for the list to be compared with at the end."""
        self.states[header.id] = (header.recorded, state.first(header))
        if header.about in self.states:
            recorded, before = self.states[header.about]
            self.states[header.about] = (recorded, state.after(before, recorded, header))
            if header.kind == "erase":
                for other in self.events[header.about]:
                    since, now = self.states[other]
                    self.states[other] = (since, dataclasses.replace(now, erased=True))
            self.events[header.about].append(header.id)
        if any(one not in self.states for one in (spoken_of(header) if self.whole else [header.about or header.id])):
            self.fault("V2", where, "it is about a record that is not there")
        now = state_of(row.listed)
        expected = columns(header, row.data or b"", now, None)
        for name in expected.keys() - {"label", *vars(now)}:
            if expected[name] != row.listed[name]:
                self.fault("V1", f"{where}, list, {name}", "the list says something else than the record")
        if row.listed["label"] is not None and header.kind not in FILED:
            self.fault("V1", f"{where}, list, label", "the list says something else than the record")

    def _lists(self) -> None:
        """Does the list say what the events made of each record?"""
        for record, (_, expected) in self.states.items():
            row = self.rows[record]
            where = f"record {row['sequence']}, list"
            for name, value in vars(expected).items():
                if row[name] != value:
                    self.fault("V1", f"{where}, {name}", "the list says something else than the chain")
            if expected.erased and row["label"] is not None:
                self.fault("V1", f"{where}, label", "the record is erased and its label is not")

    def _checkpoints(self, last: int) -> int:
        """Compare every checkpoint with the chain; returns how many records stand behind the newest."""
        newest = 0
        for path in sorted((self.store.second / self.store.id).glob("*.json")):
            where = f"checkpoint {path.name}"
            try:
                note, wrapped = checkpoints.read(path.read_bytes())
                by = self.belief.signers(wrapped)
            except (AuditError, OSError) as error:
                self.fault("V2", where, str(error) if isinstance(error, AuditError) else "it cannot be read")
                continue
            if note.store != self.store.id or path.name != f"{note.size:012d}.json":
                self.fault("V2", where, "it belongs somewhere else")
            elif note.size > last:
                self.fault("V2", where, f"it counts {note.size} records, and there are {last}: the end is cut off")
            elif self.digests.get(note.size) != note.head:
                self.fault("V2", where, f"record {note.size} is not the one that stood there")
            elif not by <= self.signers.get(note.size, by):
                self.fault("V2", where, f"it is signed by a key that did not sign record {note.size}")
            newest = max(newest, note.size)
        return last - newest

    def _elsewhere(self) -> None:
        """Was this chain written anew, with its key and under another id? Checkpoints of the first one would tell."""
        for folder in sorted(self.store.second.glob("*/")):
            path = checkpoints.newest(self.store.second, folder.name)
            if folder.name == self.store.id or path is None:
                continue
            try:
                theirs = envelope.signed_by(checkpoints.read(path.read_bytes())[1], self.belief.trusted)
            except (AuditError, OSError):
                continue  # another store's, with a key of its own
            if theirs:
                what = (
                    f"a believed key signed checkpoints of another store, {folder.name[:40]}: was this chain written "
                    "anew? If both are yours, say with --store-id which one this must be"
                )
                self.fault("V2", "second place", what)

    def _rows_without_an_entry(self) -> None:
        entries, envelopes, keys = database.entries.c, database.envelopes.c, database.keys.c
        with database.reading(self.store.engine) as connection:
            for level, table, column, entry in (
                ("V2", "envelopes", envelopes.sequence, entries.sequence),
                ("V1", "keys", keys.id, entries.id),
            ):
                wish = sa.select(sa.func.count()).where(~column.in_(sa.select(entry)))
                count = connection.execute(wish).scalar_one()
                if count:
                    self.fault(level, f"database, {table}", f"{count} rows belong to no record")

    def _strays(self) -> tuple[str, ...]:
        known = {record for record, row in self.rows.items() if not row["erased"]}
        found = [p.name for p in (self.store.home / "files").glob("*/*") if p.name not in known]
        return (
            (f"{len(found)} folders belong to no record; they are removed by `explain evidence expire`.",)
            if found
            else ()
        )

    def _verdict(self, levels: tuple[str, ...], notes: tuple[str, ...] = (), uncovered: int = 0) -> Verdict:
        return judged(
            self.faults,
            levels,
            notes,
            checked=self.checked,
            unsigned=self.unsigned,
            signed_by=tuple(sorted(self.keys)),
            erased=self.erased,
            uncovered=uncovered,
        )
