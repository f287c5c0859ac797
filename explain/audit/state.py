"""What later events made of a record: held, erased, reviewed, kept how long. It follows from the chain alone."""

from __future__ import annotations

from dataclasses import dataclass, replace

from explain.audit.records import Header
from explain.audit.retention import due


@dataclass(frozen=True)
class State:
    """The columns of a record that events change. `review` is agree, disagree or None; times are UTC in ISO 8601."""

    retention: str
    due: str | None
    held: bool = False
    erased: bool = False
    review: str | None = None
    signed_off: bool = False


def first(header: Header) -> State:
    """The state of a record as it is filed."""
    return State(header.purpose.retention, due(header.recorded, header.purpose.retention))


def after(state: State, recorded: str, event: Header) -> State:
    """The state once an event about the record, which was `recorded` then, has happened."""
    if event.kind in ("hold", "release"):
        return replace(state, held=event.kind == "hold")
    if event.kind == "erase":
        return replace(state, erased=True)
    if event.kind == "retention":
        wish = str(event.detail.get("retention"))
        return replace(state, retention=wish, due=due(recorded, wish))
    if event.kind == "review":
        off = bool(event.detail.get("signed_off"))  # of this verdict: nobody signed a later one off by the one before
        return replace(state, review=str(event.detail.get("verdict")), signed_off=off)
    return state
