"""Each check of the two verifiers by itself: whoever broke the record has its key and chained the rest anew.

What is written here is right in every other way, so that a check that is left out lets it through.
"""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import rfc8785

from explain.audit import bundle, checkpoints, envelope, ids, sealing, verify
from explain.audit.entry import RECORD
from explain.audit.keys import Keys
from explain.audit.records import Who
from explain.audit.store import Store
from explain.errors import AuditError
from explain.records import Explanation
from tests import verifier
from tests.evidence import Edit, both, faults, filled, rewrite, signed_anew, sql, unzipped, zipped
from tests.examples import explanation

OTHER = "f" * 64


@pytest.fixture(scope="module")
def found() -> Explanation:
    return explanation()


@pytest.fixture
def store(tmp_path: Path, found: Explanation) -> Store:
    """Two records, a review of the second, and a note about the first; a checkpoint at the end."""
    store = filled(tmp_path, found, 2)
    store.review(store.read(2).header.id, Who("bob"), agree=True, note="fine")
    store.add("note", store.read(1).header.id, Who("bob"), note="seen")
    store.checkpoint()
    return store


def header(**values: Any) -> Edit:
    return lambda statement: statement["predicate"].update(values)


def in_file(**values: Any) -> Edit:
    return lambda statement: statement["predicate"]["files"][0].update(values)


def about(digest: str) -> Edit:
    """The subject of a review names another envelope of the record that it is about."""

    def edit(statement: dict[str, Any]) -> None:
        record = statement["predicate"]["about"]
        next(s for s in statement["subject"] if s["name"] == record)["digest"]["sha256"] = digest

    return edit


def test_what_is_chained_anew_and_not_changed_holds(store: Store) -> None:
    rewrite(store, 1, lambda statement: None)
    assert faults(store) == set()
    both(bundle.write(store), None)


ALONE: dict[str, tuple[int, Edit, str, str, str]] = {
    "previous": (4, header(previous=OTHER), "V2", "does not follow", "does not follow"),
    "store": (4, header(store=ids.new()), "V2", "belongs to another store", "from different stores"),
    "commitment": (1, in_file(commitment=OTHER), "V1", "committed to", "committed to"),
    "size": (1, in_file(size=7), "V1", "committed to", "committed to"),
    "subject, a digest": (
        1,
        lambda s: s["subject"][0]["digest"].update(sha256=OTHER),
        *("V1", "subject does not name", "subject does not name"),
    ),
    "subject, one less": (1, lambda s: s["subject"].pop(), "V1", "subject does not name", "subject does not name"),
    "subject, one more": (
        1,
        lambda s: s["subject"].append({"name": "x", "digest": {"sha256": OTHER}}),
        *("V1", "subject does not name", "subject does not name"),
    ),
    "subject, about": (3, about(OTHER), "V1", "subject does not name", "subject does not name"),
    "beside": (
        1,
        lambda s: s["predicate"].update(detail={"beside": "road/1"}),
        *("V1", "another second answer", "another second answer"),
    ),
}


@pytest.mark.parametrize("name", ALONE)
def test_one_thing_wrong_is_the_one_that_is_found(store: Store, name: str) -> None:
    number, edit, level, in_store, in_bundle = ALONE[name]
    exported = unzipped(bundle.write(store))
    rewrite(store, number, edit)
    found = faults(store)
    assert {a for a, _ in found} == {level}
    assert all(in_store in what for _, what in found)
    with sqlite3.connect(store.home / "evidence.db") as connection:
        for sequence, data in connection.execute("SELECT sequence, bytes FROM envelopes"):
            exported[f"envelopes/{sequence:012d}.json"] = data
    both(zipped({n: c for n, c in exported.items() if not n.startswith("checkpoints/")}), in_bundle, level)


UNREAD: dict[str, tuple[Edit, str]] = {
    "statement type": (lambda s: s.update(_type="x"), "another statement type"),
    "predicate type": (lambda s: s.update(predicateType="x"), "another statement type"),
    "schema": (header(schema="whyboard-evidence/99"), "newer Whyboard"),
    "subject, twice": (lambda s: s["subject"].append(s["subject"][0]), "a subject twice"),
}


@pytest.mark.parametrize("name", UNREAD)
def test_what_is_no_record_is_not_read_as_one(store: Store, name: str) -> None:
    edit, what = UNREAD[name]
    parts = unzipped(bundle.write(store))
    name = "envelopes/000000000004.json"
    parts[name] = signed_anew(store, parts[name], edit)
    sql(store, "UPDATE envelopes SET bytes = ? WHERE sequence = 4", parts[name])
    assert any(what in said for _, said in faults(store))
    verdict, (code, theirs) = bundle.verify(zipped(parts)), verifier.verify(zipped(parts))
    assert (verdict.exit_code, code) == (3, 3)
    assert [f.what for f in verdict.faults if f.where == name and what in f.what]
    assert [one for one in theirs if one.startswith(name)]


def test_another_number_than_its_own_is_found(store: Store) -> None:
    exported = unzipped(bundle.write(store))
    rewrite(store, 4, header(sequence=9))
    assert ("V2", "its envelope says that it is number 9") in faults(store)
    with sqlite3.connect(store.home / "evidence.db") as connection:
        (data,) = connection.execute("SELECT bytes FROM envelopes WHERE sequence = 4").fetchone()
    exported["envelopes/000000000004.json"] = data
    both(zipped({n: c for n, c in exported.items() if not n.startswith("checkpoints/")}), "number 9", "V2")


def test_an_event_about_a_record_that_is_not_there_is_found(store: Store) -> None:
    nowhere = ids.new()

    def edit(statement: dict[str, Any]) -> None:
        record, statement["predicate"]["about"] = statement["predicate"]["about"], nowhere
        next(s for s in statement["subject"] if s["name"] == record)["name"] = nowhere

    rewrite(store, 4, edit)
    sql(store, "UPDATE entries SET about = ? WHERE sequence = 4", nowhere)
    assert faults(store) == {("V2", "it is about a record that is not there")}
    both(bundle.write(store), "not there", "V2")


def test_a_gap_is_found_where_the_chain_was_mended_around_it(store: Store) -> None:
    """Record 2 and its review are gone, and the note names record 1 as the one before it."""
    record = store.read(2).header.id
    sql(store, "DELETE FROM keys WHERE id IN (SELECT id FROM entries WHERE id = ? OR about = ?)", record, record)
    for table in ("envelopes", "entries"):
        sql(store, f"DELETE FROM {table} WHERE sequence IN (2, 3)")
    rewrite(store, 4, lambda statement: None)
    assert faults(store) == {("V2", "records 2 to 3 are missing")}
    first = store.read(1).header.id
    both(bundle.write(store, first), None)  # of one record: what is between is not in it
    sql(store, "UPDATE entries SET sequence = 3 WHERE sequence = 4")
    sql(store, "UPDATE envelopes SET sequence = 3 WHERE sequence = 4")
    rewrite(store, 3, header(sequence=3))
    assert faults(store) == {("V2", "records 2 to 2 are missing")}


def test_a_gap_in_the_bundle_of_a_store_is_found(store: Store, found: Explanation) -> None:
    store.file(found)
    parts = {n: c for n, c in unzipped(bundle.write(store)).items() if not n.startswith("checkpoints/")}
    del parts["envelopes/000000000004.json"]  # the note, which nothing is about
    note = store.read(4).header.id
    parts = {n: c for n, c in parts.items() if note not in n}
    parts["envelopes/000000000005.json"] = signed_anew(
        store, parts["envelopes/000000000005.json"], header(previous=store.read(3).digest)
    )
    both(zipped(parts), "missing between", "V2")


def test_a_cut_end_is_found_by_the_checkpoint_alone(store: Store) -> None:
    note = store.read(4).header.id
    sql(store, "DELETE FROM keys WHERE id = ?", note)
    for table in ("envelopes", "entries"):
        sql(store, f"DELETE FROM {table} WHERE sequence = 4")
    assert faults(store) == {("V2", "it counts 4 records, and there are 3: the end is cut off")}
    both(bundle.write(store), "the end is cut off", "V2")


def test_a_review_without_its_record_is_found(store: Store) -> None:
    record = store.read(2).header.id
    parts = {n: c for n, c in unzipped(bundle.write(store, record)).items() if record not in n}
    del parts["envelopes/000000000002.json"]
    both(zipped(parts), "the others are about is missing", "V2")


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"head": OTHER}, "not the one that stood there"),
        ({"store": "another"}, "it belongs somewhere else"),
        ({"size": 3}, "it belongs somewhere else"),
        ({}, None),
    ],
)
def test_a_checkpoint_of_something_else_is_found(store: Store, change: dict[str, Any], what: str | None) -> None:
    path = store.second / store.id / "000000000004.json"
    note = {**vars(checkpoints.read(path.read_bytes())[0]), **change}
    note["head"] = store.read(note["size"]).digest if "size" in change else note["head"]
    path.write_bytes(envelope.wrap(rfc8785.dumps(note), checkpoints.PAYLOAD, store.signers))
    assert [(level, what in said) for level, said in faults(store)] == ([("V2", True)] if what is not None else [])
    both(bundle.write(store), what, "V2")


def test_a_checkpoint_that_nobody_signed_is_found(store: Store) -> None:
    path = store.second / store.id / "000000000004.json"
    note, _ = checkpoints.read(path.read_bytes())
    path.write_bytes(envelope.wrap(rfc8785.dumps(vars(note)), checkpoints.PAYLOAD, ()))
    assert faults(store) == {("V2", "nobody signed it")}
    both(bundle.write(store), "nobody signed it", "V2")


def test_a_signature_of_something_else_is_none(store: Store) -> None:
    """The payload is a record, and what was signed is a checkpoint: the type is part of what is signed."""
    rewrite(store, 4, lambda statement: None, checkpoints.PAYLOAD)
    assert faults(store) == {("V1", "Not an envelope as Whyboard writes it: another payload type.")}


def test_a_signature_that_was_taken_away_is_missed(found: Explanation, tmp_path: Path) -> None:
    """In a store without keys, where nobody has to sign: the header still says that somebody did."""
    store = Store(tmp_path / "evidence", second=tmp_path / "second", signed=False)
    store.file(found)
    rewrite(store, 1, header(signed=True))
    assert faults(store) == {("V1", "its signature was taken away")}
    data = bundle.write(store)
    assert [f.what for f in bundle.verify(data).faults] == ["its signature was taken away"]
    assert verifier.verify(data)[0] == 3


def test_contents_exchanged_under_their_own_keys_are_found(store: Store) -> None:
    """Encrypted as they should be, and signed as they are: only the commitment knows which is whose."""
    entries = [store.read(n) for n in (1, 2)]
    plain = [store.open(e.header.id, RECORD) for e in entries]
    for entry, content in zip(entries, reversed(plain), strict=True):
        record = entry.header.id
        key = store.key(record)
        sealed = sealing.encrypt(sealing.content_key(key), content, f"{record}/{RECORD}")
        (store.place(record) / RECORD).write_bytes(sealed)

        def edit(statement: dict[str, Any], digest: str = envelope.digest(sealed), size: int = len(content)) -> None:
            statement["predicate"]["files"][0].update(sha256=digest, size=size)
            statement["subject"][0]["digest"]["sha256"] = digest

        rewrite(store, entry.header.sequence, edit)
        with pytest.raises(AuditError, match="not the one that was filed"):
            store.open(record, RECORD)
    assert faults(store) == {("V1", "the content is not the one that was committed to")}


def test_content_of_another_record_is_not_read_as_this_one(store: Store) -> None:
    """Everything is made to fit; the content still says whose it is."""
    record, other = (store.read(n).header.id for n in (1, 2))
    content, key = store.open(other, RECORD), store.key(record)
    sealed = sealing.encrypt(sealing.content_key(key), content, f"{record}/{RECORD}")
    (store.place(record) / RECORD).write_bytes(sealed)
    commitment = sealing.commitment(sealing.commitment_key(key), content)

    def edit(statement: dict[str, Any]) -> None:
        digest = envelope.digest(sealed)
        statement["predicate"]["files"][0].update(sha256=digest, size=len(content), commitment=commitment)
        statement["subject"][0]["digest"]["sha256"] = digest

    rewrite(store, 1, edit)
    with pytest.raises(AuditError, match="another record"):
        store.content(record)
    assert faults(store) == {("V1", "it is the content of another record")}
    both(bundle.write(store), "another record")


@pytest.mark.parametrize(
    ("column", "value"),
    [("actor", "eve"), ("label", "OTHER"), ("held", 1), ("review", "disagree"), ("due", None), ("retention", "short")],
)
def test_a_list_that_says_something_else_is_found(store: Store, column: str, value: object) -> None:
    sql(store, f"UPDATE entries SET {column} = ? WHERE sequence = 2", value)
    assert {f.where for f in verify.store(store).faults} == {f"record 2, list, {column}"}


def test_the_label_of_an_erased_record_is_found(store: Store) -> None:
    store.erase(store.read(2).header.id, Who("ada"), "asked")
    sql(store, "UPDATE entries SET label = 'POSITIVE' WHERE sequence = 2")
    assert faults(store) == {("V1", "the record is erased and its label is not")}


def test_openings_in_another_form_are_none(store: Store) -> None:
    parts = unzipped(bundle.write(store))
    parts["openings.json"] = json.dumps(json.loads(parts["openings.json"])).encode()
    with pytest.raises(AuditError, match=r"openings\.json"):
        bundle.verify(zipped(parts))
    assert verifier.verify(zipped(parts))[0] == 2


def test_a_key_that_is_not_believed_signs_nothing(store: Store, tmp_path: Path) -> None:
    """It signs rightly, and nobody knows it: neither in a store nor in a bundle."""
    stranger = Keys(tmp_path / "stranger")
    path = store.second / store.id / "000000000004.json"
    note, _ = checkpoints.read(path.read_bytes())
    data = unzipped(bundle.write(store))
    path.write_bytes(envelope.wrap(rfc8785.dumps(vars(note)), checkpoints.PAYLOAD, (stranger.signer(),)))
    assert all("not believed" in what for _, what in faults(store))
    assert faults(store)
    data["checkpoints/000000000004.json"] = path.read_bytes()
    both(zipped(data), "not believed", "V2")


def test_what_is_missing_is_named(store: Store) -> None:
    """Each by itself: a file, a key, an envelope, also where one record alone is looked at."""
    record, place = store.read(1).header.id, store.place(store.read(1).header.id) / RECORD
    sealed = place.read_bytes()
    place.unlink()
    assert faults(store) == {("V1", "the file is missing")}
    key = sealing.content_key(store.key(record))
    place.write_bytes(sealing.encrypt(key, sealing.decrypt(key, sealed, f"{record}/{RECORD}"), f"{record}/{RECORD}"))
    assert faults(store) == {("V1", "the file was changed")}, "the same text, encrypted anew"
    place.write_bytes(sealed)
    sql(store, "UPDATE entries SET label = 'x' WHERE sequence = 4")
    assert {f.where for f in verify.store(store).faults} == {"record 4, list, label"}
    sql(store, "UPDATE entries SET label = NULL WHERE sequence = 4")
    sql(store, "DELETE FROM keys WHERE id = ?", record)
    assert faults(store) == {("V1", "its key is missing, and no erasure says so")}
    sql(store, "DELETE FROM envelopes WHERE sequence = 4")
    assert ("V2", "its envelope is missing") in faults(store)
    assert ("V1", "its envelope is missing") in {(f.level, f.what) for f in verify.record(store, record).faults}


def test_other_bytes_of_the_same_envelope_are_found(store: Store) -> None:
    parts = unzipped(bundle.write(store))
    name = "envelopes/000000000004.json"
    loose = json.dumps(json.loads(parts[name]), sort_keys=True).encode()
    sql(store, "UPDATE envelopes SET bytes = ? WHERE sequence = 4", loose)
    assert any("one form" in what for _, what in faults(store))
    data = zipped({**parts, name: loose})
    assert bundle.verify(data).exit_code == verifier.verify(data)[0] == 3
