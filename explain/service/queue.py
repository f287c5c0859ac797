"""The line before the engine: bounded, and fair between those who ask."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable

from explain.service.job import Job

GRACE = 2.0
"""Seconds for which a place is kept after the moment at which a refused client was told to come back."""


class Line:
    """Jobs that wait, at most `places`; who asks by turns gets answers by turns, however many others ask at once.

    A job goes into the round after the one that is being answered, or after its client's last one that waits, and
    stands there behind those who came before: nobody who comes later overtakes a client's only job. One client's jobs
    may take no more places than they leave free, so that nobody fills the line for others. Who has none waiting and is
    refused is told when to come back, and finds a place then: up to half of them are kept for those. '' is nobody in
    particular: each such job counts as a client's only one, and no place is kept for it.
    """

    def __init__(self, places: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.places, self._clock = places, clock
        self._kept: dict[str, float] = {}  # client: when it was told to come back
        self._jobs: list[tuple[int, int, Job]] = []  # a heap: round, number of the job, job
        self._round, self._numbers = 0, itertools.count()
        self._changed = threading.Condition()

    def __len__(self) -> int:
        """Jobs that wait and are not over."""
        with self._changed:
            return sum(not job.over for _, _, job in self._jobs)

    def put(self, job: Job, again: float = 0) -> bool:
        """Add a job behind those of its round; False if there is no place for its client.

        `again` is after how many seconds a refused client is told to come back.
        """
        with self._changed:
            now = self._clock()
            self._kept = {client: due for client, due in self._kept.items() if now <= due + GRACE}
            called = self._kept.pop(job.client, now + 1) <= now  # who comes too early loses the place
            if not self._admits(job.client, called):
                self._forget_the_dead()
            mine = self._of(job.client)
            if not self._admits(job.client, called):
                if job.client and not mine and len(self._kept) < self.places // 2:
                    self._kept[job.client] = now + again
                return False
            heapq.heappush(self._jobs, (1 + max(mine, default=self._round), next(self._numbers), job))
            self._changed.notify()
            return True

    def take(self, timeout: float) -> Job | None:
        """The first job of the present round, or of the next; None if there is none for `timeout` seconds."""
        with self._changed:
            if not self._jobs:
                self._changed.wait(timeout)
            if not self._jobs:
                return None
            self._round, _, job = heapq.heappop(self._jobs)
            return job

    def empty(self) -> list[Job]:
        """Take all jobs out, and wake who waits for one."""
        with self._changed:
            jobs = [job for _, _, job in sorted(self._jobs)]
            self._jobs.clear()
            self._changed.notify_all()
            return jobs

    def _admits(self, client: str, called: bool) -> bool:
        free = self.places - len(self._jobs) - (0 if called else len(self._kept))
        return free > len(self._of(client))

    def _of(self, client: str) -> list[int]:
        """Rounds of a client's jobs that wait."""
        return [turn for turn, _, job in self._jobs if client and job.client == client]

    def _forget_the_dead(self) -> None:
        """Take jobs out that are over, or that nobody waits for."""
        for _, _, job in self._jobs:
            if not job.over and job.abandoned:
                job.cancel()
        self._jobs = [entry for entry in self._jobs if not entry[2].over]
        heapq.heapify(self._jobs)
