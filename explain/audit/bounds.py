"""Names and notes as people type them: of bounded length, and text that can be written as UTF-8."""

from __future__ import annotations

import dataclasses
from typing import TypeVar

from explain.audit.records import Who
from explain.errors import InputError
from explain.notices import unseen
from explain.record import Record

R = TypeVar("R", bound=Record)
NAME = 200
"""Characters of a name: an actor, a case, a data set."""
REASON = 400
"""Characters of the reason of an erasure or a legal hold."""
BREAKS = "\t\n\r\u2028\u2029"


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


def one_line(name: str, value: str | None, limit: int) -> str | None:
    """The same for what stands in lists and terminals: nothing in it acts unseen or breaks the line."""
    found = bounded(name, value, limit)
    acting = [*(found[i] for i in unseen(found)), *(c for c in found if c in BREAKS)] if found else []
    if acting:
        raise InputError(
            f"The {name} holds a character that is not seen, U+{ord(acting[0]):04X}. Write it in one line without it.",
            code="invalid_unicode",
        )
    return found


def accounted(act: str, who: Who, reason: str | None) -> str:
    """The reason of an act that somebody has to answer for; raises InputError where it, or their name, is missing."""
    given = one_line("reason", reason, REASON)
    if not named(who).actor or not given:
        raise InputError(f"The {act} needs the name of who does it, and a reason.", code="bad_actor")
    return given


def named(record: R) -> R:
    """A record whose texts are bounded lines; empty ones become None where that is allowed."""
    found = {
        f.name: one_line(f.name.replace("_", " "), value, NAME)
        for f in dataclasses.fields(record)  # type: ignore[arg-type]
        if isinstance(value := getattr(record, f.name), str)
    }
    return dataclasses.replace(record, **found)  # type: ignore[type-var]
