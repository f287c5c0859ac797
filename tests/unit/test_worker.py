"""The worker process: the same answers as here, and an end for whatever it does wrong."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from explain.catalog import PredictRequest, Request
from explain.engine import Model
from explain.heads import HeadRequest, HeadsRequest
from explain.lens import DirectRequest, LensRequest, PatchRequest
from explain.road import RoadRequest
from explain.service import Job, Question, Service, worker
from explain.service.keeper import Keeper
from explain.service.process import Process
from explain.settings import Settings
from tests.conftest import undated

ROOT = Path(__file__).resolve().parents[2]
TEXT = "a good movie, but never very funny"
ABOUT = Request((TEXT,))
FAULTY = (sys.executable, "-P", "-m", "tests.faulty_worker")


def gone(pid: int, seconds: float = 5) -> bool:
    """Whether a process has ended, or does within so many seconds."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        state = Path(f"/proc/{pid}/stat")
        if not state.exists() or state.read_text().split(") ")[1][0] in "ZX":
            return True
        time.sleep(0.02)
    return False


@pytest.fixture(scope="module")
def real() -> Iterator[tuple[Service, Keeper]]:
    """One real worker for all tests of this module; at the end it is gone."""
    keeper = Keeper()
    found = Service(keeper, Settings(cache_entries=0))
    yield found, keeper
    pid = keeper.pid
    found.stop(0)
    assert pid is None or gone(pid)


@pytest.fixture
def faulty() -> Iterator[Callable[..., Job]]:
    """Ask a worker that misbehaves as it is told; its first words are the text."""
    keeper = Keeper(lambda: Process(FAULTY))
    found = Service(keeper)

    def ask(how: str, seconds: float | None = None, alive: Callable[[], bool] = lambda: True) -> Job:
        return found.submit(PredictRequest((how,)), "x", alive, seconds=seconds)

    ask.keeper = keeper  # type: ignore[attr-defined]
    yield ask
    pid = keeper.pid
    found.stop(0)
    assert pid is None or gone(pid)


def test_the_worker_says_what_python_says(real: tuple[Service, Keeper], tiny_folder: Path, tiny: Model) -> None:
    other = "a bad movie, but never very funny"
    questions: list[tuple[Question, Callable[[], object]]] = [
        (ABOUT, lambda: tiny.explain(TEXT)),
        (PredictRequest((TEXT,)), lambda: tiny.predict(TEXT)),
        (HeadsRequest(ABOUT), lambda: tiny.heads(TEXT)),
        (HeadRequest(ABOUT, 1, 0), lambda: tiny.head(TEXT, 1, 0)),
        (RoadRequest(ABOUT, 1, 0, 2), lambda: tiny.road(TEXT, 1, 0, 2)),
        (LensRequest(ABOUT), lambda: tiny.lens(TEXT)),
        (PatchRequest(ABOUT, other), lambda: tiny.patch(TEXT, other)),
        (DirectRequest(ABOUT), lambda: tiny.direct(TEXT)),
    ]
    jobs = [real[0].submit(question, str(tiny_folder)) for question, _ in questions]
    for job, (question, theirs) in zip(jobs, questions, strict=True):
        assert job.wait(100)
        found = job.result or job.seen
        assert found is not None, job.error
        assert undated(found.to_json()) == undated(theirs().to_json()), type(question).__name__  # type: ignore[attr-defined]


def test_facts_and_forecasts_come_from_the_worker(real: tuple[Service, Keeper], tiny_folder: Path) -> None:
    name = str(tiny_folder)
    assert real[0].submit(ABOUT, name).wait(100)
    (found,) = real[0].forecasts([ABOUT], name)
    assert (found.seconds or 0) > 0
    assert (found.memory or 0) > 0
    assert real[0].submit(Request((TEXT,), methods=("integrated_gradients", "deep_lift"), checks=()), name).wait(100)
    assert set(real[0].claims(name)) == {"deep_lift"}


def test_a_fault_leaves_neither_words_nor_memory_behind(tmp_path: Path) -> None:
    """What a worker says when it meets what nobody foresaw holds no text; and no image of its memory may be written."""
    code = (
        "import resource\n"
        "from explain.service import child, models, worker\n"
        "def broken(*_):\n"
        "    assert resource.getrlimit(resource.RLIMIT_CORE)[0] == 0\n"
        "    raise KeyError('the secret text')\n"
        "child.answer, models.Models.get = broken, lambda *_: None\n"
        "worker.main()\n"
    )
    script = tmp_path / "broken.py"
    script.write_text(code)
    with (tmp_path / "err").open("w") as err, pytest.MonkeyPatch.context() as patch:
        popen = subprocess.Popen
        patch.setattr(subprocess, "Popen", lambda *a, **k: popen(*a, **k, stderr=err))
        found = Service(Keeper(lambda: Process([sys.executable, str(script)])))
        job = found.submit(PredictRequest(("the secret text",)), "x")
        assert job.wait(60)
    found.stop(0)
    assert str(job.error) == worker.UNKNOWN
    said = (tmp_path / "err").read_text()
    assert "KeyError" in said
    assert "broken.py" in said
    assert "secret" not in said


def test_an_answer_that_is_too_large_for_the_pipe_costs_no_worker(tmp_path: Path) -> None:
    script = tmp_path / "large.py"
    script.write_text(
        "from explain.service import child, messages, models, worker\n"
        "from tests.faulty_worker import DONE\n"
        "messages.LARGEST = 10_000\n"
        "def answer(model, question, *_):\n"
        "    return (DONE,) * 1_000 if question.texts[0] == 'long' else DONE\n"
        "child.answer, child.facts, models.Models.get = answer, lambda _: None, lambda *_: None\n"
        "worker.main()\n"
    )
    keeper = Keeper(lambda: Process([sys.executable, str(script)]))
    found = Service(keeper)
    large, small = (found.submit(PredictRequest((text,)), "x") for text in ("long", "short"))
    assert large.wait(60)
    assert small.wait(60)
    found.stop(0)
    assert large.error is not None
    assert (large.state, large.error.code) == ("failed", "answer_too_large"), large.error
    assert (small.state, keeper.starts) == ("done", 1)


def test_long_work_is_cancelled_and_the_worker_stays(real: tuple[Service, Keeper], tiny_folder: Path) -> None:
    assert real[0].warm(str(tiny_folder)).wait(100)
    before = real[1].pid
    job = real[0].submit(Request(texts=(TEXT * 20,), truncate=True, orders=2000), str(tiny_folder))
    while job.partial is None:
        assert not job.wait(0.01)
    job.cancel()
    assert job.wait(5)
    assert job.state == "cancelled"
    assert real[1].pid == before


def test_a_killed_worker_ends_its_job_and_the_others_go_on(real: tuple[Service, Keeper], tiny_folder: Path) -> None:
    first = real[0].submit(Request(texts=(TEXT * 20,), truncate=True, orders=2000), str(tiny_folder))
    second = real[0].submit(ABOUT, str(tiny_folder))
    while first.partial is None:
        assert not first.wait(0.01)
    pid = real[1].pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert first.wait(10)
    assert first.error is not None
    assert first.error.code == "worker_lost"
    assert second.wait(100)
    assert second.state == "done"
    assert real[1].pid != pid


@pytest.mark.parametrize("how", ["exit", "kill", "crash late", "garbage", "half a message", "huge"])
def test_a_lost_worker_ends_one_job(faulty: Callable[..., Job], how: str) -> None:
    bad, good = faulty(how), faulty("fine")
    assert bad.wait(30)
    assert bad.state == "failed"
    assert bad.error is not None
    assert bad.error.code == "worker_lost"
    assert good.wait(30)
    assert good.state == "done"


@pytest.mark.parametrize("how", ["print", "stale"])
def test_noise_is_not_taken_for_an_answer(faulty: Callable[..., Job], how: str) -> None:
    job = faulty(how)
    assert job.wait(30)
    assert job.state == "done", job.error


def test_an_error_that_is_none_of_ours_is_still_an_error(faulty: Callable[..., Job]) -> None:
    job = faulty("unlisted")
    assert job.wait(30)
    assert (job.state, str(job.error)) == ("failed", "Nonsense.")


@pytest.mark.parametrize("how", ["hang", "freeze"])
def test_the_time_limit_kills_what_does_not_listen(faulty: Callable[..., Job], how: str) -> None:
    bad, good = faulty(how, 0.2), faulty("fine")
    assert bad.wait(30)
    assert bad.error is not None
    assert bad.error.code == "timeout"
    assert good.wait(30)
    assert good.state == "done"
    assert faulty.keeper.starts == 2  # type: ignore[attr-defined]


def test_the_time_limit_spares_what_listens(faulty: Callable[..., Job]) -> None:
    job = faulty("obey", 0.2)
    assert job.wait(30)
    assert job.error is not None
    assert job.error.code == "timeout"
    assert faulty.keeper.starts == 1  # type: ignore[attr-defined]


def test_a_frozen_worker_is_killed_when_nobody_waits(faulty: Callable[..., Job]) -> None:
    here = [True]
    job = faulty("freeze", None, lambda: here[0])
    assert not job.wait(0.5)
    pid = faulty.keeper.pid  # type: ignore[attr-defined]
    here[0] = False
    assert job.wait(30)
    assert job.state == "cancelled"
    assert gone(pid)


def test_a_cancel_does_not_cost_the_model_that_is_being_loaded(faulty: Callable[..., Job]) -> None:
    job = faulty("load slowly")
    while job.state == "queued":
        time.sleep(0.01)
    job.cancel()
    assert job.wait(2), "who cancelled does not wait for the loading"
    assert job.state == "cancelled"
    good = faulty("fine")
    assert good.wait(30)
    assert good.state == "done"
    assert faulty.keeper.starts == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize("cancelled", [False, True])
def test_a_loading_without_an_end_is_ended(cancelled: bool) -> None:
    found = Service(Keeper(lambda: Process(FAULTY), loading=8))
    bad = found.submit(PredictRequest(("load for ever",)), "x")
    while bad.state == "queued":
        time.sleep(0.01)
    if cancelled:
        bad.cancel()
    good = found.submit(PredictRequest(("fine",)), "x")
    assert bad.wait(30)
    assert bad.error is not None
    assert bad.error.code == ("cancelled" if cancelled else "load_timeout")
    assert good.wait(30), "the others do not wait for it"
    assert good.state == "done"
    found.stop(0)


def test_a_worker_that_died_idle_costs_nothing(faulty: Callable[..., Job]) -> None:
    assert faulty("first").wait(30)
    pid = faulty.keeper.pid  # type: ignore[attr-defined]
    os.kill(pid, signal.SIGKILL)
    assert gone(pid)
    job = faulty("second")
    assert job.wait(30)
    assert job.state == "done"


def test_nor_does_one_whose_death_is_seen_late(faulty: Callable[..., Job], monkeypatch: pytest.MonkeyPatch) -> None:
    assert faulty("first").wait(30)
    monkeypatch.setattr(Process, "alive", True)
    os.kill(faulty.keeper._worker.pid, signal.SIGKILL)  # type: ignore[attr-defined]
    job = faulty("second")
    assert job.wait(30)
    assert job.state == "done"
    assert faulty.keeper.starts == 2  # type: ignore[attr-defined]


def test_a_worker_that_cannot_start_is_an_error() -> None:
    found = Service(Keeper(lambda: Process(["/no/such/program"])))
    job = found.warm("x")
    assert job.wait(10)
    assert job.error is not None
    assert job.error.code == "worker_lost"
    found.stop(0)


@pytest.mark.parametrize(
    ("doing", "how"),
    [("hang", "sys.exit()"), ("hang", "os.kill(os.getpid(), 9)"), ("freeze", "os.kill(os.getpid(), 9)")],
)
def test_no_worker_outlives_its_parent(doing: str, how: str) -> None:
    code = (
        "import os, sys, time\n"
        "from explain.catalog import PredictRequest\n"
        "from explain.service import Service\n"
        "from explain.service.keeper import Keeper\n"
        "from explain.service.process import Process\n"
        f"keeper = Keeper(lambda: Process({FAULTY!r})); found = Service(keeper)\n"
        f"job = found.submit(PredictRequest(({doing!r},)), 'x')\n"
        "while keeper.pid is None or job.state == 'queued': time.sleep(0.01)\n"
        "time.sleep(0.5); print(keeper.pid, flush=True)\n" + how
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert gone(int(out.stdout), 10), out.stderr
