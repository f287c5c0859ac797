"""Whose checkpoints count, whose databases and zip files are opened, what corrects and sums up, in which order."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import shutil
import sqlite3
import struct
import threading
import zipfile
import zlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import rfc8785
import sqlalchemy as sa

from explain import filing
from explain.audit import bundle, checkpoints, database, envelope, ids, verify
from explain.audit.entry import Draft
from explain.audit.keys import Keys
from explain.audit.records import Purpose, Who
from explain.audit.store import Store
from explain.dashboard import evidence
from explain.errors import AuditError, InputError
from explain.records import Explanation
from tests import verifier
from tests.evidence import both, faults, filled, rewrite, sql, unzipped, zipped
from tests.examples import explanation


@pytest.fixture(scope="module")
def found() -> Explanation:
    return explanation()


@pytest.fixture
def store(tmp_path: Path, found: Explanation) -> Store:
    return filled(tmp_path, found, 3)


def refused(data: bytes) -> None:
    """Both verifiers say that this is no bundle."""
    with pytest.raises(AuditError) as error:
        bundle.verify(data)
    assert (error.value.code, verifier.verify(data)[0]) == ("not_evidence", 2)


def test_a_checkpoint_is_signed_by_a_key_of_this_chain(store: Store, tmp_path: Path) -> None:
    """The stranger's key is believed, as another store's may be; it has signed nothing in this chain."""
    stranger = Keys(tmp_path / "stranger")
    signer = stranger.signer()
    (public,) = (stranger.folder / "trusted").glob("*.pem")
    shutil.copy(public, store.keys.folder / "trusted" / public.name)
    assert faults(store) == set(), "believing another key changes nothing"
    path = store.second / store.id / "000000000003.json"
    note, _ = checkpoints.read(path.read_bytes())
    path.write_bytes(envelope.wrap(rfc8785.dumps(vars(note)), checkpoints.PAYLOAD, (signer,)))
    assert faults(store) == {("V2", "it is signed by a key that did not sign record 3")}
    both(bundle.write(store), "did not sign record 3", "V2")


def test_a_change_of_key_leaves_checkpoints_good(store: Store, found: Explanation) -> None:
    store.rotate(Who("root"))
    store.checkpoint()
    store.file(found)
    store.checkpoint()
    assert faults(store) == set()
    both(bundle.write(store), None)


def test_bytes_that_belong_to_no_file_are_found_in_a_bundle(store: Store) -> None:
    data = bundle.write(store)
    with zipfile.ZipFile(io.BytesIO(data)) as opened:
        second = sorted(i.header_offset for i in opened.infolist())[1]
        directory = opened.start_dir
    both(data, None)
    refused(b"before" + data)
    refused(data + b"behind")
    for at in (second, directory):
        refused(shifted(data, at, b"between"))
    commented = io.BytesIO(data)
    with zipfile.ZipFile(commented, "a") as opened:
        opened.comment = b"said"
    refused(commented.getvalue())
    parts = unzipped(data)
    extra = io.BytesIO()
    with zipfile.ZipFile(extra, "w") as opened:
        for name, content in parts.items():
            info = zipfile.ZipInfo(name)
            info.extra = b"\xfe\xca\x04\x00hide"
            opened.writestr(info, content)
    refused(extra.getvalue())


def deflated(parts: dict[str, bytes], hidden: bytes) -> bytes:
    """A zip file with bytes behind the end of the stream of one part, inside the size that it claims."""
    out, directory = io.BytesIO(), b""
    for name, content in parts.items():
        stream = zlib.compressobj(9, zlib.DEFLATED, -15)
        packed = stream.compress(content) + stream.flush() + (hidden if name == "openings.json" else b"")
        info = zipfile.ZipInfo(name)
        info.compress_type, info.CRC = zipfile.ZIP_DEFLATED, zlib.crc32(content)
        info.compress_size, info.file_size, info.header_offset = len(packed), len(content), out.tell()
        header = info.FileHeader(zip64=False)
        out.write(header + packed)
        place = struct.pack("<HHHLL", 0, 0, 0, info.external_attr, info.header_offset)
        directory += b"PK\1\2" + bytes([20, 3]) + header[4:30] + place + name.encode()
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, len(parts), len(parts), len(directory), out.tell(), 0)
    return out.getvalue() + directory + end


def test_bytes_behind_the_end_of_a_stream_are_found(store: Store) -> None:
    parts = unzipped(bundle.write(store))
    both(deflated(parts, b""), None)
    assert unzipped(deflated(parts, b"hidden")) == parts, "a reader of zip files sees nothing"
    refused(deflated(parts, b"hidden"))


def test_a_part_says_what_the_directory_says(store: Store) -> None:
    """Every bit of a header between the files, and a checksum that is wrong in both places."""
    data = bundle.write(store)
    with zipfile.ZipFile(io.BytesIO(data)) as opened:
        info = sorted(opened.infolist(), key=lambda i: i.header_offset)[1]
    for at in range(info.header_offset, info.header_offset + len(info.FileHeader(zip64=False))):
        changed = bytearray(data)
        changed[at] ^= 1
        refused(bytes(changed))
    crc = struct.pack("<L", info.CRC)
    assert data.count(crc) == 2
    refused(data.replace(crc, bytes([crc[0] ^ 1, *crc[1:]])))


def shifted(data: bytes, at: int, hidden: bytes) -> bytes:
    """A zip file with bytes hidden at a place, whose directory is right about everything behind them."""
    moved, out = io.BytesIO(), len(hidden)
    with zipfile.ZipFile(io.BytesIO(data)) as opened:
        start, listed = opened.start_dir, opened.infolist()
    moved.write(data[:at] + hidden + data[at:start])
    directory = bytearray(data[start:])
    place = 0
    for info in listed:
        offset = info.header_offset + (out if info.header_offset >= at else 0)
        directory[place + 42 : place + 46] = offset.to_bytes(4, "little")
        place += 46 + len(info.filename)
    directory[place + 16 : place + 20] = (start + out).to_bytes(4, "little")
    found = moved.getvalue() + bytes(directory)
    with zipfile.ZipFile(io.BytesIO(found)) as opened:
        assert opened.testzip() is None, "a reader of zip files sees nothing"
    return found


@pytest.mark.parametrize(
    "acts",
    [
        "CREATE VIEW x AS SELECT 1",
        "CREATE TRIGGER x AFTER UPDATE ON entries BEGIN DELETE FROM keys; END",
        "CREATE VIRTUAL TABLE x USING fts5(y)",
    ],
)
def test_a_database_that_acts_is_not_opened(store: Store, acts: str, run) -> None:  # type: ignore[no-untyped-def]
    sql(store, acts)
    for only_read in (True, False):
        with pytest.raises(AuditError, match="views or triggers") as error:
            Store(store.home, only_read=only_read)
        assert error.value.code == "not_evidence"
    code, _, said = run("verify", str(store.home))
    assert (code, "views or triggers" in said) == (2, True)


def test_verifying_leaves_a_foreign_store_as_it_is(store: Store, run) -> None:  # type: ignore[no-untyped-def]
    with sqlite3.connect(store.home / "evidence.db") as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    store.engine.dispose()
    (store.home / "temp").rmdir()
    store.home.chmod(0o755)
    before = {p: p.read_bytes() if p.is_file() else None for p in store.home.rglob("*")}
    assert run("verify", str(store.home))[0] == 0
    after = {p: p.read_bytes() if p.is_file() else None for p in store.home.rglob("*")}
    assert {p: d for p, d in after.items() if p.suffix not in (".db-wal", ".db-shm")} == before
    assert store.home.stat().st_mode & 0o777 == 0o755
    with pytest.raises(AuditError, match="store"):
        _ = Store(store.home.parent / "nowhere", only_read=True).id
    assert not (store.home.parent / "nowhere").exists()
    foreign = Store(store.home, only_read=True)
    with pytest.raises(AuditError):
        foreign.hold(store.read(1).header.id, Who("eve"), "a lawsuit")
    assert verify.store(foreign).faults == ()


def test_a_record_of_before_names_the_key_that_signed_it(
    store: Store, found: Explanation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the page too, after the key was changed: not the one that signs now."""
    entry, former = store.file(found), store.fingerprint
    new = store.rotate(Who("root")).header.detail["to"]
    monkeypatch.setattr(evidence, "opened", lambda: store)
    monkeypatch.setattr(evidence, "filed", lambda answer: entry)
    said = str(evidence.state_of(found))
    assert f"signed by key {str(former)[:16]}" in said
    assert new[:16] not in said
    unsigned = dataclasses.replace(entry, bytes=envelope.write(entry.header, (), entry.subject))
    monkeypatch.setattr(evidence, "filed", lambda answer: unsigned)
    assert "UNSIGNED" in str(evidence.state_of(found))


def test_a_session_is_named_by_its_digest_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence.access, "person", lambda: SimpleNamespace(name="ada", auth="OIDC"))
    for session, digest in (("one", hashlib.sha256(b"one").hexdigest()), ("two", hashlib.sha256(b"two").hexdigest())):
        context = SimpleNamespace(session_id=session)
        monkeypatch.setattr(evidence, "get_script_run_ctx", lambda context=context: context)
        assert evidence.who() == Who("ada", "OIDC", "dashboard", digest)
    monkeypatch.setattr(evidence, "get_script_run_ctx", lambda: None)
    assert evidence.who().session_sha256 is None


def test_a_correction_names_what_it_corrects(store: Store, found: Explanation) -> None:
    wrong = store.read(2)
    right = store.file(found, corrects=wrong.header.id)
    assert (right.header.kind, right.header.about) == ("correction", None)
    assert right.header.detail["corrects"] == wrong.header.id
    assert right.subject[wrong.header.id] == wrong.digest
    assert store.read(2).header == wrong.header, "what was filed stays as it was"
    assert faults(store) == set()
    both(bundle.write(store), None)
    both(bundle.write(store, right.header.id), None)
    said = [[s.words for s in filing.filing(store, e.header.id).said] for e in (wrong, right, store.read(1))]
    assert said == [
        ["record 4 stands in the place of this one"],
        ["this record stands in the place of record 2"],
        [],
    ]
    assert "record 4 stands in the place of this one" in filing.page(store, wrong.header.id)
    review = store.review(right.header.id, Who("bob"), agree=True)
    assert verify.record(store, right.header.id).faults == verify.record(store, review.header.id).faults == ()
    store.erase(wrong.header.id, Who("ada"), "asked")
    assert store.content(right.header.id).explanation.tokens.texts == found.tokens.texts
    assert faults(store) == set()
    for corrects in (ids.new(), review.header.id):
        with pytest.raises(AuditError):
            store.file(found, corrects=corrects)
    with pytest.raises(InputError, match="kind"):
        store.file(found, kind="correction")


def test_a_correction_of_something_else_is_found(store: Store, found: Explanation) -> None:
    wrong, other = store.read(1), store.read(2)
    store.file(found, corrects=wrong.header.id)

    def edit(statement):  # type: ignore[no-untyped-def]
        statement["predicate"]["detail"]["corrects"] = nowhere
        next(s for s in statement["subject"] if s["name"] == wrong.header.id)["name"] = nowhere

    nowhere = other.header.id
    rewrite(store, 4, edit)
    assert faults(store) == {("V1", "its subject does not name its files, or the record that it is about")}
    both(bundle.write(store), "subject", "V1")


def test_what_a_correction_names_is_an_id(store: Store, found: Explanation) -> None:
    first = store.read(1).header.id
    store.file(found, corrects=first)

    def edit(statement):  # type: ignore[no-untyped-def]
        statement["predicate"]["detail"]["corrects"] = "x"
        next(s for s in statement["subject"] if s["name"] == first)["name"] = "x"

    parts = unzipped(bundle.write(store))
    rewrite(store, 4, edit)
    assert {level for level, _ in faults(store)} == {"V1"}
    with sqlite3.connect(store.home / "evidence.db") as connection:
        (parts["envelopes/000000000004.json"],) = connection.execute(
            "SELECT bytes FROM envelopes WHERE sequence = 4"
        ).fetchone()
    data = zipped(parts)
    assert bundle.verify(data).exit_code == verifier.verify(data)[0] == 3


@pytest.mark.parametrize("kind", ["correction", "batch summary"])
def test_nothing_corrects_or_sums_up_what_is_not_there(store: Store, found: Explanation, kind: str) -> None:
    first, nowhere = store.read(1).header.id, ids.new()
    entry = store.file(found, corrects=first) if kind == "correction" else store.summarise([first], Who("job"))

    def edit(statement):  # type: ignore[no-untyped-def]
        detail = {"corrects": nowhere} if kind == "correction" else {"items": [nowhere]}
        statement["predicate"]["detail"] = {**statement["predicate"]["detail"], **detail}
        next(s for s in statement["subject"] if s["name"] == first)["name"] = nowhere

    rewrite(store, entry.header.sequence, edit)
    assert faults(store) == {("V2", "it is about a record that is not there")}
    both(bundle.write(store), "not there", "V2")


def test_a_batch_is_bound_by_its_summary(store: Store, found: Explanation) -> None:
    items = [store.file(found, kind="batch item").header.id for _ in range(2)]
    entry = store.summarise(items, Who("job"), Purpose(intended_use="audit of a day"), failed=3)
    assert entry.header.detail == {"items": items, "filed": 2, "failed": 3}
    assert [entry.subject[one] for one in items] == [store.read(one).digest for one in items]
    assert faults(store) == set()
    both(bundle.write(store), None)
    both(bundle.write(store, entry.header.id), None)
    with pytest.raises(AuditError, match="no record"):
        store.summarise([ids.new()], Who("job"))
    with pytest.raises(InputError, match="twice"):
        store.summarise([items[0], items[0]], Who("job"))
    for broken in ([items[0], items[0]], ["x"], 5):
        rewrite(store, entry.header.sequence, lambda s, b=broken: s["predicate"]["detail"].update(items=b))  # type: ignore[misc]
        assert verify.store(store).exit_code == 3
        parts = unzipped(bundle.write(store, items[0]))
        with sqlite3.connect(store.home / "evidence.db") as connection:
            wish = "SELECT bytes FROM envelopes WHERE sequence = ?"
            (data,) = connection.execute(wish, (entry.header.sequence,)).fetchone()
        parts[f"envelopes/{entry.header.sequence:012d}.json"] = data
        assert bundle.verify(zipped(parts)).exit_code == verifier.verify(zipped(parts))[0] == 3


def test_instants_decide_what_is_over(store: Store, found: Explanation) -> None:
    """Also where the list tells a time with another offset, as a store of another tool may."""
    record = store.file(found, purpose=Purpose(retention="short"))
    due = datetime.fromisoformat(str(record.state.due))
    for hours in (-11, 14):
        zone = (due + timedelta(hours=hours)).replace(tzinfo=None).isoformat()
        sign = "-" if hours < 0 else "+"
        sql(store, "UPDATE entries SET due = ? WHERE sequence = 4", f"{zone}{sign}{abs(hours):02d}:00")
        with database.reading(store.engine) as connection:
            assert database.overdue(connection, due - timedelta(minutes=1), ["explanation"]) == {}
            assert database.overdue(connection, due, ["explanation"]) == {record.header.sequence: record.header.id}


def test_ids_and_times_follow_the_numbers(tmp_path: Path, found: Explanation) -> None:
    """Four writers: whoever is later in the chain is later in both."""
    Store(tmp_path / "evidence").file(found)

    def write(_number: int) -> None:
        own = Store(tmp_path / "evidence")
        for _ in range(4):
            own.file(found)

    threads = [threading.Thread(target=write, args=(i,)) for i in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    rows = order(Store(tmp_path / "evidence"))
    assert len(rows) == 17
    assert [r.id for r in rows] == sorted(r.id for r in rows)
    assert [r.recorded for r in rows] == sorted(r.recorded for r in rows)
    assert verify.store(Store(tmp_path / "evidence")).faults == ()


def order(store: Store) -> Sequence[Any]:
    """Id and time of every record, by number."""
    with database.reading(store.engine) as connection:
        wish = sa.select(database.entries.c.id, database.entries.c.recorded).order_by(database.entries.c.sequence)
        return connection.execute(wish).all()


def test_an_id_comes_after_the_one_before_it_whatever_the_clock_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ids.time, "time_ns", lambda: 1_700_000_000_000_000_000)
    last = ""
    for _ in range(200):
        new = ids.new(last)
        assert ids.valid(new)
        assert new > last
        last = new
    monkeypatch.setattr(ids.time, "time_ns", lambda: 1_600_000_000_000_000_000)
    assert ids.new(last) > last, "the clock was set back"


def test_records_of_one_moment_follow_their_numbers(
    store: Store, found: Explanation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ids.time, "time_ns", lambda: 1_600_000_000_000_000_000)  # and the clock was set back
    made = [store.read(3).header.id, *(store.file(found).header.id for _ in range(6))]
    assert made == sorted(made)


def test_nobody_waits_for_a_drawing(tmp_path: Path, found: Explanation) -> None:
    """A browser takes seconds to draw; others file meanwhile, and the time of the record is that of its turn."""
    store, seen = Store(tmp_path / "evidence"), []

    def drawn(draft: Draft) -> dict[str, bytes]:
        seen.append(Store(tmp_path / "evidence").file(found).header)
        return {"a.svg": b"<svg/>"}

    later = store.file(found, pictures=drawn).header
    assert (seen[0].sequence, later.sequence) == (1, 2)
    assert [r.recorded for r in order(store)] == [seen[0].recorded, later.recorded]
    assert later.recorded >= seen[0].recorded
    assert verify.store(store).faults == ()
