"""A header as an in-toto Statement in a DSSE envelope, signed as exact bytes.

An envelope has one form: RFC 8785 JSON. Other bytes that would decode to the same envelope are refused, so that a
changed byte is found wherever it is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import rfc8785
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import Error as SigningError
from securesystemslib.signer import CryptoSigner, SSlibKey

from explain import canonical
from explain.audit import ids
from explain.audit.records import PREDICATE, READ, SCHEMA, Header
from explain.audit.retention import CLASSES
from explain.errors import AuditError, InputError
from explain.wire import decoded

PAYLOAD = "application/vnd.in-toto+json"
STATEMENT = "https://in-toto.io/Statement/v1"
LARGEST = 4 * 2**20
"""Bytes of the largest envelope that is written or read."""
MOST = 8
"""Signatures of an envelope, at most."""
LATEST = 9900
"""Records of this year or later are none: when they are to be erased could not be said."""


def digest(data: bytes) -> str:
    """SHA-256 as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def write(header: Header, signers: tuple[CryptoSigner, ...], subject: Mapping[str, str]) -> bytes:
    """The envelope's bytes. `subject` maps names to the SHA-256 of what the record speaks about."""
    statement = {
        "_type": STATEMENT,
        "subject": [{"name": name, "digest": {"sha256": value}} for name, value in subject.items()],
        "predicateType": PREDICATE,
        "predicate": canonical.plain(header),
    }
    return wrap(rfc8785.dumps(statement), PAYLOAD, signers)


def wrap(payload: bytes, payload_type: str, signers: tuple[CryptoSigner, ...]) -> bytes:
    """Any payload in a signed envelope."""
    envelope = Envelope(payload, payload_type, {})
    for signer in signers:
        envelope.sign(signer)
    data: bytes = rfc8785.dumps(envelope.to_dict())
    if len(data) > LARGEST:
        raise InputError(f"The record's envelope is larger than {LARGEST:,} bytes; it is not filed.", code="too_long")
    return data


def unwrap(data: bytes, payload_type: str) -> Envelope:
    """The envelope in these bytes.

    Raises:
        AuditError: not an envelope of this type in its one form.
    """
    if len(data) > LARGEST:
        raise AuditError(f"The envelope is larger than {LARGEST:,} bytes; ours never are.", code="not_evidence")
    try:
        found: Any = json.loads(data)
        if len(found["signatures"]) > MOST:
            raise ValueError(f"more than {MOST} signatures")
        envelope = Envelope.from_dict({**found, "signatures": [dict(s) for s in found["signatures"]]})
        if rfc8785.dumps(envelope.to_dict()) != data:
            raise ValueError("not in its one form")
        if envelope.payload_type != payload_type:
            raise ValueError("another payload type")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, SigningError) as error:
        raise AuditError(f"Not an envelope as Whyboard writes it: {str(error)[:120]}.", code="not_evidence") from None
    return envelope


def signed_by(envelope: Envelope, trusted: Mapping[str, SSlibKey]) -> set[str]:
    """Fingerprints of the keys that signed it; empty where nobody did.

    Raises:
        AuditError: a signature is by a key that is not believed, or does not belong to these bytes.
    """
    for keyid, signature in envelope.signatures.items():
        if keyid not in trusted:
            raise AuditError(f"it is signed by a key that is not believed, {keyid[:16]}…", code="signature")
        try:
            trusted[keyid].verify_signature(signature, envelope.pae())
        except SigningError:
            raise AuditError(
                f"the signature by key {keyid[:16]}… does not belong to these bytes", code="signature"
            ) from None
    return set(envelope.signatures)


def statement(envelope: Envelope) -> tuple[Header, dict[str, str]]:
    """Header and subject of an envelope.

    Raises:
        AuditError: the payload is no record of this schema, or a value in it is none that a record has.
    """
    try:
        found = canonical.parse(envelope.payload)
        kind, predicate, subject = found["_type"], found["predicate"], found["subject"]
        if kind != STATEMENT or found["predicateType"] != PREDICATE:
            raise ValueError("another statement type")
        schema = str(predicate.get("schema"))
        if schema not in READ:
            raise AuditError(
                f"Expected a record of schema '{SCHEMA}', got '{schema[:40]}'. Newer records need a newer Whyboard.",
                code="unknown_schema",
            )
        header = decoded(Header, predicate)
        named = {str(s["name"]): str(s["digest"]["sha256"]) for s in subject}
        _require_sound(header, predicate)
        if len(named) != len(subject):
            raise ValueError("a subject twice")
    except InputError as error:
        raise AuditError(str(error), code="not_evidence") from None
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise AuditError(f"Not a record as Whyboard writes it: {str(error)[:120]}.", code="not_evidence") from None
    return header, named


def _require_sound(header: Header, predicate: Mapping[str, Any]) -> None:
    """Raise ValueError for what would lead whoever reads it astray: into other folders, out of time."""
    names = [f.name for f in header.files]
    if type(predicate["sequence"]) is not int or type(predicate["signed"]) is not bool:
        raise ValueError("a number or a truth value in another form")
    if not ids.valid(header.id) or not (header.about is None or ids.valid(header.about)):
        raise ValueError("not the id of a record")
    if len(set(names)) != len(names) or not all(ids.file_name(name) for name in names):
        raise ValueError("not the names of files")
    recorded = datetime.fromisoformat(header.recorded)
    if recorded.utcoffset() is None or recorded.year >= LATEST:
        raise ValueError("not a time with its offset")
    if header.kind == "correction" and not ids.valid(str(header.detail["corrects"])):
        raise ValueError("not the id of the record that it corrects")
    if header.kind == "batch summary":
        items = header.detail["items"]
        if len(set(items)) != len(items) or not all(map(ids.valid, items)):
            raise ValueError("not the ids of a batch")
    classes = {header.purpose.retention, *([header.detail.get("retention")] if header.kind == "retention" else [])}
    if not classes <= CLASSES.keys():
        raise ValueError("not a retention class")
