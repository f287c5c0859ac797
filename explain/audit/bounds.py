"""Names and notes as people type them: of bounded length, and text that can be written as UTF-8."""

from __future__ import annotations

import dataclasses
import unicodedata
from typing import TypeVar

from explain.errors import InputError
from explain.record import Record

R = TypeVar("R", bound=Record)
NAME = 200
"""Characters of a name: an actor, a case, a data set."""


def bounded(name: str, value: str | None, limit: int) -> str | None:
    """`value` without white space around it, or None where nothing is left; raises InputError."""
    if value is None or not value.strip():
        return None
    if len(value) > limit:
        raise InputError(f"Expected at most {limit:,} characters as {name}, got {len(value):,}.", code="too_long")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise InputError(f"The {name} holds half of a character (a lone surrogate).", code="invalid_unicode") from None
    return value.strip()


def named(record: R) -> R:
    """A record whose texts are bounded; empty ones become None where that is allowed."""
    found = {
        f.name: _visible(f.name.replace("_", " "), value, NAME)
        for f in dataclasses.fields(record)  # type: ignore[arg-type]
        if isinstance(value := getattr(record, f.name), str)
    }
    return dataclasses.replace(record, **found)  # type: ignore[type-var]


def _visible(name: str, value: str, limit: int) -> str | None:
    """The same for a name, which stands in lists and on terminals: one line that can be seen."""
    found = bounded(name, value, limit)
    kinds = {unicodedata.category(c) for c in found or ""}
    if kinds & {"Cc", "Zl", "Zp"}:
        raise InputError(f"The {name} holds line breaks or other control characters.", code="invalid_unicode")
    return found if any(kind[0] not in "CZ" for kind in kinds) else None
