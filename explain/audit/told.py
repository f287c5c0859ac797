"""What an envelope and a content tell of each other, read without building the content."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from explain.audit.records import Header


@dataclass(frozen=True)
class Told:
    """What a record's content says without being built: whose it is, the decision's label (empty where its prediction
    is none), and the schema of what is filed beside it.
    """

    id: object
    label: str
    beside: object


def told(plain: bytes) -> Told | None:
    """What a content says; None where it is no record."""
    try:
        found = json.loads(plain)
        said, beside = found["explanation"]["prediction"], found.get("beside")
        schema = None if beside is None else beside["answer"]["schema"]
        if not isinstance(said, dict):
            return None
        return Told(found["id"], _label(said), schema)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _label(said: Mapping[str, Any]) -> str:
    try:
        if said["activation"] == "none":
            return f"{said['logits'][0]:.4g}"[:200]
        return (", ".join(said["labels"][i] for i in said["decision"]) or "none")[:200]
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError):
        return ""


def spoken_of(header: Header) -> tuple[str, ...]:
    """Ids of the records that one speaks about: the one it is about or corrects, or the items of a batch."""
    about = () if header.about is None else (header.about,)
    corrected = (str(header.detail["corrects"]),) if header.kind == "correction" else ()
    return (*about, *corrected, *(map(str, header.detail["items"]) if header.kind == "batch summary" else ()))


def names_its_files(header: Header, subject: Mapping[str, str], known: Mapping[str, str]) -> bool:
    """Is the subject what the header says: its files, and the envelopes (if `known`, by id) that it speaks about?"""
    named = {f.name: f.sha256 for f in header.files}
    named |= {one: known.get(one, subject.get(one, "")) for one in spoken_of(header)}
    return named == dict(subject)


def contradictions(found: Told | None, header: Header) -> Iterator[str]:
    """What a content says otherwise than its envelope."""
    if found is None:
        yield "it is no record"
    elif found.id != header.id:
        yield "it is the content of another record"
    elif found.beside != header.detail.get("beside"):
        yield "the envelope names another second answer than the record holds"
