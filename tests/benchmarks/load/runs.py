"""The runs: each returns what was measured and whether the promise was kept."""

from __future__ import annotations

import os
import random
import signal
import statistics
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from explain.catalog import Request
from explain.service import Service
from explain.service.keeper import Keeper
from explain.settings import Settings
from tests.benchmarks.load import world as at
from tests.benchmarks.load.world import Said, World
from tests.tiny import bert_folder


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    run: str
    promise: str
    measured: str
    kept: bool


@dataclass(frozen=True)
class Base:
    """What everything is compared with: seconds of one explanation alone, and explanations a second at most."""

    service: float
    peak: float


def tally(found: list[tuple[str, Said]], world: World) -> tuple[int, int, int]:
    """Right answers, answers that belong to another question, and statuses that may not be."""
    right = sum(world.right(text, said) for text, said in found)
    good = [(text, said) for text, said in found if said.status == 200]
    return right, len(good) - right, sum(said.status not in (200, 429, 503) for _, said in found)


def serial(world: World, count: int) -> Row:
    """L1: one after another."""
    spent = world.learn([at.text(i) for i in range(count)])
    p50, p99 = statistics.median(spent), at.quantile(spent, 0.99)
    said = f"{count} of {count}, p50 {1000 * p50:.0f} ms, p99 {1000 * p99:.0f} ms = {p99 / p50:.2f} × p50"
    return Row("L1 serial", "0 errors; p99 ≤ 2 × p50", said, p99 <= 2 * p50)


def base(world: World, texts: list[str], seconds: float, count: int = 50) -> Base:
    """S: median of `count` serial explanations, at least one a text. X: two clients that never rest."""
    spent = world.learn((texts * count)[: max(count, len(texts))])
    found = at.closed_loop(world.ask, texts, 2, seconds)
    return Base(statistics.median(spent), len(found) / _span(found))


def crowd(world: World, texts: list[str], base: Base, seconds: float) -> Row:
    """L2: sixteen clients that never rest."""
    found = at.closed_loop(world.ask, texts, 16, seconds)
    right, mixed, odd = tally(found, world)
    rate = right / _span(found)
    said = f"{right} right, {mixed} mixed up, {odd} other errors; {rate:.2f}/s = {rate / base.peak:.2f} X"
    kept = mixed == 0 and odd == 0 and rate >= 0.95 * base.peak
    return Row("L2 16 clients", "0 mixed up, 0 lost; throughput ≥ 0.95 X", said, kept)


def overload(world: World, texts: list[str], base: Base, seconds: float) -> list[Row]:
    """L3, L4, L5: three times as many questions as can be answered."""
    looks, done = [], threading.Event()

    def look() -> None:
        while not done.wait(0.05):
            began = time.monotonic()
            _ = world.service.waiting, world.service.refused(str(world.folder)), world.service.busy
            looks.append(time.monotonic() - began)

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    found = at.open_loop(world.ask, texts, 3 * base.peak, seconds)
    done.set()
    right, mixed, odd = tally(found, world)
    accepted = [said.seconds for _, said in found if said.status == 200]
    rejected = [said for _, said in found if said.status == 429]
    bound = 1.3 * (world.service._line.places + 1) * base.service
    goodput, p95 = right / _span(found), at.quantile(accepted, 0.95)
    p99 = at.quantile([said.seconds for said in rejected], 0.99)
    hinted = all(isinstance(said.retry_after, int) and said.retry_after >= 1 for said in rejected)
    tries = _obedient(world, texts, base, seconds / 2)
    soon = sum(n <= 3 for n in tries) / max(1, len(tries))
    health = at.quantile(looks, 0.99)
    return [
        Row(
            "L3 3 × X, open loop",
            "only 200, 429, 503; goodput ≥ 0.9 X; p95 ≤ 1.3 × (queue + 1) × S",
            f"{len(found)} asked, {right} right, {len(rejected)} × 429, {mixed} mixed up, {odd} other; goodput "
            f"{goodput / base.peak:.2f} X; p95 {p95:.1f} s of {bound:.1f} s",
            odd == 0 and mixed == 0 and goodput >= 0.9 * base.peak and p95 <= bound,
        ),
        Row(
            "L4 refusals",
            "p99 ≤ 100 ms; integer Retry-After ≥ 1; obeying it: ≤ 3 tries in 95 %",
            f"{len(rejected)}, p99 {1000 * p99:.1f} ms; hint {'always' if hinted else 'NOT always'}; "
            f"{soon:.0%} of {len(tries)}",
            bool(rejected) and p99 <= 0.1 and hinted and soon >= 0.95,
        ),
        Row(
            "L5 looks during L3",
            "p99 ≤ 200 ms (the service's own; /health and /metrics need REST)",
            f"{len(looks)} looks, p99 {1000 * health:.2f} ms",
            health <= 0.2,
        ),
    ]


def _obedient(world: World, texts: list[str], base: Base, seconds: float) -> list[int]:
    """Tries of clients that come back when they are told to, while others overload the line."""
    tries, lock = [], threading.Lock()

    def polite(number: int) -> None:
        for n in range(1, 21):
            said = world.ask(texts[number % len(texts)], f"obedient {number}")
            if said.status == 200:
                with lock:
                    tries.append(n)
                return
            time.sleep(said.retry_after or 1)
        with lock:
            tries.append(99)

    noise = threading.Thread(target=at.open_loop, args=(world.ask, texts, 1.5 * base.peak, seconds), daemon=True)
    noise.start()
    at.together(polite, 20)
    noise.join()
    return tries


def fairness(world: World, texts: list[str], seconds: float) -> Row:
    """L6: one client with eight connections, and one with one."""
    alone = at.quantile([said.seconds for _, said in at.closed_loop(world.ask, texts, 1, seconds / 2)], 0.95)
    found: list[float] = []
    lock = threading.Lock()

    def ask(text: str, client: str) -> Said:
        said = world.ask(text, client)
        if client == "polite":
            with lock:
                found.append(said.seconds)
        return said

    at.closed_loop(ask, texts, 9, seconds, lambda number: "polite" if number == 8 else "greedy")
    p95 = at.quantile(found, 0.95)
    said = f"{p95:.2f} s beside 8 greedy connections, {alone:.2f} s alone = {p95 / alone:.1f} ×"
    return Row("L6 fairness", "polite p95 ≤ 3 × alone", said, p95 <= 3 * alone)


def soak(world: World, count: int) -> Row:
    """L10: mixed lengths; memory from the first quarter to the end."""
    randomly, pid = random.Random(0), world.pid
    before, threads, failed = 0.0, 0, 0
    for i in range(count):
        said = world.ask(at.text(i, randomly.choice((5, 8, 13, 21, 40))))
        failed += said.status != 200
        if i == count // 4:
            before, threads = at.megabytes(pid), at.threads_of(pid)
    after, allowed = at.megabytes(pid), max(20.0, 0.03 * before)
    grown, more = after - before, at.threads_of(pid) - threads
    said = f"{count}, {failed} failed; {before:.0f} → {after:.0f} MB after a quarter (+{grown:.1f}); threads +{more}"
    kept = failed == 0 and grown <= allowed and more == 0 and world.pid == pid
    return Row("L10 soak", "RSS after a quarter +≤ 20 MB or 3 %; threads constant", said, kept)


def switches(folder: Path, count: int) -> Row:
    """L11: three models, two places."""
    sizes = {"small": 128, "middle": 512, "large": 768}
    folders = {
        name: bert_folder(folder / name, hidden_size=size, intermediate_size=4 * size, num_hidden_layers=6)
        for name, size in sizes.items()
        if not (folder / name / "config.json").exists()
    } or {name: folder / name for name in sizes}
    keeper = Keeper()
    service = Service(keeper, Settings(cache_entries=0))

    def ask(name: str) -> bool:
        job = service.submit(Request((at.text(0),), checks=()), str(folders[name]))
        job.wait()
        return job.result is not None

    try:
        assert ask("middle")
        assert ask("large")
        pid = keeper.pid
        assert pid is not None
        together, most, failed = at.megabytes(pid), 0.0, 0
        for i in range(count):
            failed += not ask(list(sizes)[i % 3])
            most = max(most, at.megabytes(pid))
        said = f"{count} switches, {failed} failed; most {most:.0f} MB, {together:.0f} MB with the two largest"
        return Row(
            "L11 three models in two places",
            "RSS ≤ that of the two largest + 15 %",
            said + f" (+{most / together - 1:.0%})",
            failed == 0 and most <= 1.15 * together,
        )
    finally:
        service.stop(0)


def cancels(world: World, count: int) -> Row:
    """L12: cancel long work at random moments, and watch the processor."""
    randomly, quiet, states = random.Random(1), [], []
    pid = world.pid
    for _ in range(count):
        job = world.service.submit(Request((at.text(7, 55),), orders=2_000), str(world.folder))
        while job.state == "queued":
            time.sleep(0.005)
        time.sleep(randomly.uniform(0.1, 5))
        job.cancel()
        began = time.monotonic()
        quiet.append(_quiet(world, began))
        job.wait(10)
        states.append(job.state)
    after = world.ask(at.text(0))
    orphans = at.workers() - {world.pid}
    said = (
        f"{states.count('cancelled')} of {count} cancelled; quiet after {statistics.median(quiet):.2f} s, at most "
        f"{max(quiet):.2f} s; worker {'kept' if world.pid == pid else 'LOST'}; {len(orphans)} orphans"
    )
    kept = max(quiet) <= 2 and states.count("cancelled") == count and after.status == 200 and not orphans
    return Row("L12 cancels", "processor quiet ≤ 2 s each; the next question is answered; 0 orphans", said, kept)


def _quiet(world: World, began: float) -> float:
    """Seconds from `began` until the worker used less than a tenth of a core for 0.3 s."""
    while time.monotonic() - began < 30:
        pid, start = world.keeper.pid, time.monotonic()
        if pid is None:
            return time.monotonic() - began
        spent = at.processor_seconds(pid)
        time.sleep(0.3)
        if world.keeper.pid == pid and at.processor_seconds(pid) - spent <= 0.03:
            return start - began
    return 30.0


def kills(world: World, texts: list[str], seconds: float, every: float = 10) -> Row:
    """L13: kill -9 the worker again and again under load."""
    done, killed, found = threading.Event(), [], []
    lock = threading.Lock()

    def kill() -> None:
        while not done.wait(every):
            if (pid := world.keeper.pid) is not None:
                os.kill(pid, signal.SIGKILL)
                killed.append(time.monotonic())

    def ask(text: str, client: str) -> Said:
        said = world.ask(text, client)
        with lock:
            found.append((text, said))
        return said

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    at.closed_loop(ask, texts, 16, seconds)
    done.set()
    killer.join()
    right, mixed, odd = tally(found, world)
    good = [said.ended for _, said in found if said.status == 200]
    last = world.ask(texts[0])
    recovery = [min((end - k for end in (*good, last.ended) if end > k), default=99.0) for k in killed]
    lost = sum(said.status == 503 for _, said in found)
    orphans = at.workers() - {world.pid}
    worst = max(recovery, default=0.0)
    said = (
        f"{len(killed)} kills: {right} right, {lost} × 503, {mixed} wrong, {odd} other; recovery at most {worst:.1f} "
        f"s; {len(orphans)} orphans"
    )
    return Row(
        "L13 kill -9",
        "only right answers or 503; recovery ≤ 10 s",
        said,
        mixed == 0 and odd == 0 and worst <= 10 and world.right(texts[0], last) and not orphans,
    )


def _span(found: list[tuple[str, Said]]) -> float:
    return max(said.ended for _, said in found) - min(said.began for _, said in found)
