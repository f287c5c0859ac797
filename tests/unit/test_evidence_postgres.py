"""The evidence store in PostgreSQL, where its server is installed: the test starts one of its own, on loopback."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from explain.audit import listing, verify
from explain.audit.database import entries, keys
from explain.audit.records import Who
from explain.audit.store import Store
from explain.engine import Model
from explain.errors import AuditError
from tests.browser.harness import free_port
from tests.evidence import small_pictures

PROGRAMS = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)
"""Debian's place for them, which is on nobody's PATH."""
USER = "postgres"
"""The server refuses to run for root."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The address of an empty database."""
    if PROGRAMS is None:
        pytest.skip("PostgreSQL's server is not installed (Debian: apt-get install postgresql)")
    folder, port = Path(tempfile.mkdtemp(prefix="pg")), free_port()
    other = ["runuser", "-u", USER, "--"] if os.geteuid() == 0 else []
    if other:
        shutil.chown(folder, USER)

    def run(program: str, *arguments: str) -> None:
        command = [*other, str(PROGRAMS / program), "-D", str(folder / "data"), *arguments]
        done = subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        assert done.returncode == 0, done.stderr

    run("initdb", "-U", "whyboard", "-A", "trust", "-N")
    run(
        "pg_ctl", "-w", "-o", f"-k {folder} -p {port} -c listen_addresses=127.0.0.1", "-l", str(folder / "log"), "start"
    )
    try:
        yield f"postgresql+pg8000://whyboard@127.0.0.1:{port}/postgres"
    finally:
        run("pg_ctl", "-w", "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)


def test_a_store_in_postgresql(url: str, tiny: Model, tmp_path: Path) -> None:
    found = tiny.explain("A charming film.", checks=())
    store, other = Store(tmp_path / "evidence", url=url), Store(tmp_path / "evidence", url=url)
    with ThreadPoolExecutor(4) as pool:  # two owners, as two processes would be
        filed = list(pool.map(lambda i: (store, other)[i % 2].file(found, who=Who("ada"), note=f"n{i}"), range(8)))
    assert sorted(entry.header.sequence for entry in filed) == list(range(1, 9)), "no number twice, none left out"
    assert listing.page(other).total == 8
    last = store.file(found, pictures=small_pictures)
    store.review(last.header.id, Who("bob"), agree=True, sign_off=True)
    store.checkpoint()
    assert other.content(filed[0].header.id).explanation == found
    verdict = verify.store(store)
    assert (verdict.faults, verdict.checked) == ((), 10)

    gone = filed[3].header.id
    store.erase(gone, Who("ada"), "asked")
    with store.engine.connect() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(keys).where(keys.c.id == gone)) == 0
    with pytest.raises(AuditError):
        other.content(gone)
    verdict = verify.store(store)
    assert (verdict.faults, verdict.erased) == ((), 1)

    with store.engine.begin() as connection:
        connection.execute(sa.update(entries).where(entries.c.id == last.header.id).values(label="OTHER"))
    faults = verify.store(store).faults
    assert faults
    assert any("label" in str(fault) for fault in faults), "what the list says is compared with what was signed"


def test_a_foreign_store_is_only_read(url: str, tiny: Model, tmp_path: Path) -> None:
    with sa.create_engine(url, isolation_level="AUTOCOMMIT").connect() as connection:
        connection.exec_driver_sql("CREATE DATABASE other")
    url = url.removesuffix("postgres") + "other"
    found = tiny.explain("A charming film.", checks=())
    own = Store(tmp_path / "evidence", url=url)
    filed = own.file(found, who=Who("ada"))
    foreign = Store(tmp_path / "evidence", url=url, only_read=True)
    assert foreign.content(filed.header.id).explanation == found
    assert not verify.store(foreign).faults
    with pytest.raises(AuditError, match="read-only"):
        foreign.file(found)
    with pytest.raises(sa.exc.DBAPIError, match="read-only"), foreign.engine.begin() as connection:
        connection.execute(sa.update(entries).values(label="OTHER"))
    assert not verify.store(own).faults

    with own.engine.begin() as connection:  # reading it would run what somebody else wrote
        connection.exec_driver_sql("ALTER TABLE keys RENAME TO hidden")
        connection.exec_driver_sql("CREATE VIEW keys AS SELECT * FROM hidden")
    try:
        with pytest.raises(AuditError, match="views") as caught:
            Store(tmp_path / "evidence", url=url, only_read=True)
        assert caught.value.code == "not_evidence"
    finally:
        with own.engine.begin() as connection:
            connection.exec_driver_sql("DROP VIEW keys")
            connection.exec_driver_sql("ALTER TABLE hidden RENAME TO keys")


def test_an_address_that_nothing_answers_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(AuditError) as caught:
        Store(tmp_path / "evidence", url=f"postgresql+pg8000://whyboard@127.0.0.1:{free_port()}/postgres")
    assert len(str(caught.value)) < 300
    assert "Traceback" not in str(caught.value)
