"""A report, picture or PDF in the hand: which record it is of, and whether it is the record's."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from explain import camera, canonical, copies, filing
from explain.audit import bundle
from explain.audit.records import Purpose, Who
from explain.audit.store import Store
from explain.errors import ExplainError
from explain.render.report import report
from tests import examples
from tests.pictures import chromium

DRAWN = ("html", "svg")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A record with a note, which was reviewed; and one that nobody said anything about."""
    made = Store(tmp_path_factory.mktemp("copies") / "evidence")
    for case in ("4711", "4712"):
        made.file(examples.explanation(), who=Who("ada"), purpose=Purpose(case), pictures=filing.pictures)
    made.add("note", made.read(1).header.id, Who("bob"), note="I see it <b>so</b>, too")
    made.review(made.read(1).header.id, Who("bob"), agree=True, sign_off=True)
    return made


def at(store: Store) -> tuple[str, str]:
    return "--store", str(store.home)


def copy_of(run, store: Store, path: Path, record: str = "1") -> Path:  # type: ignore[no-untyped-def]
    assert run("report", record, "-o", str(path), *at(store))[0] == 0
    return path


@pytest.mark.parametrize("suffix", DRAWN)
def test_a_copy_that_was_just_drawn_is_the_records(run, store: Store, tmp_path: Path, suffix: str) -> None:  # type: ignore[no-untyped-def]
    path = copy_of(run, store, tmp_path / f"one.{suffix}")
    code, said, _ = run("verify", str(path), *at(store))
    assert (code, "V1  holds" in said) == (0, True)
    assert (
        f"one.{suffix} shows record {store.read(1).header.id}: its bytes are what is drawn from the record as" in said
    )
    renamed = path.rename(tmp_path / "renamed.zip")
    assert run("verify", str(renamed), *at(store))[0] == 0, "a name does not decide what it is"


@pytest.mark.parametrize(("suffix", "name"), [("html", filing.REPORT), ("svg", filing.PICTURE)])
def test_a_file_of_the_record_is_known_by_its_bytes(run, store: Store, tmp_path: Path, suffix: str, name: str) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / f"filed.{suffix}"
    path.write_bytes(store.open(store.read(2).header.id, name))
    code, said, _ = run("verify", str(path), *at(store))
    assert (code, f"its bytes are those of {name}, filed as record 2" in said) == (0, True)


def test_a_copy_from_before_the_review_is_the_record_as_it_was_then(run, store: Store, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    now = filing.filing(store, store.read(1).header.id)
    for count, said_then in ((0, "before event 1 about"), (1, "before event 2 about"), (2, "as it is now")):
        path = tmp_path / f"{count}.html"
        then = dataclasses.replace(now, said=now.said[:count])
        path.write_text(report(now.content.explanation, then), "utf-8")
        code, said, _ = run("verify", str(path), *at(store))
        assert (code, said_then in said) == (0, True), said


def test_a_number_that_was_changed_is_named_with_both_values(run, store: Store, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = copy_of(run, store, tmp_path / "one.html")
    whole = path.read_text("utf-8")
    score = store.content(store.read(1).header.id).explanation.words()[3].score
    value = f'<data value="{canonical.encode(score).decode()}"'
    assert whole.count(value) == 1
    path.write_text(whole.replace(value, '<data value="0.5"'), "utf-8")
    code, said, _ = run("verify", str(path), *at(store))
    assert code == 3
    assert "V1  broken" in said
    assert "Nothing in the record" not in said, "what is broken is not said in the words of what holds"
    assert f"attribution-0, row 4, number 2: 0.5 in the copy, {canonical.encode(score).decode()} filed" in said
    assert "numbers are" not in said
    found = json.loads(run("verify", str(path), *at(store), "--json")[1])
    assert found["levels"]["V1"] == "broken"
    assert len(found["faults"]) == 1


@pytest.mark.parametrize("suffix", DRAWN)
def test_a_word_that_was_changed_is_told(run, store: Store, tmp_path: Path, suffix: str) -> None:  # type: ignore[no-untyped-def]
    path = copy_of(run, store, tmp_path / f"one.{suffix}")
    path.write_text(path.read_text("utf-8").replace("bob", "eve"), "utf-8")
    code, said, _ = run("verify", str(path), *at(store))
    assert code == 3
    assert "its words differ" in said
    assert "eve" in said
    if suffix == "html":
        assert "numbers are" in said, "the numbers were read back, and are the record's"


def test_what_changes_only_how_it_looks_is_not_the_records_either(run, store: Store, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = copy_of(run, store, tmp_path / "one.html")
    path.write_text(path.read_text("utf-8").replace("</style>", ".wb-n{display:none}</style>"), "utf-8")
    code, said, _ = run("verify", str(path), *at(store))
    assert (code, "its words are the record's, too" in said) == (3, True)


def test_every_changed_byte_of_a_report_is_found(store: Store) -> None:
    record = store.read(1).header.id
    held = copies.in_store(store, record)
    whole = filing.page(store, record).encode()
    for at_ in range(0, len(whole), len(whole) // 150):
        flipped = whole[:at_] + bytes([whole[at_] ^ 1]) + whole[at_ + 1 :]
        assert copies.compare(flipped, "x.html", held).exit_code == 3, at_


def test_a_copy_is_held_against_a_bundle(run, store: Store, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path, packed, other = copy_of(run, store, tmp_path / "one.html"), tmp_path / "one.zip", tmp_path / "two.zip"
    packed.write_bytes(bundle.write(store, store.read(1).header.id))
    other.write_bytes(bundle.write(store, store.read(2).header.id))
    code, said, _ = run("verify", str(path), "--bundle", str(packed))
    assert (code, "drawn from the record as it is now" in said) == (0, True)
    drawn = copy_of(run, store, tmp_path / "one.svg")
    assert run("verify", str(drawn), "--bundle", str(packed))[0] == 0
    drawn.write_bytes(store.open(store.read(1).header.id, filing.PICTURE))
    assert "words.svg, filed as record 1" in run("verify", str(drawn), "--bundle", str(packed))[1]
    path.write_text(path.read_text("utf-8").replace("4711", "4712"), "utf-8")
    assert run("verify", str(path), "--bundle", str(packed))[0] == 3
    code, _, said = run("verify", str(path), "--bundle", str(other))
    assert (code, "no record" in said) == (2, True)
    for wrong in (tmp_path / "nothing.zip", path):
        assert run("verify", str(path), "--bundle", str(wrong))[0] == 2
    assert run("verify", "1", "--bundle", str(packed), *at(store))[0] == 2, "a record is not held against a bundle"


def test_there_must_be_something_to_compare_with(run, store: Store, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    plain, path = tmp_path / "x.json", tmp_path / "x.html"
    plain.write_text(examples.explanation().to_json(), "utf-8")
    assert run("report", str(plain), "-o", str(path))[0] == 0
    code, _, said = run("verify", str(path), *at(store))
    assert (code, "names no record" in said) == (2, True)
    copy_of(run, store, path)
    elsewhere = Store(tmp_path / "elsewhere" / "evidence")
    elsewhere.file(examples.explanation(), pictures=filing.pictures)
    code, _, said = run("verify", str(path), *at(elsewhere))
    assert (code, "no record" in said) == (2, True)
    copy_of(run, elsewhere, path)
    elsewhere.erase(elsewhere.read(1).header.id, Who("ada"), "asked")
    code, _, said = run("verify", str(path), *at(elsewhere))
    assert (code, "was erased" in said) == (2, True)
    packed = tmp_path / "erased.zip"
    packed.write_bytes(bundle.write(elsewhere))
    code, _, said = run("verify", str(path), "--bundle", str(packed))
    assert (code, "was erased" in said) == (2, True)
    assert "Traceback" not in said


def test_a_copy_of_a_broken_record_proves_nothing(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    own = Store(tmp_path / "own" / "evidence")
    own.file(examples.explanation(), pictures=filing.pictures)
    path = copy_of(run, own, tmp_path / "one.svg")
    (own.place(own.read(1).header.id) / filing.REPORT).write_bytes(b"x" * 400)
    code, said, _ = run("verify", str(path), *at(own))
    assert (code, "was not compared" in said) == (3, True)


@chromium
def test_pictures_bear_their_record_and_are_taken_again(run, store: Store, tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    record = store.read(2).header.id
    now = filing.filing(store, store.read(1).header.id)
    before = dataclasses.replace(now, said=now.said[:1])
    then = camera.pdf(report(now.content.explanation, before), now.header.recorded)  # type: ignore[union-attr]
    (tmp_path / "then.pdf").write_bytes(then.data)
    code, said, _ = run("verify", str(tmp_path / "then.pdf"), *at(store))
    assert (code, "before event 2 about" in said) == (0, True), "what it was made of stands in its title"
    for suffix in ("png", "pdf"):
        path = copy_of(run, store, tmp_path / f"two.{suffix}", "2")
        data = path.read_bytes()
        assert copies.named(data) == record
        code, said, _ = run("verify", str(path), *at(store))
        assert (code, "drawn from the record as it is now" in said) == (0, True)
        path.write_bytes(data[:-200] + bytes([data[-200] ^ 1]) + data[-199:])
        code, said, _ = run("verify", str(path), *at(store))
        assert (code, "take it anew" in said) == (3, True)
    if shutil.which("pngcheck"):
        assert subprocess.run(["pngcheck", str(tmp_path / "two.png")], check=False).returncode == 0
    shot = tmp_path / "shot.png"
    assert run("screenshot", "2", "-o", str(shot), "--attach", *at(store))[0] == 0

    def none(*_: object) -> camera.Shot:
        raise ExplainError("no browser", code="browser")

    monkeypatch.setattr(camera, "png", none)
    code, said, _ = run("verify", str(shot), *at(store))
    assert (code, "page.png, filed as record" in said) == (0, True), "what was attached needs no browser"
    shot.write_bytes(shot.read_bytes()[:-20])
    code, _, said = run("verify", str(shot), *at(store))
    assert (code, "cannot be taken again" in said) == (2, True)
