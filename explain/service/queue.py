"""The line before the engine: bounded, and fair between those who ask."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque

from explain.service.job import Job


class Line:
    """Jobs that wait, at most `places`; who asks by turns gets answers by turns, however many others ask at once."""

    def __init__(self, places: int) -> None:
        self.places = places
        self._lanes: OrderedDict[str, deque[Job]] = OrderedDict()  # a lane a client, next one first
        self._changed = threading.Condition()

    def __len__(self) -> int:
        """Jobs that wait and are not over."""
        with self._changed:
            return sum(not job.over for lane in self._lanes.values() for job in lane)

    def put(self, job: Job) -> bool:
        """Add a job at the end of its client's lane; False if there is no place."""
        with self._changed:
            if self._taken() >= self.places:
                self._forget_the_dead()
            if self._taken() >= self.places:
                return False
            self._lanes.setdefault(job.client, deque()).append(job)
            self._changed.notify()
            return True

    def take(self, timeout: float) -> Job | None:
        """The first job of the client whose turn it is; None if there is none for `timeout` seconds."""
        with self._changed:
            if not self._lanes:
                self._changed.wait(timeout)
            if not self._lanes:
                return None
            client, lane = next(iter(self._lanes.items()))
            job = lane.popleft()
            self._lanes.move_to_end(client)
            if not lane:
                del self._lanes[client]
            return job

    def empty(self) -> list[Job]:
        """Take all jobs out, and wake who waits for one."""
        with self._changed:
            jobs = [job for lane in self._lanes.values() for job in lane]
            self._lanes.clear()
            self._changed.notify_all()
            return jobs

    def _taken(self) -> int:
        return sum(map(len, self._lanes.values()))

    def _forget_the_dead(self) -> None:
        """Take jobs out that are over, or that nobody waits for."""
        for client, lane in list(self._lanes.items()):
            for job in lane:
                if not job.over and job.abandoned:
                    job.cancel()
            self._lanes[client] = deque(job for job in lane if not job.over)
            if not self._lanes[client]:
                del self._lanes[client]
