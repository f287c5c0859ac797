"""The only way from the dashboard to a model: submit a request, watch the job, cancel it.

Today one background thread computes, one request at a time, behind a bounded queue. A worker process
takes its place later; nothing above this file will notice. torch is imported by that thread, never by
the caller, so that the first page appears before it is loaded.
"""

from __future__ import annotations

import logging
import queue
import threading
import uuid
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Literal

from explain.catalog import PredictRequest, Progress, Request
from explain.errors import BusyError, Cancelled, ExplainError
from explain.heads import HeadMap, HeadRequest, HeadsReport, HeadsRequest
from explain.lens import DirectRequest, Inside, InsideRequest, LensRequest, PatchRequest
from explain.records import Explanation, Prediction
from explain.road import Road, RoadRequest

if TYPE_CHECKING:
    from explain.engine import Model

QUEUE, MODELS = 16, 2
"""Jobs that may wait, and models that stay loaded."""

Question = Request | PredictRequest | HeadsRequest | HeadRequest | RoadRequest | InsideRequest
Seen = Prediction | HeadsReport | HeadMap | Road | Inside
State = Literal["queued", "running", "done", "failed", "cancelled"]
_log = logging.getLogger(__name__)


class Job:
    """One request on its way. Read `state`, `progress` and `partial` at any time; call `cancel` from any thread."""

    def __init__(self, request: Question | None, model: str, alive: Callable[[], bool] = lambda: True) -> None:
        self.id = uuid.uuid4().hex
        self.request, self.model, self.alive = request, model, alive
        self.state: State = "queued"
        self.progress = Progress("Waiting for another explanation to end", 0)
        self.partial: Explanation | None = None
        self.seen: Seen | None = None
        self.error: ExplainError | None = None
        self.forecast: float | None = None
        self._cancel, self._enough, self._over = threading.Event(), threading.Event(), threading.Event()

    @property
    def over(self) -> bool:
        """Whether the job has ended, in whatever way."""
        return self._over.is_set()

    @property
    def result(self) -> Explanation | None:
        """The explanation of a job that is done; None before, and after a failure. What it saw inside is `seen`."""
        return self.partial if self.state == "done" else None

    def cancel(self) -> None:
        """End the job if it waits; else ask it to stop before its next pass through the model."""
        self._cancel.set()
        if self.state == "queued":
            self._end("cancelled", Cancelled("The explanation was cancelled."))

    def settle(self) -> None:
        """Ask a sampling method to stop refining and give the answer it has."""
        self._enough.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Block until the job is over; False if `timeout` seconds pass first."""
        return self._over.wait(timeout)

    def _listen(self, progress: Progress, partial: Explanation | None) -> None:
        self.progress = progress
        self.partial = partial or self.partial
        if not self.alive():
            self._cancel.set()

    def _end(self, state: State, error: ExplainError | None = None) -> None:
        self.state, self.error = state, error
        self._over.set()


class Service:
    """A queue, a thread, and the models it has loaded."""

    def __init__(self) -> None:
        self._queue: queue.Queue[Job] = queue.Queue(QUEUE)
        self._models: OrderedDict[str, Model] = OrderedDict()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def submit(
        self,
        request: Question,
        model: str,
        alive: Callable[[], bool] = lambda: True,
        *,
        client: str = "",
        seconds: float | None = None,
    ) -> Job:
        """Queue a request; raises BusyError when too many wait already.

        `alive` says whether anybody still waits for the answer; when nobody does, the job is cancelled.
        `client` names who asks ('': nobody in particular) and `seconds` bounds the work (None: no bound); a thread
        can neither be fair nor be ended, so both wait for the worker process.
        """
        return self._put(Job(request, model, alive))

    def forecasts(self, requests: Sequence[Request], model: str) -> list[float | None]:
        """Seconds that each of several requests about one text would take; None where that is not known yet."""
        loaded = self._models.get(model)
        try:
            return [None] * len(requests) if loaded is None else loaded.forecasts(requests)
        except ExplainError:  # a text that cannot be read takes no time
            return [None] * len(requests)

    def refused(self, model: str) -> dict[str, float]:
        """Methods known to miss their own claim on this model, with the share of the change that they miss."""
        loaded = self._models.get(model)
        known = {} if loaded is None else dict(loaded.claims)
        return {name: claim.residual for (name, _), claim in known.items() if not claim.kept}

    def warm(self, model: str) -> Job:
        """Load a model ahead of the first request."""
        return self._put(Job(None, model))

    def _put(self, job: Job) -> Job:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="explain-service", daemon=True)
                self._thread.start()
        try:
            if self._queue.full():
                self._forget_the_dead()
            self._queue.put_nowait(job)
        except queue.Full:
            raise BusyError(f"{QUEUE} requests are waiting already. Try again in a minute.", retry_after=60) from None
        return job

    def _forget_the_dead(self) -> None:
        """Take jobs out of the queue that are over, or that nobody waits for."""
        with self._lock:
            waiting = [self._queue.get_nowait() for _ in range(self._queue.qsize())]
            for job in waiting:
                if not job.over and not job.alive():
                    job.cancel()
                if not job.over:
                    self._queue.put_nowait(job)

    def _work(self) -> None:
        while True:
            job = self._queue.get()
            if job.over:
                continue
            try:
                self._run(job)
            except Cancelled as error:
                job._end("cancelled", error)
            except ExplainError as error:
                job._end("failed", error)
            except Exception:  # the thread must outlive any fault of a model; the log has the rest
                _log.exception("job %s failed", job.id)
                job._end(
                    "failed",
                    ExplainError("The explanation failed for a reason that Whyboard does not know; the log says more."),
                )

    def _run(self, job: Job) -> None:
        job.state = "running"
        if job._cancel.is_set() or not job.alive():
            raise Cancelled("The explanation was cancelled.")
        job.progress = Progress("Loading the model", 0)
        model = self._load(job.model)
        if isinstance(job.request, (HeadsRequest, HeadRequest)):
            job.seen = model.look(job.request, progress=job._listen, cancel=job._cancel)
        elif isinstance(job.request, (RoadRequest, LensRequest, PatchRequest, DirectRequest)):
            job.seen = model.walk(job.request, progress=job._listen, cancel=job._cancel)
        elif isinstance(job.request, PredictRequest):
            job.seen = model.predict_batch([job.request.texts], truncate=job.request.truncate)[0]  # type: ignore[list-item]
        elif job.request is not None:
            job.forecast = model.forecast(job.request)
            job.partial = model.answer([job.request], progress=job._listen, cancel=job._cancel, enough=job._enough)[0]
        job._end("done")

    def _load(self, name: str) -> Model:
        from explain.engine import load  # torch: only this thread pays for it

        if name not in self._models:
            self._models[name] = load(name)
            while len(self._models) > MODELS:
                self._models.popitem(last=False)
        self._models.move_to_end(name)
        return self._models[name]


@cache
def service() -> Service:
    """The service of this process."""
    return Service()
