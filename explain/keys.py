"""Roles and what each opens, for pages and for REST; and API keys, by which the service knows who asks.

The key file holds SHA-256 digests, never a key; a key is shown once, when it is made.

A key is 256 random bits, so that a plain digest cannot be guessed back; no slow hash is needed. A line of the file is
`name role digest`. Whoever may write the file decides who may ask.

The file is replaced whole, under a lock: nobody reads half of it, and two changes at once both count. A container must
therefore be given the file's folder: what mounts the file alone goes on showing the one that was replaced.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from filelock import FileLock, Timeout

from explain.errors import AccessError, InputError

Role = Literal["viewer", "analyst", "auditor", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)
MAY: dict[Role, frozenset[Role]] = {
    "viewer": frozenset({"viewer"}),
    "analyst": frozenset({"viewer", "analyst"}),
    "auditor": frozenset({"viewer", "auditor"}),
    "admin": frozenset(ROLES),
}
"""Role → the roles whose doors it opens: viewers see lists, analysts explain, auditors read records, admins all."""
Action = Literal[
    "see lists",
    "explain",
    "file evidence",
    "read evidence",
    "verify evidence",
    "export evidence",
    "review evidence",
    "keep evidence",
    "erase evidence",
    "see metrics",
]
DOORS: dict[Action, Role] = {
    "see lists": "viewer",
    "explain": "analyst",
    "file evidence": "analyst",
    "read evidence": "auditor",
    "verify evidence": "auditor",
    "export evidence": "auditor",
    "review evidence": "auditor",
    "keep evidence": "admin",
    "erase evidence": "admin",
    "see metrics": "admin",
}
"""Action → the role that it takes: the one table behind every REST address and everything that a page does."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_PREFIX = "wb_"
_WAIT = 10
"""Seconds to wait for another program that changes the file; a change takes milliseconds."""


@dataclass(frozen=True)
class Holder:
    """Somebody who asks: a name for logs and limits, and a role."""

    name: str
    role: Role

    def may(self, role: Role) -> bool:
        """Whether this role opens doors of that one."""
        return role in MAY[self.role]


class Keys:
    """The keys of one file, read again whenever it changes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._version: tuple[int, int] | None = None
        self._known: dict[str, Holder] = {}

    def holder(self, key: str) -> Holder | None:
        """Who holds this key; None if nobody does, or if the file cannot be read: then nobody is let in."""
        digest = _digest(key)
        try:
            known = self._read()
        except (OSError, InputError):
            return None
        # compared with all of them, in constant time, though digests give nothing away
        return next((who for theirs, who in known.items() if hmac.compare_digest(theirs, digest)), None)

    def holders(self) -> list[Holder]:
        """Everybody in the file, in its order; none if there is no file. Raises InputError if it cannot be read."""
        try:
            return list(self._read().values())
        except FileNotFoundError:
            return []
        except OSError as error:
            raise InputError(f"The key file cannot be read ({error.strerror}). Check EXPLAIN_KEYS.") from None

    def add(self, name: str, role: str) -> str:
        """Make a key and return it; it is stored nowhere.

        Raises InputError for a bad name or role, a known name, or a file that cannot be written.
        """
        if not _NAME.fullmatch(name):
            raise InputError("A key's name has up to 64 letters, digits, dots, hyphens and underscores.")
        if role not in ROLES:
            raise InputError(f"Expected a role of {', '.join(ROLES)}, got '{role[:40]}'.")
        key = _PREFIX + secrets.token_urlsafe(32)
        with self._alone():
            if any(h.name == name for h in self.holders()):
                raise InputError(f"There is a key named '{name}' already. Remove it first, or use another name.")
            self._write([*self._lines(), f"{name} {role} {_digest(key)}"])
        return key

    def remove(self, name: str) -> None:
        """Forget a key at once; raises InputError if there is none of that name, or the file cannot be written."""
        with self._alone():
            lines = self._lines()
            left = [line for line in lines if line.split()[:1] != [name]]
            if len(left) == len(lines):
                raise InputError(f"There is no key named '{name[:64]}'.")
            self._write(left)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the file for one change: what was read is what is changed, whoever else wants to change it."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(self.path.with_name(f"{self.path.name}.lock"), timeout=_WAIT, mode=0o600):
                yield
        except Timeout:
            raise InputError("Another program is changing the key file. Try again when it is done.") from None
        except OSError as error:
            raise InputError(f"The key file cannot be written ({error.strerror}). Check EXPLAIN_KEYS.") from None

    def _lines(self) -> list[str]:
        return self.path.read_text("utf-8").splitlines() if self.path.is_file() else []

    def _write(self, lines: list[str]) -> None:
        """Replace the file by one of the same owner and mode: the service that reads it may be another user."""
        fresh = self.path.with_name(f"{self.path.name}.new")
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write("".join(f"{line}\n" for line in lines))
                file.flush()
                os.fsync(file.fileno())
                if self.path.exists():
                    before = self.path.stat()
                    os.fchmod(handle, before.st_mode & 0o777)
                    if (before.st_uid, before.st_gid) != (os.getuid(), os.getgid()):
                        os.fchown(handle, before.st_uid, before.st_gid)
            fresh.replace(self.path)
        except OSError:
            fresh.unlink(missing_ok=True)
            raise

    def _read(self) -> dict[str, Holder]:
        stat = self.path.stat()
        if not stat.st_nlink:  # it was replaced, and what is mounted here is the file of before
            raise InputError("The key file was replaced. Mount its folder, so that the new one is seen; then restart.")
        if (version := (stat.st_mtime_ns, stat.st_ino)) != self._version:
            self._known = dict(_parsed(n, line) for n, line in enumerate(self._lines(), 1) if line.strip())
            self._version = version
        return self._known


def _parsed(number: int, line: str) -> tuple[str, Holder]:
    parts = line.split()
    if len(parts) != 3 or parts[1] not in ROLES or not re.fullmatch(r"[0-9a-f]{64}", parts[2]):
        raise InputError(f"Line {number} of the key file is not `name role digest`. Use `explain keys`.")
    return parts[2], Holder(parts[0], parts[1])  # type: ignore[arg-type]


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def bearer(header: str | None) -> str | None:
    """The key in an Authorization header; None without one. Raises AccessError for another scheme."""
    if header is None:
        return None
    scheme, _, key = header.partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise AccessError("Expected the header 'Authorization: Bearer KEY'.", code="unauthorized")
    return key.strip()
