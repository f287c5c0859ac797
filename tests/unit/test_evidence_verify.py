"""Verification: every change is found and named, nothing else is; two verifiers agree."""

from __future__ import annotations

import dataclasses
import random
import shutil
import sqlite3
from pathlib import Path

import pytest

from explain.audit import building, bundle, checkpoints, envelope, verdict, verify
from explain.audit.keys import Keys
from explain.audit.records import SCHEMA, Who
from explain.audit.store import Store
from explain.engine import Model
from explain.errors import AuditError
from explain.records import Explanation
from tests import verifier
from tests.evidence import broken_bundle, copied, filled, flip, small_pictures

FLIPS, BUNDLES = 30, 40
"""Small here; `python -m tests.benchmarks.evidence` does 1,000 and 500."""


@pytest.fixture(scope="module")
def found(tiny: Model) -> Explanation:
    return tiny.explain("A charming film.", checks=())


@pytest.fixture(scope="module")
def good(found: Explanation, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Eight records with pictures, a review and an erasure."""
    store = filled(tmp_path_factory.mktemp("good"), found, 6)
    store.review(store.read(2).header.id, Who("bob"), agree=True, note="fine")
    store.erase(store.read(3).header.id, Who("ada"), "asked")
    store.rotate(Who("ada"))
    store.file(found, pictures=small_pictures)
    store.checkpoint()
    return store


def sql(store: Store, *statements: str) -> None:
    with sqlite3.connect(store.home / "evidence.db") as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


def test_a_good_store_holds(good: Store) -> None:
    verdict = verify.store(good)
    assert verdict.faults == ()
    assert (verdict.checked, verdict.erased, verdict.uncovered, len(verdict.signed_by)) == (10, 1, 0, 2)
    assert verdict.levels["V1"] == verdict.levels["V2"] == "holds"


def test_a_change_of_key_is_no_signature_on_another_record(found: Explanation, tmp_path: Path) -> None:
    store = filled(tmp_path, found, 1)
    old = store.fingerprint
    change = store.rotate(Who("ada")).header
    store.file(found)
    for record, keys in ((1, (old,)), (2, (old, store.fingerprint)), (3, (store.fingerprint,))):
        verdict = verify.record(store, record)
        assert (verdict.faults, verdict.checked, set(verdict.signed_by)) == ((), 1, set(keys)), record
    sql(store, f"UPDATE entries SET actor = 'bob' WHERE id = '{change.id}'")
    assert [f.where for f in verify.record(store, 1).faults] == ["record 2, list, actor"]


def test_a_record_is_verified_with_the_keys_that_are_given_alone(found: Explanation, tmp_path: Path) -> None:
    store = filled(tmp_path, found, 1)
    given = store.keys.trusted()
    other = Keys(tmp_path / "other")
    other.signer()
    shutil.rmtree(store.keys.folder / "trusted")
    shutil.copytree(other.folder / "trusted", store.keys.folder / "trusted")
    assert verify.record(store, 1).levels["V1"] == "broken"
    assert verify.record(store, 1, given).faults == ()


def test_every_flipped_bit_is_found_and_named(good: Store, tmp_path: Path) -> None:
    rng = random.Random(7)
    for i in range(FLIPS):
        store = copied(good, tmp_path / str(i))
        kind, where = flip(store, rng)
        verdict = verify.store(store)
        assert verdict.exit_code in (3, 4), (i, kind, where)
        assert any(where in f.where for f in verdict.faults), (kind, where, verdict.faults)
        shutil.rmtree(tmp_path / str(i))


def test_deleted_reordered_and_cut_chains_are_found(good: Store, tmp_path: Path) -> None:
    breaks = {
        "deleted": ("DELETE FROM entries WHERE sequence = 4", "DELETE FROM envelopes WHERE sequence = 4"),
        "cut": ("DELETE FROM entries WHERE sequence > 7", "DELETE FROM envelopes WHERE sequence > 7"),
        "no envelope": ("DELETE FROM envelopes WHERE sequence = 4",),
        "reordered": (
            "UPDATE entries SET sequence = -sequence WHERE sequence IN (4, 5)",
            "UPDATE entries SET sequence = 9 + sequence WHERE sequence < 0",
            "UPDATE envelopes SET sequence = -sequence WHERE sequence IN (4, 5)",
            "UPDATE envelopes SET sequence = 9 + sequence WHERE sequence < 0",
        ),
    }
    for name, statements in breaks.items():
        store = copied(good, tmp_path / name)
        sql(store, *statements)
        verdict = verify.store(store)
        assert verdict.levels["V2"] == "broken", name


def test_a_tail_cut_needs_the_checkpoint_elsewhere(good: Store, tmp_path: Path) -> None:
    store = copied(good, tmp_path)
    sql(store, "DELETE FROM entries WHERE sequence = 10", "DELETE FROM envelopes WHERE sequence = 10")
    assert any("cut off" in f.what for f in verify.store(store).faults)


def test_records_copied_into_another_store_are_found(good: Store, found: Explanation, tmp_path: Path) -> None:
    other = filled(tmp_path / "other", found, 2)
    store = copied(good, tmp_path / "copy")
    entry = other.read(2)
    with sqlite3.connect(store.home / "evidence.db") as connection:
        connection.execute("UPDATE envelopes SET bytes = ? WHERE sequence = 2", (entry.bytes,))
    assert verify.store(store).exit_code in (3, 4)
    theirs = Keys(other.home / "keys").trusted()
    believing = verify.store(store, {**store.keys.trusted(), **theirs})
    assert any("another store" in f.what for f in believing.faults), "even if its key is believed"


def test_a_chain_written_anew_is_found(good: Store, found: Explanation, tmp_path: Path) -> None:
    """With another key the pinned one tells, with the stolen key the old checkpoint does."""
    thief = filled(tmp_path / "thief", found, 10)
    pinned = good.keys.trusted()
    assert verify.store(thief, pinned).levels["V1"] == "broken"
    stolen = Store(tmp_path / "again" / "evidence", second=tmp_path / "again" / "checkpoints")
    shutil.copytree(good.home / "keys", stolen.home / "keys", dirs_exist_ok=True)
    sql(stolen, f"INSERT INTO store VALUES ('id', '{good.id}')")
    for _ in range(10):
        stolen.file(found)
    shutil.copytree(good.second, stolen.second, dirs_exist_ok=True)
    verdict = verify.store(stolen, pinned)
    assert verdict.levels == {**verdict.levels, "V1": "holds", "V2": "broken"}
    assert any("not the one that stood there" in f.what for f in verdict.faults)


def test_an_erasure_that_nobody_recorded_is_found(good: Store, tmp_path: Path) -> None:
    store = copied(good, tmp_path)
    record = store.read(1).header.id
    sql(
        store,
        f"DELETE FROM keys WHERE id = '{record}'",
        "UPDATE entries SET erased = 1, label = NULL WHERE sequence = 1",
    )
    assert any("erased" in f.where for f in verify.store(store).faults)


def test_the_models_files_are_compared(found: Explanation, tiny_folder: Path, tmp_path: Path) -> None:
    store = filled(tmp_path, found, 1)
    record = store.read(1).header.id
    assert verify.record(store, record, model=str(tiny_folder)).levels["V4"] == "holds"
    away = verify.record(store, record)
    assert away.levels["V4"] == "not checked"
    assert any("not on this machine" in note for note in away.notes)
    other = shutil.copytree(tiny_folder, tmp_path / "other")
    weights = other / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    verdict = verify.record(store, record, model=str(other))
    assert (verdict.levels["V4"], verdict.exit_code) == ("broken", 6)


def test_a_copy_of_the_model_in_a_folder_of_another_name_is_the_same(
    found: Explanation, tiny_folder: Path, tmp_path: Path
) -> None:
    source = building.model_source(found.model, str(tiny_folder))
    assert source is not None
    header = dataclasses.replace(filled(tmp_path, found, 1).read(1).header, model_files=building.manifest(source))
    copy = shutil.copytree(tiny_folder, tmp_path / "elsewhere")
    good = verdict.Verdict(checked=1, levels={}, faults=())
    assert verify.with_model(good, header, str(copy)).levels["V4"] == "holds"
    for name, what in [("config.json", "the file was changed"), ("tokenizer.json", "tokenizer at hand")]:
        data = (copy / name).read_bytes()
        (copy / name).write_bytes(data + b" ")
        result = verify.with_model(good, header, str(copy))
        assert result.levels["V4"] == "broken"
        assert any(what in fault.what for fault in result.faults), name
        (copy / name).write_bytes(data)
    header = dataclasses.replace(header, model_files=(*header.model_files, ("x/gone.json", "0" * 64)))
    assert [f.what for f in verify.with_model(good, header, str(copy)).faults] == ["the file is missing"]


def test_good_bundles_hold_for_both_verifiers(good: Store) -> None:
    for record in (None, *(good.read(n).header.id for n in (1, 2, 3, 10))):
        data = bundle.write(good, record)
        assert data == bundle.write(good, record), "equal records give equal bytes"
        assert bundle.verify(data).faults == ()
        assert verifier.verify(data) == (0, [])
        known = set(good.keys.trusted())
        assert bundle.verify(data, good.keys.trusted()).exit_code == verifier.verify(data, known)[0] == 0
        assert bundle.verify(data, {}).exit_code == verifier.verify(data, {"0" * 64})[0] == 3


def test_both_verifiers_agree_on_broken_bundles(good: Store) -> None:
    rng = random.Random(3)
    whole = [bundle.write(good), bundle.write(good, good.read(2).header.id)]
    for i in range(BUNDLES):
        data = broken_bundle(whole[i % 2], rng)
        assert ours(data) == verifier.verify(data)[0] != 0, i


def ours(data: bytes) -> int:
    try:
        return bundle.verify(data).exit_code
    except AuditError as error:
        assert error.code in ("not_evidence", "bad_key")
        return 2


@pytest.mark.parametrize("junk", [b"", b"junk", b"PK\x05\x06" + bytes(18), b"[" * 100_000, bytes(1000)])
def test_garbage_is_not_evidence(junk: bytes) -> None:
    assert ours(junk) == verifier.verify(junk)[0] == 2
    for kind in (envelope.PAYLOAD, checkpoints.PAYLOAD):
        with pytest.raises(AuditError) as refused:
            envelope.unwrap(junk, kind)
        assert refused.value.code == "not_evidence"


def test_a_newer_schema_is_refused_in_words(good: Store) -> None:
    entry = good.read(1)
    wrapped = envelope.unwrap(entry.bytes, envelope.PAYLOAD)
    newer = wrapped.payload.replace(SCHEMA.encode(), b"whyboard-evidence/9")
    data = envelope.wrap(newer, envelope.PAYLOAD, good.signers)
    with pytest.raises(AuditError, match="newer Whyboard"):
        envelope.statement(envelope.unwrap(data, envelope.PAYLOAD))
