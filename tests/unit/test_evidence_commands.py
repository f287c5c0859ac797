"""Evidence on the command line: from a JSON file to a record, a verdict, a bundle and an erasure."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from explain.engine import Model
from explain.settings import settings


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """State of its own."""
    monkeypatch.setenv("EXPLAIN_HOME", str(tmp_path / "home"))
    settings.cache_clear()
    yield tmp_path / "home"
    settings.cache_clear()


@pytest.fixture(scope="module")
def explanation(tiny: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("json") / "x.json"
    path.write_text(tiny.explain("A charming film.", checks=()).to_json(), "utf-8")
    return path


def test_from_filing_to_erasing(run, explanation: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    code, said, more = run("evidence", "file", str(explanation), "--case", "4711", "--actor", "ada", "--note", "why")
    record = said.strip()
    assert (code, len(record)) == (0, 36)
    assert "signed by" in more
    assert run("evidence", "review", "1", "--agree", "--actor", "bob", "--sign-off")[0] == 0
    code, said, _ = run("evidence", "list", "--search", "4711", "--json")
    row = json.loads(said)[0]
    assert (row["id"], row["review"], row["signed_off"]) == (record, "agree", True)
    assert json.loads(run("evidence", "show", record)[1])["content"]["note"] == "why"
    code, said, _ = run("verify")
    assert code == 0
    assert "V1  holds" in said
    assert run("evidence", "checkpoint")[0] == 0
    assert run("evidence", "export", record, "--out", str(tmp_path / "b.zip"))[0] == 0
    assert json.loads(run("verify", str(tmp_path / "b.zip"), "--json")[1])["levels"]["V1"] == "holds"
    assert run("evidence", "hold", "1")[0] == 0
    code, _, said = run("erase", "1", "--reason", "asked")
    assert (code, "legal hold" in said) == (2, True)
    assert run("evidence", "release", "1")[0] == run("erase", "1", "--reason", "asked")[0] == run("verify")[0] == 0
    assert json.loads(run("evidence", "show", "1")[1])["content"] is None


def test_filing_says_how_production_decided(run, explanation: Path) -> None:  # type: ignore[no-untyped-def]
    given = ("--decision", "NOBODY", "--model-sha256", "0" * 64, "--time", "2026-03-01T09:30:00Z")
    code, record, said = run("evidence", "file", str(explanation), *given)
    assert (code, len(record.strip())) == (0, 36)
    assert "Decision in production: differs by another model's weights" in said
    decision = json.loads(run("evidence", "show", record.strip())[1])["content"]["decision"]
    assert (decision["model_sha256"], decision["time"]) == ("0" * 64, "2026-03-01T09:30:00Z")
    for wrong in (("--score", "nan"), ("--score", "7"), ("--threshold", "inf"), ("--time", "yesterday")):
        code, _, said = run("evidence", "file", str(explanation), *wrong)
        assert (code, "of the decision" in said) == (2, True), wrong
    assert "not supplied" in run("evidence", "file", str(explanation))[2]


def test_exit_codes_name_the_level(run, explanation: Path, home: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    record = run("evidence", "file", str(explanation))[1].strip()
    (sealed,) = (home / "evidence" / "files").glob("*/*/record.json")
    whole = sealed.read_bytes()
    sealed.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    code, said, _ = run("verify", record)
    assert code == 3
    assert "record 1, record.json: the file was changed" in said
    sealed.write_bytes(whole)
    (point,) = (home / "checkpoints").glob("*/*.json")
    point.rename(point.with_name("000000000009.json"))
    assert run("verify")[0] == 4
    (tmp_path / "junk.zip").write_bytes(b"junk")
    for what in (str(tmp_path / "junk.zip"), str(tmp_path), "../../etc/passwd", "7", record[:-1] + "x"):
        code, _, said = run("verify", what)
        assert code == 2, what
        assert "Traceback" not in said
        assert len(said.strip().splitlines()) <= 2


def test_what_corrects_and_what_sums_up(run, explanation: Path) -> None:  # type: ignore[no-untyped-def]
    first = run("evidence", "file", str(explanation))[1].strip()
    given = ("--dataset", "reviews", "--row", "17", "--row-sha256", "a" * 64)
    second = run("evidence", "file", str(explanation), "--corrects", "1", *given)[1].strip()
    assert run("evidence", "summary", "1", second, "--failed", "2", "--use", "audit")[0] == 0
    assert run("verify")[0] == 0
    shown = json.loads(run("evidence", "show", "2")[1])
    assert (shown["header"]["kind"], shown["header"]["detail"]) == ("correction", {"corrects": first})
    purpose, content = shown["header"]["purpose"], shown["content"]
    assert (purpose["dataset_id"], purpose["dataset_row"], content["row_sha256"]) == ("reviews", "17", "a" * 64)
    for wrong in (("file", str(explanation), "--corrects", "9"), ("file", str(explanation), "--row-sha256", "x")):
        assert run("evidence", *wrong)[0] == 2
    assert run("evidence", "summary", "1", "1")[0] == 2


def test_keys_and_time(run, explanation: Path, home: Path) -> None:  # type: ignore[no-untyped-def]
    run("evidence", "file", str(explanation))
    (old,) = (home / "evidence" / "keys" / "trusted").glob("*.pem")
    assert run("evidence", "rotate", "--actor", "ada")[0] == 0
    run("evidence", "file", str(explanation))
    assert run("verify")[0] == 0
    code, said, _ = run("verify", "--key", str(old))
    assert code == 3, "the second record is signed by a key that --key does not name"
    assert "not believed" in said
    assert run("verify", "2", "--key", str(old))[0] == 3, "the same for one record"
    assert run("verify", "1", "--key", str(old.parent.parent))[0] == 0, "a folder of keys"
    assert run("evidence", "keep", "1", "forever")[0] == 2
    assert run("evidence", "keep", "1", "long")[0] == 0
    assert "0 records erased" in run("evidence", "expire")[1]
    assert run("verify", "--key", str(explanation))[0] == 2, "no key at all"


def test_an_option_is_obeyed_or_refused(run, explanation: Path, home: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    code, _, said = run("verify")
    assert (code, "no store" in said, home.exists()) == (2, True, False), "nothing to verify, and nothing is made"
    record = run("evidence", "file", str(explanation))[1].strip()
    packed = str(tmp_path / "b.zip")
    assert run("evidence", "export", "--out", packed)[0] == 0
    (folder,) = (home / "checkpoints").iterdir()
    assert run("verify", "--store-id", folder.name)[0] == 0
    assert run("verify", "--store-id", record)[0] == 4, "another store was expected"
    for what in ([], [packed]):
        assert run("verify", *what, "--model", "sentiment")[0] == 2
    for what in (record, packed):
        assert run("verify", what, "--store-id", folder.name)[0] == 2
