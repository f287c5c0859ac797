"""Stores and bundles that somebody else sends: a verdict or one sentence, whatever is in them."""

from __future__ import annotations

import dataclasses
import io
import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import rfc8785

from explain.audit import bundle, checkpoints, envelope, sealing, verify
from explain.audit.records import Purpose, Who
from explain.audit.store import Store
from explain.audit.told import Told, told
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
    return filled(tmp_path, found, 2)


def packed(parts: dict[str, bytes], how: int = zipfile.ZIP_DEFLATED) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", how) as zipped:
        for name, content in sorted(parts.items()):
            zipped.writestr(name, content)
    return data.getvalue()


def unpacked(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as zipped:
        return {name: zipped.read(name) for name in zipped.namelist()}


def both(data: bytes) -> set[int]:
    """The exit codes of the two verifiers."""
    try:
        ours = bundle.verify(data).exit_code
    except AuditError as error:
        assert error.code in ("not_evidence", "bad_key")
        ours = 2
    return {ours, verifier.verify(data)[0]}


Edit = Callable[[dict[str, Any]], object]
HEADERS: dict[str, Edit] = {
    "an id that leads elsewhere": lambda h: h.update(id="../" * 12),
    "a file that leads elsewhere": lambda h: h["files"][0].update(name="/etc/passwd"),
    "a file of two lines": lambda h: h["files"][0].update(name="x\nV1  holds"),
    "half a character": lambda h: h["files"][0].update(name="\ud800"),
    "a file twice": lambda h: h["files"].append(h["files"][0]),
    "no time": lambda h: h.update(recorded="x"),
    "a time that ends time": lambda h: h.update(recorded="9999-12-31T00:00:00+00:00"),
    "a time without offset": lambda h: h.update(recorded="2026-01-01T00:00:00"),
    "a class that is none": lambda h: h["purpose"].update(retention="zzz"),
    "a number as text": lambda h: h.update(sequence="1"),
    "a number that is true": lambda h: h.update(sequence=True),
    "a word for a truth": lambda h: h.update(signed="yes"),
    "about nothing": lambda h: h.update(about="x"),
}


def edited(store: Store, edit: Edit | None, raw: Callable[[bytes], bytes] = bytes) -> bytes:
    """The envelope of record 1 with another header, signed by the store's key."""
    statement = json.loads(envelope.unwrap(store.read(1).bytes, envelope.PAYLOAD).payload)
    if edit is not None:
        edit(statement["predicate"])
        files = statement["predicate"]["files"]
        statement["subject"] = [{"name": f["name"], "digest": {"sha256": f["sha256"]}} for f in files]
    return envelope.wrap(raw(json.dumps(statement, sort_keys=True).encode()), envelope.PAYLOAD, store.signers)


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_that_leads_astray_is_a_fault(store: Store, name: str) -> None:
    parts = unpacked(bundle.write(store, store.read(1).header.id))
    parts = {n: c for n, c in parts.items() if not n.startswith("checkpoints/")}
    assert both(packed({**parts, "envelopes/000000000001.json": edited(store, lambda h: h)})) == {0}
    data = edited(store, HEADERS[name])
    assert both(packed({**parts, "envelopes/000000000001.json": data})) == {3}
    sql(store, "UPDATE envelopes SET bytes = ? WHERE sequence = 1", data)
    assert verify.store(store).exit_code == 3


@pytest.mark.parametrize(
    "raw",
    [
        lambda p: p.replace(b'"kind":', b'"kind": "note", "kind":'),
        lambda p: p.replace(b'"seconds": 0.1', b'"seconds": NaN'),
        lambda p: b"[" * 90_000,
    ],
)
def test_a_payload_that_two_readers_read_as_two_is_a_fault(store: Store, raw: Callable[[bytes], bytes]) -> None:
    parts = unpacked(bundle.write(store, store.read(1).header.id))
    parts = {n: c for n, c in parts.items() if not n.startswith("checkpoints/")}
    assert both(packed({**parts, "envelopes/000000000001.json": edited(store, None)})) == {0}
    data = edited(store, None, raw)
    assert data != edited(store, None)
    assert both(packed({**parts, "envelopes/000000000001.json": data})) == {3}


@pytest.mark.parametrize(
    "content", [b"[" * 100_000, b'{"explanation":5}', b"[]", b'{"explanation":{"prediction":[]}}', b"\xff"]
)
def test_content_that_is_no_record_is_a_fault(store: Store, content: bytes) -> None:
    record, key = store.read(1).header.id, bytes(32)

    def other(header: dict[str, Any]) -> None:
        entry = {"size": len(content), "commitment": sealing.commitment(key, content)}
        header["files"] = [{**header["files"][0], **entry}]

    parts = {
        n: c for n, c in unpacked(bundle.write(store, record)).items() if not n.startswith(("files/", "checkpoints/"))
    }
    parts["envelopes/000000000001.json"] = edited(store, other)
    parts |= {f"files/{record}/record.json": content, "openings.json": rfc8785.dumps({record: key.hex()})}
    assert both(packed(parts)) == {3}


def test_a_number_beyond_all_numbers_has_no_label(store: Store) -> None:
    huge = {"id": "x", "explanation": {"prediction": {"activation": "none", "logits": [10**400]}}}
    assert told(json.dumps(huge).encode()) == Told("x", "", None)


def test_one_opening_and_one_key_have_one_form(store: Store) -> None:
    parts = unpacked(bundle.write(store, store.read(1).header.id))
    (record,) = json.loads(parts["openings.json"])
    opening = json.loads(parts["openings.json"])[record]
    for form in (opening.upper() if opening.upper() != opening else "", opening + "00", " ".join([opening, ""])):
        assert both(packed({**parts, "openings.json": rfc8785.dumps({record: form})})) == {2}
    (key,) = (n for n in parts if n.startswith("keys/"))
    assert both(packed({**parts, key: b"hello\n" + parts[key]})) == {2}
    assert both(packed({**parts, f"keys/{'0' * 64}.pem": parts[key]})) == {2}


def test_a_zip_that_claims_less_than_it_holds_is_not_unpacked(store: Store) -> None:
    assert both(packed({"envelopes/000000000001.json": bytes(10**6)}, zipfile.ZIP_BZIP2)) == {2}
    data = packed({"envelopes/000000000001.json": bytes(10**6)})
    with pytest.raises(AuditError) as refused:
        bundle.read(data.replace(struct.pack("<L", 10**6), struct.pack("<L", 100)))
    assert refused.value.code == "not_evidence"


def test_the_end_that_no_checkpoint_covers_is_counted_in_a_bundle(store: Store, found: Explanation) -> None:
    store.file(found)
    assert bundle.verify(bundle.write(store)).uncovered == 1
    assert bundle.verify(bundle.write(store, store.read(1).header.id)).uncovered == 0


def test_a_strange_file_among_the_checkpoints_stops_nothing(store: Store, found: Explanation) -> None:
    folder = store.second / store.id
    (folder / "backup.json").write_bytes(b"x")
    (folder / "000000000001 (copy).json").write_bytes((folder / "000000000001.json").read_bytes())
    number = store.file(found).header.sequence
    assert store.read(number).header.sequence == 3
    assert {f.where for f in verify.store(store).faults} == {
        "checkpoint backup.json",
        "checkpoint 000000000001 (copy).json",
    }
    with pytest.raises(AuditError):
        checkpoints.read(envelope.wrap(b"[" * 90_000, checkpoints.PAYLOAD, store.signers))


def test_what_nobody_signed_is_not_shown_as_signed(store: Store) -> None:
    """A changed header with its genuine signature: neither content nor report nor review is shown."""
    entry = store.read(1)
    changed = envelope.unwrap(entry.bytes, envelope.PAYLOAD).payload.replace(b'"case 0"', b'"case 9"')
    (signature,) = json.loads(entry.bytes)["signatures"]
    data = json.loads(envelope.wrap(changed, envelope.PAYLOAD, ())) | {"signatures": [signature]}
    sql(store, "UPDATE envelopes SET bytes = ? WHERE sequence = 1", rfc8785.dumps(data))
    for look in (lambda: store.read(1), lambda: store.content(entry.header.id)):
        with pytest.raises(AuditError, match="not shown"):
            look()
    store.erase(entry.header.id, Who("ada"), "asked")
    assert verify.store(store).exit_code == 3


def test_an_envelope_that_could_not_be_read_again_is_not_filed(store: Store, found: Explanation) -> None:
    model = dataclasses.replace(found.model, id="m" * 3_500_000)
    with pytest.raises(InputError, match="larger"):
        store.file(dataclasses.replace(found, model=model))
    assert verify.store(store).faults == ()


def test_a_home_that_was_open_to_others_becomes_its_owners_alone(tmp_path: Path) -> None:
    home = tmp_path / "evidence"
    home.mkdir()
    home.chmod(0o755)
    assert Store(home).home.stat().st_mode & 0o777 == 0o700


def test_a_file_is_named_as_ours_are(store: Store) -> None:
    with pytest.raises(InputError, match="file name"):
        store.add("screenshot", store.read(1).header.id, Who("ada"), attached={"a b.png": b"x"})


def test_a_hold_put_on_meanwhile_stops_only_its_own_record(
    tmp_path: Path, found: Explanation, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datetime import UTC, datetime, timedelta

    from explain.audit import store as module

    own = Store(tmp_path / "own" / "evidence")
    records = [own.file(found, purpose=Purpose(retention="short")).header.id for _ in range(3)]
    real = module.append

    def append(store: Store, new: Any) -> Any:
        if new.kind == "erase" and new.about == records[0]:
            monkeypatch.setattr(module, "append", real)
            store.hold(records[1], Who("legal"), "a lawsuit")
        return real(store, new)

    monkeypatch.setattr(module, "append", append)
    assert own.expire(Who("job"), datetime.now(UTC) + timedelta(days=40)) == [records[0], records[2]]
    assert not own.place(records[0]).exists()
    assert own.content(records[1]).explanation.tokens.texts == found.tokens.texts


def test_both_verifiers_want_ids_of_version_7(store: Store) -> None:
    record = store.read(1).header.id
    parts = unpacked(bundle.write(store, record))
    parts = {n: c for n, c in parts.items() if not n.startswith("checkpoints/")}
    for other, code in (("0a1b2c3d-0000-7000-8000-000000000000", 0), ("0a1b2c3d-0000-4000-8000-000000000000", 3)):
        renamed = {n.replace(record, other): c for n, c in parts.items()}
        renamed["openings.json"] = parts["openings.json"].replace(record.encode(), other.encode())
        content = renamed[f"files/{other}/record.json"].replace(record.encode(), other.encode())
        renamed[f"files/{other}/record.json"] = content
        key = sealing.commitment_key(store.key(record))

        def other_id(header: dict[str, Any], other: str = other, content: bytes = content, key: bytes = key) -> None:
            header["id"] = other
            header["files"][0]["commitment"] = sealing.commitment(key, content)

        renamed["envelopes/000000000001.json"] = edited(store, other_id)
        assert both(packed(renamed)) == {code}
