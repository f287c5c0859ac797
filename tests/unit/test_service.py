"""The service: one fair line, one engine, models that stay; faults end a job, never the service."""

from __future__ import annotations

import logging
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from explain.catalog import Forecast, PredictRequest, Progress, Request
from explain.engine import Model
from explain.errors import BusyError
from explain.records import Explanation
from explain.service import Service
from explain.service.child import facts
from explain.service.job import Job
from explain.service.models import Models
from explain.service.queue import Line
from explain.settings import Settings
from tests import rest
from tests.engines import Blocked, Inline

TEXT = "a good movie, but never very funny"
SMALL = Settings(queue=4)


@pytest.fixture
def inline() -> Iterator[Service]:
    """A service that computes in this process."""
    found = Service(Inline())
    yield found
    found.stop(0)


@pytest.fixture
def blocked() -> Iterator[tuple[Service, Blocked]]:
    """A service of four places whose engine computes nothing, and has begun with that."""
    engine = Blocked()
    found = Service(engine, SMALL)
    found.submit(Request(texts=(TEXT,)), "x", client="first")
    assert engine.began.wait(10)
    yield found, engine
    found.stop(0)


def test_answers_with_the_same_record_as_python(inline: Service, tiny_folder: Path, tiny: Model) -> None:
    job = inline.submit(Request(texts=(TEXT,)), str(tiny_folder))
    assert job.wait(60)
    assert job.state == "done"
    assert job.result is not None
    theirs = tiny.explain(TEXT)
    assert job.result.attributions == theirs.attributions
    assert job.result.checks == theirs.checks
    assert job.forecast is not None
    assert job.forecast.seconds is None or job.forecast.seconds >= 0


def test_predicts_without_explaining(inline: Service, tiny_folder: Path, tiny: Model) -> None:
    job = inline.submit(PredictRequest(texts=(TEXT,)), str(tiny_folder))
    assert job.wait(60)
    assert job.seen == tiny.predict(TEXT)
    assert job.result is None


def test_says_which_model_it_is(inline: Service, tiny_folder: Path, tiny: Model) -> None:
    job = inline.info(str(tiny_folder))
    assert job.wait(60)
    assert job.seen == tiny.info


def test_who_waits_for_a_model_is_not_told_of_other_people() -> None:
    engine = Blocked()
    found = Service(engine)
    found.warm("x")
    assert engine.began.wait(10)
    first, second = (found.submit(Request(texts=(text,)), "x") for text in ("one", "two"))
    assert first.progress.stage == "Loading the model"
    assert second.progress.stage == "Waiting for another explanation to end"
    found.stop(0)


def test_prediction_arrives_before_the_scores(
    inline: Service, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, int]] = []
    tell = Job.tell

    def spy(self: Job, progress: Progress, partial: Explanation | None = None) -> None:
        if partial is not None:
            seen.append((len(partial.attributions), len(partial.checks)))
        tell(self, progress, partial)

    monkeypatch.setattr(Job, "tell", spy)
    job = inline.submit(Request(texts=(TEXT,)), str(tiny_folder))
    assert job.wait(60)
    assert seen[0] == (0, 0)
    assert [n for n, _ in seen] == sorted(n for n, _ in seen)
    assert [c for _, c in seen] == sorted(c for _, c in seen)
    assert seen[-1] == (1, 5)


def test_errors_end_the_job_and_not_the_service(inline: Service, tiny_folder: Path) -> None:
    bad = [
        inline.submit(Request(texts=("",)), str(tiny_folder)),
        inline.submit(Request(texts=(TEXT,), target="nobody"), str(tiny_folder)),
        inline.submit(Request(texts=(TEXT,)), "no/such model"),
    ]
    good = inline.submit(Request(texts=(TEXT,)), str(tiny_folder))
    assert good.wait(60)
    assert good.state == "done"
    assert [job.state for job in bad] == ["failed"] * 3
    assert [job.error.code for job in bad if job.error] == ["empty_text", "bad_target", "model_not_found"]


def test_unknown_faults_become_a_sentence(caplog: pytest.LogCaptureFixture) -> None:
    def load(name: str) -> Model:
        raise KeyError("the secret text")

    found = Service(Inline(Models(1, 100, load=load)))
    job = found.submit(Request(texts=(TEXT,)), "x")
    assert job.wait(10)
    assert job.state == "failed"
    assert "KeyError" not in str(job.error)
    (fault,) = [r for r in caplog.records if r.getMessage() == "fault"]
    assert "KeyError" in rest.logged(fault)
    # whatever prints it: not everybody who uses the service sets our log up
    assert "secret" not in logging.Formatter().format(fault) + rest.logged(fault)
    found.stop(0)


def test_cancel_before_and_during(inline: Service, tiny_folder: Path) -> None:
    first = inline.submit(Request(texts=(TEXT * 20,), truncate=True, orders=2000), str(tiny_folder))
    second = inline.submit(Request(texts=(TEXT,)), str(tiny_folder))
    second.cancel()
    while first.state == "queued" or first.partial is None:
        assert not first.wait(0.01)
    first.cancel()
    assert first.wait(10)
    assert second.wait(10)
    assert (first.state, second.state) == ("cancelled", "cancelled")
    assert first.result is None


def test_a_job_ends_when_its_page_is_closed(inline: Service, tiny_folder: Path) -> None:
    here = [True]
    job = inline.submit(Request(texts=(TEXT * 20,), truncate=True, orders=2000), str(tiny_folder), lambda: here[0])
    while job.partial is None:
        assert not job.wait(0.01)
    here[0] = False
    assert job.wait(20)
    assert job.state == "cancelled"


def test_full_queue_says_when_to_come_back(blocked: tuple[Service, Blocked]) -> None:
    found, _ = blocked
    for _ in range(SMALL.queue):
        found.warm("x")
    assert found.waiting == SMALL.queue
    with pytest.raises(BusyError) as error:
        found.warm("x")
    assert error.value.code == "busy"
    assert error.value.retry_after >= 1


def test_cancelled_jobs_make_room_and_nobody_waits_for_the_dead(blocked: tuple[Service, Blocked]) -> None:
    found, _ = blocked
    request = Request(texts=(TEXT,))
    gone = [found.submit(request, "x", lambda: False) for _ in range(SMALL.queue // 2)]
    waiting = [found.submit(request, "x") for _ in range(SMALL.queue // 2)]
    waiting[0].cancel()
    assert waiting[0].over
    assert waiting[0].state == "cancelled"
    found.submit(request, "x")
    assert all(job.state == "cancelled" for job in gone)
    assert not any(job.over for job in waiting[1:])


def test_one_client_leaves_as_many_places_as_it_takes(blocked: tuple[Service, Blocked]) -> None:
    found, _ = blocked
    request = Request(texts=(TEXT,))
    mine = [found.submit(request, "x", client="greedy") for _ in range(SMALL.queue // 2)]
    with pytest.raises(BusyError, match="none waiting"):
        found.submit(request, "x", client="greedy")
    found.submit(request, "x", client="other")
    with pytest.raises(BusyError):
        found.submit(request, "x", client="other")  # it has one, and one place is left: for somebody new
    mine[0].cancel()
    found.submit(request, "x", client="new")
    found.submit(request, "x", client="newer")
    assert found.waiting == SMALL.queue


def test_what_a_model_is_is_asked_in_somebodys_name(blocked: tuple[Service, Blocked]) -> None:
    found, _ = blocked
    for _ in range(SMALL.queue // 2):
        assert found.info("x", client="greedy").client == "greedy"
    with pytest.raises(BusyError, match="none waiting"):
        found.info("x", client="greedy")
    found.info("x", client="other")


def test_what_is_known_of_a_model_waits_for_nobody(
    blocked: tuple[Service, Blocked], tiny: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, engine = blocked
    monkeypatch.setattr(engine, "facts", lambda model: facts(tiny))
    job = found.info("x")
    assert (job.state, job.seen, found.waiting) == ("done", tiny.info, 0)


def test_who_comes_back_when_told_finds_a_place() -> None:
    now = [0.0]
    line = Line(4, lambda: now[0])

    def ask(client: str) -> bool:
        return line.put(Job(Request(texts=(TEXT,)), "x", client=client), again=10)

    assert all(map(ask, ("a", "b", "c", "d")))
    assert not ask("told")
    assert not ask("early")
    assert not ask("late")  # two of four places are kept already
    assert line.take(0)
    now[0] = 9
    assert not ask("early"), "the place is not kept for who cannot wait"
    assert not ask("other"), "the free place is kept for who was told to come at 10"
    now[0] = 10
    assert ask("told")
    now[0] = 12.5
    assert line.take(0)
    assert not ask("other"), "kept for 'early', who was told to come at 19 then"
    now[0] = 30
    assert ask("other"), "nobody came in time"


def test_nobody_overtakes_a_clients_only_job() -> None:
    line = Line(6)
    order = ["a", "a", "b", "c"]
    for client in order:
        assert line.put(Job(Request(texts=(TEXT,)), "x", client=client))
    served = [line.take(0)]
    assert line.put(Job(Request(texts=(TEXT,)), "x", client="d"))  # comes later than the second of 'a'
    served += [line.take(0) for _ in range(4)]
    assert [job.client for job in served if job is not None] == ["a", "b", "c", "a", "d"]


def test_clients_are_served_by_turns() -> None:
    engine = Blocked()
    found = Service(engine)
    request = Request(texts=(TEXT,))
    first = found.submit(request, "x", client="greedy")
    assert engine.began.wait(10)
    jobs = [found.submit(request, "x", client="greedy") for _ in range(5)]
    jobs += [found.submit(request, "x", client=name) for name in ("polite", "patient", "polite")]
    engine.go.set()
    assert all(job.wait(10) for job in (first, *jobs))
    assert engine.order[:6] == ["greedy", "greedy", "polite", "patient", "greedy", "polite"]
    assert engine.order[6:] == ["greedy"] * 3
    found.stop(0)


def test_stop_lets_work_end_and_takes_no_more(tiny_folder: Path) -> None:
    found = Service(Inline())
    jobs = [found.submit(Request(texts=(TEXT,), seed=i), str(tiny_folder)) for i in range(2)]
    found.stop(60)
    assert [job.state for job in jobs] == ["done", "done"]
    with pytest.raises(BusyError) as error:
        found.submit(Request(texts=(TEXT,)), str(tiny_folder))
    assert error.value.code == "stopping"


def test_stop_does_not_wait_for_ever(blocked: tuple[Service, Blocked]) -> None:
    found, _ = blocked
    waiting = found.submit(Request(texts=(TEXT,)), "x")
    found.stop(0.2)  # pytest's own limit ends a test that hangs
    assert waiting.state == "failed"
    assert waiting.error is not None
    assert waiting.error.code == "stopping"


def test_the_same_question_is_answered_once(inline: Service, tiny_folder: Path) -> None:
    request = Request(texts=(TEXT,), seed=3)
    first = inline.submit(request, str(tiny_folder))
    assert first.wait(60)
    again = inline.submit(replace(request), str(tiny_folder))
    assert again.state == "done"
    assert again.result == first.result, "with its clock times: it was not computed again"
    other = inline.submit(replace(request, seed=4), str(tiny_folder))
    assert not other.over
    assert other.wait(60)
    assert other.result != first.result


def test_what_a_person_ended_early_is_not_kept(inline: Service, tiny_folder: Path) -> None:
    request = Request(texts=(TEXT,), methods=("shapley_sampling",), checks=())
    first = inline.submit(request, str(tiny_folder))
    first.settle()
    assert first.wait(60)
    again = inline.submit(request, str(tiny_folder))
    assert not again.over
    assert again.wait(60)


def test_nothing_is_forecast_of_what_is_not_loaded_or_busy(inline: Service, tiny_folder: Path) -> None:
    request, name = Request(texts=(TEXT,)), str(tiny_folder)
    assert inline.forecasts([request], name) == [Forecast()]
    assert inline.submit(request, name).wait(60)
    (found,) = inline.forecasts([request], name)
    assert (found.seconds or 0) > 0
    assert (found.memory or 0) > 0
    assert inline.forecasts([Request(texts=("",))], name) == [Forecast()]


def test_says_which_methods_miss_their_claim(inline: Service, tiny_folder: Path, tiny: Model) -> None:
    name = str(tiny_folder)
    assert inline.refused(name) == {}
    job = inline.submit(Request(texts=(TEXT,), methods=("integrated_gradients", "deep_lift"), checks=()), name)
    assert job.wait(60)
    claim = inline.claims(name)["deep_lift"]
    assert claim == next(m.claim for m in tiny.methods() if m.name == "deep_lift")
    assert inline.refused(name) == ({} if claim.kept else {"deep_lift": claim.residual})
    own = {"deep_lift": {"baseline": "zero"}}
    asked = Request(texts=(TEXT,), methods=("integrated_gradients", "deep_lift"), params=own, checks=())
    assert inline.submit(asked, name).wait(60)
    assert inline.claims(name) == {"deep_lift": claim}, "what one asked in a way of his own is told to nobody else"


def test_a_job_may_end_while_somebody_asks(blocked: tuple[Service, Blocked], monkeypatch: pytest.MonkeyPatch) -> None:
    """How long the last jobs took is read by who asks, and written by who answers."""
    found, engine = blocked
    (running,) = found._open

    def slowly(values: Iterable[float]) -> float:
        each = iter(values)
        first = next(each)
        engine.go.set()
        assert running.wait(30), "the job ends while it is asked"
        until = time.monotonic() + 0.5
        while len(found._took) == 1 and time.monotonic() < until:
            time.sleep(0.01)  # what must not happen now would happen soon
        return statistics.mean([first, *each])  # raises where something was written meanwhile

    monkeypatch.setattr("explain.service.mean", slowly)
    assert found.submit(Request(texts=(TEXT,)), "x", client="second").wait(30)
    assert len(found._took) > 1, "the first job's seconds are written once nobody reads"


def test_models_are_evicted_oldest_first() -> None:
    loaded: list[str] = []
    models = Models(2, 10**6, load=lambda name: _weighing(loaded, name, 1))
    for name in ("a", "b", "a", "c", "a", "b"):
        models.get(name)
    assert loaded == ["a", "b", "c", "b"]


def test_models_are_evicted_by_memory_and_the_last_one_stays() -> None:
    loaded: list[str] = []
    models = Models(5, 10, load=lambda name: _weighing(loaded, name, {"large": 4_000_000}.get(name, 1_000_000)))
    for name in ("a", "b", "large", "a"):
        models.get(name)
        assert name in models.names
    assert loaded == ["a", "b", "large", "a"]
    assert models.names == ("a",)


def _weighing(loaded: list[str], name: str, numbers: int):  # type: ignore[no-untyped-def]
    import torch

    loaded.append(name)
    return type("Loaded", (), {"module": torch.nn.Linear(numbers, 1, bias=False)})()


def test_the_caller_never_imports_torch(tiny_folder: Path) -> None:
    code = (
        "import sys; from explain.service import service; found = service();"
        f"job = found.warm({str(tiny_folder)!r}); job.wait(100); print(job.state, 'torch' in sys.modules);"
        "found.stop(1)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.split() == ["done", "False"]
