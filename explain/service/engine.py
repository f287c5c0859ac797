"""What the service asks of whatever computes. Nothing above this file knows whether that is a process, or where."""

from __future__ import annotations

from typing import Protocol

from explain.service.job import Answer, Facts, Job


class Engine(Protocol):
    """Answers one job at a time."""

    def answer(self, job: Job) -> Answer:
        """Compute, and block until there is an answer.

        Reports by `job.tell` and `job.forecast`, and stops within two seconds once `job.abandoned` says so. What ends
        one job must not harm the next.

        Raises:
            Cancelled: the job was abandoned.
            TimeLimitError: it took longer than `job.seconds`.
            WorkerError: what computes was lost; the next job finds a new one.
            ExplainError: the question has no answer; the message says why.
        """
        ...

    def facts(self, model: str) -> Facts | None:
        """What it last said of a model; None where it is not loaded. Never blocks."""
        ...

    def stop(self) -> None:
        """End at once, from any thread, with whatever is running; nothing is left behind."""
        ...
