"""Erasing leaves nothing: not in the store, its free pages and write-ahead log, the temp folder, the logs."""

from __future__ import annotations

import base64
import json
import logging
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from streamlit.testing.v1 import AppTest

import explain
from explain import filing
from explain.audit import database, verify
from explain.audit.records import Who
from explain.audit.store import Store
from explain.engine import Model
from explain.errors import AuditError
from explain.journal import JsonLines
from explain.settings import settings
from tests import rest
from tests.conftest import finish
from tests.pictures import DRAWN
from tests.traces import forms, left, secrets_of

TEXT = "Stirring & charming: the “naïve” <zebrafish> café is tedious."
NOTE = "remarkable pelican"
ROOT = Path(__file__).resolve().parents[2]


class World:
    """Folders of one's own for everything that a process may write to: home, state, temp, logs."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.temp, self.logs, self.home = root / "temp", root / "logs", root / "home"
        for folder in (self.temp, self.logs, self.home):
            folder.mkdir(parents=True)
        names = ("TMPDIR", "TEMP", "TMP")
        self.environment = {name: str(self.temp) for name in names} | {
            "HOME": str(root),
            "XDG_CACHE_HOME": str(root / "cache"),
            "XDG_CONFIG_HOME": str(root / "config"),
            "EXPLAIN_HOME": str(self.home),
        }

    @property
    def store(self) -> Store:
        return Store(self.home / "evidence")

    def command(self, *arguments: str, stdin: bytes = b"") -> str:
        """Run the command line in a process of its own; all that it says is kept as a log."""
        done = subprocess.run(
            [sys.executable, "-m", "explain", *arguments], input=stdin, capture_output=True, cwd=ROOT, check=True,
            env={**os.environ, **self.environment},
        )  # fmt: skip
        (self.logs / f"{len(list(self.logs.iterdir()))}.log").write_bytes(done.stdout + done.stderr)
        return done.stdout.decode()


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Such a world, for this process too; its log takes everything from the lowest level up."""
    root = Path(tempfile.mkdtemp(prefix="wb"))  # a short name: Chromium puts a socket below TMPDIR
    made = World(root / "w")
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(tempfile, "tempdir", None)
    settings.cache_clear()
    handler = logging.FileHandler(made.logs / "all.log")
    handler.setFormatter(JsonLines())
    logger, before = logging.getLogger(), logging.getLogger().level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield made
    logger.setLevel(before)
    logger.removeHandler(handler)
    handler.close()
    settings.cache_clear()
    shutil.rmtree(root)


@pytest.fixture(scope="module")
def found(tiny: Model) -> explain.Explanation:
    return tiny.explain(TEXT, checks=("completeness",))


def by_python(world: World, found: explain.Explanation, _app: AppTest, _folder: Path) -> str:
    return world.store.file(found, note=NOTE, pictures=filing.pictures).header.id


def by_command(world: World, found: explain.Explanation, _app: AppTest, _folder: Path) -> str:
    return world.command("evidence", "file", "-", "--note", NOTE, stdin=found.to_json().encode()).strip()


def by_rest(world: World, _found: explain.Explanation, app: AppTest, folder: Path) -> str:
    """REST computes and files nothing itself: what it answers is filed from Python."""
    with rest.client(rest.application(folder)) as client:
        paths = {getattr(route, "path", "") for route in client.app.routes}  # type: ignore[attr-defined]
        assert not any("evidence" in path or "record" in path for path in paths), "a door that this test does not know"
        answer = client.post("/v1/explain", json={"inputs": TEXT})
    assert answer.status_code == 200, answer.text
    return by_python(world, explain.read(answer.content), app, folder)


def by_page(world: World, _found: explain.Explanation, app: AppTest, _folder: Path) -> str:
    finish(app)
    app.text_area(key="text").set_value(TEXT)
    finish(app)
    next(t for t in app.text_area if t.label == "Note").set_value(NOTE)
    next(b for b in app.button if b.label == "File").click()
    app.run()
    assert not app.exception
    return world.store.read(1).header.id


Door = Callable[[World, explain.Explanation, AppTest, Path], str]


@pytest.mark.parametrize("door", [by_python, by_command, by_rest, by_page])
def test_nothing_is_left_of_an_erased_text(
    world: World, found: explain.Explanation, app: AppTest, tiny_folder: Path, door: Door,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    own = world.store
    monkeypatch.setattr("explain.dashboard.evidence.opened", lambda: own)
    record = door(world, found, app, tiny_folder)
    assert own.content(record).explanation.tokens.texts == (TEXT,)
    own.review(record, Who("bob"), agree=True, note=f"second {NOTE}")
    if door is by_command and DRAWN:
        world.command("screenshot", record, "-o", str(world.root.parent / "x.png"), "--attach")
    secrets = [*secrets_of(found), NOTE, "pelican", *_sealed(own, record)]
    assert left([own.home], _sealed(own, record)), "the search finds what is there"
    if door is by_page:
        app.switch_page("screens/evidence_page.py")
        app.query_params["record"] = record
        app.run()
        app.text_input(key="actor").set_value("ada").run()
        app.text_input(key="reason").set_value("asked").run()
        app.text_input(key="sure").set_value("erase").run()
        app.button(key="erase").click().run()
        assert not app.exception
    elif door is by_command:
        world.command("erase", record, "--actor", "ada", "--reason", "asked")
    else:
        own.erase(record, Who("ada"), "asked")
    assert own.read(record).state.erased
    assert left([world.root], secrets) == []
    assert verify.store(own).faults == ()


def _sealed(store: Store, record: str) -> list[bytes]:
    """A record's key, bare and wrapped, and the beginnings of its encrypted files and of those about it."""
    found = [store.key(record)]
    with database.reading(store.engine) as connection:
        found += [row.wrapped for row in connection.execute(database.keys.select())]
    return found + [path.read_bytes()[:40] for path in (store.home / "files").rglob("*") if path.is_file()]


def test_a_page_that_is_left_unvacuumed_is_found(
    world: World, found: explain.Explanation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The search would not be worth much if it did not see what SQLite leaves when nobody overwrites it."""
    store = world.store
    record = store.file(found, note=NOTE).header.id
    sealed = _sealed(store, record)
    monkeypatch.setattr(database, "overwrite", lambda engine: None)
    store.erase(record, Who("ada"), "asked")
    assert any("evidence.db" in where for where in left([world.root], sealed)), "the wrapped key, in a freed page"
    monkeypatch.undo()
    store.sweep()
    assert left([world.root], sealed) == []


def test_a_text_in_a_freed_page_is_found(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "x.db") as connection:
        connection.execute("PRAGMA secure_delete=OFF")
        connection.execute("CREATE TABLE t (c TEXT)")
        connection.execute("INSERT INTO t VALUES (?)", (TEXT,))
    connection.execute("DELETE FROM t")
    connection.commit()
    assert left([tmp_path], [TEXT])
    connection.execute("VACUUM")
    connection.close()
    assert left([tmp_path], [TEXT]) == []


def test_a_reader_in_the_way_is_said_and_not_passed_over(
    world: World, found: explain.Explanation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "PATIENCE", 1)
    store = world.store
    record = store.file(found).header.id
    sealed = _sealed(store, record)
    reader = sqlite3.connect(store.home / "evidence.db", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM keys").fetchone()
    with pytest.raises(AuditError, match="explain evidence expire") as refused:
        store.erase(record, Who("ada"), "asked")
    assert refused.value.code == "not_overwritten"
    assert store.read(record).state.erased
    reader.close()
    store.sweep()
    assert left([world.root], sealed) == []


@pytest.mark.parametrize(
    "hidden",
    [
        TEXT.encode(),
        TEXT.upper().lower().encode(),
        TEXT.encode("utf-16-le"),
        TEXT.encode("utf-16-be"),
        TEXT.encode().hex().encode(),
        *(base64.b64encode(b"x" * n + TEXT.encode() + b"yy") for n in range(3)),
        *(base64.urlsafe_b64encode(b"x" * n + TEXT.encode("utf-16-le") + b"y") for n in range(3)),
        json.dumps({"a": TEXT}).encode(),
        json.dumps(json.dumps(TEXT)).encode(),
        quote(TEXT).encode(),
    ],
)
def test_every_form_is_found(tmp_path: Path, hidden: bytes) -> None:
    (tmp_path / "x").write_bytes(b"before" + hidden + b"after")
    assert left([tmp_path], [TEXT])
    assert left([tmp_path], ["quite another text"]) == []


def test_a_name_of_a_file_is_looked_at(tmp_path: Path) -> None:
    (tmp_path / "zebrafish.tmp").touch()
    assert left([tmp_path], ["zebrafish"])
    assert all(len(form) > 5 for form in forms("zebrafish"))
