"""Content under a key of its own: AES-256-GCM to hide it, HMAC-SHA256 to commit to it, one master key around all keys.

A bare hash of a short text can be guessed by trying texts; a keyed one cannot once the key is gone. Two keys are
derived from a record's key (HKDF-SHA256), so that the one that opens commitments can be shown without the other.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from explain.errors import AuditError

NONCE = 12
"""Bytes of a nonce, which precede what is encrypted."""


def fresh() -> bytes:
    """A new 256-bit key."""
    return secrets.token_bytes(32)


def encrypt(key: bytes, plain: bytes, about: str) -> bytes:
    """Nonce and ciphertext; `about` is authenticated with it and must be given again."""
    nonce = secrets.token_bytes(NONCE)
    return nonce + AESGCM(key).encrypt(nonce, plain, about.encode())


def decrypt(key: bytes, sealed: bytes, about: str) -> bytes:
    """What was encrypted; raises AuditError when bytes or key are not the ones that belong together."""
    try:
        return AESGCM(key).decrypt(sealed[:NONCE], sealed[NONCE:], about.encode())
    except (InvalidTag, ValueError):
        raise AuditError(
            f"The encrypted bytes of {about[:120]} are damaged or belong to another key.", code="damaged"
        ) from None


def content_key(key: bytes) -> bytes:
    """The key that a record's files are encrypted with."""
    return _derived(key, b"whyboard/1 content")


def commitment_key(key: bytes) -> bytes:
    """The key of a record's commitments; given away with a bundle, so that its reader can check them."""
    return _derived(key, b"whyboard/1 commitment")


def commitment(commit_key: bytes, plain: bytes) -> str:
    """HMAC-SHA256 of the content, as 64 hexadecimal digits."""
    return hmac.new(commit_key, plain, hashlib.sha256).hexdigest()


def _derived(key: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose).derive(key)
