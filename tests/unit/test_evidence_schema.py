"""Schemas: what a former version filed is read for ever, what a newer one files is refused in words, and nothing that
records hold changes without a new number.
"""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest

from explain import canonical, generation, replay, wire
from explain.audit import bundle, envelope
from explain.audit import records as audit
from explain.audit.records import Content, Header
from explain.audit.store import Store
from explain.engine import Model
from explain.errors import AuditError, InputError
from explain.generation import Generation
from explain.record import Record
from explain.records import SCHEMA, Explanation
from tests import verifier
from tests.evidence import rewrite, unzipped, zipped
from tests.examples import explanation

DATA = Path(__file__).resolve().parents[1] / "data"
NUMBERS = [int(schema.rpartition("/")[2]) for schema in audit.READ]


def parts_of(number: int) -> dict[str, bytes]:
    return unzipped((DATA / f"evidence-{number}.zip").read_bytes())


def header_of(parts: dict[str, bytes], place: int = 1) -> Header:
    return envelope.statement(envelope.unwrap(parts[f"envelopes/{place:012d}.json"], envelope.PAYLOAD))[0]


def shape(record: Any, seen: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    """Name and annotation of every field of a record, and of all records in it."""
    if record.__name__ not in seen:
        seen[record.__name__] = {f.name: spelled(record, str(f.type)) for f in dataclasses.fields(record)}
        for hint in get_type_hints(record).values():
            for inner in inside(hint):
                shape(inner, seen)
    return seen


def spelled(record: Any, annotation: str) -> str:
    """An annotation with the words that it allows in the place of their name: a further word is a change too."""

    def words(name: re.Match[str]) -> str:
        known = vars(sys.modules[record.__module__]).get(name[0])
        return f"Literal{list(get_args(known))}" if get_origin(known) is Literal else name[0]

    return re.sub(r"\b[A-Za-z_]\w*\b", words, annotation)


def inside(hint: Any) -> Iterator[type[Record]]:
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        yield hint
    for arg in get_args(hint):
        yield from inside(arg)


@pytest.mark.parametrize(
    ("schema", "roots"),
    [(audit.SCHEMA, (Header, Content)), (SCHEMA, (Explanation,)), (generation.SCHEMA, (Generation,))],
)
def test_what_is_recorded_does_not_change_without_a_new_number(schema: str, roots: tuple[type, ...]) -> None:
    seen: dict[str, dict[str, str]] = {}
    for root in roots:
        shape(root, seen)
    known = json.loads((DATA / "shapes.json").read_text("utf-8"))
    assert known.get(schema) == canonical.digest(seen), (
        f"Records of {schema} have other fields than before. Give the schema the next number, put the former one into "
        "READ, give new fields a default, add this digest under the new number to tests/data/shapes.json, and of "
        "evidence a bundle of the new schema to tests/data."
    )
    assert all(known[other] != known[schema] for other in known if other != schema)


@pytest.mark.parametrize("number", NUMBERS)
def test_a_bundle_of_every_schema_is_verified_by_both(number: int) -> None:
    data = (DATA / f"evidence-{number}.zip").read_bytes()
    verdict = bundle.verify(data)
    assert (verdict.faults, verdict.checked, verdict.erased) == ((), 4, 1)
    assert verifier.verify(data) == (0, [])
    parts = unzipped(data)
    parts["envelopes/000000000001.json"] = parts["envelopes/000000000001.json"].replace(b"e", b"f", 1)
    assert bundle.verify(zipped(parts)).exit_code == verifier.verify(zipped(parts))[0] == 3


@pytest.mark.parametrize("number", NUMBERS)
def test_a_record_of_every_schema_is_opened_and_computed_again(number: int, sentiment: Model) -> None:
    parts = parts_of(number)
    header = header_of(parts)
    content = wire.decode(Content, parts[f"files/{header.id}/record.json"])
    assert header.schema == content.schema == f"whyboard-evidence/{number}"
    assert (content.note, content.explanation.prediction.label) == (f"filed by schema {number}", "NEGATIVE")
    result = replay.replay(sentiment, header, content)
    assert result.holds, result.sentence


def test_a_bundle_of_this_schema_holds_every_field(tmp_path: Path) -> None:
    """Written again it is the same bytes: no field is new, and none is gone."""
    parts = parts_of(NUMBERS[-1])
    header = header_of(parts)
    predicate = json.loads(envelope.unwrap(parts["envelopes/000000000001.json"], envelope.PAYLOAD).payload)["predicate"]
    assert canonical.plain(header) == predicate
    data = parts[f"files/{header.id}/record.json"]
    assert canonical.encode(wire.decode(Content, data)) == data


def test_a_former_record_does_not_say_what_it_did_not_know() -> None:
    parts = parts_of(1)
    header = header_of(parts)
    content = wire.decode(Content, parts[f"files/{header.id}/record.json"])
    assert (header.manifest_sha256, header.environment.blas, header.environment.filed) == (None, None, None)
    assert (content.finite, content.beside, content.explanation.provenance.machine) == (None, None, None)


@pytest.mark.parametrize("record", [Content, Explanation])
def test_newer_content_needs_a_newer_whyboard(record: type[Record]) -> None:
    found = {**canonical.plain(explanation()), "schema": "explain/99", "new": 1}
    if record is Content:
        parts = parts_of(NUMBERS[-1])
        found = json.loads(parts[f"files/{header_of(parts).id}/record.json"])
        found |= {"schema": "whyboard-evidence/99", "new": 1}
    with pytest.raises(InputError, match="newer Whyboard") as refused:
        wire.decode(record, json.dumps(found))
    assert refused.value.code == "unknown_schema"


def test_a_newer_record_in_a_store_needs_a_newer_whyboard(tmp_path: Path) -> None:
    """One with a field that this version does not know: the number is looked at before the fields."""
    store = Store(tmp_path / "evidence")
    store.file(explanation())
    rewrite(store, 1, lambda s: s["predicate"].update(schema="whyboard-evidence/99", new=1))
    with pytest.raises(AuditError, match="newer Whyboard"):
        store.read(1)


def test_a_field_that_this_schema_does_not_have_is_a_fault(tmp_path: Path) -> None:
    store = Store(tmp_path / "evidence")
    store.file(explanation())
    rewrite(store, 1, lambda s: s["predicate"].update(new=1))
    with pytest.raises(AuditError, match="new"):
        store.read(1)
