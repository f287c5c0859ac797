"""A record as it is stored, the row that lists it, and the names of its files."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from explain.audit import envelope, ids, state
from explain.audit.records import Content, Header, Purpose, Who
from explain.errors import AuditError, InputError

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


def media(name: str) -> str:
    """The media type of a file by its name; raises InputError for names that are none."""
    suffix = Path(name).suffix
    if suffix not in MEDIA or not ids.file_name(name):
        raise InputError(
            f"Expected a file name of A-Z, a-z, 0-9, _, . and -, ending in {', '.join(MEDIA)}, got '{name[:80]}'.",
            code="bad_file",
        )
    return MEDIA[suffix]


JOBS = (
    "The same text may also stand in a written job (EXPLAIN_JOBS): there until somebody deletes that job, or until "
    "EXPLAIN_JOBS_HOURS after its end."
)
"""What an erasure does not reach."""


def missing(record: str | int) -> AuditError:
    """The error of whoever asks for a record that a store does not hold."""
    return AuditError(
        f"There is no record {record!s:.40} in this store. `explain evidence list` shows those there are.",
        code="no_record",
    )


def erased(record: str) -> AuditError:
    """The error of whoever asks for content that is gone."""
    return AuditError(
        f"The content of record {record[:40]} was erased; what was not about its text is kept.", code="erased"
    )
