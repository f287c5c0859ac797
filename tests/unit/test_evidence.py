"""Evidence: what a record holds, how it compares, and what is left of it after it was erased."""

from __future__ import annotations

import dataclasses
import re
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from explain.audit import building, envelope, ids, listing, retention, sealing, verify
from explain.audit.records import Content, Decision, Header, Purpose, Who
from explain.audit.retention import CLASSES
from explain.audit.store import Store
from explain.engine import Model
from explain.errors import AuditError, InputError
from explain.records import Explanation
from tests.evidence import small_pictures

TEXT = "A charming, witty story but very dull ending."


@pytest.fixture(scope="module")
def found(tiny: Model) -> Explanation:
    return tiny.explain(TEXT, checks=("completeness",))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "evidence")


def test_a_record_comes_back_as_it_was_filed(store: Store, found: Explanation) -> None:
    decision = Decision(found.prediction.label, model_sha256=found.model.weights_sha256)
    filed = store.file(found, who=Who("ada"), purpose=Purpose("4711", "triage"), decision=decision, note="ok")
    read = store.read(filed.header.id)
    assert read.header == filed.header
    content = store.content(filed.header.id)
    assert content.explanation == found
    assert (content.matches, content.note) == ("matches in model and label; score not supplied", "ok")
    assert read.header.purpose.case_id == "4711"
    assert read.header.methods == ("integrated_gradients",)
    assert ids.valid(read.header.id)


def test_ids_sort_by_time() -> None:
    made = [ids.new() for _ in range(3)]
    assert made[0][:13] <= made[-1][:13]
    assert all(ids.valid(one) and len({*made}) == 3 for one in made)
    assert not any(map(ids.valid, ["../../etc", "", made[0].upper(), made[0] + "\n", made[0][:-1] + "g"]))


def test_every_field_that_is_none_says_why(store: Store, found: Explanation) -> None:
    filed = store.file(found)
    review = store.review(filed.header.id, Who("bob"), agree=False)
    for record in (filed.header, review.header, store.content(filed.header.id)):
        empty = set(building.nothing(record))
        assert empty, "some fields are never known"
        assert empty == record.absent.keys()
        assert all(len(reason) > 5 for reason in record.absent.values())


def test_every_field_that_the_specification_lists_exists(store: Store, found: Explanation) -> None:
    page = (Path(building.__file__).parent / "SPECIFICATION.md").read_text("utf-8")
    table = page.split("## Where each field of an audit record is")[1]
    header = {f.name for f in dataclasses.fields(Header)}
    content = {f.name for f in dataclasses.fields(Content)}
    parts = {f.name for f in dataclasses.fields(Explanation)}
    rows = [line for line in table.splitlines() if line.startswith("|") and "`" in line]
    assert len(rows) > 20
    for line in rows:
        for name in re.findall(r"`([\w.]+)`", line):
            first, _, rest = name.partition(".")
            events = {"review", "hold", "release"}
            assert first in header | content | events, name
            assert first != "explanation" or rest in parts, name


def test_the_header_holds_nothing_of_the_text(store: Store, found: Explanation) -> None:
    filed = store.file(found, note="secret remark", pictures=small_pictures)
    for word in ("charming", "witty", "secret", '"scores"', '"offsets"', '"ids"'):
        assert word not in filed.header.to_json()


def test_names_are_bounded(store: Store, found: Explanation) -> None:
    for who, purpose in [(Who("x" * 201), None), (None, Purpose("\ud800")), (None, Purpose(retention="for ages"))]:
        with pytest.raises(InputError):
            store.file(found, who=who, purpose=purpose)
    with pytest.raises(InputError, match="10,000"):
        store.file(found, note="n" * 10_001)
    with pytest.raises(InputError, match="reviewer"):
        store.review(store.file(found).header.id, Who(" "), agree=True)
    assert listing.page(store).total == 1, "what was refused was not filed"


def test_a_short_text_cannot_be_guessed_from_its_commitment(store: Store, found: Explanation) -> None:
    one, two = (store.file(found).header for _ in range(2))
    first, second = one.files[0], two.files[0]
    assert first.commitment != second.commitment, "each record has a key of its own"
    plain = store.open(one.id, "record.json")
    assert sealing.commitment(sealing.commitment_key(store.key(one.id)), plain) == first.commitment
    assert envelope.digest(plain) not in one.to_json()


def test_a_store_without_signatures_says_so(tmp_path: Path, found: Explanation) -> None:
    store = Store(tmp_path / "evidence", signed=False)
    filed = store.file(found)
    assert not filed.header.signed
    assert store.fingerprint is None
    verdict = verify.store(store)
    assert (verdict.exit_code, verdict.unsigned, verdict.signed_by) == (0, 1, ())


def test_a_legal_hold_wins(store: Store, found: Explanation) -> None:
    record = store.file(found, purpose=Purpose(retention="short")).header.id
    store.hold(record, Who("legal"), "a lawsuit")
    late = datetime.now(UTC) + timedelta(days=5000)
    assert store.expire(Who("job"), late) == []
    with pytest.raises(AuditError, match="legal hold") as refused:
        store.erase(record, Who("ada"), "asked")
    assert refused.value.code == "on_hold"
    store.hold(record, Who("legal"), "it is over", release=True)
    assert store.expire(Who("job"), late) == [record]
    assert verify.store(store).exit_code == 0


def test_retention_classes_erase_in_time(store: Store, found: Explanation) -> None:
    by_class = {name: store.file(found, purpose=Purpose(retention=name)).header.id for name in CLASSES}
    assert store.expire(Who("job")) == []
    now = datetime.now(UTC)
    assert store.expire(Who("job"), now + timedelta(days=31)) == [by_class["short"]]
    store.add("retention", by_class["standard"], Who("ada"), detail={"retention": "permanent"})
    assert store.expire(Who("job"), now + timedelta(days=9999)) == [by_class["long"]]
    assert store.content(by_class["permanent"]).explanation == found
    assert verify.store(store).exit_code == 0


def test_a_time_of_another_zone_erases_neither_early_nor_late(store: Store, found: Explanation) -> None:
    record = store.file(found, purpose=Purpose(retention="short"))
    due = datetime.fromisoformat(str(record.state.due))
    for hours in (-11, 14):
        zone = timezone(timedelta(hours=hours))
        assert store.expire(Who("job"), (due - timedelta(hours=1)).astimezone(zone)) == []
    assert store.expire(Who("job"), (due + timedelta(hours=1)).astimezone(timezone(timedelta(hours=-11)))) != []


def test_standard_retention_is_never_less_than_six_months() -> None:
    for day in range(365):
        start = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=day)
        month, year = (start.month + 5) % 12 + 1, start.year + (start.month > 6)
        last = (datetime(year + month // 12, month % 12 + 1, 1) - timedelta(days=1)).day
        six = start.replace(year=year, month=month, day=min(start.day, last))
        assert str(retention.due(start.isoformat(), "standard")) >= six.isoformat()


def test_an_erased_text_is_nowhere(store: Store, found: Explanation) -> None:
    other = store.file(found.__class__(**{**vars(found)}), note="stays").header.id
    record = store.file(found, note="the zebra remark", pictures=lambda draft: {"page.png": TEXT.encode()}).header.id
    store.review(record, Who("bob"), agree=True, note="a second zebra")
    key = store.key(record)
    store.erase(record, Who("ada"), "asked by the person")
    for what in (lambda: store.content(record), lambda: store.open(record, "page.png"), lambda: store.key(record)):
        with pytest.raises(AuditError) as gone:
            what()
        assert gone.value.code == "erased"
    needles = [TEXT.encode(), b"charming", b"zebra", key, key.hex().encode()]
    for path in store.home.parent.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert not any(needle in data for needle in needles), path.name
    assert not store.place(record).exists()
    verdict = verify.store(store)
    assert (verdict.exit_code, verdict.erased, verdict.faults) == (0, 1, ())
    assert store.content(other).explanation == found, "another record of the same text is whole"
    with pytest.raises(AuditError, match="erased"):
        store.add("note", record, Who("ada"), note="too late")
    row = listing.page(store, listing.Wish(erased=True)).rows[0]
    assert (row["id"], row["label"]) == (record, None)


def test_the_list_is_filtered_searched_and_paged(store: Store, found: Explanation) -> None:
    records = [store.file(found, who=Who("ada"), purpose=Purpose(f"case_{i}")).header.id for i in range(5)]
    store.review(records[0], Who("bob"), agree=True, sign_off=True)
    page = listing.page(store, limit=2, offset=1)
    assert (page.total, [row["id"] for row in page.rows]) == (5, [records[3], records[2]])
    assert [r["id"] for r in listing.page(store, listing.Wish(search="CASE_3")).rows] == [records[3]]
    assert listing.page(store, listing.Wish(search="caseX3")).total == 0, "_ is a character, not a pattern"
    assert [r["id"] for r in listing.page(store, listing.Wish(review="agree")).rows] == [records[0]]
    assert listing.page(store, listing.Wish(review="none")).total == 4
    assert listing.page(store, listing.Wish(label="NOBODY")).total == 0


def test_a_damaged_store_or_a_wrong_address_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AuditError, match="EXPLAIN_EVIDENCE_URL"):
        Store(tmp_path / "a", url="nonsense://x")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "evidence.db").write_bytes(b"no database" * 100)
    with pytest.raises(AuditError, match="store"):
        _ = Store(tmp_path / "b").id
    (tmp_path / "c").write_text("a file")
    with pytest.raises(AuditError, match="disk") as refused:
        Store(tmp_path / "c")
    assert refused.value.code == "storage"
