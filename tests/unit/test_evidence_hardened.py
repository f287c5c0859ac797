"""Evidence is its owner's alone, its names act on nobody's screen, and what is erased is served nowhere."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from starlette.applications import Starlette
from starlette.testclient import TestClient

from explain import filing
from explain.audit import database, listing
from explain.audit import store as storing
from explain.audit.database import entries
from explain.audit.records import Purpose, Who
from explain.audit.store import Store
from explain.dashboard import frames
from explain.engine import Model
from explain.errors import AuditError, InputError
from explain.records import Explanation
from explain.render import spreadsheet
from explain.settings import settings
from tests.conftest import html_of
from tests.unit.test_evidence_page import page

ACTING = ["\x1b[2Kred", "\u202elive", "two\nlines", "a\u2028b", "\u200b", "nul\0", "\u3164", "bell\x07"]


@pytest.fixture(scope="module")
def found(tiny: Model) -> Explanation:
    return tiny.explain("A charming film.", checks=())


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """The store that the command line and the page open."""
    monkeypatch.setenv("EXPLAIN_HOME", str(tmp_path / "home"))
    settings.cache_clear()
    own = Store()
    monkeypatch.setattr("explain.dashboard.evidence.opened", lambda: own)
    yield own
    settings.cache_clear()


def test_all_of_it_is_its_owners_alone(found: Explanation, tmp_path: Path, run) -> None:  # type: ignore[no-untyped-def]
    old = os.umask(0)
    try:
        home = tmp_path / "new" / "evidence"
        store = Store(home)
        record = store.file(found).header.id
        store.erase(record, Who("ada"), "asked")  # which removes the folder for drafts
        store.file(found)
        with database.writing(store.engine) as connection:  # SQLite's own files are there while somebody writes
            connection.execute(sa.update(entries).values(held=False))
            modes = {p: p.stat().st_mode & 0o777 for p in (tmp_path / "new").rglob("*")}
        for name in ("b.zip", "one.html"):
            command = ("evidence", "export", "-o") if name == "b.zip" else ("report", "3", "-o")
            assert run(*command, str(tmp_path / name), "--store", str(home))[0] == 0
            assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
    finally:
        os.umask(old)
    assert {"evidence.db", "evidence.db-wal", "signing.pem", "trusted", "checkpoints"} <= {p.name for p in modes}
    assert {p.name: oct(mode) for p, mode in modes.items() if mode != (0o700 if p.is_dir() else 0o600)} == {}


@pytest.mark.parametrize("name", ACTING)
def test_names_that_act_are_refused(store: Store, found: Explanation, name: str) -> None:
    for asked in ({"purpose": Purpose(name)}, {"who": Who(name)}):
        with pytest.raises(InputError) as refused:
            store.file(found, **asked)  # type: ignore[arg-type]
        assert name not in str(refused.value)
    record = store.file(found, who=Who("Zoë 山田 می\u200cخواهم"), note="two\nlines").header.id
    with pytest.raises(InputError, match="not seen"):
        store.review(record, Who(name), agree=True)
    with pytest.raises(InputError, match="not seen"):
        store.erase(record, Who("ada"), name)


def test_a_row_cannot_forge_another(store: Store, found: Explanation, run) -> None:  # type: ignore[no-untyped-def]
    store.file(found)
    with database.writing(store.engine) as connection:  # as a label of a model may be, or a store of somebody else
        connection.execute(sa.update(entries).values(label="\x1b[1ARED\n     9  forged\u202e", case_id="a\tb"))
    said = run("evidence", "list")[1]
    assert "[U+001B][1ARED      9  forged[U+202E]  a b" in said
    assert len(said.splitlines()) == 2
    assert not set("\x1b\u202e") & set(said)
    assert run("evidence", "list", "--search", "\udcff")[0] == 2
    with pytest.raises(InputError, match="surrogate"):
        listing.page(store, listing.Wish(search="\udcff"))


def test_what_is_shown_is_escaped(store: Store, tiny: Model, run) -> None:  # type: ignore[no-untyped-def]
    store.file(tiny.explain("A good \u202efilm.", checks=()))
    said = run("evidence", "show", "1")[1]
    assert "\u202e" not in said
    assert json.loads(said)["content"]["explanation"]["tokens"]["texts"] == ["A good \u202efilm."]


def test_a_fault_leaves_nothing_unswept(store: Store, found: Explanation, monkeypatch: pytest.MonkeyPatch) -> None:
    records = [store.file(found, purpose=Purpose(retention="short")).header.id for _ in range(2)]
    append = storing.append

    def full(to: Store, new):  # type: ignore[no-untyped-def]
        if new.about == records[1]:
            raise AuditError("The disk is full.", code="storage")
        return append(to, new)

    monkeypatch.setattr(storing, "append", full)
    with pytest.raises(AuditError, match="full"):
        store.expire(Who("job"), datetime.now(UTC) + timedelta(days=40))
    assert [store.place(r).exists() for r in records] == [False, True]


def test_the_databases_password_is_not_shown(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("EXPLAIN_HOME", str(tmp_path))
    (tmp_path / "evidence" / "files").mkdir(parents=True)
    for url in ("postgresql://whyboard:S3CRETpw@host/x", "postgresql://whyboard:S3CRETpw@host:S3CRETport/x"):
        monkeypatch.setenv("EXPLAIN_EVIDENCE_URL", url)
        settings.cache_clear()
        said = [*run("settings")[1:], *run("settings", "--json")[1:], repr(settings())]
        assert "EXPLAIN_EVIDENCE_URL=***" in said[0]
        if "port" in url:
            code, *more = run("evidence", "list")
            assert code == 2
            assert "port" in more[1]
            said += more
        assert "S3CRET" not in "".join(said)
    settings.cache_clear()


def test_erasing_says_what_it_does_not_reach(store: Store, found: Explanation, run, monkeypatch, tmp_path) -> None:  # type: ignore[no-untyped-def]
    store.file(found)
    store.file(found)
    assert "written job" not in run("erase", "1", "--actor", "ada", "--reason", "asked")[2]
    monkeypatch.setenv("EXPLAIN_JOBS", str(tmp_path / "jobs"))
    settings.cache_clear()
    assert "written job (EXPLAIN_JOBS)" in run("erase", "2", "--actor", "ada", "--reason", "asked")[2]


def test_what_is_erased_elsewhere_is_not_served(
    store: Store, found: Explanation, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = store.file(found, pictures=filing.pictures).header.id
    places: list[str] = []
    place = frames.place
    monkeypatch.setattr(frames, "place", lambda *a, **k: places.append(place(*a, **k)) or places[-1])
    app = page(record)
    assert not app.exception
    client = TestClient(Starlette(routes=[frames.route]))
    assert "charming" in client.get(places[-1]).text
    Store(store.home).erase(record, Who("ada"), "asked")  # as the command line beside a running dashboard
    answer = client.get(places[-1])
    assert (answer.status_code, "charming" in answer.text) == (404, False)


def test_documents_go_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    address = frames.place("in time", lambda: "<p>shown</p>")
    client = TestClient(Starlette(routes=[frames.route]))
    assert client.get(address).status_code == 200
    now = frames.time.monotonic()
    monkeypatch.setattr(frames.time, "monotonic", lambda: now + frames.SECONDS + 1)
    assert client.get(address).status_code == 404
    assert not frames._documents


def test_acts_on_the_page_drop_what_it_showed(store: Store, found: Explanation, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    record = store.file(found).header.id
    monkeypatch.setattr(Store, "over", lambda *_: {1: record})
    address = frames.place("another session's", lambda: "<p>shown</p>")
    app = page()
    app.button(key="expire").click().run()
    assert TestClient(Starlette(routes=[frames.route])).get(address).status_code == 200, "it was only asked"
    app.text_input(key="actor").set_value("ada").run()
    app.button(key="expire_yes").click().run()
    assert store.read(record).state.erased
    assert TestClient(Starlette(routes=[frames.route])).get(address).status_code == 404


def test_acts_that_erase_nothing_leave_what_others_see(store: Store, found: Explanation) -> None:
    record = store.file(found).header.id
    address = frames.place("another session's", lambda: "<p>shown</p>")
    client = TestClient(Starlette(routes=[frames.route]))
    app = page(record)
    for key, words in (("actor", "ada"), ("why", "a lawsuit"), ("reason", "asked")):
        app.text_input(key=key).set_value(words)
    app.button(key="hold").click().run()
    assert store.read(record).state.held
    assert client.get(address).status_code == 200
    app.button(key="hold").click().run()
    app.text_input(key="reason").set_value("asked").run()
    app.text_input(key="sure").set_value("erase").run()
    app.button(key="erase").click().run()
    assert store.read(record).state.erased
    assert client.get(address).status_code == 404


def test_the_list_says_who_claims_a_signature_and_asks_no_key(
    store: Store, found: Explanation, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        store.file(found)
    asked: list[int] = []
    monkeypatch.setattr(type(store.keys), "trusted", lambda _: asked.append(1) or {"0" * 64: None})
    assert list(page().dataframe[0].value["signed"]) == ["yes"] * 3
    assert not asked, "whether a signature holds, Verify says"


def test_a_records_page_reads_it_and_draws_it_once(
    store: Store, found: Explanation, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = store.file(found, who=Who("ada", auth="oidc"), purpose=Purpose("case 7")).header.id
    store.review(record, Who("bob"), agree=True, note="fine")
    drawn: list[str] = []
    real = filing.filing
    monkeypatch.setattr(filing, "filing", lambda *about: drawn.append("filing") or real(*about))
    app = page(record)
    assert not app.exception
    assert drawn == ["filing"]
    captions = "\n".join(c.value.replace("\\", "") for c in app.caption)
    assert "case: case 7" in captions
    assert "filed by: ada (oidc)" in captions
    assert "bob agrees" in captions
    assert "What was added" in html_of(app)


def test_the_table_is_no_formula_and_nothing_acts_in_it(store: Store, found: Explanation) -> None:
    store.file(found, purpose=Purpose("=HYPERLINK(1)"), who=Who("+ada"))
    with database.writing(store.engine) as connection:
        connection.execute(sa.update(entries).values(label="\u202egood"))
    row = page().dataframe[0].value.iloc[0]
    assert (row["case"], row["by"], row["decision"]) == ("'=HYPERLINK(1)", "'+ada", "[U+202E]good")
    assert spreadsheet.defused("\n=1") == "'\n=1"
    assert spreadsheet.defused("") == ""
