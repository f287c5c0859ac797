"""The end of the chain: one more record, in one transaction, its files first."""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from securesystemslib.signer import CryptoSigner

from explain.audit import building, checkpoints, clock, database, envelope, files, ids, sealing, state
from explain.audit.database import entries, envelopes, keys
from explain.audit.entry import NOTE, NOTHING, RECORD, Entry, columns, erased, media, missing, state_of
from explain.audit.records import FILED, FileEntry, Header, Kind, Purpose, Who
from explain.audit.told import spoken_of
from explain.errors import AuditError
from explain.machine import versions
from explain.records import Explanation
from explain.settings import settings

if TYPE_CHECKING:
    from explain.audit.store import Store

HEAD = sa.select(entries.c.sequence, entries.c.digest, entries.c.id).order_by(entries.c.sequence.desc()).limit(1)
"""Number, digest and id of the last record."""
UNSIGNED = b'"signatures":[]}'
"""How an envelope ends that nobody signed: it has one form, and its fields are sorted."""


Contents = Mapping[str, bytes]


@dataclass(frozen=True)
class New:
    """What is to be appended. `contents` are its files, not yet encrypted, or what makes them of the record's id and
    key, which it gets with its place in the chain; or before, where they are `slow` to make: nobody else may wait for a
    drawing. `renderer` drew those that are pictures or pages.
    """

    kind: Kind
    who: Who
    purpose: Purpose = field(default_factory=Purpose)
    contents: Contents | Callable[[str, bytes], Contents] = field(default_factory=dict)
    explanation: Explanation | None = None
    about: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)
    slow: bool = False
    renderer: str = ""


def append(store: Store, new: New) -> Entry:
    """File a record; what comes back is on the disk. Its time is taken in its turn, so that it follows its number, and
    so is its id, unless its contents are slow to make.

    Raises:
        AuditError: it could not be written, or the event is not possible; nothing was changed.
    """
    draft, key, made = _draft(store, new), sealing.fresh(), list[str]()
    early = ids.new() if new.slow else ""
    contents = _contents(new, early, key) if early else {}
    with _tidy(store, made), database.writing(store.engine) as connection:
        if new.about is not None:
            _require_possible(connection, new.about, new.kind)
        head = connection.execute(HEAD).first()
        number, previous, last = (head.sequence + 1, head.digest, head.id) if head is not None else (1, NOTHING, "")
        _require_alike(connection, number - 1, signed=store.signed)
        finish_change(store, connection)
        record = early or ids.new(last)
        made.append(record)
        contents = contents if early else _contents(new, record, key)
        sealed, listed = _sealed(record, key, contents, new.renderer or f"whyboard {versions()['whyboard']}")
        header = dataclasses.replace(
            draft, id=record, sequence=number, previous=previous, recorded=_now(), files=listed
        )
        signers = store.signers
        if new.kind == "key change":
            signers = (*signers, store.keys.successor())
            old, fresh = (s.public_key.keyid for s in signers)
            header = dataclasses.replace(header, detail={"from": old, "to": fresh})
        header = dataclasses.replace(header, absent=building.reasons(header))
        subject = {f.name: f.sha256 for f in listed} | _digests(connection, spoken_of(header))
        data = envelope.write(header, signers, subject)
        if sealed or number == 1:  # what seals nothing, as an erasure, goes on without it
            master = store.keys.master(make=number == 1)
        if sealed:
            files.write_folder(store.place(record), store.home / "temp" / record, sealed)
            wrapped = sealing.encrypt(master, key, record)
            connection.execute(sa.insert(keys).values(id=record, wrapped=wrapped))
        label, began = new.explanation.prediction.label[:200] if new.explanation else None, state.first(header)
        connection.execute(sa.insert(entries).values(columns(header, data, began, label)))
        connection.execute(sa.insert(envelopes).values(sequence=number, bytes=data))
        if new.about is not None:
            _happened(connection, new.about, header)
    checkpoint_if_due(store, checkpoints.Checkpoint(store.id, number, envelope.digest(data), header.recorded), signers)
    return Entry(header, subject, data, began)


def _draft(store: Store, new: New) -> Header:
    """The header, but for its place in the chain and what comes with it."""
    explanation = new.explanation
    made = explanation.provenance if explanation is not None else None
    model_files = building.model_files(explanation) if explanation is not None else None
    return Header(
        id="",
        kind=new.kind,
        store=store.id,
        sequence=1,
        previous=NOTHING,
        recorded=_now(),
        began=made.created if made is not None else None,
        seconds=made.seconds if made is not None else None,
        who=new.who,
        purpose=new.purpose,
        model=explanation.model if explanation is not None else None,
        model_files=model_files,
        manifest_sha256=building.digest_of(model_files),
        methods=tuple(a.method for a in explanation.attributions) if explanation is not None else (),
        libraries=made.libraries if made is not None else {},
        environment=building.environment(explanation),
        files=(),
        signed=store.signed,
        about=new.about,
        detail=new.detail,
        clock=clock.state(),
    )


def _contents(new: New, record: str, key: bytes) -> Contents:
    return new.contents(record, key) if callable(new.contents) else new.contents


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _sealed(
    record: str, key: bytes, contents: Contents, renderer: str
) -> tuple[dict[str, bytes], tuple[FileEntry, ...]]:
    """The files encrypted, and what the header says of them."""
    content_key, commit_key = sealing.content_key(key), sealing.commitment_key(key)
    sealed = {name: sealing.encrypt(content_key, data, f"{record}/{name}") for name, data in contents.items()}
    listed = tuple(
        FileEntry(
            name=name,
            media_type=media(name),
            size=len(data),
            commitment=sealing.commitment(commit_key, data),
            sha256=envelope.digest(sealed[name]),
            renderer=None if name in (RECORD, NOTE) else renderer,
        )
        for name, data in contents.items()
    )
    return sealed, listed


def _digests(connection: sa.Connection, records: tuple[str, ...]) -> dict[str, str]:
    """SHA-256 of the envelopes of records; raises AuditError where one is not there."""
    found: dict[str, str] = {}
    for start in range(0, len(records), 500):
        wish = sa.select(entries.c.id, envelopes.c.bytes).join(envelopes, envelopes.c.sequence == entries.c.sequence)
        rows = connection.execute(wish.where(entries.c.id.in_(records[start : start + 500])))
        found |= {row.id: envelope.digest(row.bytes) for row in rows}
    for one in records:
        if one not in found:
            raise missing(one)
    return found


@contextmanager
def _tidy(store: Store, records: list[str]) -> Iterator[None]:
    """Leave no files behind when a record was not filed after all; if that cannot be known, leave them."""
    try:
        yield
    except BaseException:
        with suppress(Exception), database.reading(store.engine) as connection:
            for record in records:
                if connection.execute(sa.select(entries.c.id).where(entries.c.id == record)).first() is None:
                    shutil.rmtree(store.place(record), ignore_errors=True)
        raise


def _require_possible(connection: sa.Connection, about: str, kind: Kind) -> None:
    """Refuse an event about a record that is erased or that is an event itself (nobody could erase what it says with
    the record), and an erasure under a legal hold.
    """
    row = connection.execute(sa.select(entries).where(entries.c.id == about)).first()
    if row is None:
        raise missing(about)
    if row.kind not in FILED:
        what = f"Name that record instead: {row.about}." if row.about else "It is about the store."
        raise AuditError(f"Record {row.sequence} is a {row.kind}, which is about a record. {what}", code="no_record")
    if row.erased:
        raise erased(about)
    if kind == "erase" and row.held:
        raise AuditError("A legal hold is on this record. Release it before you erase.", code="on_hold")


def _happened(connection: sa.Connection, about: str, event: Header) -> None:
    """Let an event change the state of the record it is about; an erasure takes what was said about it along."""
    row = connection.execute(sa.select(entries).where(entries.c.id == about)).mappings().one()
    now = state.after(state_of(row), row["recorded"], event)
    connection.execute(sa.update(entries).where(entries.c.id == about).values(vars(now)))
    if event.kind != "erase":
        return
    said = sa.and_(entries.c.about == about, entries.c.id != event.id)
    gone = sa.or_(entries.c.id == about, said)
    connection.execute(sa.delete(keys).where(keys.c.id.in_(sa.select(entries.c.id).where(gone).scalar_subquery())))
    connection.execute(sa.update(entries).where(gone).values(erased=True, label=None))


def _require_alike(connection: sa.Connection, last: int, *, signed: bool) -> None:
    """A store is signed from its first record to its last, or not at all: else anybody could add to a signed one."""
    found = connection.execute(sa.select(envelopes.c.bytes).where(envelopes.c.sequence == last)).scalar()
    if found is not None and signed == found.endswith(UNSIGNED):
        is_, wish = ("unsigned", "0") if signed else ("signed", "1")
        raise AuditError(
            f"This store is {is_}, and stays so. Set EXPLAIN_EVIDENCE_SIGNED={wish}, or file into another store.",
            code="bad_store",
        )


def finish_change(store: Store, connection: sa.Connection) -> None:
    """If a change of key was interrupted, bring the key on the disk in line with the chain; the lock is held."""
    waiting = store.keys.waiting()
    if waiting is None:
        return
    wish = sa.select(envelopes.c.bytes).join(entries, entries.c.sequence == envelopes.c.sequence)
    changes = connection.execute(wish.where(entries.c.kind == "key change").order_by(entries.c.sequence.desc()))
    last = changes.scalars().first()
    filed = last is not None and waiting in envelope.unwrap(last, envelope.PAYLOAD).signatures
    store.keys.succeed(filed=filed)


def checkpoint_if_due(store: Store, note: checkpoints.Checkpoint, signers: tuple[CryptoSigner, ...]) -> Path | None:
    """Write a checkpoint of the chain's end after so many records or minutes; the records are safe without it."""
    with suppress(AuditError, OSError):  # the next one will be written, and `verify` counts what none covers
        path = checkpoints.newest(store.second, store.id)
        size = int(path.stem) if path is not None else 0
        old = path is not None and time.time() - path.stat().st_mtime > 60 * settings().evidence_minutes
        if path is None or note.size - size >= settings().evidence_every or (old and note.size > size):
            return checkpoints.write(store.second, note, signers)
    return None
