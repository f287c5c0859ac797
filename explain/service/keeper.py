"""An engine that computes in a process of its own: started when it is needed, killed when it does not listen."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, cast

from explain import errors
from explain.errors import Cancelled, ExplainError, TimeLimitError, WorkerError
from explain.service.job import Answer, Facts, Job
from explain.service.process import Process
from explain.settings import settings

TICK = 0.05
"""Seconds between looks at whether somebody still waits."""
PATIENCE = 1.5
"""Seconds that the worker has to stop by itself; afterwards it is killed, and all it has loaded is lost."""


class Keeper:
    """Keeps one worker. One thread calls `answer`; `facts` and `stop` may be called from any."""

    def __init__(self, start: Callable[[], Process] = Process, loading: float | None = None) -> None:
        """`start` gives a worker; `loading` is how many seconds it has to load a model, None for the setting's."""
        self._start = start
        self._loading = settings().load_seconds if loading is None else loading
        self._worker: Process | None = None
        self._facts: dict[str, Facts] = {}
        self._lock, self._closed = threading.Lock(), False
        self.starts = 0

    @property
    def pid(self) -> int | None:
        """Number of the worker's process; None where there is none."""
        worker = self._worker
        return worker.pid if worker is not None and worker.alive else None

    def facts(self, model: str) -> Facts | None:
        """See Engine."""
        return self._facts.get(model)

    def stop(self) -> None:
        """See Engine."""
        with self._lock:
            self._closed = True
        self._drop()

    def answer(self, job: Job) -> Answer:
        """See Engine."""
        before = self.starts
        worker = self._ready()
        watch = _Watch(worker, job, self._learn, time.monotonic() + self._loading)
        try:
            worker.say("ask", job.id, job.model, job.request)
            return watch.until_over()
        except _Deaf as deaf:
            self._drop()
            raise deaf.reason from None
        except WorkerError:
            self._drop()
            if watch.heard or self.starts > before:
                raise
        return self.answer(job)  # it had died before it was asked, while nobody looked: a new one takes the question

    def _ready(self) -> Process:
        if self._worker is not None and not self._worker.alive:  # it died while nothing was asked of it
            self._drop()
        with self._lock:
            if self._closed:
                raise WorkerError("The service has ended.")
            if self._worker is None:
                self._worker = self._start()
                self.starts += 1
            return self._worker

    def _drop(self) -> None:
        with self._lock:
            worker, self._worker, self._facts = self._worker, None, {}
        if worker is not None:
            worker.end()

    def _learn(self, facts: Facts, model: str, loaded: tuple[str, ...]) -> None:
        with self._lock:
            self._facts = {name: known for name, known in self._facts.items() if name in loaded} | {model: facts}


class _Deaf(Exception):
    """The worker did not stop when it was asked to; `reason` is why it should have."""

    def __init__(self, reason: ExplainError) -> None:
        self.reason = reason


class _Watch:
    """One job in the worker, until it is over."""

    def __init__(
        self, worker: Process, job: Job, learn: Callable[[Facts, str, tuple[str, ...]], None], loaded_by: float
    ) -> None:
        self.worker, self.job, self.learn, self.loaded_by = worker, job, learn, loaded_by
        self.until: float | None = None  # counted from the moment when the model is loaded, which may take its time
        self.loaded = self.settled = self.heard = False
        self.reason: ExplainError | None = None  # why the worker was asked to stop
        self.patience = 0.0

    def until_over(self) -> Answer:
        while True:
            message = self.worker.hear(TICK)
            if message is not None and message[1] == self.job.id:
                self.heard = True
                found = self._take(*message)
                if found is not None:
                    return found
            self._look()

    def _look(self) -> None:
        """Does anybody still wait, and is there still time?"""
        now = time.monotonic()
        if not self.loaded and now > self.loaded_by:  # it hears nothing while it loads
            raise _Deaf(
                TimeLimitError("The model took too long to load, and the loading was ended.", code="load_timeout")
            )
        if self.reason is None:
            if self.job.abandoned:
                self._ask_to_stop(Cancelled("The explanation was cancelled."), now)
            elif self.until is not None and now > self.until:
                self._ask_to_stop(
                    TimeLimitError(
                        f"The answer took longer than {self.job.seconds:g} seconds, and was ended. Ask about a shorter "
                        "text, a cheaper method or fewer checks."
                    ),
                    now,
                )
        elif self.loaded and now > self.patience:
            raise _Deaf(self.reason)
        if self.job.enough.is_set() and not self.settled:
            self.settled = True
            self.worker.say("enough", self.job.id)

    def _ask_to_stop(self, reason: ExplainError, now: float) -> None:
        self.reason, self.patience = reason, now + PATIENCE
        self.worker.say("cancel", self.job.id)
        if not self.loaded and isinstance(reason, Cancelled):  # who cancelled need not wait for what is loading
            self.job.end("cancelled", reason)

    def _take(self, kind: str, _id: str, *rest: Any) -> Answer | None:
        if kind == "loaded":
            self.loaded = True
            now = time.monotonic()
            self.patience = max(self.patience, now + PATIENCE)
            self.until = None if self.job.seconds is None else now + self.job.seconds
        elif kind == "forecast":
            (self.job.forecast,) = rest
        elif kind == "progress":
            self.job.tell(*rest)
        elif kind == "facts":
            self.learn(*rest)
        elif kind == "done":
            if self.reason is not None:  # too late: it was answered while it was being stopped
                raise self.reason
            return cast(Answer, rest[0])
        elif kind == "failed":
            raise self.reason or _error(*rest)
        return None


def _error(kind: str, message: str, code: str) -> ExplainError:
    found = getattr(errors, kind, None)
    if not (isinstance(found, type) and issubclass(found, ExplainError)) or found is errors.BusyError:
        found = ExplainError
    return found(message, code=code)
