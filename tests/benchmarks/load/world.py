"""A service under load: its model, what it must answer, who asks, and what its processes take."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from explain.catalog import Request
from explain.errors import BusyError, ExplainError
from explain.service import Service
from explain.service.keeper import Keeper
from explain.settings import Settings
from tests.conftest import undated
from tests.tiny import WORDS, bert_folder

FIXTURE_T = {"hidden_size": 256, "num_hidden_layers": 4, "intermediate_size": 1024, "num_attention_heads": 4}


def text(number: int, words: int = 8) -> str:
    """A text that no other number has."""
    numbered = [WORDS[(number // 30**place + place) % 30] for place in range(4)]
    return " ".join(numbered + [WORDS[(number * 7 + i) % 40] for i in range(words - 4)])


@dataclass
class Said:
    """How one question ended: an HTTP status, what was answered ('' for none), and when."""

    status: int
    body: str
    began: float
    ended: float
    retry_after: int | None = None

    @property
    def seconds(self) -> float:
        return self.ended - self.began


class Client(Protocol):
    """Whoever asks: in this process, or over HTTP."""

    def __call__(self, text: str, client: str) -> Said: ...


@dataclass
class World:
    """One service with one worker, and the answers that it must give."""

    folder: Path
    service: Service
    keeper: Keeper
    references: dict[str, str] = field(default_factory=dict)

    def request(self, text: str) -> Request:
        return Request((text,))

    def ask(self, text: str, client: str = "") -> Said:
        """Ask in this process, as pages do, and wait; errors become the status that REST would answer."""
        from explain.errors import outcome

        began = time.monotonic()
        try:
            job = self.service.submit(self.request(text), str(self.folder), client=client, seconds=120)
        except BusyError as error:
            return Said(outcome(error).status, error.code, began, time.monotonic(), error.retry_after)
        job.wait()
        if job.result is not None:
            return Said(200, undated(job.result.to_json()), began, time.monotonic())
        error = job.error or ExplainError("no answer and no error")
        return Said(outcome(error).status, error.code, began, time.monotonic())

    def learn(self, texts: list[str]) -> list[float]:
        """Ask for references one by one; returns the seconds of each."""
        spent = []
        for one in texts:
            said = self.ask(one)
            assert said.status == 200, said.body
            self.references[one] = said.body
            spent.append(said.seconds)
        return spent

    def right(self, text: str, said: Said) -> bool:
        """Is this the answer that was given when nobody else asked?"""
        return said.status == 200 and said.body == self.references[text]

    @property
    def pid(self) -> int:
        found = self.keeper.pid
        assert found is not None, "there is no worker"
        return found


@contextmanager
def world(folder: Path, pin: bool = True, **limits: object) -> Iterator[World]:
    """A service of its own on Fixture T, without kept answers; the worker on one core, who asks on another."""
    if not (folder / "config.json").exists():
        bert_folder(folder, spread=0.05, **FIXTURE_T)
    keeper = Keeper()
    found = World(folder, Service(keeper, Settings(cache_entries=0, **limits)), keeper)  # type: ignore[arg-type]
    before = os.sched_getaffinity(0)
    cores = sorted(before)
    try:
        if pin and len(cores) > 1:
            os.sched_setaffinity(0, {cores[0]})  # a child inherits this
        assert found.service.warm(str(folder)).wait(600)
        if pin and len(cores) > 1:
            os.sched_setaffinity(0, {cores[1]})
        yield found
    finally:
        found.service.stop(0)
        os.sched_setaffinity(0, before)


def closed_loop(
    ask: Client, texts: list[str], clients: int, seconds: float, name: Callable[[int], str] = str
) -> list[tuple[str, Said]]:
    """So many clients ask one after another until the time is over; every answer with its text."""
    until, found, lock = time.monotonic() + seconds, [], threading.Lock()

    def one(number: int) -> None:
        at = number
        while time.monotonic() < until:
            mine = texts[at % len(texts)]
            said = ask(mine, name(number))
            with lock:
                found.append((mine, said))
            at += clients
            if said.status == 429:
                time.sleep(min(said.retry_after or 1, max(0.0, until - time.monotonic())))

    _all(one, clients)
    return found


def open_loop(ask: Client, texts: list[str], rate: float, seconds: float) -> list[tuple[str, Said]]:
    """Questions come at a fixed rate, whether or not the last ones are answered."""
    found: list[tuple[str, Said]] = []
    lock, began, threads = threading.Lock(), time.monotonic(), []

    def one(number: int) -> None:
        mine = texts[number % len(texts)]
        said = ask(mine, str(number % 16))
        with lock:
            found.append((mine, said))

    for number in range(int(rate * seconds)):
        time.sleep(max(0.0, began + number / rate - time.monotonic()))
        threads.append(threading.Thread(target=one, args=(number,), daemon=True))
        threads[-1].start()
    for thread in threads:
        thread.join(300)
    return found


def _all(work: Callable[[int], None], count: int) -> None:
    threads = [threading.Thread(target=work, args=(i,), daemon=True) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def together(work: Callable[[int], None], count: int) -> None:
    """Run `work(0)`, `work(1)`, … at once, and wait for all."""
    _all(work, count)


def quantile(values: list[float], share: float) -> float:
    """The smallest value that is not below this share of them; 0 for none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def megabytes(pid: int) -> float:
    """Memory that a process holds (Linux)."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def processor_seconds(pid: int) -> float:
    """Processor time that a process has spent (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def threads_of(pid: int) -> int:
    """Threads of a process (Linux)."""
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def workers() -> set[int]:
    """Every worker process on this machine that this process started (Linux)."""
    found = set()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                said = (folder / "cmdline").read_bytes()
                parent = int((folder / "stat").read_text().rsplit(") ", 1)[1].split()[1])
            except (OSError, IndexError):
                continue
            if b"explain.service.worker" in said and parent == os.getpid():
                found.add(int(folder.name))
    return found
