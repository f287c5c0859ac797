"""Whether weights fit into memory: looked at before a byte of them is read, since a file may claim any size."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from explain.errors import ModelError


def free() -> int | None:
    """Bytes of memory that can be had now; None where the system does not say."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:  # noqa: PTH123 - not a file on a disk
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError):
        return None


def require(files: Sequence[Path]) -> None:
    """Raises ModelError (code out_of_memory) if these weights alone take more memory than there is."""
    size, have = sum(file.stat().st_size for file in files), free()
    if have is not None and size > have:
        raise ModelError(
            f"The weights take {size / 2**30:.1f} GiB, and {have / 2**30:.1f} GiB of memory are free. Use a smaller "
            "model, or a machine with more memory.",
            code="out_of_memory",
        )
