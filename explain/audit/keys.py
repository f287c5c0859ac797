"""Keys on disk: one that signs (Ed25519), one that wraps the keys of records, and the public ones that are believed.

`signing.pem` and `master.key` are readable by their owner alone. `trusted/` holds public keys, one file each, named by
fingerprint: SHA-256 of the 32 bytes of the key, in hexadecimal.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from securesystemslib.signer import CryptoSigner, SSlibKey

from explain.audit import files, sealing
from explain.errors import AuditError

WAITING = "signing.next.pem"
"""The key that signs next, while the record of the change is being filed."""


def fingerprint(public: Ed25519PublicKey) -> str:
    """SHA-256 of the public key's 32 bytes."""
    return hashlib.sha256(public.public_bytes_raw()).hexdigest()


def as_key(public: Ed25519PublicKey) -> SSlibKey:
    """The form in which securesystemslib verifies with it."""
    return SSlibKey.from_crypto(public, keyid=fingerprint(public))


def pem(public: Ed25519PublicKey) -> bytes:
    """The public key as a PEM file."""
    return public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def read_public(data: bytes) -> Ed25519PublicKey:
    """A public key from PEM; raises AuditError when it is none."""
    try:
        found = serialization.load_pem_public_key(data)
    except (ValueError, TypeError):
        found = None
    if not isinstance(found, Ed25519PublicKey):
        raise AuditError("Expected an Ed25519 public key as a PEM file, got something else.", code="bad_key")
    return found


@dataclass(frozen=True)
class Keys:
    """The keys below a folder."""

    folder: Path

    def signer(self) -> CryptoSigner:
        """What signs; made at first use."""
        private = self._private()
        return CryptoSigner(private, as_key(private.public_key()))

    def master(self, *, make: bool = False) -> bytes:
        """The 32 bytes around the keys of records; only who files the first record may `make` them.

        Raises:
            AuditError: it is missing or damaged.
        """
        try:
            found = self._kept("master.key", sealing.fresh()) if make else (self.folder / "master.key").read_bytes()
        except OSError:
            raise AuditError(
                "The master key is missing, or cannot be read. Put back its backup.", code="bad_key"
            ) from None
        if len(found) != 32:
            raise AuditError("The master key is damaged. Put back its backup.", code="bad_key")
        return found

    def trusted(self) -> dict[str, SSlibKey]:
        """The public keys that are believed, by fingerprint."""
        found = [read_public(path.read_bytes()) for path in sorted((self.folder / "trusted").glob("*.pem"))]
        return {fingerprint(public): as_key(public) for public in found}

    def successor(self) -> CryptoSigner:
        """A new signing key that waits on the disk, and is believed, until `succeed`."""
        new = Ed25519PrivateKey.generate()
        files.write(self._trusted_file(new.public_key()), pem(new.public_key()))
        files.write(self.folder / WAITING, _private_pem(new))
        return CryptoSigner(new, as_key(new.public_key()))

    def waiting(self) -> str | None:
        """Fingerprint of the key that waits; None where none does."""
        try:
            return fingerprint(_private((self.folder / WAITING).read_bytes()).public_key())
        except OSError:
            return None

    def succeed(self, *, filed: bool) -> None:
        """Let the waiting key sign from now on if its record was `filed`, else forget it."""
        waiting = self.folder / WAITING
        try:
            waiting.rename(self.folder / "signing.pem") if filed else waiting.unlink()
            files.sync_folder(self.folder)
        except OSError as error:
            raise files.refused(error) from None

    def _private(self) -> Ed25519PrivateKey:
        found = _private(self._kept("signing.pem", _private_pem(Ed25519PrivateKey.generate())))
        place = self._trusted_file(found.public_key())
        if not place.exists():
            files.write(place, pem(found.public_key()))
        return found

    def _trusted_file(self, public: Ed25519PublicKey) -> Path:
        return self.folder / "trusted" / f"{fingerprint(public)}.pem"

    def _kept(self, name: str, otherwise: bytes) -> bytes:
        """A key file's bytes; a new one is linked into place, so that of two processes both use the first."""
        path = self.folder / name
        try:
            return path.read_bytes()
        except FileNotFoundError:
            pass
        draft = self.folder / f".{name}.{sealing.fresh().hex()[:16]}"
        try:
            files.write(draft, otherwise)
            try:
                path.hardlink_to(draft)
                files.sync_folder(self.folder)
            except FileExistsError:
                pass
            draft.unlink()
            return path.read_bytes()
        except OSError as error:
            raise files.refused(error) from None


def _private(data: bytes) -> Ed25519PrivateKey:
    try:
        found = serialization.load_pem_private_key(data, password=None)
    except (ValueError, TypeError):
        found = None
    if not isinstance(found, Ed25519PrivateKey):
        raise AuditError("The signing key is damaged. Put back its backup.", code="bad_key")
    return found


def _private_pem(private: Ed25519PrivateKey) -> bytes:
    return private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
