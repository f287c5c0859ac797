"""The store: files explanations, adds events, reads, erases. One chain, one transaction a record."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from securesystemslib.signer import CryptoSigner

from explain import canonical
from explain.audit import building, checkpoints, database, envelope, files, ids, sealing
from explain.audit.belief import Belief
from explain.audit.bounds import accounted, bounded, named
from explain.audit.chain import HEAD, New, append, checkpoint_if_due, finish_change
from explain.audit.database import entries, envelopes, keys
from explain.audit.entry import NOTE, RECORD, Draft, Entry, erased, missing, state_of
from explain.audit.keys import Keys
from explain.audit.records import FILED, Beside, Content, Decision, Kind, Masking, Purpose, Who
from explain.catalog import Request
from explain.errors import AuditError, InputError
from explain.records import Explanation
from explain.settings import settings
from explain.wire import decode


class Store:
    """Records below a folder, listed in a database. Safe to share between threads and processes.

    Args:
        home: the folder that holds files and keys; None for `evidence` below EXPLAIN_HOME.
        url: the database; None for EXPLAIN_EVIDENCE_URL, else SQLite in the folder.
        second: where checkpoints go; None for EXPLAIN_EVIDENCE_CHECKPOINTS, else `checkpoints` beside the folder.
        signed: sign records; None for EXPLAIN_EVIDENCE_SIGNED.
        only_read: leave everything as it is, also where it is somebody else's; what would write fails.

    Raises:
        AuditError: the database or the folder cannot be used.
    """

    def __init__(
        self,
        home: Path | None = None,
        *,
        url: str | None = None,
        second: Path | None = None,
        signed: bool | None = None,
        only_read: bool = False,
    ) -> None:
        given = settings()
        self.home = home or given.home / "evidence"
        self.second = second or given.evidence_checkpoints or self.home.parent / "checkpoints"
        self.signed = given.evidence_signed if signed is None else signed
        self.keys = Keys(self.home / "keys")
        try:
            for name in () if only_read else ("files", "temp"):
                files.make_folder(self.home / name)
            if not only_read and self.home.stat().st_uid == os.geteuid():
                self.home.chmod(0o700)  # who else is on this machine reads neither the list nor the keys
        except OSError as error:
            raise files.refused(error) from None
        self.engine = database.connect(
            url or given.evidence_url.get_secret_value() or f"sqlite:///{self.home / 'evidence.db'}",
            only_read=only_read,
        )

    @cached_property
    def id(self) -> str:
        """The store's id, which every record bears."""
        wish = sa.select(database.store.c.value).where(database.store.c.name == "id")
        with database.reading(self.engine) as connection:
            if known := connection.execute(wish).scalar():
                return str(known)
        with database.writing(self.engine) as connection:
            found: str | None = connection.execute(wish).scalar()
            if found is None:
                found = ids.new()
                connection.execute(sa.insert(database.store).values(name="id", value=found))
                shutil.rmtree(self.home / "temp", ignore_errors=True)
            return found

    @property
    def signers(self) -> tuple[CryptoSigner, ...]:
        """What signs here now (another process may have changed the key); nothing in an unsigned store."""
        return (self.keys.signer(),) if self.signed else ()

    @property
    def fingerprint(self) -> str | None:
        """The signing key's fingerprint; None in an unsigned store."""
        return next((s.public_key.keyid for s in self.signers), None)

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
        beside: Beside | None = None,
        kind: Kind = "explanation",
        corrects: str | None = None,
        row_sha256: str | None = None,
        pictures: Callable[[Draft], Mapping[str, bytes]] | None = None,
    ) -> Entry:
        """File an explanation; what comes back is on the disk.

        `pictures` draws further files (name → bytes) once the record's id and commitment are known. `beside` is
        another answer about the same text, filed in the same record. `corrects` is the id of a record in whose place
        this one stands from now on; that one stays as it is. `row_sha256` is of the data set's row.

        Raises:
            AuditError: it could not be written, or what it corrects is no record; nothing was changed.
            InputError: a name or note is too long, the retention class does not exist, or masking or `beside` are about
                another text.
        """
        who, purpose = named(who or Who()), named(purpose or Purpose())
        kind = "correction" if corrects is not None and kind == "explanation" else kind
        if kind not in FILED or (kind == "correction") != (corrects is not None):
            raise InputError(
                f"Expected a kind of {', '.join(FILED)}, the last with what it corrects, got '{kind}'.", code="bad_kind"
            )
        if corrects is not None and self.read(corrects, checked=False).header.kind not in FILED:
            raise AuditError("Only what holds an explanation can be corrected.", code="no_record")
        draft = building.content(
            "",
            explanation,
            asked=asked,
            decision=None if decision is None else named(decision),
            note=bounded("note", note, 10_000),
            masking=masking,
            beside=beside,
            row_sha256=row_sha256,
        )

        def contents(record: str, key: bytes) -> Mapping[str, bytes]:
            content = dataclasses.replace(draft, id=record)
            data = canonical.encode(content)
            if pictures is None:
                return {RECORD: data}
            commitment = sealing.commitment(sealing.commitment_key(key), data)
            return {RECORD: data, **pictures(Draft(content, who, purpose, commitment, self.fingerprint))}

        detail = {} if beside is None else {"beside": beside.answer.schema}
        detail |= {} if corrects is None else {"corrects": corrects}
        return append(self, New(kind, who, purpose, contents, explanation, detail=detail, slow=pictures is not None))

    def summarise(self, items: Sequence[str], who: Who, purpose: Purpose | None = None, *, failed: int = 0) -> Entry:
        """File what a batch came to: which records it filed, bound by their envelopes, and how many texts `failed`.

        Raises:
            AuditError: one of the records is not there, or it could not be written.
            InputError: a record is named twice, or there are too many for one summary (some 10,000).
        """
        if len(set(items)) != len(items):
            raise InputError("A batch names a record twice.", code="bad_batch")
        detail = {"items": list(items), "filed": len(items), "failed": failed}
        return append(self, New("batch summary", named(who), named(purpose or Purpose()), detail=detail))

    def add(
        self,
        kind: Kind,
        about: str | None,
        who: Who,
        *,
        detail: Mapping[str, Any] | None = None,
        note: str | None = None,
        attached: Mapping[str, bytes] | None = None,
    ) -> Entry:
        """Add an event about a record: note, review, hold, release, retention or screenshot.

        Raises:
            AuditError: there is no such record, or it is erased.
            InputError: a value is too long or unknown, a note says nothing, or a hold or release has no name or reason.
        """
        note = bounded("note", note, 10_000)
        if kind == "note" and note is None:
            raise InputError("The note is empty.", code="empty_text")
        if kind in ("hold", "release"):
            detail = {**(detail or {}), "reason": accounted(kind, who, (detail or {}).get("reason"))}
        contents = {**(attached or {}), **({NOTE: note.encode()} if note else {})}
        drew = str((detail or {}).get("browser", ""))
        return append(self, New(kind, named(who), contents=contents, about=about, detail=detail or {}, renderer=drew))

    def hold(self, record: str, who: Who, reason: str, *, release: bool = False) -> Entry:
        """Put a legal hold on a record, or take it off; who and why stay in the chain. Raises as `add`."""
        return self.add("release" if release else "hold", record, who, detail={"reason": reason})

    def review(self, record: str, who: Who, *, agree: bool, sign_off: bool = False, note: str | None = None) -> Entry:
        """Say that a person agrees or disagrees with what was decided, and sign it off; raises as `add`."""
        if not named(who).actor:
            raise InputError("A review needs the name of its reviewer.", code="bad_actor")
        detail = {"verdict": "agree" if agree else "disagree", "signed_off": sign_off}
        return self.add("review", record, who, detail=detail, note=note)

    def erase(self, record: str, who: Who, reason: str) -> Entry:
        """Destroy a record's key and files, and those of what was said about it; the chain stays whole.

        Raises:
            AuditError: there is no such record, it is erased already, or a legal hold is on it; with the code
                `not_overwritten` it is erased, but not yet as `sweep` leaves it.
            InputError: there is no name or no reason, which stay in the chain.
        """
        why = accounted("erasure", who, reason)
        entry = append(self, New("erase", named(who), about=record, detail={"reason": why}))
        self.sweep()
        return entry

    def over(self, now: datetime | None = None) -> dict[int, str]:
        """Sequence number → id of every record whose time is over and that no legal hold keeps."""
        with database.reading(self.engine) as connection:
            return database.overdue(connection, (now or datetime.now(UTC)).astimezone(UTC), FILED)

    def expire(self, who: Who, now: datetime | None = None, among: Collection[str] | None = None) -> list[str]:
        """Erase what is `over` (and `among` these ids, if any); write a checkpoint if one is due; returns their ids."""
        reason = accounted("erasure", who, "its retention time is over")
        over = [record for record in self.over(now).values() if among is None or record in among]
        gone = []
        try:
            for record in over:
                try:
                    append(self, New("erase", named(who), about=record, detail={"reason": reason}))
                    gone.append(record)
                except AuditError as error:
                    if error.code not in ("on_hold", "erased"):  # somebody was faster: the others' time is over too
                        raise
        finally:
            if gone:
                self.sweep()
        self.checkpoint(if_due=True)  # also where nothing is filed any more
        return gone

    def root(self, record: str | int) -> str:
        """Id of the record that an event is about, or of the record itself; raises AuditError."""
        column = entries.c.sequence if isinstance(record, int) else entries.c.id
        with database.reading(self.engine) as connection:
            row = connection.execute(sa.select(entries.c.id, entries.c.about).where(column == record)).first()
        if row is None:
            raise missing(record)
        return str(row.about or row.id)

    def read(self, record: str | int, *, checked: bool = True) -> Entry:
        """One record by its id or sequence number.

        Raises:
            AuditError: it is not there or damaged, or, where it shall be `checked`, nobody who is believed signed it.
        """
        column = entries.c.sequence if isinstance(record, int) else entries.c.id
        wish = sa.select(entries, envelopes.c.bytes).join(envelopes, envelopes.c.sequence == entries.c.sequence)
        with database.reading(self.engine) as connection:
            row = connection.execute(wish.where(column == record)).mappings().first()
        if row is None:
            raise missing(record)
        wrapped = envelope.unwrap(row["bytes"], envelope.PAYLOAD)
        if checked:
            try:
                Belief(None, self.keys.trusted()).signers(wrapped)
            except AuditError as error:
                raise AuditError(f"Record {row['sequence']} is not shown: {error}.", code="signature") from None
        header, subject = envelope.statement(wrapped)
        return Entry(header, subject, row["bytes"], state_of(row))

    def events(self, record: str, *, checked: bool = True) -> list[Entry]:
        """Everything that was added about a record, oldest first; raises as `read`."""
        wish = sa.select(entries.c.id).where(entries.c.about == record).order_by(entries.c.sequence)
        with database.reading(self.engine) as connection:
            found = list(connection.execute(wish).scalars())
        return [self.read(one, checked=checked) for one in found]

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
        """The key of a record; raises AuditError when it was destroyed, also if somebody put it back since."""
        wish = sa.select(keys.c.wrapped).join(entries, entries.c.id == keys.c.id)
        with database.reading(self.engine) as connection:
            wrapped = connection.execute(wish.where(keys.c.id == record, ~entries.c.erased)).scalar()
        if wrapped is None:
            raise erased(record)
        return sealing.decrypt(self.keys.master(), wrapped, record)

    def place(self, record: str) -> Path:
        """The folder of a record's files."""
        return self.home / "files" / record[-2:] / record

    def checkpoint(self, *, if_due: bool = False) -> Path | None:
        """Write a checkpoint of the chain as it is; None for an empty store, or where none is due."""
        with database.writing(self.engine) as connection:  # so that the key is the one of the last record
            finish_change(self, connection)
            head, signers = connection.execute(HEAD).first(), self.signers
        if head is None:
            return None
        note = checkpoints.Checkpoint(self.id, head.sequence, head.digest, datetime.now(UTC).isoformat())
        return checkpoint_if_due(self, note, signers) if if_due else checkpoints.write(self.second, note, signers)

    def rotate(self, who: Who) -> Entry:
        """Change the signing key: the record that says so is signed by the old one and the new one, and from then on
        only the new one is believed.
        """
        if not self.signed:
            raise AuditError("An unsigned store has no key to change.", code="bad_key")
        entry = append(self, New("key change", named(who)))
        with database.writing(self.engine) as connection:
            finish_change(self, connection)
        return entry

    def sweep(self) -> None:
        """Remove files of erased records and of filings that never ended, and overwrite what the database freed.

        Raises:
            AuditError: with the code `not_overwritten`, a reader kept the database from being overwritten.
        """
        with database.writing(self.engine) as connection:  # nobody files meanwhile
            living = set(connection.execute(sa.select(entries.c.id).where(~entries.c.erased)).scalars())
            for folder in (self.home / "files").glob("*/*"):
                if folder.name not in living:
                    shutil.rmtree(folder, ignore_errors=True)
            shutil.rmtree(self.home / "temp", ignore_errors=True)
        database.overwrite(self.engine)
