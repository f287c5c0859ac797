"""Work for later: jobs that outlive their request, one owner each, kept in memory and for a quarter of an hour.

A job holds one question or several. What each found is kept until the job is forgotten; a job that was cancelled, or
that the service lost, resumes with the questions that have no answer yet. With a shelf, jobs outlive the service too.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from explain import canonical, journal
from explain.catalog import Progress
from explain.errors import BusyError, Cancelled, ExplainError, InputError, WorkerError, outcome
from explain.rest import answers, quotes, running
from explain.rest.served import Named
from explain.rest.shelf import Kept, Rows, Shelf
from explain.service import Job, Question

if TYPE_CHECKING:
    from explain.rest.face import Face

KEPT = 64
"""Finished jobs of one owner that are remembered; the one that ended first goes first."""
OFTEN = 30.0
"""Seconds between looks for jobs to forget, at most."""
State = Literal["queued", "running", "done", "failed", "cancelled"]


@dataclass
class Entry:
    """One job of one owner. `found` has an answer, or a problem, for every question that is over; with `machine` an
    answer says where it was computed (`face.told_of_machine`).
    """

    owner: str
    task: str
    model: Named
    questions: Sequence[Question | ExplainError]  # an error: why this input is refused whatever the model
    request_id: str
    machine: bool
    id: str = field(default_factory=lambda: secrets.token_hex(16))
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="milliseconds"))
    state: State = "queued"
    found: Rows = field(default_factory=Kept)
    error: dict[str, Any] | None = None
    job: Job | None = None
    runner: asyncio.Task[None] | None = None
    ended: float | None = None

    @property
    def open(self) -> bool:
        """Whether it still waits or runs."""
        return self.state in ("queued", "running")

    def status(self) -> dict[str, Any]:
        """What may be said of it at any time, without what it found."""
        progress = self.job.progress if self.job is not None and self.open else Progress("", 0)
        return {
            "id": self.id,
            "state": self.state,
            "task": self.task,
            "model": self.model.name,
            "created": self.created,
            "inputs": len(self.questions),
            "answered": len(self.found),
            "progress": canonical.plain(progress) if self.open else None,
            "error": self.error,
        }

    def whole(self) -> Iterator[bytes]:
        """Its status and, once it is over, `results` in the order of the inputs (null: no answer); piece by piece."""
        status = canonical.encode(self.status())
        if self.open:
            yield status
            return
        yield status[:-1] + b',"results":['
        for i in range(len(self.questions)):
            yield (b"," if i else b"") + (self.found.get(i) or b"null")
        yield b"]}"

    def interrupt(self, since: float) -> None:
        """Take it up as an earlier service left it `since` seconds ago: over, cancelled, or waiting to be resumed."""
        self.ended = time.monotonic() - since
        self.state = "failed"
        if self.found.cancelled:
            self.state = "cancelled"
        elif len(self.found) < len(self.questions):
            said = "The service ended before this job did. Resume it, or send it again with its Idempotency-Key."
            self.error = answers.problem(WorkerError(said, code="interrupted"), self.request_id)
        elif len(self.found.failed) < len(self.questions):
            self.state = "done"


class Board:
    """The jobs of one application. Used from one thread, the event loop's."""

    def __init__(self, most_open: int, keep_seconds: float, shelf: Shelf | None = None) -> None:
        self.most_open, self.keep_seconds, self.shelf = most_open, keep_seconds, shelf
        self._entries: dict[str, Entry] = {}
        self._sent: dict[tuple[str, str], tuple[str, str]] = {}

    def open(self) -> int:
        """Jobs that wait or run, of all owners."""
        return sum(e.open for e in self._entries.values())

    def of(self, owner: str) -> list[Entry]:
        """An owner's jobs, oldest first."""
        self._forget()
        return [e for e in self._entries.values() if e.owner == owner]

    def find(self, owner: str, job: str) -> Entry:
        """One of an owner's jobs; raises InputError, code job_not_found, also for another owner's."""
        found = next((e for e in self.of(owner) if e.id == job), None)
        if found is None:
            raise InputError("There is no such job, or it is no longer kept. Send it again.", code="job_not_found")
        return found

    def put_back(self, entries: Iterable[tuple[Entry, str | None, str]]) -> None:
        """Take up jobs of an earlier service, each with its idempotency key and the digest of its body."""
        for entry, key, digest in entries:
            self._entries[entry.id] = entry
            if key is not None:
                self._sent[entry.owner, key] = (entry.id, digest)

    def start(
        self, here: Face, entry: Entry, key: str | None, digest: str, asked: Mapping[str, Any]
    ) -> tuple[Entry, bool]:
        """Begin a job; or, for an idempotency key that was sent before, the job that began then (and False).

        One that an earlier service began goes on. `asked` is what a later service needs to know.

        Raises:
            BusyError: the owner has too many open jobs.
            InputError: the key came before with another body (code key_used_before), or there is no room to write.
        """
        self._forget()
        if key is not None and (known := self._sent.get((entry.owner, key))) is not None:
            if known[1] != digest:
                raise InputError(
                    "This Idempotency-Key came before with another body. Give a new body a new key.",
                    code="key_used_before",
                )
            before = self._entries[known[0]]
            if before.error is not None and before.error["code"] == "interrupted":
                self.resume(here, before)
            return before, False
        self._has_room(entry.owner)
        if self.shelf is not None:
            about = {name: getattr(entry, name) for name in ("id", "owner", "created", "request_id", "machine")}
            about |= {"model": entry.model.name, "key": key, "digest": digest}
            entry.found = self.shelf.begin(entry.id, {**about, **asked})
        self._entries[entry.id] = entry
        if key is not None:
            self._sent[entry.owner, key] = (entry.id, digest)
        entry.runner = asyncio.create_task(self._run(here, entry))
        return entry, True

    def resume(self, here: Face, entry: Entry) -> None:
        """Go on with the questions that have no answer; nothing happens to an open job. Raises BusyError."""
        if entry.open or len(entry.found) == len(entry.questions):
            return
        self._has_room(entry.owner)
        entry.state, entry.error, entry.ended = "queued", None, None
        entry.runner = asyncio.create_task(self._run(here, entry))

    def cancel(self, entry: Entry) -> None:
        """End an open job for its owner; what it found stays."""
        if entry.open:
            entry.found.stop()
            self._halt(entry)

    def _halt(self, entry: Entry) -> None:
        if entry.open:
            _end(entry, "cancelled")
            if entry.runner is not None:
                entry.runner.cancel()
            if entry.job is not None and not entry.job.over:
                entry.job.cancel()

    async def stop(self) -> None:
        """Cancel everything, and wait until it has ended."""
        runners = [e.runner for e in self._entries.values() if e.open and e.runner is not None]
        for entry in list(self._entries.values()):
            self._halt(entry)
        await asyncio.gather(*runners, return_exceptions=True)
        if self.shelf is not None:
            self.shelf.close()

    def forget(self, entry: Entry) -> None:
        """End a job, and keep nothing of it."""
        self._halt(entry)
        entry.found.drop()
        del self._entries[entry.id]
        self._forget()

    async def _run(self, here: Face, entry: Entry) -> None:
        try:
            for i, question in enumerate(entry.questions):
                if i not in entry.found:
                    await self._answer(here, entry, i, question)
            _end(entry, "failed" if len(entry.found.failed) == len(entry.questions) else "done")
        except ExplainError as error:
            state: State = "cancelled" if isinstance(error, Cancelled) else "failed"
            entry.error = answers.problem(error, entry.request_id)
            _end(entry, state)
        except Exception:  # a job must not end without a word; what it was is in the log
            here.metrics.fault(entry.request_id)
            entry.error = answers.problem(answers.UNKNOWN, entry.request_id)
            _end(entry, "failed")

    async def _answer(self, here: Face, entry: Entry, i: int, question: Question | ExplainError) -> None:
        """Keep what is found, and what will always be refused; raise what another try may change."""
        try:
            if isinstance(question, ExplainError):
                raise question
            entry.job = await running.submit(here, question, entry.model, entry.owner, patient=True, later=True)
            entry.state = "running"
            async for _ in running.over(entry.job):
                pass
            content = await running.answer(entry.job, entry.model, machine=entry.machine)
            if self.shelf is None:
                self._make_room(here, entry, len(content))
            entry.found.put(i, content, failed=False)
        except ExplainError as error:
            if outcome(error).status != 422:
                error.args = (quotes.unquoted(str(error), question),)  # it becomes that of the job
                raise
            entry.found.put(i, canonical.encode(answers.problem(error, entry.request_id, question)), failed=True)

    def _make_room(self, here: Face, entry: Entry, more: int) -> None:
        """Forget what ended first of an owner's jobs, until an answer of so many bytes may be kept beside the others.

        Raises:
            InputError: this job's own answers take too much (code answer_too_large).
        """

        def held() -> int:
            return more + sum(e.found.size for e in self._entries.values() if e.owner == entry.owner)

        ended = (e for e in self.of(entry.owner) if e.ended is not None and e.found.size)
        for old in sorted(ended, key=lambda e: float(e.ended or 0)):
            if held() > here.settings.max_answer and old.id in self._entries:
                self.forget(old)
        running.require_room(held(), here.settings)

    def _has_room(self, owner: str) -> None:
        if sum(e.open for e in self.of(owner)) >= self.most_open:
            raise BusyError(
                f"{self.most_open} jobs are open already. Wait for one to end, or cancel one.",
                retry_after=5,
                code="too_many_jobs",
            )

    async def tidy(self) -> None:
        """Forget what is over for too long, also while nobody asks for a job; until cancelled."""
        while True:
            await asyncio.sleep(max(0.1, min(OFTEN, self.keep_seconds)))
            try:
                self._forget()
                if self.shelf is not None:
                    self.shelf.sweep(self.keep_seconds, set(self._entries))
            except OSError:  # a disk that fails now may not later
                journal.fault(about="jobs to forget")

    def _forget(self) -> None:
        """Drop what ended too long ago, and an owner's oldest beyond KEPT."""
        now = time.monotonic()
        over = sorted((e for e in self._entries.values() if e.ended is not None), key=lambda e: -float(e.ended or 0))
        seen: dict[str, int] = {}
        for entry in over:
            seen[entry.owner] = seen.get(entry.owner, 0) + 1
            if now - float(entry.ended or 0) > self.keep_seconds or seen[entry.owner] > KEPT:
                entry.found.drop()
                del self._entries[entry.id]
        self._sent = {key: value for key, value in self._sent.items() if value[0] in self._entries}


def _end(entry: Entry, state: State) -> None:
    if entry.open:
        entry.state, entry.ended = state, time.monotonic()
