"""Signed notes of how long the chain is and how it ends, kept in a second place.

Whoever cuts records off the end of a chain, or writes the whole chain anew with a stolen key, contradicts a
checkpoint that they cannot reach. The second place should be one that the store's owner cannot change alone.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import rfc8785
from securesystemslib.dsse import Envelope
from securesystemslib.signer import CryptoSigner

from explain.audit import envelope, files
from explain.errors import AuditError

PAYLOAD = "application/vnd.whyboard.checkpoint+json"


@dataclass(frozen=True)
class Checkpoint:
    """The store held `size` records at `time` (UTC), and `head` was the SHA-256 of the last envelope."""

    store: str
    size: int
    head: str
    time: str


def write(folder: Path, checkpoint: Checkpoint, signers: tuple[CryptoSigner, ...]) -> Path:
    """Add a checkpoint to a folder."""
    data = envelope.wrap(rfc8785.dumps(vars(checkpoint)), PAYLOAD, signers)
    path = folder / checkpoint.store / f"{checkpoint.size:012d}.json"
    files.write(path, data)
    return path


def read(data: bytes) -> tuple[Checkpoint, Envelope]:
    """A checkpoint and the envelope that it came in, whose signatures nobody has looked at; raises AuditError."""
    wrapped = envelope.unwrap(data, PAYLOAD)
    try:
        found = Checkpoint(**json.loads(wrapped.payload))
        if not isinstance(found.size, int) or not all(
            isinstance(v, str) for k, v in vars(found).items() if k != "size"
        ):
            raise ValueError
    except (ValueError, TypeError, RecursionError):
        raise AuditError("Not a checkpoint as Whyboard writes it.", code="not_evidence") from None
    return found, wrapped


def newest(folder: Path, store: str) -> Path | None:
    """The file of the largest checkpoint of a store."""
    found = (path for path in (folder / store).glob("*.json") if re.fullmatch(r"[0-9]{12}", path.stem))
    return max(found, default=None)
