"""A bundle's zip file: its parts, and nothing before, between or behind them."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import PurePosixPath

from explain.errors import AuditError

LARGEST = 512 * 2**20
"""Bytes of content of the largest bundle that is opened."""
_CENTRAL, _END = 46, 22
"""Bytes of a zip file's directory for each part, without its name, and at its end."""


def pack(parts: Mapping[str, bytes]) -> bytes:
    """A zip file of these parts; equal parts give equal bytes."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name in sorted(parts):
            zipped.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), parts[name], zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def unpack(data: bytes) -> dict[str, bytes]:
    """The parts of a zip file by name.

    Raises:
        AuditError: it is none, holds a name twice or too much, or bytes that belong to no part.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as zipped:
            listed = zipped.infolist()
            if len({info.filename for info in listed}) != len(listed):
                raise AuditError("The bundle holds a file twice.", code="not_evidence")
            if sum(info.file_size for info in listed) > LARGEST:
                raise AuditError(f"The bundle holds more than {LARGEST:,} bytes.", code="not_evidence")
            if any(i.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for i in listed):
                raise AuditError("The bundle is compressed in a way that no bundle is.", code="not_evidence")
            if not _dense(data, listed):
                raise AuditError("The bundle holds bytes that belong to no file in it.", code="not_evidence")
            return {info.filename: _part(data, info) for info in listed}
    except AuditError:
        raise
    except Exception as error:  # whatever a library raises over what is no zip file
        said = str(error)[:120] or type(error).__name__
        raise AuditError(f"Not a bundle: {said}.", code="not_evidence") from None


def numbered(name: str) -> int:
    """The number that a part is named by."""
    return int(PurePosixPath(name).stem)


def _dense(data: bytes, listed: list[zipfile.ZipInfo]) -> bool:
    """Does each part begin where the one before it ends, then the directory, then the end, with nothing else?"""
    at = 0
    for info in sorted(listed, key=lambda i: i.header_offset):
        header = info.FileHeader(zip64=False)  # as the directory tells it, and nothing more
        if info.header_offset != at or data[at : at + len(header)] != header or info.extra or info.comment:
            return False
        at += len(header) + info.compress_size
    at += sum(_CENTRAL + len(info.filename.encode()) for info in listed)
    return len(data) == at + _END


def _part(data: bytes, info: zipfile.ZipInfo) -> bytes:
    """A part of the zip file, which must be what it claims, to its last byte: more is never unpacked."""
    start = info.header_offset + len(info.FileHeader(zip64=False))
    packed = data[start : start + info.compress_size]
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    deflated = info.compress_type == zipfile.ZIP_DEFLATED
    plain = stream.decompress(packed, info.file_size + 1) if deflated else packed
    whole = not deflated or (stream.eof and not stream.unused_data)
    if not whole or len(plain) != info.file_size or zlib.crc32(plain) != info.CRC:
        raise AuditError("The bundle holds a file that is not as it claims.", code="not_evidence")
    return plain
