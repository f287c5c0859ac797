"""The store: files explanations, adds events, reads and erases. One chain, one transaction a record."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from securesystemslib.signer import CryptoSigner

from explain import canonical
from explain.audit import building, checkpoints, database, envelope, files, ids, sealing, state
from explain.audit.bounds import bounded, named
from explain.audit.database import entries, envelopes, keys
from explain.audit.keys import Keys
from explain.audit.records import FILED, Content, Decision, FileEntry, Header, Kind, Masking, Purpose, Who
from explain.catalog import Request
from explain.errors import AuditError, InputError
from explain.records import Explanation
from explain.settings import settings
from explain.wire import decode

RECORD = "record.json"
NOTE = "note.txt"
MEDIA = {
    ".json": "application/json",
    ".txt": "text/plain; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".png": "image/png",
    ".pdf": "application/pdf",
    ".svg": "image/svg+xml",
    ".csv": "text/csv; charset=utf-8",
}
NOTHING = "0" * 64
"""What the first record has in place of a previous envelope's digest."""


@dataclass(frozen=True)
class Draft:
    """A record about to be filed, for whoever draws its pictures: `commitment` is of its content."""

    content: Content
    who: Who
    purpose: Purpose
    commitment: str
    fingerprint: str | None


@dataclass(frozen=True)
class Entry:
    """A record as it is stored: `bytes` is the envelope, `subject` the SHA-256 of each stored file."""

    header: Header
    subject: Mapping[str, str]
    bytes: bytes
    state: state.State

    @property
    def digest(self) -> str:
        """SHA-256 of the envelope: what the next record calls previous."""
        return envelope.digest(self.bytes)


class Store:
    """Records below a folder, listed in a database. Safe to share between threads and processes.

    Args:
        home: the folder that holds files and keys; None for `evidence` below EXPLAIN_HOME.
        url: the database; None for EXPLAIN_EVIDENCE_URL, else SQLite in the folder.
        second: where checkpoints go; None for EXPLAIN_EVIDENCE_CHECKPOINTS, else `checkpoints` beside the folder.
        signed: sign records; None for EXPLAIN_EVIDENCE_SIGNED.

    Raises:
        AuditError: the database or the folder cannot be used.
    """

    def __init__(
        self, home: Path | None = None, *, url: str | None = None, second: Path | None = None, signed: bool | None = None
    ) -> None:
        given = settings()
        self.home = home or given.home / "evidence"
        self.second = second or given.evidence_checkpoints or self.home.parent / "checkpoints"
        self.signed = given.evidence_signed if signed is None else signed
        self.keys = Keys(self.home / "keys")
        try:
            (self.home / "files").mkdir(parents=True, exist_ok=True, mode=0o700)
            (self.home / "temp").mkdir(exist_ok=True, mode=0o700)
        except OSError as error:
            raise files.refused(error) from None
        self.engine = database.connect(url or given.evidence_url or f"sqlite:///{self.home / 'evidence.db'}")

    @cached_property
    def id(self) -> str:
        """The store's id, which every record bears."""
        with database.writing(self.engine) as connection:
            wish = sa.select(database.store.c.value).where(database.store.c.name == "id")
            found: str | None = connection.execute(wish).scalar()
            if found is None:
                found = ids.new()
                connection.execute(sa.insert(database.store).values(name="id", value=found))
                shutil.rmtree(self.home / "temp", ignore_errors=True)
            return found

    @cached_property
    def signers(self) -> tuple[CryptoSigner, ...]:
        """What signs here; nothing in an unsigned store."""
        return (self.keys.signer(),) if self.signed else ()

    @property
    def fingerprint(self) -> str | None:
        """The signing key's fingerprint; None in an unsigned store."""
        return self.signers[0].public_key.keyid if self.signers else None

    def file(
        self,
        explanation: Explanation,
        *,
        who: Who | None = None,
        purpose: Purpose | None = None,
        asked: Request | None = None,
        decision: Decision | None = None,
        note: str | None = None,
        masking: Masking | None = None,
        kind: Kind = "explanation",
        pictures: Callable[[Draft], Mapping[str, bytes]] | None = None,
    ) -> Entry:
        """File an explanation; what comes back is on the disk.

        `pictures` draws further files (name → bytes) once the record's id and commitment are known.

        Raises:
            AuditError: it could not be written; nothing was changed.
            InputError: a name or note is too long, or the retention class does not exist.
        """
        who, purpose = named(who or Who()), named(purpose or Purpose())
        if kind not in FILED:
            raise InputError(f"Expected a kind of {', '.join(FILED)}, got '{kind}'.", code="bad_kind")
        record, key = ids.new(), sealing.fresh()
        content = building.content(
            record,
            explanation,
            asked=asked,
            decision=None if decision is None else named(decision),
            note=bounded("note", note, 10_000),
            masking=masking,
        )
        data = canonical.encode(content)
        files_ = {RECORD: data}
        if pictures is not None:
            commitment = sealing.commitment(sealing.commitment_key(key), data)
            files_ |= pictures(Draft(content, who, purpose, commitment, self.fingerprint))
        return self._append(record, key, kind, who, purpose, files_, explanation)

    def add(
        self,
        kind: Kind,
        about: str | None,
        who: Who,
        *,
        detail: Mapping[str, Any] | None = None,
        note: str | None = None,
        files: Mapping[str, bytes] | None = None,
    ) -> Entry:
        """Add an event about a record: note, review, hold, release, retention or screenshot.

        Raises:
            AuditError: there is no such record, or it is erased.
            InputError: a value is too long or unknown.
        """
        note = bounded("note", note, 10_000)
        contents = {**(files or {}), **({NOTE: note.encode()} if note else {})}
        return self._append(ids.new(), sealing.fresh(), kind, named(who), Purpose(), contents, None, about, detail or {})

    def review(self, record: str, who: Who, *, agree: bool, sign_off: bool = False, note: str | None = None) -> Entry:
        """Say that a person agrees or disagrees with what was decided, and sign it off; raises as `add`."""
        if not who.actor:
            raise InputError("A review needs the name of its reviewer.", code="bad_actor")
        detail = {"verdict": "agree" if agree else "disagree", "signed_off": sign_off}
        return self.add("review", record, who, detail=detail, note=note)

    def erase(self, record: str, who: Who, reason: str) -> Entry:
        """Destroy a record's key and files, and those of what was said about it; the chain stays whole.

        Raises:
            AuditError: there is no such record, it is erased already, or a legal hold is on it.
        """
        found = self.read(record)
        if found.header.kind not in FILED:
            raise AuditError("Erase the record itself: what was said about it goes with it.", code="no_record")
        detail = {"reason": bounded("reason", reason, 400) or "not given"}
        entry = self._append(ids.new(), sealing.fresh(), "erase", named(who), Purpose(), {}, None, record, detail)
        self.sweep()
        return entry

    def expire(self, who: Who, now: datetime | None = None) -> list[str]:
        """Erase every record whose time is over and that no legal hold keeps; returns their ids."""
        at = (now or datetime.now(UTC)).isoformat()
        with database.reading(self.engine) as connection:
            wish = sa.select(entries.c.id).where(
                entries.c.due <= at, ~entries.c.held, ~entries.c.erased, entries.c.kind.in_(FILED)
            )
            over = list(connection.execute(wish.order_by(entries.c.sequence)).scalars())
        for record in over:
            detail = {"reason": "its retention time is over"}
            self._append(ids.new(), sealing.fresh(), "erase", named(who), Purpose(), {}, None, record, detail)
        if over:
            self.sweep()
        return over

    def read(self, record: str | int) -> Entry:
        """One record by its id or sequence number; raises AuditError."""
        column = entries.c.sequence if isinstance(record, int) else entries.c.id
        wish = sa.select(entries, envelopes.c.bytes).join(envelopes, envelopes.c.sequence == entries.c.sequence)
        with database.reading(self.engine) as connection:
            row = connection.execute(wish.where(column == record)).mappings().first()
        if row is None:
            raise AuditError(f"There is no record {str(record)[:40]} in this store.", code="no_record")
        header, subject = envelope.statement(envelope.unwrap(row["bytes"], envelope.PAYLOAD))
        return Entry(header, subject, row["bytes"], state_of(row))

    def events(self, record: str) -> list[Entry]:
        """Everything that was added about a record, oldest first."""
        wish = sa.select(entries.c.id).where(entries.c.about == record).order_by(entries.c.sequence)
        with database.reading(self.engine) as connection:
            found = list(connection.execute(wish).scalars())
        return [self.read(one) for one in found]

    def content(self, record: str) -> Content:
        """What a record holds; raises AuditError when it is erased or damaged."""
        found = decode(Content, self.open(record, RECORD))
        if found.id != record:
            raise AuditError("The content belongs to another record.", code="damaged")
        return found

    def open(self, record: str, name: str) -> bytes:
        """A file of a record, decrypted and compared with its commitment; raises AuditError."""
        entry = self.read(record)
        return self.opened(entry, name, self.key(record))

    def opened(self, entry: Entry, name: str, key: bytes) -> bytes:
        """The same for a record that is at hand, with its key."""
        listed = next((f for f in entry.header.files if f.name == name), None)
        if listed is None:
            raise AuditError(f"The record has no file '{name[:80]}'.", code="no_record")
        try:
            sealed = (self.place(entry.header.id) / name).read_bytes()
        except OSError:
            raise AuditError(f"The file {name} of record {entry.header.id} is missing.", code="damaged") from None
        plain = sealing.decrypt(sealing.content_key(key), sealed, f"{entry.header.id}/{name}")
        if sealing.commitment(sealing.commitment_key(key), plain) != listed.commitment:
            raise AuditError(f"The file {name} is not the one that was filed.", code="damaged")
        return plain

    def key(self, record: str) -> bytes:
        """The key of a record; raises AuditError when it was destroyed."""
        with database.reading(self.engine) as connection:
            wrapped = connection.execute(sa.select(keys.c.wrapped).where(keys.c.id == record)).scalar()
        if wrapped is None:
            raise _erased(record)
        return sealing.decrypt(self.keys.master(), wrapped, record)

    def place(self, record: str) -> Path:
        """The folder of a record's files."""
        return self.home / "files" / record[-2:] / record

    def checkpoint(self) -> Path | None:
        """Write a checkpoint of the chain as it is; None for an empty store."""
        with database.reading(self.engine) as connection:
            head = connection.execute(_HEAD).first()
        if head is None:
            return None
        note = checkpoints.Checkpoint(self.id, head.sequence, head.digest, datetime.now(UTC).isoformat())
        return checkpoints.write(self.second, note, self.signers)

    def rotate(self, who: Who) -> Entry:
        """Change the signing key: the record that says so is signed by the old one and the new one."""
        if not self.signed:
            raise AuditError("An unsigned store has no key to change.", code="bad_key")
        old, new = self.keys.rotate()
        self.__dict__["signers"] = (old, new)
        try:
            detail = {"from": old.public_key.keyid, "to": new.public_key.keyid}
            return self._append(ids.new(), sealing.fresh(), "key change", named(who), Purpose(), {}, None, None, detail)
        finally:
            self.__dict__["signers"] = (new,)

    def sweep(self) -> None:
        """Remove files of erased records and of filings that never ended, and overwrite what the database freed."""
        with database.writing(self.engine) as connection:  # nobody files meanwhile
            living = set(connection.execute(sa.select(entries.c.id).where(~entries.c.erased)).scalars())
            for folder in (self.home / "files").glob("*/*"):
                if folder.name not in living:
                    shutil.rmtree(folder, ignore_errors=True)
            shutil.rmtree(self.home / "temp", ignore_errors=True)
        if self.engine.dialect.name == "sqlite":
            raw = self.engine.raw_connection()
            try:
                for command in ("PRAGMA wal_checkpoint(TRUNCATE)", "VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"):
                    with suppress(Exception):  # a reader is in the way: the next sweep does it
                        raw.cursor().execute(command)
            finally:
                raw.close()

    def _append(
        self,
        record: str,
        key: bytes,
        kind: Kind,
        who: Who,
        purpose: Purpose,
        contents: Mapping[str, bytes],
        explanation: Explanation | None,
        about: str | None = None,
        detail: Mapping[str, Any] | None = None,
    ) -> Entry:
        store, signers, master = self.id, self.signers, self.keys.master()
        content_key, commit_key = sealing.content_key(key), sealing.commitment_key(key)
        sealed = {name: sealing.encrypt(content_key, data, f"{record}/{name}") for name, data in contents.items()}
        listed = tuple(
            FileEntry(n, _media(n), len(d), sealing.commitment(commit_key, d), envelope.digest(sealed[n]))
            for n, d in contents.items()
        )
        made = explanation.provenance if explanation is not None else None
        draft = Header(
            id=record,
            kind=kind,
            store=store,
            sequence=1,
            previous=NOTHING,
            recorded=datetime.now(UTC).isoformat(timespec="milliseconds"),
            began=made.created if made is not None else None,
            seconds=made.seconds if made is not None else None,
            who=who,
            purpose=purpose,
            model=explanation.model if explanation is not None else None,
            model_files=building.model_files(explanation) if explanation is not None else None,
            methods=tuple(a.method for a in explanation.attributions) if explanation is not None else (),
            environment=building.environment(explanation),
            files=listed,
            signed=bool(signers),
            about=about,
            detail=detail or {},
        )
        draft = dataclasses.replace(draft, absent=building.reasons(draft))
        subject = {f.name: f.sha256 for f in listed}
        if about is not None:
            subject[about] = self.read(about).digest
        began = state.first(draft)
        with self._tidy(record), database.writing(self.engine) as connection:
            if about is not None:
                _require_possible(connection, about, kind)
            head = connection.execute(_HEAD).first()
            header = dataclasses.replace(
                draft, sequence=head.sequence + 1 if head else 1, previous=head.digest if head else NOTHING
            )
            data = envelope.write(header, signers, subject)
            if sealed:
                files.write_folder(self.place(record), self.home / "temp" / record, sealed)
                connection.execute(
                    sa.insert(keys).values(id=record, wrapped=sealing.encrypt(master, key, record))
                )
            label = explanation.prediction.label[:200] if explanation is not None else None
            connection.execute(sa.insert(entries).values(columns(header, data, began, label)))
            connection.execute(sa.insert(envelopes).values(sequence=header.sequence, bytes=data))
            if about is not None:
                self._happened(connection, about, header)
        self._checkpoint_if_due(header, envelope.digest(data))
        return Entry(header, subject, data, began)

    @contextmanager
    def _tidy(self, record: str) -> Iterator[None]:
        """Leave no files behind when a record is not filed after all."""
        try:
            yield
        except BaseException:
            shutil.rmtree(self.place(record), ignore_errors=True)
            raise

    def _happened(self, connection: sa.Connection, about: str, event: Header) -> None:
        """Let an event change the state of the record it is about."""
        row = connection.execute(sa.select(entries).where(entries.c.id == about)).mappings().one()
        now = state.after(state_of(row), row["recorded"], event)
        connection.execute(sa.update(entries).where(entries.c.id == about).values(vars(now)))
        if event.kind == "erase":
            whole = sa.or_(entries.c.id == about, entries.c.about == about)
            own = sa.select(entries.c.id).where(whole).scalar_subquery()
            connection.execute(sa.delete(keys).where(keys.c.id.in_(own)))
            said = sa.and_(entries.c.about == about, entries.c.id != event.id)
            connection.execute(sa.update(entries).where(sa.or_(entries.c.id == about, said)).values(erased=True, label=None))

    def _checkpoint_if_due(self, header: Header, digest: str) -> None:
        path = checkpoints.newest(self.second, self.id)
        size = int(path.stem) if path is not None else 0
        old = path is not None and datetime.now().timestamp() - path.stat().st_mtime > 60 * settings().evidence_minutes
        if path is None or header.sequence - size >= settings().evidence_every or old:
            note = checkpoints.Checkpoint(self.id, header.sequence, digest, header.recorded)
            with suppress(AuditError):  # the record is safe; the next one, and `verify`, will notice
                checkpoints.write(self.second, note, self.signers)


_HEAD = sa.select(entries.c.sequence, entries.c.digest).order_by(entries.c.sequence.desc()).limit(1)


def columns(header: Header, data: bytes, now: state.State, label: str | None) -> dict[str, Any]:
    """What the list keeps of a record; `verify` makes it again and compares."""
    return {
        "sequence": header.sequence,
        "id": header.id,
        "kind": header.kind,
        "about": header.about,
        "recorded": header.recorded,
        "actor": header.who.actor,
        "case_id": header.purpose.case_id,
        "intended_use": header.purpose.intended_use,
        "model": header.model.id[:200] if header.model is not None else None,
        "label": label,
        "digest": envelope.digest(data),
        **vars(now),
    }


def state_of(row: Mapping[Any, Any]) -> state.State:
    """The state in a row of the list."""
    return state.State(**{f.name: row[f.name] for f in dataclasses.fields(state.State)})


def _require_possible(connection: sa.Connection, about: str, kind: Kind) -> None:
    """Refuse an event about a record that is erased, or an erasure under a legal hold."""
    row = connection.execute(sa.select(entries.c.erased, entries.c.held).where(entries.c.id == about)).first()
    if row is None:
        raise AuditError(f"There is no record {about[:40]} in this store.", code="no_record")
    if row.erased:
        raise _erased(about)
    if kind == "erase" and row.held:
        raise AuditError("A legal hold is on this record. Release it before you erase.", code="on_hold")


def _media(name: str) -> str:
    suffix = Path(name).suffix
    if suffix not in MEDIA or Path(name).name != name or len(name) > 100 or name.startswith("."):
        raise InputError(f"Expected a file name ending in {', '.join(MEDIA)}, got '{name[:80]}'.", code="bad_file")
    return MEDIA[suffix]


def _erased(record: str) -> AuditError:
    return AuditError(f"The content of record {record[:40]} was erased; what was not about its text is kept.", code="erased")


__all__ = ["NOTE", "NOTHING", "RECORD", "Draft", "Entry", "Store", "columns", "state_of"]
