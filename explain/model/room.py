"""Whether weights fit into memory: looked at before a byte of them is read, since a file may claim any size."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from explain.errors import ModelError

SYSTEM, GROUP = "/proc/meminfo", "/sys/fs/cgroup"
"""Where Linux says what the machine has left, and what a container of control groups (v2) may have."""


def free() -> int | None:
    """Bytes of memory that can be had now, in this container where it has a limit; None where nobody says."""
    known = [size for size in (_left_on_the_machine(), _left_in_the_group()) if size is not None]
    return min(known, default=None)


def _left_on_the_machine() -> int | None:
    with contextlib.suppress(OSError, KeyError, ValueError):
        return int(_table(SYSTEM)["MemAvailable:"]) * 1024
    return None


def _left_in_the_group() -> int | None:
    """What the limit leaves; pages of files that nobody uses can be had."""
    with contextlib.suppress(OSError, KeyError, ValueError):  # 'max' is no number: no limit
        (limit, *_), (used, *_) = _table(f"{GROUP}/memory.max"), _table(f"{GROUP}/memory.current")
        return max(0, int(limit) - int(used) + int(_table(f"{GROUP}/memory.stat")["inactive_file"]))
    return None


def _table(path: str) -> dict[str, str]:
    """Lines of a name, and perhaps a value."""
    with open(path, encoding="ascii") as file:  # noqa: PTH123 - not a file on a disk
        return {name: value for name, value, *_ in (f"{line} 0".split() for line in file)}


def require(files: Sequence[Path]) -> None:
    """Raises ModelError (code out_of_memory) if these weights alone take more memory than there is."""
    size, have = sum(file.stat().st_size for file in files), free()
    if have is not None and size > have:
        raise ModelError(
            f"The weights take {size / 2**30:.1f} GiB, and {have / 2**30:.1f} GiB of memory are free. Use a smaller "
            "model, or a machine with more memory.",
            code="out_of_memory",
        )
