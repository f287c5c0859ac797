"""Is anything changed since it was filed? Levels V1 (bytes), V2 (order) and V4 (model); no torch, no network.

V3 (trusted time) has its place here once time-stamp authorities are supported; V5 (numbers) is `explain.replay`.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from securesystemslib.signer import SSlibKey

from explain.audit import building, checkpoints, database, envelope, sealing, state
from explain.audit.keys import Keys
from explain.audit.records import FILED, Header
from explain.audit.store import NOTHING, RECORD, Store, columns, state_of
from explain.errors import AuditError
from explain.record import Record

EXITS = {"V1": 3, "V2": 4, "V3": 5, "V4": 6, "V5": 7}
"""Exit code of the command line when a level fails; the lowest level that fails decides."""
WORDS = {
    "V1": "Nothing in the record or its files is changed, and the signature is by a key that is believed",
    "V2": "No record is missing, doubled, moved or cut off the end",
    "V3": "A time-stamp authority confirms the time",
    "V4": "The model's files at hand are the ones that the record names",
    "V5": "Computing again gives the same numbers",
}


@dataclass(frozen=True, eq=False)
class Fault(Record):
    """What is wrong, at which level and where: a sequence number, a record id, a file's name."""

    level: str
    where: str
    what: str


@dataclass(frozen=True, eq=False)
class Verdict(Record):
    """What a verification found. `checked` are records looked at; `levels` maps levels to holds, broken or not checked.

    `signed_by` are fingerprints of the keys that signed, `unsigned` how many records nobody signed, `erased` how many
    have lost their content on purpose, `uncovered` how many stand behind the newest checkpoint, so that a cut of
    those would not be found.
    """

    checked: int
    levels: Mapping[str, str]
    faults: tuple[Fault, ...]
    signed_by: tuple[str, ...] = ()
    unsigned: int = 0
    erased: int = 0
    uncovered: int = 0
    notes: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """0, or the code of the lowest level that is broken."""
        return min((EXITS[f.level] for f in self.faults), default=0)


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
        self.trusted = store.keys.trusted() if trusted is None else trusted
        self.faults: list[Fault] = []
        self.keys: set[str] = set()
        self.checked = self.unsigned = self.erased = 0
        self.states: dict[str, tuple[str, state.State]] = {}
        self.rows: dict[str, Mapping[str, object]] = {}
        self.digests: dict[int, str] = {}
        self.master = store.keys.master()

    def fault(self, level: str, where: str, what: str) -> None:
        """Note something that is wrong."""
        self.faults.append(Fault(level, where, what))

    def all(self) -> Verdict:
        """Every record, their order, and the checkpoints."""
        previous, last = NOTHING, 0
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
        uncovered = self._checkpoints(last)
        stray = self._strays()
        return self._verdict(("V1", "V2"), uncovered, stray)

    def one(self, record: str) -> Verdict:
        """One record and the events about it; order is not looked at."""
        for row in self._rows(record):
            where = f"record {row.listed['sequence']}"
            read = self._envelope(row, where) if row.data is not None else None
            if row.data is None:
                self.fault("V1", where, "its envelope is missing")
            elif read is not None:
                self._files(row, *read, where)
                self._happened(row, read[0], where)
        if not self.checked and not self.faults:
            raise AuditError(f"There is no record {record[:40]} in this store.", code="no_record")
        self._lists()
        return self._verdict(("V1",), 0, ())

    def _rows(self, record: str | None = None) -> Iterator[_Row]:
        wish = (
            sa.select(database.entries, database.envelopes.c.bytes, database.keys.c.wrapped)
            .outerjoin(database.envelopes, database.envelopes.c.sequence == database.entries.c.sequence)
            .outerjoin(database.keys, database.keys.c.id == database.entries.c.id)
            .order_by(database.entries.c.sequence)
        )
        if record is not None:
            wish = wish.where(sa.or_(database.entries.c.id == record, database.entries.c.about == record))
        with database.reading(self.store.engine) as connection:
            for found in connection.execution_options(yield_per=500).execute(wish).mappings():
                listed = {c.name: found[c.name] for c in database.entries.columns}
                yield _Row(listed, found["bytes"], found["wrapped"])

    def _envelope(self, row: _Row, where: str) -> tuple[Header, dict[str, str]] | None:
        assert row.data is not None
        self.checked += 1
        try:
            wrapped = envelope.unwrap(row.data, envelope.PAYLOAD)
            key = envelope.signed_by(wrapped, self.trusted)
            header, subject = envelope.statement(wrapped)
        except AuditError as error:
            self.fault("V1", where, str(error))
            return None
        if key is not None:
            self.keys.add(key)
        elif wrapped.signatures:
            self.fault("V1", where, f"it is signed by a key that is not believed, {next(iter(wrapped.signatures))[:16]}…")
        elif header.signed:
            self.fault("V1", where, "its signature was taken away")
        else:
            self.unsigned += 1
        return header, subject

    def _files(self, row: _Row, header: Header, subject: Mapping[str, str], where: str) -> None:
        """Are the files the ones that were signed, and the key the one that opens them?"""
        self.rows[header.id] = row.listed
        if row.listed["erased"]:
            self.erased += header.kind in FILED
            return  # whether it may be erased is for `_lists` to say
        named = {f.name: f.sha256 for f in header.files} | ({header.about: ""} if header.about else {})
        if named.keys() != subject.keys() or any(v and subject[n] != v for n, v in named.items()):
            self.fault("V1", where, "its subject does not name its files")
        if not header.files:
            return
        key = self._key(row, header, where)
        for f in header.files:
            path = self.store.place(header.id) / f.name
            try:
                sealed = path.read_bytes()
            except OSError:
                self.fault("V1", f"{where}, {f.name}", "the file is missing")
                continue
            if envelope.digest(sealed) != f.sha256:
                self.fault("V1", f"{where}, {f.name}", "the file was changed")
            elif key is not None:
                self._plain(row, header, f.name, key, where)

    def _key(self, row: _Row, header: Header, where: str) -> bytes | None:
        if row.wrapped is None:
            self.fault("V1", where, "its key is missing, and no erasure says so")
            return None
        try:
            return sealing.decrypt(self.master, row.wrapped, header.id)
        except AuditError as error:
            self.fault("V1", f"{where}, key", str(error))
            return None

    def _plain(self, row: _Row, header: Header, name: str, key: bytes, where: str) -> None:
        listed = next(f for f in header.files if f.name == name)
        sealed = (self.store.place(header.id) / name).read_bytes()
        try:
            plain = sealing.decrypt(sealing.content_key(key), sealed, f"{header.id}/{name}")
        except AuditError as error:
            self.fault("V1", f"{where}, {name}", str(error))
            return
        if sealing.commitment(sealing.commitment_key(key), plain) != listed.commitment or len(plain) != listed.size:
            self.fault("V1", f"{where}, {name}", "the content is not the one that was committed to")
        if name == RECORD and label_in(plain) != row.listed["label"]:
            self.fault("V1", f"{where}, list, label", "the list says something else than the record")

    def _happened(self, row: _Row, header: Header, where: str) -> None:
        """Follow what the chain says about each record, for the list to be compared with at the end."""
        self.states[header.id] = (header.recorded, state.first(header))
        if header.about in self.states:
            recorded, before = self.states[header.about]
            self.states[header.about] = (recorded, state.after(before, recorded, header))
            if header.kind == "erase":
                for other, listed in self.rows.items():
                    if listed["about"] == header.about and other != header.id:
                        self.states[other] = (self.states[other][0], dataclasses.replace(self.states[other][1], erased=True))
        elif header.about is not None:
            self.fault("V2", where, "it is about a record that is not there")
        expected = columns(header, row.data or b"", state_of(row.listed), None)
        for name in expected.keys() - {"label", *vars(state_of(row.listed))}:
            if expected[name] != row.listed[name]:
                self.fault("V1", f"{where}, list, {name}", "the list says something else than the record")
        if row.listed["label"] is not None and header.kind not in FILED:
            self.fault("V1", f"{where}, list, label", "the list says something else than the record")

    def _lists(self) -> None:
        """Does the list say what the events made of each record?"""
        for record, (_, expected) in self.states.items():
            row = self.rows[record]
            for name, value in vars(expected).items():
                if row[name] != value:
                    self.fault("V1", f"record {row['sequence']}, list, {name}", "the list says something else than the chain")
            if expected.erased and row["label"] is not None:
                self.fault("V1", f"record {row['sequence']}, list, label", "the record is erased and its label is not")

    def _checkpoints(self, last: int) -> int:
        """Compare every checkpoint with the chain; returns how many records stand behind the newest."""
        newest = 0
        for path in sorted((self.store.second / self.store.id).glob("*.json")):
            where = f"checkpoint {path.name}"
            try:
                note, key = checkpoints.read(path.read_bytes(), self.trusted)
            except (AuditError, OSError) as error:
                self.fault("V2", where, str(error) if isinstance(error, AuditError) else "it cannot be read")
                continue
            if key is None and (self.keys or self.unsigned < self.checked):
                self.fault("V2", where, "nobody who is believed signed it")
            elif note.store != self.store.id or note.size != int(path.stem):
                self.fault("V2", where, "it belongs somewhere else")
            elif note.size > last:
                self.fault("V2", where, f"it counts {note.size} records, and there are {last}: the end is cut off")
            elif self.digests.get(note.size) != note.head:
                self.fault("V2", where, f"record {note.size} is not the one that stood there")
            newest = max(newest, note.size)
        return last - newest

    def _strays(self) -> tuple[str, ...]:
        known = {record for record, row in self.rows.items() if not row["erased"]}
        found = [p.name for p in (self.store.home / "files").glob("*/*") if p.name not in known]
        return (f"{len(found)} folders belong to no record; they are removed by `explain evidence expire`.",) if found else ()

    def _verdict(self, levels: tuple[str, ...], uncovered: int, notes: tuple[str, ...]) -> Verdict:
        broken = {f.level for f in self.faults}
        return Verdict(
            checked=self.checked,
            levels={v: "broken" if v in broken else "holds" if v in levels else "not checked" for v in WORDS},
            faults=tuple(self.faults),
            signed_by=tuple(sorted(self.keys)),
            unsigned=self.unsigned,
            erased=self.erased,
            uncovered=uncovered,
            notes=notes,
        )


def store(found: Store, trusted: Mapping[str, SSlibKey] | None = None) -> Verdict:
    """Verify a whole store: V1 and V2."""
    return Verifier(found, trusted).all()


def record(found: Store, wanted: str, *, model: str | None = None) -> Verdict:
    """Verify one record with what was said about it: V1, and V4 where the model's files are at hand."""
    verdict = Verifier(found).one(wanted)
    return with_model(verdict, found.read(wanted).header, model) if not verdict.faults else verdict


def with_model(verdict: Verdict, header: Header, model: str | None) -> Verdict:
    """The same verdict with V4: are the model's files at hand (under the name or folder `model`) the ones recorded?"""
    if header.model is None:
        return verdict
    source = building.model_source(header.model, model)
    if source is None:
        note = f"V4 not checked: the model {header.model.id} is not on this machine. Name its folder with --model."
        return dataclasses.replace(verdict, notes=(*verdict.notes, note))
    faults = []
    if source.weights_sha256() != header.model.weights_sha256:
        faults.append(Fault("V4", "weights", "the weights at hand are not the ones that decided"))
    if source.tokenizer_sha256() != header.model.tokenizer_sha256:
        faults.append(Fault("V4", "tokenizer", "the tokenizer at hand is not the one that read the text"))
    at_hand = dict(building.manifest(source))
    for name, digest in header.model_files or ():
        if at_hand.get(name) != digest:
            faults.append(Fault("V4", name, "the file is missing" if name not in at_hand else "the file was changed"))
    levels = {**verdict.levels, "V4": "broken" if faults else "holds"}
    return dataclasses.replace(verdict, levels=levels, faults=(*verdict.faults, *faults))


def label_in(plain: bytes) -> str | None:
    """The decision's label in a record's content, read without building the record."""
    try:
        said = json.loads(plain)["explanation"]["prediction"]
        if said["activation"] == "none":
            return f"{said['logits'][0]:.4g}"[:200]
        return (", ".join(said["labels"][i] for i in said["decision"]) or "none")[:200]
    except (ValueError, KeyError, TypeError, IndexError):
        return None


def pinned(path: Path | None) -> Mapping[str, SSlibKey] | None:
    """The keys in a file or a folder `trusted` that a person names; None for those of the store."""
    if path is None:
        return None
    from explain.audit.keys import as_key, fingerprint, read_public

    if path.is_dir():
        return Keys(path).trusted()
    try:
        public = read_public(path.read_bytes())
    except OSError:
        raise AuditError(f"There is no key file '{path.name[:80]}'.", code="bad_key") from None
    return {fingerprint(public): as_key(public)}
