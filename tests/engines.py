"""Engines for tests in which a process is not the point."""

from __future__ import annotations

import threading
from collections.abc import Callable

from explain.catalog import Forecast, Progress
from explain.errors import Cancelled
from explain.records import Explanation
from explain.service.child import answer, facts
from explain.service.job import Answer, Facts, Job
from explain.service.models import Models


class Inline:
    """Computes in the service's own thread, with the code of the worker but without its process."""

    def __init__(self, models: Models | None = None) -> None:
        self.models = models or Models(2, 4_000)
        self.known: dict[str, Facts] = {}

    def answer(self, job: Job) -> Answer:
        def listen(progress: Progress, partial: Explanation | None) -> None:
            job.tell(progress, partial)
            _ = job.abandoned  # sets the event that the work looks at

        def forecast(found: Forecast) -> None:
            job.forecast = found

        listen(Progress("Loading the model", 0), None)
        model = self.models.get(job.model)
        try:
            return answer(model, job.request, listen, forecast, job.stop, job.enough)
        finally:
            self.known[job.model] = facts(model)

    def facts(self, model: str) -> Facts | None:
        return self.known.get(model)

    def stop(self) -> None:
        pass


class Blocked:
    """Computes nothing until it is let go; remembers in which order it was asked."""

    def __init__(self, reply: Callable[[Job], Answer] | None = None) -> None:
        self.go, self.began = threading.Event(), threading.Event()
        self.order: list[str] = []
        self.reply = reply

    def answer(self, job: Job) -> Answer:
        self.order.append(job.client)
        self.began.set()
        while not self.go.wait(0.01):
            if job.abandoned:
                raise Cancelled("The explanation was cancelled.")
        if self.reply is None:
            raise Cancelled("Nothing is computed here.")
        return self.reply(job)

    def facts(self, model: str) -> Facts | None:
        return None

    def stop(self) -> None:
        self.go.set()
