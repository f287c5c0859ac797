"""Is this machine's clock synchronised? Linux says so; elsewhere it is not known."""

from __future__ import annotations

import ctypes

UNKNOWN = "this machine's; whether it is synchronised is not known"
_ERROR = 5
"""What adjtimex(2) answers of a clock that nothing synchronises (TIME_ERROR)."""


def state() -> str:
    """What is known of this machine's clock, in words."""
    return words(_asked())


def words(answer: int) -> str:
    """The answer of adjtimex(2) in words."""
    if answer < 0:
        return UNKNOWN
    return f"this machine's; {'not synchronised' if answer == _ERROR else 'synchronised'}"


def _asked() -> int:
    """Answer of adjtimex(2), which changes nothing where it is given zeros; -1 where it cannot be asked."""
    try:
        return int(ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(512)))
    except (OSError, AttributeError, TypeError):
        return -1
