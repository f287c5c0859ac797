"""Jobs that are written down: they outlive the service, row by row, and only where somebody asked for that."""

from __future__ import annotations

import json
import os
import shutil
import stat
import time
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from explain.errors import ExplainError, InputError
from explain.rest.shelf import Shelf, Written
from tests import rest
from tests.benchmarks.load import batch
from tests.unit.test_rest_jobs import Held, finish, over, submitted

SECRETS = ["a secret film", "a secret plot", "a secret end"]
KEY = {"Idempotency-Key": "one"}


def open_at(folder: Path, tiny_folder: Path, held: Held, **more: Any) -> TestClient:
    """A client of a service that writes its jobs to `folder`, and whose work waits."""
    return rest.client(rest.application(tiny_folder, held, jobs=folder, **more))


def answered(held: Held, count: int) -> None:
    """Let the next `count` questions be answered."""
    until = time.monotonic() + 60
    for _ in range(count):
        while not held.jobs:
            assert time.monotonic() < until, "nothing was asked"
            time.sleep(0.01)
        finish(held.jobs.pop(0))


def begun(folder: Path, tiny_folder: Path, rows: int = 1) -> str:
    """A job of all secrets and one bad row, of which `rows` are over when its service ends."""
    with open_at(folder, tiny_folder, held := Held()) as web:
        job = submitted(web, [*SECRETS, ""], **KEY)["id"]
        answered(held, rows)
        while web.get(f"/v1/jobs/{job}").json()["answered"] < rows:
            time.sleep(0.01)
    return str(job)


@pytest.mark.parametrize(
    "torn", [b"", b'{"row":1,"failed":fal', b'{"row":1,"failed":false,"found":{"half":', b"\xff\n"]
)
def test_the_same_key_goes_on_after_a_restart(tmp_path: Path, tiny_folder: Path, torn: bytes) -> None:
    job = begun(tmp_path, tiny_folder)
    with (tmp_path / f"{job}.jsonl").open("ab") as file:
        file.write(torn)  # as a service leaves it that is killed while it writes
    with open_at(tmp_path, tiny_folder, held := Held()) as web:
        left = web.get(f"/v1/jobs/{job}").json()
        assert (left["state"], left["answered"], left["error"]["code"]) == ("failed", 1, "interrupted")
        assert left["results"][1:] == [None, None, None]
        assert not held.jobs, "nothing goes on by itself"
        other = web.post("/v1/jobs", json={"inputs": "a plot"}, headers=KEY)
        assert (other.status_code, other.json()["code"]) == (409, "key_used_before")
        assert submitted(web, [*SECRETS, ""], **KEY)["id"] == job
        answered(held, 2)
        done = over(web, job)
        assert (done["state"], done["answered"], done["error"]) == ("done", 4, None)
        assert not held.jobs, "the first is not asked again"
        assert done["results"][0] == left["results"][0] == done["results"][2]
        assert "code" in done["results"][3], "the error of a row is its result"
        assert submitted(web, [*SECRETS, ""], **KEY)["state"] == "done"
    with open_at(tmp_path, tiny_folder, Held()) as web:
        assert web.get(f"/v1/jobs/{job}").json() == done, "what is over is over after the next restart too"


def test_a_job_resumes_after_a_restart_without_a_key(tmp_path: Path, tiny_folder: Path) -> None:
    job = begun(tmp_path, tiny_folder)
    with open_at(tmp_path, tiny_folder, held := Held()) as web:
        web.post(f"/v1/jobs/{job}:resume")
        answered(held, 2)
        assert over(web, job)["state"] == "done"


def test_what_its_owner_cancelled_stays_so(tmp_path: Path, tiny_folder: Path) -> None:
    with open_at(tmp_path, tiny_folder, held := Held()) as web:
        job = submitted(web, SECRETS, **KEY)["id"]
        answered(held, 1)
        while web.get(f"/v1/jobs/{job}").json()["answered"] < 1:
            time.sleep(0.01)
        web.post(f"/v1/jobs/{job}:cancel")
    with open_at(tmp_path, tiny_folder, held := Held()) as web:
        again = submitted(web, SECRETS, **KEY)
        assert (again["id"], again["state"], again["answered"], again["error"]) == (job, "cancelled", 1, None)
        assert not held.jobs, "the same key begins nothing that was ended on purpose"
        web.post(f"/v1/jobs/{job}:resume")
        answered(held, 2)
        assert over(web, job)["state"] == "done"
    with open_at(tmp_path, tiny_folder, Held()) as web:
        assert web.get(f"/v1/jobs/{job}").json()["state"] == "done"


def test_a_job_keeps_its_model(tmp_path: Path, tiny_folder: Path) -> None:
    """Its body names none; another one is the default by the time it goes on."""
    with open_at(tmp_path, tiny_folder, Held()) as web:
        job = submitted(web, SECRETS)
    assert job["model"] == tiny_folder.name
    with open_at(tmp_path, tiny_folder, held := Held(), model="sentiment") as web:
        web.post(f"/v1/jobs/{job['id']}:resume")
        assert over(web, job["id"], "running")["model"] == tiny_folder.name
        assert held.jobs[0].model == str(tiny_folder.resolve())


def test_nothing_is_written_unless_somebody_asks(tmp_path: Path, tiny_folder: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    with rest.client(rest.application(tiny_folder, held := Held(), home=tmp_path)) as web:
        job = submitted(web, SECRETS)["id"]
        answered(held, 3)
        over(web, job)
    assert not list(tmp_path.iterdir())


def test_files_are_their_owners_and_go_when_asked(tmp_path: Path, tiny_folder: Path) -> None:
    job = begun(tmp_path / "jobs", tiny_folder)
    file = tmp_path / "jobs" / f"{job}.jsonl"
    assert SECRETS[0] in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    with open_at(file.parent, tiny_folder, Held()) as web:
        assert web.delete(f"/v1/jobs/{job}").status_code == 200
    assert [p.name for p in file.parent.iterdir()] == ["lock"]
    assert not (file.parent / "lock").read_bytes()


def test_files_are_not_kept_for_ever(tmp_path: Path, tiny_folder: Path) -> None:
    job = begun(tmp_path, tiny_folder)
    file = tmp_path / f"{job}.jsonl"
    long_ago = time.time() - 2 * 3_600
    os.utime(file, (long_ago, long_ago))
    with open_at(tmp_path, tiny_folder, Held(), jobs_hours=3) as web:
        assert web.get(f"/v1/jobs/{job}").status_code == 200
    os.utime(file, (long_ago, long_ago))
    with open_at(tmp_path, tiny_folder, Held(), jobs_hours=1) as web:
        assert web.get(f"/v1/jobs/{job}").status_code == 404
    assert not file.exists()


def test_nor_what_this_service_cannot_read(tmp_path: Path, tiny_folder: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("explain.rest.board.OFTEN", 0.1)
    long_ago = time.time() - 2 * 3_600
    for name in ("1" * 32, "2" * 32):
        (tmp_path / f"{name}.jsonl").write_text(SECRETS[0])
    os.utime(tmp_path / f"{'1' * 32}.jsonl", (long_ago, long_ago))
    (tmp_path / "notes.txt").write_text("mine")
    os.utime(tmp_path / "notes.txt", (long_ago, long_ago))
    with open_at(tmp_path, tiny_folder, Held(), jobs_hours=1):
        until = time.monotonic() + 20
        while (tmp_path / f"{'1' * 32}.jsonl").exists():
            assert time.monotonic() < until
            time.sleep(0.05)
    assert {p.name for p in tmp_path.iterdir()} == {f"{'2' * 32}.jsonl", "notes.txt", "lock"}


def test_two_services_do_not_share_a_folder(tmp_path: Path, tiny_folder: Path) -> None:
    with open_at(tmp_path, tiny_folder, Held()), pytest.raises(InputError, match="EXPLAIN_JOBS") as caught:
        rest.application(tiny_folder, Held(), jobs=tmp_path)
    assert caught.value.code == "folder_in_use"
    Shelf(tmp_path).close()  # free again


def test_what_is_no_job_is_left_alone(tmp_path: Path, tiny_folder: Path, caplog: Any) -> None:
    job = begun(tmp_path, tiny_folder)
    file = tmp_path / f"{job}.jsonl"
    asked, _, rest_of_it = file.read_bytes().partition(b"\n")
    gone = json.loads(asked) | {"body": json.dumps({"inputs": "a film", "parameters": {"model": "gone"}})}
    others = {"0" * 32: b"", "1" * 32: b"[]\n", "2" * 32: b"no json\n", "3" * 32: b"{}\n", "4" * 32: asked[:50]}
    others["5" * 32] = json.dumps(gone).encode() + b"\n" + rest_of_it
    for name, content in others.items():
        (tmp_path / f"{name}.jsonl").write_bytes(content)
    (tmp_path / "notes.jsonl").write_text("mine")
    with open_at(tmp_path, tiny_folder, Held()) as web:
        assert [one["id"] for one in web.get("/v1/jobs").json()["jobs"]] == [job]
    assert all((tmp_path / f"{name}.jsonl").read_bytes() == content for name, content in others.items())
    assert (tmp_path / "notes.jsonl").read_text() == "mine"


def test_a_disk_that_takes_nothing_is_a_problem(tmp_path: Path, tiny_folder: Path) -> None:
    folder = tmp_path / "jobs"
    with open_at(folder, tiny_folder, held := Held()) as web:
        job = submitted(web, SECRETS)["id"]
        over(web, job, "running")
        shutil.rmtree(folder)
        answered(held, 1)
        refused = web.post("/v1/jobs", json={"inputs": "a film"})
        assert (refused.status_code, refused.json()["code"]) == (507, "storage")
        assert str(tmp_path) not in refused.text
    with pytest.raises(ExplainError) as caught:
        Written(tmp_path).put(0, b"{}", failed=False)
    assert caught.value.code == "storage"
    with pytest.raises(ExplainError) as caught:
        Shelf(Path("/dev/null/jobs"))
    assert caught.value.code == "storage"


def test_a_job_has_so_many_rows(tmp_path: Path, tiny_folder: Path) -> None:
    with open_at(tmp_path, tiny_folder, Held(), max_inputs=2, max_rows=3) as web:
        submitted(web, ["a film"] * 3)
        many = web.post("/v1/jobs", json={"inputs": ["a film"] * 4})
        assert (many.status_code, many.json()["code"]) == (422, "too_many")
        assert web.post("/v1/explain", json={"inputs": ["a film"] * 3}).json()["code"] == "too_many"
    with rest.client(rest.application(tiny_folder, Held(), max_inputs=2)) as web:
        assert web.post("/v1/jobs", json={"inputs": ["a film"] * 3}).json()["code"] == "too_many", "in memory few"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_twice_and_resumed_is_as_if_never_killed(tmp_path: Path) -> None:
    """L16, small: `explain serve`, kill -9, the same key."""
    row = batch.killed(tmp_path, rows=30, bad=3)
    assert row.kept, row.measured
