"""Checksums of what a training run wrote."""

from __future__ import annotations

import hashlib
from pathlib import Path


def write_checksums(folder: Path) -> None:
    """Write SHA256SUMS of the files that are loaded (weights and configuration), in the format of `sha256sum`."""
    files = sorted(f for f in folder.iterdir() if f.suffix in (".safetensors", ".json"))
    (folder / "SHA256SUMS").write_text("".join(f"{sha256(f)}  {f.name}\n" for f in files), encoding="utf-8")


def sha256(file: Path) -> str:
    """SHA-256 of a file, as 64 hexadecimal digits."""
    return hashlib.sha256(file.read_bytes()).hexdigest()
