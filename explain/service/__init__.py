"""The only way from a face to a model: submit a question, watch the job, cancel it.

Questions wait in a bounded, fair line; an engine answers them one at a time. The engine is a worker process, so that
no face ever loads torch, and no fault of a model ends a face; nothing outside this package knows that.
"""

from __future__ import annotations

import functools
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from statistics import mean

from explain import journal
from explain.catalog import Claim, Forecast, Progress, Request
from explain.errors import BusyError, Cancelled, ExplainError
from explain.service.cache import Answers
from explain.service.engine import Engine
from explain.service.job import ForecastRequest, Forecasts, InfoRequest, Job, Question, Seen, State
from explain.service.keeper import Keeper
from explain.service.queue import Line
from explain.settings import Settings, settings

__all__ = ["Engine", "Job", "Question", "Seen", "Service", "State", "service"]

IDLE = 20.0
"""Seconds after which a service without work looks for answers to forget."""
SOON = 1.0
"""Seconds that a forecast may take."""
FORECASTS = "all forecasts"
"""Who asks for them, to the line: together they take no more turns than one client. No API key has such a name."""
LOADING = Progress("Loading the model", 0)


class Service:
    """A line, an engine, and the answers of the last minutes."""

    def __init__(self, engine: Engine | None = None, limits: Settings | None = None) -> None:
        self._limits = limits or settings()
        self._engine = engine or Keeper()
        self._line = Line(self._limits.queue)
        self._kept = Answers(self._limits.cache_seconds, self._limits.cache_entries)
        self._took: deque[float] = deque([1.0], maxlen=20)  # seconds that the last jobs took
        self._open: list[Job] = []  # those that are not over; and some that are
        self._thread: threading.Thread | None = None
        self._lock, self._stopping = threading.Lock(), False

    def submit(
        self,
        request: Question,
        model: str,
        alive: Callable[[], bool] = lambda: True,
        *,
        client: str = "",
        seconds: float | None = None,
    ) -> Job:
        """Ask a question; an answer that is known already ends the job at once.

        Args:
            request: what is asked.
            model: a bundled name, a Hub id, or a local folder.
            alive: says whether anybody still waits for the answer; when nobody does, the job is cancelled.
            client: who asks, '' for nobody in particular; clients are served by turns.
            seconds: bounds the work, not the wait; None: as long as a background job may take.

        Raises:
            BusyError: too many wait already (`busy`), or the service is about to end (`stopping`).
        """
        return self._put(Job(request, model, alive, client=client, seconds=seconds or self._limits.job_seconds))

    def info(self, model: str, *, client: str = "") -> Job:
        """Which network is it? The job's `seen` is its ModelInfo; it is loaded if it is not yet.

        What is known of a loaded model ends the job at once: nobody waits in the line for it. `client` as in `submit`.
        """
        job = Job(InfoRequest(), model, client=client, seconds=self._limits.job_seconds)
        facts = self._engine.facts(model)
        if facts is None:
            return self._put(job)
        job.done(facts.info)
        return job

    def warm(self, model: str) -> Job:
        """Load a model ahead of the first request."""
        return self.info(model)

    def forecasts(self, requests: Sequence[Request], model: str) -> list[Forecast]:
        """What each of several requests about one text would cost; nothing of it where that is not known now.

        Nothing is known of a model that is not loaded, and nothing is asked of one that is busy.
        """
        unknown = [Forecast()] * len(requests)
        if self._engine.facts(model) is None or self.busy:
            return unknown
        try:
            job = self._put(Job(ForecastRequest(tuple(requests)), model, client=FORECASTS, seconds=SOON))
        except BusyError:
            return unknown
        if not job.wait(SOON):
            job.cancel()
        return list(job.seen.found) if isinstance(job.seen, Forecasts) else unknown

    def claims(self, model: str) -> dict[str, Claim]:
        """What was measured of methods' claims on a model so far, by method; never blocks."""
        facts = self._engine.facts(model)
        return {} if facts is None else dict(facts.claims)

    def talks(self, model: str) -> bool:
        """Whether a model is known to read conversations; never blocks."""
        facts = self._engine.facts(model)
        return facts is not None and facts.talks

    def refused(self, model: str) -> dict[str, float]:
        """Methods known to miss their own claim on this model, with the share of the change that they miss."""
        return {name: claim.residual for name, claim in self.claims(model).items() if not claim.kept}

    @property
    def waiting(self) -> int:
        """Jobs that wait for their turn."""
        return len(self._line)

    @property
    def busy(self) -> bool:
        """Whether a job is running or waiting."""
        return any(not job.over for job in self._open)

    @property
    def stopping(self) -> bool:
        """Whether it takes no new work."""
        return self._stopping

    def stop(self, drain_seconds: float = 30) -> None:
        """Take no new work, let what was taken end for so many seconds, then end the engine with all that is left."""
        with self._lock:
            self._stopping = True
        until = time.monotonic() + drain_seconds
        while self.busy and time.monotonic() < until:
            time.sleep(0.02)
        for job in self._open:
            job.end("failed", _stopping())
        self._line.empty()
        self._engine.stop()
        self._kept.purge(everything=True)

    def _put(self, job: Job) -> Job:
        known = self._kept.get(self._kept.key(self._engine.facts(job.model), job.request))
        with self._lock:
            if self._stopping:
                raise _stopping()
            if known is not None:
                job.done(known)
                return job
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="explain-service", daemon=True)
                self._thread.start()
            ahead = [other for other in self._open if not other.over]
            if ahead and all(isinstance(other.request, InfoRequest) for other in ahead):
                job.progress = LOADING  # nobody is in the way: a model is on its way
            again = max(1, math.ceil(mean(self._took) * self._line.places / 2))
            if not self._line.put(job, again):
                raise BusyError(
                    f"{self.waiting} requests are waiting already, of at most {self._line.places}; the last places are "
                    "for those who have none waiting, and for those who come back when they are told to. Try again in "
                    f"{again} s.",
                    retry_after=again,
                )
            self._open = [*ahead, job]
        return job

    def _work(self) -> None:
        while not (self._stopping and not self.waiting):
            job = self._line.take(IDLE)
            self._kept.purge()
            if job is not None and job.begin():
                began = time.monotonic()
                self._answer(job)
                if not isinstance(job.request, ForecastRequest):  # which takes no time: others would come back too soon
                    with self._lock:  # whoever asks meanwhile goes through all of them
                        self._took.append(time.monotonic() - began)

    def _answer(self, job: Job) -> None:
        try:
            if job.abandoned:
                raise Cancelled("The explanation was cancelled.")
            answer = self._engine.answer(job)
            if not job.enough.is_set() and not isinstance(job.request, (InfoRequest, ForecastRequest)):
                self._kept.put(self._kept.key(self._engine.facts(job.model), job.request), answer)
            job.done(answer)
        except Cancelled as error:
            job.end("cancelled", error)
        except ExplainError as error:
            job.end("failed", error)
        except Exception:  # the thread must outlive any fault; the log has the rest
            journal.fault(job=job.id)
            unknown = "The explanation failed for a reason that Whyboard does not know; the log says more."
            job.end("failed", ExplainError(unknown))


def _stopping() -> BusyError:
    return BusyError(
        "Whyboard is about to end, and takes no new work. Try again later.", retry_after=30, code="stopping"
    )


@functools.cache
def service() -> Service:
    """The service of this process."""
    return Service()
