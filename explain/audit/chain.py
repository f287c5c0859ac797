"""The end of the chain: one more record, in one transaction, its files first."""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from explain.audit import building, checkpoints, database, envelope, files, ids, sealing, state
from explain.audit.database import entries, envelopes, keys
from explain.audit.entry import NOTHING, Entry, columns, erased, media, state_of
from explain.audit.records import FileEntry, Header, Kind, Purpose, Who
from explain.errors import AuditError
from explain.records import Explanation
from explain.settings import settings

if TYPE_CHECKING:
    from explain.audit.store import Store

HEAD = sa.select(entries.c.sequence, entries.c.digest).order_by(entries.c.sequence.desc()).limit(1)
"""Number and digest of the last record."""


@dataclass(frozen=True)
class New:
    """What is to be appended. `contents` are its files, not yet encrypted; `key` is the record's own."""

    kind: Kind
    who: Who
    purpose: Purpose = field(default_factory=Purpose)
    contents: Mapping[str, bytes] = field(default_factory=dict)
    explanation: Explanation | None = None
    about: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)
    id: str = field(default_factory=ids.new)
    key: bytes = field(default_factory=sealing.fresh)


def append(store: Store, new: New) -> Entry:
    """File a record; what comes back is on the disk.

    Raises:
        AuditError: it could not be written, or the event is not possible; nothing was changed.
    """
    sealed, listed = _sealed(new)
    draft = _draft(store, new, listed)
    subject = {f.name: f.sha256 for f in draft.files}
    if new.about is not None:
        subject[new.about] = store.read(new.about).digest
    wrapped = sealing.encrypt(store.keys.master(), new.key, new.id)
    signers, began = store.signers, state.first(draft)
    with _tidy(store, new.id), database.writing(store.engine) as connection:
        if new.about is not None:
            _require_possible(connection, new.about, new.kind)
        head = connection.execute(HEAD).first()
        number, previous = (head.sequence + 1, head.digest) if head is not None else (1, NOTHING)
        header = dataclasses.replace(draft, sequence=number, previous=previous)
        data = envelope.write(header, signers, subject)
        if sealed:
            files.write_folder(store.place(new.id), store.home / "temp" / new.id, sealed)
            connection.execute(sa.insert(keys).values(id=new.id, wrapped=wrapped))
        label = new.explanation.prediction.label[:200] if new.explanation is not None else None
        connection.execute(sa.insert(entries).values(columns(header, data, began, label)))
        connection.execute(sa.insert(envelopes).values(sequence=number, bytes=data))
        if new.about is not None:
            _happened(connection, new.about, header)
    _checkpoint_if_due(store, header, envelope.digest(data))
    return Entry(header, subject, data, began)


def _draft(store: Store, new: New, listed: tuple[FileEntry, ...]) -> Header:
    """The header, but for its place in the chain."""
    explanation = new.explanation
    made = explanation.provenance if explanation is not None else None
    draft = Header(
        id=new.id,
        kind=new.kind,
        store=store.id,
        sequence=1,
        previous=NOTHING,
        recorded=datetime.now(UTC).isoformat(timespec="milliseconds"),
        began=made.created if made is not None else None,
        seconds=made.seconds if made is not None else None,
        who=new.who,
        purpose=new.purpose,
        model=explanation.model if explanation is not None else None,
        model_files=building.model_files(explanation) if explanation is not None else None,
        methods=tuple(a.method for a in explanation.attributions) if explanation is not None else (),
        environment=building.environment(explanation),
        files=listed,
        signed=bool(store.signers),
        about=new.about,
        detail=new.detail,
    )
    return dataclasses.replace(draft, absent=building.reasons(draft))


def _sealed(new: New) -> tuple[dict[str, bytes], tuple[FileEntry, ...]]:
    """The files encrypted, and what the header says of them."""
    content_key, commit_key = sealing.content_key(new.key), sealing.commitment_key(new.key)
    sealed = {name: sealing.encrypt(content_key, data, f"{new.id}/{name}") for name, data in new.contents.items()}
    listed = tuple(
        FileEntry(name, media(name), len(data), sealing.commitment(commit_key, data), envelope.digest(sealed[name]))
        for name, data in new.contents.items()
    )
    return sealed, listed


@contextmanager
def _tidy(store: Store, record: str) -> Iterator[None]:
    """Leave no files behind when a record was not filed after all; if that cannot be known, leave them."""
    try:
        yield
    except BaseException:
        with suppress(Exception), database.reading(store.engine) as connection:
            if connection.execute(sa.select(entries.c.id).where(entries.c.id == record)).first() is None:
                shutil.rmtree(store.place(record), ignore_errors=True)
        raise


def _require_possible(connection: sa.Connection, about: str, kind: Kind) -> None:
    """Refuse an event about a record that is erased, or an erasure under a legal hold."""
    row = connection.execute(sa.select(entries.c.erased, entries.c.held).where(entries.c.id == about)).first()
    if row is None:
        raise AuditError(f"There is no record {about[:40]} in this store.", code="no_record")
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


def _checkpoint_if_due(store: Store, header: Header, digest: str) -> None:
    path = checkpoints.newest(store.second, store.id)
    size = int(path.stem) if path is not None else 0
    with suppress(AuditError, OSError):  # the record is safe; the next one, and `verify`, will notice
        old = path is not None and time.time() - path.stat().st_mtime > 60 * settings().evidence_minutes
        if path is None or header.sequence - size >= settings().evidence_every or old:
            note = checkpoints.Checkpoint(store.id, header.sequence, digest, header.recorded)
            checkpoints.write(store.second, note, store.signers)
