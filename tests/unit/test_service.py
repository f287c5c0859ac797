"""The service: one queue, one thread, models that stay; faults end a job, never the thread."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from explain import service as module
from explain.catalog import PredictRequest, Request
from explain.engine import Model
from explain.errors import BusyError
from explain.service import Service

TEXT = "a good movie, but never very funny"


def test_answers_with_the_same_record_as_python(tiny_folder: Path, tiny: Model) -> None:
    job = Service().submit(Request(texts=(TEXT,)), str(tiny_folder))
    assert job.wait(60)
    assert job.state == "done"
    assert job.result is not None
    theirs = tiny.explain(TEXT)
    assert job.result.attributions == theirs.attributions
    assert job.result.checks == theirs.checks
    assert job.forecast is None or job.forecast >= 0


def test_predicts_without_explaining(tiny_folder: Path, tiny: Model) -> None:
    job = Service().submit(PredictRequest(texts=(TEXT,)), str(tiny_folder))
    assert job.wait(60)
    assert job.seen == tiny.predict(TEXT)
    assert job.result is None


def test_prediction_arrives_before_the_scores(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, int, int]] = []
    listen = module.Job._listen

    def spy(self: module.Job, progress, partial) -> None:  # type: ignore[no-untyped-def]
        if partial is not None:
            seen.append((progress.stage, len(partial.attributions), len(partial.checks)))
        listen(self, progress, partial)

    monkeypatch.setattr(module.Job, "_listen", spy)
    job = Service().submit(Request(texts=(TEXT,)), str(tiny_folder))
    assert job.wait(60)
    assert seen[0][1:] == (0, 0)
    assert [n for _, n, _ in seen] == sorted(n for _, n, _ in seen)
    assert [c for *_, c in seen] == sorted(c for *_, c in seen)
    assert seen[-1][1] == 1
    assert seen[-1][2] == 5


def test_errors_end_the_job_and_not_the_thread(tiny_folder: Path) -> None:
    found = Service()
    bad = [
        found.submit(Request(texts=("",)), str(tiny_folder)),
        found.submit(Request(texts=(TEXT,), target="nobody"), str(tiny_folder)),
        found.submit(Request(texts=(TEXT,)), "no/such model"),
    ]
    good = found.submit(Request(texts=(TEXT,)), str(tiny_folder))
    assert good.wait(60)
    assert good.state == "done"
    assert [job.state for job in bad] == ["failed"] * 3
    assert [job.error.code for job in bad if job.error] == ["empty_text", "bad_target", "model_not_found"]


def test_unknown_faults_become_a_sentence(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = Service()
    monkeypatch.setattr(Service, "_load", lambda self, name: 1 / 0)
    job = found.submit(Request(texts=(TEXT,)), "x")
    assert job.wait(10)
    assert job.state == "failed"
    assert "ZeroDivision" not in str(job.error)


def test_cancel_before_and_during(tiny_folder: Path) -> None:
    found = Service()
    first = found.submit(Request(texts=(TEXT * 20,), truncate=True, orders=2000), str(tiny_folder))
    second = found.submit(Request(texts=(TEXT,)), str(tiny_folder))
    second.cancel()
    while first.state == "queued" or first.partial is None:
        assert not first.wait(0.01)
    first.cancel()
    assert first.wait(10)
    assert second.wait(10)
    assert (first.state, second.state) == ("cancelled", "cancelled")
    assert first.result is None


def test_full_queue_says_when_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Service()
    monkeypatch.setattr(Service, "_work", lambda self: None)
    for _ in range(module.QUEUE):
        found.warm("x")
    with pytest.raises(BusyError) as error:
        found.warm("x")
    assert error.value.retry_after > 0


def test_cancelled_jobs_make_room_and_nobody_waits_for_the_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Service()
    monkeypatch.setattr(Service, "_work", lambda self: None)
    request = Request(texts=(TEXT,))
    gone = [found.submit(request, "x", lambda: False) for _ in range(module.QUEUE // 2)]
    waiting = [found.submit(request, "x") for _ in range(module.QUEUE // 2)]
    waiting[0].cancel()
    assert waiting[0].over
    assert waiting[0].state == "cancelled"
    found.submit(request, "x")
    assert all(job.state == "cancelled" for job in gone)
    assert not any(job.over for job in waiting[1:])


def test_a_job_ends_when_its_page_is_closed(tiny_folder: Path) -> None:
    here = [True]
    job = Service().submit(Request(texts=(TEXT * 20,), truncate=True, orders=2000), str(tiny_folder), lambda: here[0])
    while job.partial is None:
        assert not job.wait(0.01)
    here[0] = False
    assert job.wait(20)
    assert job.state == "cancelled"


def test_models_are_evicted_oldest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []
    monkeypatch.setattr("explain.engine.load", lambda name: loaded.append(name) or name)
    found = Service()
    for name in ("a", "b", "a", "c", "a", "b"):
        found._load(name)
    assert loaded == ["a", "b", "c", "b"]


def test_the_caller_never_imports_torch(tiny_folder: Path) -> None:
    code = (
        "import sys; from explain.service import service; assert 'torch' not in sys.modules;"
        f"job = service().warm({str(tiny_folder)!r}); job.wait(100); print(job.state, 'torch' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.split() == ["done", "True"]
