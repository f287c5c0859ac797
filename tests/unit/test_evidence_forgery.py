"""Somebody else writes into a chain: without its key, with a former or a stolen one, or into what is exported."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import shutil
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from explain.audit import bundle, chain, database, envelope, ids, state, verify
from explain.audit.chain import New, append
from explain.audit.entry import RECORD, Entry, columns
from explain.audit.records import Header, Purpose, Who
from explain.audit.store import Store
from explain.errors import AuditError, InputError
from explain.records import Explanation
from tests import verifier
from tests.evidence import filled, sql
from tests.examples import explanation


@pytest.fixture(scope="module")
def found() -> Explanation:
    return explanation()


@pytest.fixture
def store(tmp_path: Path, found: Explanation) -> Store:
    """Three records and a checkpoint."""
    return filled(tmp_path, found, 3)


def forge(store: Store, kind: str, about: str, **detail: object) -> Header:
    """Append an event as somebody does who can write into the database and has no key."""
    with store.engine.connect() as connection:
        last = store.read(int(connection.execute(sa.select(sa.func.max(database.entries.c.sequence))).scalar_one()))
    header = dataclasses.replace(
        chain._draft(store, New(kind, Who("Dr. Boss"), about=about, detail=detail)),  # type: ignore[arg-type]
        id=ids.new(),
        sequence=last.header.sequence + 1,
        previous=last.digest,
        signed=False,
    )
    data = envelope.write(header, (), {about: store.read(about).digest})
    with store.engine.begin() as connection:
        connection.execute(sa.insert(database.entries).values(columns(header, data, state.first(header), None)))
        connection.execute(sa.insert(database.envelopes).values(sequence=header.sequence, bytes=data))
        chain._happened(connection, about, header)
    return header


def codes(
    store: Store, record: str | None = None, change: Callable[[dict[str, bytes]], None] | None = None
) -> set[int]:
    """What both verifiers say of a bundle, `change`d or not, with keys that are known and with those inside it."""
    with zipfile.ZipFile(io.BytesIO(bundle.write(store, record))) as zipped:
        parts = {name: zipped.read(name) for name in zipped.namelist()}
    if change is not None:
        change(parts)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as zipped:
        for name, content in sorted(parts.items()):
            zipped.writestr(name, content)
    data, keys = packed.getvalue(), store.keys.trusted()
    return {
        *(bundle.verify(data, keys).exit_code, verifier.verify(data, set(keys))[0]),
        *(bundle.verify(data).exit_code, verifier.verify(data)[0]),
    }


@pytest.mark.parametrize("kind", ["review", "release", "erase"])
def test_nobody_without_a_key_adds_to_a_signed_chain(store: Store, kind: str) -> None:
    record = store.read(1).header.id
    forge(store, kind, record, verdict="agree", signed_off=True)
    if kind == "erase":
        shutil.rmtree(store.place(record))
        sql(store, "DELETE FROM keys WHERE id = ?", record)
    assert any("nobody signed" in f.what for f in verify.store(store).faults)
    assert verify.store(store).exit_code == verify.record(store, record).exit_code == 3
    assert codes(store) == codes(store, record) == {3}


def test_the_last_record_is_not_written_anew_without_a_key(store: Store) -> None:
    last = store.read(3)
    header = dataclasses.replace(last.header, signed=False, who=Who("somebody else"))
    data = envelope.write(header, (), last.subject)
    sql(store, "UPDATE envelopes SET bytes = ? WHERE sequence = 3", data)
    sql(store, "UPDATE entries SET digest = ?, actor = 'somebody else' WHERE sequence = 3", envelope.digest(data))
    (store.second / store.id / "000000000003.json").unlink()
    assert verify.store(store).exit_code == 3


def test_what_nobody_signed_is_not_said_to_be_unchanged(store: Store, found: Explanation, tmp_path: Path) -> None:
    other = Store(tmp_path / "unsigned", second=tmp_path / "elsewhere", signed=False)
    other.file(found)
    data, pinned = bundle.write(other), store.keys.trusted()
    for verdict in (verify.store(other), verify.record(other, 1), bundle.verify(data)):
        assert (verdict.exit_code, verdict.levels["V1"], verdict.unsigned) == (0, "not checked", 1)
        assert any("NOBODY SIGNED" in note for note in verdict.notes)
    assert verifier.verify(data) == (0, [])
    assert bundle.verify(data, pinned).exit_code == verifier.verify(data, set(pinned))[0] == 3
    assert verify.store(other, pinned).exit_code == verify.record(other, 1, pinned).exit_code == 3


@pytest.mark.parametrize("signed", [True, False])
def test_a_store_is_signed_throughout_or_not_at_all(found: Explanation, tmp_path: Path, signed: bool) -> None:
    Store(tmp_path / "evidence", signed=signed).file(found)
    again = Store(tmp_path / "evidence", signed=not signed)
    with pytest.raises(AuditError, match="stays so") as refused:
        again.file(found)
    assert refused.value.code == "bad_store"
    assert verify.store(again).faults == ()


def test_a_former_key_signs_nothing_more(store: Store, found: Explanation) -> None:
    former = (store.keys.folder / "signing.pem").read_bytes()
    change = store.rotate(Who("root"))
    store.file(found)
    assert verify.store(store).faults == ()
    assert codes(store) == {0}
    (store.keys.folder / "signing.pem").write_bytes(former)
    record = store.file(found).header.id
    assert any("any more" in f.what for f in verify.store(store).faults)
    assert verify.store(store).exit_code == verify.record(store, record).exit_code == 3
    assert codes(store) == {3}
    assert change.header.detail["to"] in store.keys.trusted()


def resigned(entry: Entry, keep: Callable[[list[dict[str, str]]], list[dict[str, str]]]) -> bytes:
    """An envelope with other signatures."""
    found = json.loads(entry.bytes)
    found["signatures"] = keep(found["signatures"])
    return json.dumps(found, sort_keys=True, separators=(",", ":")).encode()


def test_a_change_of_key_bears_exactly_two_signatures(store: Store) -> None:
    entry = store.rotate(Who("root"))
    name = f"envelopes/{entry.header.sequence:012d}.json"
    junk = {"keyid": "f" * 64, "sig": "eHh4"}
    for keep in (lambda s: s[:1], lambda s: s[1:], lambda s: [*s, junk]):
        data = resigned(entry, keep)
        assert codes(store, change=lambda parts, data=data: parts.update({name: data})) == {3}  # type: ignore[misc]
    for at in (0, 1):
        for digit in range(0, 64, 9):

            def other(signatures: list[dict[str, str]], at: int = at, digit: int = digit) -> list[dict[str, str]]:
                key = signatures[at]["keyid"]
                changed = key[:digit] + ("0" if key[digit] != "0" else "1") + key[digit + 1 :]
                return [{**s, "keyid": changed} if i == at else s for i, s in enumerate(signatures)]

            data = resigned(entry, other)
            assert codes(store, change=lambda parts, data=data: parts.update({name: data})) == {3}  # type: ignore[misc]


def test_a_process_that_was_there_before_signs_with_the_new_key(store: Store, found: Explanation) -> None:
    other = Store(store.home, second=store.second)
    other.file(found)
    new = store.rotate(Who("root")).header.detail["to"]
    assert other.fingerprint == new
    other.file(found)
    assert verify.store(store).faults == ()


@pytest.mark.parametrize("filed", [True, False])
def test_an_interrupted_change_of_key_is_finished_or_forgotten(
    store: Store, found: Explanation, monkeypatch: pytest.MonkeyPatch, filed: bool
) -> None:
    """Either its record is on the disk and the new key signs, or it is not and the old one does."""
    old = store.fingerprint
    with monkeypatch.context() as patch:

        def stop(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        if filed:
            patch.setattr("explain.audit.store.finish_change", stop)
        else:
            patch.setattr("explain.audit.chain.columns", stop)
        with pytest.raises(KeyboardInterrupt):
            store.rotate(Who("root"))
    assert store.keys.waiting() is not None
    after = Store(store.home, second=store.second)
    after.file(found)
    assert (after.fingerprint != old) is filed
    assert after.keys.waiting() is None
    assert verify.store(after).faults == ()


def test_a_chain_written_anew_under_another_id_is_found(store: Store, found: Explanation, tmp_path: Path) -> None:
    """The thief has the key and the store; the second place he cannot change."""
    thief = Store(tmp_path / "thief", second=store.second)
    shutil.copytree(store.keys.folder, thief.home / "keys")
    thief.file(found)
    pinned = store.keys.trusted()
    assert any("written anew" in f.what for f in verify.store(thief, pinned).faults)
    assert verify.store(thief, pinned).exit_code == 4
    assert verify.store(thief, pinned, store.id).exit_code == 4
    assert verify.store(store, pinned, store.id).faults == (), "both are mine, and this is the one I mean"


def test_nothing_is_said_about_what_was_said(store: Store) -> None:
    """Erasing a record erases what was said about it, so that must be all."""
    record = store.read(1).header.id
    review = store.review(record, Who("bob"), agree=True).header.id
    for kind in ("note", "hold"):
        with pytest.raises(AuditError, match=record):
            store.add(kind, review, Who("eve"), note="he wrote: charming", detail={"reason": "x"})  # type: ignore[arg-type]
    with pytest.raises(AuditError, match="about the store"):
        store.add("note", store.rotate(Who("ada")).header.id, Who("eve"), note="x")
    with pytest.raises(InputError, match="empty"):
        store.add("note", record, Who("eve"), note=" ")


def test_an_event_is_verified_with_its_record(store: Store) -> None:
    record = store.read(2).header.id
    review = store.review(record, Who("bob"), agree=True).header
    for name in (review.id, review.sequence, record, 2):
        verdict = verify.record(store, name)
        assert (verdict.faults, verdict.checked) == ((), 2)
    sql(store, "UPDATE envelopes SET bytes = ? WHERE sequence = 2", b"{}")
    assert verify.record(store, review.sequence).exit_code == verify.record(store, 2).exit_code == 3


def test_an_erased_record_stays_erased(store: Store) -> None:
    """A backup put back brings key and files; neither is read, and both are said."""
    record = store.read(2).header.id
    kept = shutil.copytree(store.place(record), store.home.parent / "backup")
    with store.engine.connect() as connection:
        wrapped = connection.execute(
            sa.select(database.keys.c.wrapped).where(database.keys.c.id == record)
        ).scalar_one()
    store.erase(record, Who("ada"), "asked")
    assert verify.store(store).faults == ()
    sql(store, "INSERT INTO keys VALUES (?, ?)", record, wrapped)
    shutil.copytree(kept, store.place(record))
    assert any("put it back" in f.what for f in verify.store(store).faults)
    assert verify.store(store).exit_code == 3
    with pytest.raises(AuditError, match="erased"):
        store.content(record)


def test_a_missing_master_key_is_called_missing(store: Store, found: Explanation) -> None:
    key = store.keys.folder / "master.key"
    kept = key.read_bytes()
    key.unlink()
    verdict = verify.store(Store(store.home, second=store.second))
    assert [(f.where, f.level) for f in verdict.faults] == [("master key", "V1")]
    assert "backup" in verdict.faults[0].what
    with pytest.raises(AuditError, match="missing"):
        store.file(found)
    store.hold(store.read(1).header.id, Who("ada"), "a lawsuit")
    store.erase(store.read(2).header.id, Who("ada"), "asked")  # nothing is sealed, and whoever asked has a right to it
    assert store.read(2).state.erased
    assert not key.exists(), "neither reading nor filing nor erasing makes another one"
    key.write_bytes(kept)
    assert verify.store(store).faults == ()


def test_rows_that_belong_to_no_record_are_found(store: Store) -> None:
    sql(store, "INSERT INTO envelopes VALUES (99, x'00')")
    sql(store, "INSERT INTO keys VALUES ('zz', x'00')")
    assert {(f.level, f.where) for f in verify.store(store).faults} == {
        ("V1", "database, keys"),
        ("V2", "database, envelopes"),
    }


def test_a_checkpoint_of_another_store_is_found_in_a_bundle(store: Store, found: Explanation, tmp_path: Path) -> None:
    other = Store(tmp_path / "other", second=tmp_path / "there")
    shutil.copytree(store.keys.folder, other.home / "keys")
    for _ in range(3):
        other.file(found)
    path = other.checkpoint()
    assert path is not None
    point = {f"checkpoints/{path.stem}.json": path.read_bytes()}
    assert codes(store, store.read(1).header.id, lambda parts: parts.update(point)) == {4}


def test_a_bundle_of_one_record_says_what_it_cannot_say(store: Store) -> None:
    record = store.read(2).header.id
    store.review(record, Who("bob"), agree=False, sign_off=True)
    one, whole = bundle.verify(bundle.write(store, record)), bundle.verify(bundle.write(store))
    assert (one.levels["V2"], whole.levels["V2"]) == ("not checked", "holds")
    assert any("not in it" in note for note in one.notes)


def test_checkpoints_are_due_where_nothing_is_filed_any_more(store: Store, found: Explanation) -> None:
    store.file(found)
    assert verify.store(store).uncovered == 1
    store.expire(Who("job"))
    assert verify.store(store).uncovered == 1, "not an hour old yet"
    for path in (store.second / store.id).glob("*.json"):
        os.utime(path, (0, 0))
    store.expire(Who("job"), datetime.now(UTC) + timedelta(hours=1))
    assert verify.store(store).uncovered == 0
    written = len(list((store.second / store.id).glob("*.json")))
    store.expire(Who("job"))
    assert len(list((store.second / store.id).glob("*.json"))) == written


def test_both_verifiers_know_a_record_from_other_json(store: Store, found: Explanation) -> None:
    append(store, New("explanation", Who(), Purpose(), {RECORD: b'{"beside":null}'}, found))
    assert codes(store) == {3}
