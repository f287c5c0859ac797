"""Files that are there whole or not at all, also after the power went: temp, fsync, rename, fsync of the folder.

Files and folders that are made here are their owner's alone, whatever the umask is.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from explain.audit import ids
from explain.errors import AuditError


def write(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Write one file durably; whoever reads sees the old bytes or the new ones.

    Raises:
        AuditError: the disk is full or does not let us write; nothing was changed.
    """
    temp = path.with_name(f".{path.name}.{ids.new()}.tmp")
    try:
        make_folder(path.parent)
        _write(temp, data, mode)
        temp.rename(path)
        sync_folder(path.parent)
    except OSError as error:
        with suppress(OSError):
            temp.unlink(missing_ok=True)
        raise refused(error) from None


def write_folder(place: Path, temporary: Path, files: Mapping[str, bytes]) -> None:
    """Write a folder of files durably: it appears under its name with all of them, or not at all."""
    try:
        make_folder(temporary.parent)
        temporary.mkdir(mode=0o700)
        for name, data in files.items():
            _write(temporary / name, data, 0o600)
        sync_folder(temporary)
        if not place.parent.is_dir():
            make_folder(place.parent)
            sync_folder(place.parent.parent)
        temporary.rename(place)
        sync_folder(place.parent)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise refused(error) from None


def make_folder(folder: Path) -> None:
    """Make a folder, and every one above it that is missing, for their owner's eyes; what is there stays as it is."""
    for one in [*reversed(folder.parents), folder]:
        if not one.is_dir():
            one.mkdir(mode=0o700, exist_ok=True)


def sync_folder(folder: Path) -> None:
    """Make what happened to a folder's names durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def refused(error: OSError) -> AuditError:
    """A fault of the disk in one sentence, without the folders of this machine."""
    why = (error.strerror or type(error).__name__).lower()
    return AuditError(
        f"The record was not filed: the disk says “{why}”. Nothing was changed; make room or mend it, then file again.",
        code="storage",
    )


def _write(path: Path, data: bytes, mode: int) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(handle, view) :]
        os.fsync(handle)
    finally:
        os.close(handle)
