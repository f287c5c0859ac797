"""Where a job's answers are kept: in memory or, where EXPLAIN_JOBS names a folder, in one file for each job.

The first line of a file says what was asked, texts included; each further line is a row that is over, with its number,
in the order in which they ended, or says that the owner cancelled the job. Whatever ends the service, a row is there
whole or not at all: a last line without its end is cut off, and that row is asked again. Answers of a file stay there;
only where they lie is in memory.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, Protocol

from explain import canonical
from explain.errors import ExplainError, InputError

_ROW = re.compile(rb'\{"row":(\d{1,9}),"failed":(true|false),"found":')
_STOPPED = b'{"cancelled":true}\n'
_NAME = re.compile(r"[0-9a-f]{32}\.jsonl")


class Rows(Protocol):
    """The answers of one job: canonical JSON, a problem where `failed`, by the row's number from 0."""

    failed: set[int]
    size: int
    """Bytes of them in memory."""
    cancelled: bool
    """Whether the owner ended the job, as far as it is written, and no row has come since."""

    def put(self, row: int, content: bytes, failed: bool) -> None:
        """Keep the answer of a row that has none."""

    def get(self, row: int) -> bytes | None:
        """A row's answer; None where there is none yet."""

    def stop(self) -> None:
        """Note that the owner ended the job, for whoever reads it after a restart."""

    def drop(self) -> None:
        """Forget all of them, for good."""

    def __contains__(self, row: object) -> bool: ...

    def __len__(self) -> int: ...


class Kept(dict[int, bytes]):
    """Rows in memory."""

    cancelled = False

    def __init__(self) -> None:
        super().__init__()
        self.failed: set[int] = set()
        self.size = 0

    def put(self, row: int, content: bytes, failed: bool) -> None:
        """See Rows."""
        self[row] = content
        self.size += len(content)
        self.failed |= {row} if failed else set()

    def stop(self) -> None:
        """See Rows; nobody reads these after a restart."""

    def drop(self) -> None:
        """See Rows."""
        self.clear()
        self.size = 0


class Written:
    """Rows in a file. Not synchronised with the disk: what a power failure takes is asked again."""

    size = 0

    def __init__(self, path: Path) -> None:
        self.path = path
        self.failed: set[int] = set()
        self.cancelled = False
        self._places: dict[int, tuple[int, int]] = {}

    def put(self, row: int, content: bytes, failed: bool) -> None:
        """See Rows. Raises InputError, code storage, where the disk does not take it."""
        head = b'{"row":%d,"failed":%s,"found":' % (row, b"true" if failed else b"false")
        before = None
        try:
            with self.path.open("ab") as file:
                before = file.tell()
                file.write(head + content + b"}\n")
        except OSError as error:
            if before is not None:
                with contextlib.suppress(OSError):
                    os.truncate(self.path, before)
            raise _full(error) from None
        self._note(row, failed, before + len(head), len(content))

    def get(self, row: int) -> bytes | None:
        """See Rows."""
        if row not in self._places:
            return None
        start, length = self._places[row]
        with self.path.open("rb") as file:
            file.seek(start)
            return file.read(length)

    def stop(self) -> None:
        """See Rows. A disk that does not take it keeps nobody from ending a job."""
        with contextlib.suppress(OSError), self.path.open("ab") as file:
            file.write(_STOPPED)
            self.cancelled = True

    def drop(self) -> None:
        """See Rows."""
        self.path.unlink(missing_ok=True)
        self._places.clear()

    def __contains__(self, row: object) -> bool:
        return row in self._places

    def __len__(self) -> int:
        return len(self._places)

    def found(self) -> dict[str, Any]:
        """Read the file from its beginning: what was asked; the rows are known from then on. Raises ValueError."""
        with self.path.open("rb+") as file:
            line = file.readline()
            if not line.endswith(b"\n") or not isinstance(asked := json.loads(line), dict):
                raise ValueError("no job begins here")
            place = file.tell()
            for line in file:
                head = _ROW.match(line)
                if head is not None and line.endswith(b"}\n"):
                    self._note(int(head[1]), head[2] == b"true", place + head.end(), len(line) - head.end() - 2)
                elif line == _STOPPED:
                    self.cancelled = True
                else:
                    break
                place += len(line)
            file.truncate(place)
        return asked

    def _note(self, row: int, failed: bool, start: int, length: int) -> None:
        self._places[row], self.cancelled = (start, length), False
        self.failed |= {row} if failed else set()


class Shelf:
    """The folder of all jobs of one service; its files are for their owner only.

    Raises:
        InputError: the folder cannot be used (code storage), or another service uses it (code folder_in_use).
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise _full(error) from None
        with contextlib.suppress(ImportError):
            import fcntl  # not everywhere

            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the system lets go of it, however we end
            except OSError:
                os.close(self._lock)
                raise InputError(
                    "Another service uses the folder that EXPLAIN_JOBS names. Give each one its own.",
                    code="folder_in_use",
                ) from None

    def begin(self, job: str, asked: dict[str, Any]) -> Written:
        """A new file, with what was asked on the disk; raises InputError, code storage."""
        path = self.folder / f"{job}.jsonl"
        try:
            number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(number, "wb") as file:
                file.write(canonical.encode(asked) + b"\n")
                file.flush()
                os.fsync(number)
        except OSError as error:
            path.unlink(missing_ok=True)
            raise _full(error) from None
        return Written(path)

    def all(self) -> Iterator[tuple[dict[str, Any], Written, float]]:
        """Every job that is there, by its age: what was asked, its rows, and seconds since the last one ended.

        A file that is none of ours, or whose beginning is broken, is left alone.
        """
        files = [p for p in self.folder.iterdir() if _NAME.fullmatch(p.name)]
        for path in sorted(files, key=lambda p: p.stat().st_mtime):
            rows, since = Written(path), max(0.0, time.time() - path.stat().st_mtime)
            with contextlib.suppress(ValueError, OSError):
                yield rows.found(), rows, since

    def sweep(self, seconds: float, known: Collection[str]) -> None:
        """Delete jobs that nobody knows and nobody wrote to for so long: what they hold must not stay for ever because
        this service cannot read it, or would refuse it.
        """
        for path in self.folder.iterdir():
            if _NAME.fullmatch(path.name) and path.stem not in known:
                with contextlib.suppress(OSError):
                    if time.time() - path.stat().st_mtime > seconds:
                        path.unlink()

    def close(self) -> None:
        """Let another service use the folder."""
        os.close(self._lock)


def _full(error: OSError) -> ExplainError:
    return InputError(f"A job cannot be written ({error.strerror}). Make room, or unset EXPLAIN_JOBS.", code="storage")
