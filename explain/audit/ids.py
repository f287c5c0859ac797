"""Record ids: UUID version 7 (RFC 9562), which sort by time. Python has them from 3.14 on."""

from __future__ import annotations

import re
import secrets
import time
import uuid

_FORM = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def new() -> str:
    """A fresh id: 48 bits of milliseconds, then version, variant and 74 random bits."""
    bits = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
    bits = bits & ~(0xF << 76) | 7 << 76
    bits = bits & ~(0b11 << 62) | 0b10 << 62
    return str(uuid.UUID(int=bits))


def valid(text: str) -> bool:
    """Is this such an id? Anything else never becomes part of a path."""
    return _FORM.fullmatch(text) is not None
