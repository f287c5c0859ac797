"""Jobs: submitted once, followed, cancelled, resumed, seen by their owner only, forgotten in time; streams that end."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

import explain
from explain.catalog import Progress
from explain.engine import Model
from explain.errors import BusyError, WorkerError
from explain.service import Job
from tests import rest
from tests.rest import TEXT


class Held:
    """A service in which every job waits for the test to end it."""

    def __init__(self, full: bool = False) -> None:
        self.jobs: list[Job] = []
        self.full = full

    waiting, stopping = 0, False

    def submit(self, request: Any, model: str, alive: Any = None, *, client: str = "", seconds: Any = None) -> Job:
        if self.full:
            raise BusyError("16 requests are waiting already.", retry_after=7)
        job = Job(request, model)
        job.state, job.progress = "running", Progress("Holding", len(self.jobs))
        self.jobs.append(job)
        return job


@pytest.fixture(scope="module")
def web(tiny_folder: Path) -> Iterator[TestClient]:
    """A client of an application that computes."""
    with rest.client(rest.application(tiny_folder)) as found:
        yield found


@pytest.fixture
def held() -> Held:
    """A service that waits."""
    return Held()


@pytest.fixture
def waiting(held: Held, tiny_folder: Path) -> Iterator[TestClient]:
    """A client of an application whose service waits."""
    with rest.client(rest.application(tiny_folder, held)) as found:
        yield found


def over(web: TestClient, job: str, state: str = "") -> dict[str, Any]:
    """A job once it is over, or once it is in `state`."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        found = web.get(f"/v1/jobs/{job}").json()
        if found["state"] == state or (not state and found["state"] not in ("queued", "running")):
            return found  # type: ignore[no-any-return]
        time.sleep(0.02)
    raise AssertionError(f"still {found['state']}")


def submitted(web: TestClient, texts: Any = TEXT, **headers: str) -> dict[str, Any]:
    """The status of a new job."""
    answer = web.post("/v1/jobs", json={"inputs": texts, "parameters": {"checks": []}}, headers=headers)
    assert answer.status_code in (200, 202), answer.text
    return answer.json()  # type: ignore[no-any-return]


def test_a_job_ends_with_what_python_finds(web: TestClient, tiny: Model) -> None:
    for hopeless in ({"inputs": ["", ""]}, {"inputs": ["a film", TEXT], "parameters": {"methods": ["none"]}}):
        answer = web.post("/v1/jobs", json=hopeless)
        assert answer.status_code == 422, "where nothing could be answered, nothing begins"
    answer = web.post("/v1/jobs", json={"inputs": ["a film", "\u200b", TEXT, ""], "parameters": {"checks": []}})
    assert answer.headers["location"] == f"/v1/jobs/{answer.json()['id']}"
    found = over(web, answer.json()["id"])
    assert (found["state"], found["answered"], found["progress"]) == ("done", 4, None)
    first, second, third, fourth = found["results"]
    assert explain.read(json.dumps(third)).attributions == tiny.explain(TEXT, checks=()).attributions
    assert first["tokens"]["texts"] == ["a film"]
    assert second["code"] == "no_content_tokens", "one bad text does not take the others with it"
    assert fourth["code"] == web.post("/v1/explain", json={"inputs": ""}).json()["code"]
    assert [j["id"] for j in web.get("/v1/jobs").json()["jobs"]] == [found["id"]]


@pytest.mark.parametrize("task", ["explain", "predict"])
def test_a_job_takes_a_conversation_as_an_explanation_does(held: Held, waiting: TestClient, task: str) -> None:
    messages = [{"role": "user", "content": "a film"}, {"role": "assistant", "content": "a plot"}]
    answer = waiting.post("/v1/jobs", json={"task": task, "messages": messages})
    assert (answer.status_code, answer.json()["inputs"]) == (202, 1), answer.text
    until = time.monotonic() + 20
    while not held.jobs and time.monotonic() < until:
        time.sleep(0.01)
    (job,) = held.jobs
    assert (job.request.texts, job.request.roles) == (("a film", "a plot"), ("user", "assistant"))  # type: ignore[union-attr]
    for wrong in ({}, {"inputs": TEXT, "messages": messages}):
        assert waiting.post("/v1/jobs", json=wrong).json()["code"] == "bad_request"


def test_predictions_and_failures(web: TestClient, tiny: Model) -> None:
    task = web.post("/v1/jobs", json={"task": "predict", "inputs": TEXT}).json()
    assert over(web, task["id"])["results"] == [json.loads(tiny.predict(TEXT).to_json())]
    failed = over(web, submitted(web, "\u200b")["id"])
    assert (failed["state"], failed["results"][0]["code"]) == ("failed", "no_content_tokens")


def test_sent_twice_is_one_job(waiting: TestClient, held: Held) -> None:
    first = submitted(waiting, **{"Idempotency-Key": "one"})
    assert submitted(waiting, **{"Idempotency-Key": "one"})["id"] == first["id"]
    assert submitted(waiting, **{"Idempotency-Key": "two"})["id"] != first["id"]
    other = waiting.post("/v1/jobs", json={"inputs": "a plot"}, headers={"Idempotency-Key": "one"})
    assert (other.status_code, other.json()["code"]) == (409, "key_used_before")
    bad = waiting.post("/v1/jobs", json={"inputs": "a plot"}, headers={"Idempotency-Key": "x" * 300})
    assert (bad.status_code, bad.json()["code"]) == (422, "bad_request")
    assert len(waiting.get("/v1/jobs").json()["jobs"]) == 2


def test_cancel_and_resume_keep_what_was_found(waiting: TestClient, held: Held) -> None:
    job = submitted(waiting, ["a film", "a plot"])["id"]
    running = over(waiting, job, "running")
    assert running["progress"]["stage"] == "Holding"
    finish(held.jobs[0])
    while len(held.jobs) < 2:
        time.sleep(0.01)
    cancelled = waiting.post(f"/v1/jobs/{job}:cancel").json()
    assert (cancelled["state"], cancelled["answered"]) == ("cancelled", 1)
    assert cancelled["results"][1] is None
    assert held.jobs[1].stop.is_set()
    assert waiting.post(f"/v1/jobs/{job}:cancel").json()["state"] == "cancelled", "again is harmless"
    assert waiting.post(f"/v1/jobs/{job}:resume").json()["state"] in ("queued", "running")
    while len(held.jobs) < 3:
        time.sleep(0.01)
    assert held.jobs[2].request.texts == ("a plot",), "the first is not asked again"  # type: ignore[union-attr]
    finish(held.jobs[2])
    done = over(waiting, job)
    assert (done["state"], done["answered"]) == ("done", 2)
    assert waiting.post(f"/v1/jobs/{job}:resume").json()["state"] == "done"


def test_a_lost_worker_leaves_a_job_that_resumes(waiting: TestClient, held: Held) -> None:
    job = submitted(waiting)["id"]
    over(waiting, job, "running")
    held.jobs[0].end("failed", WorkerError("The worker ended."))
    failed = over(waiting, job)
    assert (failed["state"], failed["error"]["code"], failed["results"]) == ("failed", "worker_lost", [None])
    waiting.post(f"/v1/jobs/{job}:resume")
    while len(held.jobs) < 2:
        time.sleep(0.01)
    finish(held.jobs[1])
    assert over(waiting, job)["state"] == "done"


def test_open_jobs_are_limited(waiting: TestClient, held: Held) -> None:
    jobs = [submitted(waiting)["id"] for _ in range(8)]
    refused = waiting.post("/v1/jobs", json={"inputs": TEXT})
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_jobs")
    assert int(refused.headers["retry-after"]) >= 1
    waiting.post(f"/v1/jobs/{jobs[0]}:cancel")
    submitted(waiting)


def test_a_job_waits_for_a_place_in_the_queue(waiting: TestClient, held: Held) -> None:
    held.full = True
    refused = waiting.post("/v1/explain", json={"inputs": TEXT})
    assert (refused.status_code, refused.json()["code"], refused.headers["retry-after"]) == (429, "busy", "7")
    job = submitted(waiting)["id"]
    held.full = False
    over(waiting, job, "running")
    finish(held.jobs[0])
    assert over(waiting, job)["state"] == "done"


def test_a_job_is_followed(waiting: TestClient, held: Held) -> None:
    job = submitted(waiting)["id"]
    over(waiting, job, "running")
    threading.Timer(0.3, finish, [held.jobs[0]]).start()
    answer = waiting.get(f"/v1/jobs/{job}", headers={"accept": "application/jsonl"})
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert lines[0]["state"] == "running"
    assert lines[-1]["state"] == "done"
    assert len(lines[-1]["results"]) == 1


def test_a_job_can_be_forgotten(waiting: TestClient, held: Held) -> None:
    job = submitted(waiting, **{"Idempotency-Key": "one"})["id"]
    over(waiting, job, "running")
    assert waiting.delete(f"/v1/jobs/{job}").json()["state"] == "cancelled"
    assert held.jobs[0].stop.is_set()
    assert waiting.get(f"/v1/jobs/{job}").json()["code"] == "job_not_found"
    assert submitted(waiting, **{"Idempotency-Key": "one"})["id"] != job


def test_answers_are_not_kept_for_ever(tiny_folder: Path) -> None:
    with rest.client(rest.application(tiny_folder, keep_seconds=0.2)) as web:
        job = submitted(web, "a film", **{"Idempotency-Key": "one"})["id"]
        over(web, job)
        time.sleep(0.3)
        assert web.get(f"/v1/jobs/{job}").json()["code"] == "job_not_found"
        assert submitted(web, "a film", **{"Idempotency-Key": "one"})["id"] != job


def test_nor_while_nobody_asks(held: Held, tiny_folder: Path) -> None:
    app = rest.application(tiny_folder, held, keep_seconds=0.3)
    entries = app.state.face.board._entries
    with rest.client(app) as web:
        submitted(web)
        until = time.monotonic() + 20
        while not held.jobs:
            time.sleep(0.01)
        finish(held.jobs[0])
        while entries:
            assert time.monotonic() < until, "texts and answers stay until somebody comes"
            time.sleep(0.05)


def test_answers_are_kept_up_to_so_many_bytes(tiny_folder: Path) -> None:
    most = 1_000
    with rest.client(rest.application(tiny_folder, max_answer=most)) as web:
        one = len(web.post("/v1/predict", json={"inputs": TEXT}).content)

        def job(size: int) -> dict[str, Any]:
            asked = {"task": "predict", "inputs": [TEXT] * (size // one)}
            return over(web, web.post("/v1/jobs", json=asked).json()["id"])

        first, second = job(most * 2 // 3), job(most * 2 // 3)
        assert (first["state"], second["state"]) == ("done", "done")
        kept = [found["id"] for found in web.get("/v1/jobs").json()["jobs"]]
        assert kept == [second["id"]], "what ended first makes room"
        codes = {found.get("code") for found in job(2 * most)["results"]}
        assert codes == {None, "answer_too_large"}, "a job keeps what there is room for, and says what it does not keep"
        refused = web.post("/v1/predict", json={"inputs": [TEXT] * (2 * most // one)})
        assert (refused.status_code, refused.json()["code"]) == (422, "answer_too_large")


@pytest.mark.parametrize("job", ["0" * 32, "..", "%2e%2e", "x" * 300, "a%00b"])
def test_a_job_that_is_not_there(waiting: TestClient, job: str) -> None:
    answer = waiting.get(f"/v1/jobs/{job}")
    assert answer.status_code == 404
    assert answer.json()["code"] in ("job_not_found", "not_found")


@pytest.mark.parametrize("accept", ["application/json", "application/jsonl"])
def test_who_leaves_ends_the_work(held: Held, tiny_folder: Path, accept: str) -> None:
    """Over a real connection, which is closed while the answer is awaited."""
    with rest.served(tiny_folder, held) as address:
        port = int(address.rsplit(":", 1)[1])
        socket = rest.sent(port, {"inputs": TEXT}, accept)
        until = time.monotonic() + 20
        while not held.jobs and time.monotonic() < until:
            time.sleep(0.01)
        socket.close()
        while not held.jobs[0].stop.is_set():
            assert time.monotonic() < until, "the work goes on although nobody waits"
            time.sleep(0.01)


def test_an_application_that_ends_cancels_its_jobs(held: Held, tiny_folder: Path) -> None:
    app: FastAPI = rest.application(tiny_folder, held)
    with rest.client(app) as web:
        over(web, submitted(web)["id"], "running")
    assert held.jobs[0].stop.is_set()


def finish(job: Job) -> None:
    """End a held job with a prediction of its own."""
    from explain.records import Prediction

    job.done(Prediction(("no", "yes"), *_numbers(), "softmax", "the larger", (1,)))


def _numbers() -> tuple[Any, Any]:
    import numpy as np

    return np.array([0, 1], dtype=np.float32), np.array([0.3, 0.7], dtype=np.float32)
