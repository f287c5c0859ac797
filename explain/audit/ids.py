"""Record ids, UUID version 7 (RFC 9562), which sort by time (Python has them from 3.14 on), and names of files."""

from __future__ import annotations

import re
import secrets
import time
import uuid

_FORM = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


def new(after: str = "") -> str:
    """A fresh id: 48 bits of milliseconds, then version, variant and 74 random bits. It sorts behind `after`, an id,
    which it counts on where the clock did not.
    """
    bits = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
    bits = bits & ~(0xF << 76) | 7 << 76
    bits = bits & ~(0b11 << 62) | 0b10 << 62
    found = str(uuid.UUID(int=bits))
    return found if found > after else str(uuid.UUID(int=uuid.UUID(after).int + 1))


def valid(text: str) -> bool:
    """Is this such an id? Anything else never becomes part of a path."""
    return _FORM.fullmatch(text) is not None


def file_name(text: str) -> bool:
    """Is this the name of a record's file? It is one in a folder and in a zip file alike."""
    return _NAME.fullmatch(text) is not None
