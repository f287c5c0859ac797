"""Writers that are killed, that race, and disks that fail: what was acknowledged is there, nothing is half there."""

from __future__ import annotations

import errno
import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from explain.audit import listing, verify
from explain.audit.records import Who
from explain.audit.store import Store
from explain.engine import Model
from explain.errors import AuditError
from explain.records import Explanation
from tests.evidence import writer

KILLS = 3
"""Small here; `python -m tests.benchmarks.evidence` kills 1,000 times."""


@pytest.fixture(scope="module")
def found(tiny: Model) -> Explanation:
    return tiny.explain("A charming film.", checks=())


@pytest.fixture(scope="module")
def explanation(found: Explanation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("json") / "x.json"
    path.write_text(found.to_json(), "utf-8")
    return path


def test_what_was_acknowledged_survives_kill_9(explanation: Path, tmp_path: Path) -> None:
    rng, acknowledged = random.Random(1), list[str]()
    for _ in range(KILLS):
        process = writer(explanation, tmp_path / "evidence", 10_000, "k")
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(rng.uniform(0.05, 0.3))
        process.kill()
        acknowledged += process.communicate()[0].split("\n")[:-1]
    store = Store(tmp_path / "evidence")
    verdict = verify.store(store)
    assert verdict.faults == ()
    there = {row["id"] for row in listing.page(store, limit=10_000).rows}
    assert acknowledged
    assert there >= set(acknowledged)
    store.sweep()
    assert len(list((store.home / "files").glob("*/*"))) == len(there), "what never ended is swept"
    assert not (store.home / "temp").exists() or not list((store.home / "temp").iterdir())


def test_two_processes_make_one_chain(explanation: Path, tmp_path: Path) -> None:
    processes = [writer(explanation, tmp_path / "evidence", 12, name) for name in "ab"]
    said = [process.communicate(timeout=120)[0].split() for process in processes]
    store = Store(tmp_path / "evidence")
    verdict = verify.store(store)
    assert (verdict.faults, verdict.checked, len(verdict.signed_by)) == ((), 24, 1)
    assert {i for ids in said for i in ids[1:]} == {r["id"] for r in listing.page(store, limit=99).rows}


POINTS = ("open", "write", "fsync", "rename", "mkdir")


def failing(monkeypatch: pytest.MonkeyPatch, at: int, code: int) -> Callable[[], int]:
    """Let the `at`-th call that touches the disk fail; returns how many there were."""
    calls = 0

    def wrap(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == at:
                raise OSError(code, os.strerror(code))
            return real(*args, **kwargs)

        return call

    for name in POINTS:
        monkeypatch.setattr(os, name, wrap(getattr(os, name)))
    monkeypatch.setattr(Path, "rename", wrap(Path.rename))
    monkeypatch.setattr(Path, "mkdir", wrap(Path.mkdir))
    return lambda: calls


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS])
def test_a_fault_at_any_point_leaves_the_old_state_or_the_new(found: Explanation, tmp_path: Path, code: int) -> None:
    """The first, second, third… call fails, until a filing meets no fault."""
    store = Store(tmp_path / "evidence", second=tmp_path / "second")
    filed = {store.file(found).header.id}
    for at in range(1, 60):
        with pytest.MonkeyPatch.context() as patch:
            calls = failing(patch, at, code)
            try:
                filed.add(store.file(found, note="a note").header.id)
            except AuditError as error:
                assert error.code == "storage"
                assert os.strerror(code).lower() in str(error)
            reached = calls()
        there = {row["id"] for row in listing.page(store, limit=999).rows}
        assert there == filed, "what failed is not there, what came back is"
        assert verify.store(store).faults == ()
        if reached < at:
            break
    else:
        pytest.fail("every filing met its fault")
    assert at > 8, "the faults did reach the disk"
    assert store.content(store.file(found).header.id).explanation == found, "and it goes on afterwards"


def test_a_full_database_loses_nothing(found: Explanation, tmp_path: Path) -> None:
    store = Store(tmp_path / "evidence")
    first = store.file(found).header.id
    full = "PRAGMA max_page_count = 40"

    def limit(connection: Any, _record: Any) -> None:
        connection.execute(full)

    import sqlalchemy as sa

    sa.event.listen(store.engine, "connect", limit)
    store.engine.dispose()
    filed = [first]
    with pytest.raises(AuditError, match="full") as refused:
        for _ in range(60):
            filed.append(store.file(found).header.id)
    assert refused.value.code == "storage"
    again = Store(tmp_path / "evidence")
    assert [row["id"] for row in listing.page(again, limit=99).rows] == filed[::-1]
    assert verify.store(again).faults == ()
    assert again.file(found).header.sequence == len(filed) + 1, "the service goes on"
    assert verify.store(again).notes == (), "no files were left behind"


def test_a_checkpoint_that_cannot_be_written_loses_no_record(found: Explanation, tmp_path: Path) -> None:
    (tmp_path / "second").write_text("a file where the folder should be")
    store = Store(tmp_path / "evidence", second=tmp_path / "second")
    record = store.file(found).header.id
    assert store.content(record).explanation == found
    assert verify.store(store).uncovered == 1
    with pytest.raises(AuditError, match="disk"):
        store.checkpoint()


def test_rename_comes_after_fsync_and_the_row_last(
    found: Explanation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path / "evidence")
    store.file(found)
    order: list[str] = []
    fsync, rename = os.fsync, Path.rename
    monkeypatch.setattr(os, "fsync", lambda handle: (order.append("fsync"), fsync(handle))[1])
    monkeypatch.setattr(Path, "rename", lambda self, to: (order.append("rename"), rename(self, to))[1])
    monkeypatch.setattr("explain.audit.chain._happened", lambda *_: order.append("row"))
    store.add("note", store.read(1).header.id, Who("ada"), note="here")
    place = order.index("rename")
    assert order[:place].count("fsync") >= 2, "the file and its folder"
    assert "fsync" in order[place:], "the folder that it was put into"
    assert order.index("row") > place
