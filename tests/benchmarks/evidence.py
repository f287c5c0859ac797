"""What evidence finds and survives: changed bits, broken bundles, kills, faults; and how fast it is.

    python -m tests.benchmarks.evidence [--flips 1000] [--bundles 500] [--kills 1000] [--records 10000] [--list 100000]

Prints the table that the README shows. No torch: the explanation is a small one made here. Seconds are of the processor
where it says so, else wall time.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa

from explain.audit import bundle, database, ids, listing, verify
from explain.audit.records import Purpose, Who
from explain.audit.store import Store
from explain.errors import AuditError
from explain.records import Explanation
from tests import verifier
from tests.evidence import broken_bundle, copied, filled, flip, small_pictures
from tests.examples import explanation


def flips(count: int, home: Path, found: Explanation) -> str:
    """One changed bit at a time, in copies of a good store: how many are found, and named."""
    good, rng = filled(home, found, 5), random.Random(1)
    seen = named = 0
    for _ in range(count):
        store = copied(good, home / "copy")
        _, where = flip(store, rng)
        faults = verify.store(store).faults
        seen += bool(faults)
        named += any(where in f.where for f in faults)
        store.engine.dispose()
        shutil.rmtree(home / "copy")
    return f"{seen:,} of {count:,} found, {named:,} named the place"


def chains(count: int, home: Path, found: Explanation) -> str:
    """Deleted, reordered, copied and tail-cut chains."""
    good, rng, seen = filled(home, found, 12), random.Random(2), 0
    other = filled(home / "other", found, 3)
    for i in range(count):
        store = copied(good, home / "copy")
        place = rng.randrange(1, 12)
        with store.engine.begin() as connection:
            entries, envelopes = database.entries, database.envelopes
            if i % 4 == 0:
                for table in (entries, envelopes):
                    connection.execute(sa.delete(table).where(table.c.sequence == place))
            elif i % 4 == 1:
                for table in (entries, envelopes):
                    connection.execute(sa.delete(table).where(table.c.sequence > place))
            elif i % 4 == 2:
                for table in (entries, envelopes):
                    for old, new in ((place, 99), (place + 1, place), (99, place + 1)):
                        connection.execute(sa.update(table).where(table.c.sequence == old).values(sequence=new))
            else:
                data = other.read(2).bytes
                connection.execute(sa.update(envelopes).where(envelopes.c.sequence == place).values(bytes=data))
        seen += verify.store(store).exit_code in (3, 4)
        store.engine.dispose()
        shutil.rmtree(home / "copy")
    return f"{seen:,} of {count:,} found"


def bundles(count: int, home: Path, found: Explanation) -> str:
    """Two verifiers on good and on broken bundles."""
    store, rng = filled(home, found, 4), random.Random(3)
    store.review(store.read(2).header.id, Who("bob"), agree=True, note="fine")
    store.erase(store.read(3).header.id, Who("ada"), "asked")
    store.checkpoint()
    whole = [bundle.write(store)] + [bundle.write(store, store.read(n).header.id) for n in (1, 2, 3)]

    def ours(data: bytes) -> int:
        try:
            return bundle.verify(data).exit_code
        except AuditError:
            return 2

    good = bad = 0
    for i in range(count):
        store.file(dataclasses.replace(found, provenance=dataclasses.replace(found.provenance, seed=i)))
        data = bundle.write(store, listing.page(store, limit=1).rows[0]["id"])
        good += ours(data) == verifier.verify(data)[0] == 0
        broken = broken_bundle(whole[i % 3 if i % 3 != 1 else 0], rng)
        bad += ours(broken) == verifier.verify(broken)[0] != 0
    return f"agree on {good:,} of {count:,} good and {bad:,} of {count:,} broken"


def kills(count: int, home: Path, found: Explanation) -> str:
    """Forked writers, each killed at a random moment; every id they acknowledged must be there, and verify."""
    store, rng, acknowledged = Store(home / "evidence"), random.Random(4), 0
    _ = store.id, store.signers, store.keys.master(make=True)
    store.file(found)
    store.engine.dispose()
    log = home / "acknowledged"
    for _ in range(count):
        child = os.fork()
        if child == 0:
            mine = Store(home / "evidence")
            handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            while True:
                os.write(handle, f"{mine.file(found, pictures=small_pictures).header.id}\n".encode())
        time.sleep(rng.uniform(0.05, 0.6))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    store = Store(home / "evidence")
    said = log.read_text().split()
    acknowledged = len(said)
    there = {row["id"] for row in listing.page(store, limit=10**7).rows}
    lost = len(set(said) - there)
    torn = len(verify.store(store).faults)
    orphans = len(list((store.home / "files").glob("*/*"))) - len(there)
    store.sweep()
    left = len(list((store.home / "files").glob("*/*"))) - len(there)
    return (
        f"{acknowledged:,} acknowledged, {lost} lost, {torn} torn; {orphans} unfinished folders, {left} after a sweep"
    )


def speed(count: int, home: Path, found: Explanation) -> str:
    """Filing and verifying many good records."""
    began = time.perf_counter()
    store = Store(home / "evidence", second=home / "checkpoints")
    for i in range(count):
        store.file(found, who=Who("ada"), purpose=Purpose(f"case {i}"))
    filing = time.perf_counter() - began
    wall, processor = time.perf_counter(), time.process_time()
    verdict = verify.store(store)
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    return (
        f"{count:,} filed in {filing:.0f} s; verified in {wall:.1f} s ({processor:.1f} processor seconds), "
        f"{len(verdict.faults)} false alarms"
    )


def pages(count: int, home: Path, found: Explanation) -> str:
    """A page of a long list: rows are put in by hand, since only the list is read."""
    store = Store(home / "evidence")
    store.file(found)
    with store.engine.begin() as connection:
        row = dict(connection.execute(sa.select(database.entries)).mappings().one())
        rows = [
            {**row, "sequence": i, "id": ids.new(), "case_id": f"case {i}", "actor": f"person {i % 97}"}
            for i in range(2, count + 1)
        ]
        connection.execute(sa.insert(database.entries), rows)

    def took(wish: listing.Wish, offset: int) -> tuple[float, float]:
        wall, processor = time.perf_counter(), time.process_time()
        listing.page(store, wish, offset=offset, limit=25)
        return 1000 * (time.process_time() - processor), 1000 * (time.perf_counter() - wall)

    wishes = [(listing.Wish(), 0), (listing.Wish(), count - 30), (listing.Wish(search="case 777"), 0)]
    processor, wall = max(took(wish, offset) for wish, offset in wishes for _ in range(3))
    return f"{count:,} records: slowest of first, last and searched page {processor:.0f} processor ms ({wall:.0f} ms)"


def main() -> None:
    """Run everything and print one row each."""
    parser = argparse.ArgumentParser()
    for name, value in (("flips", 1000), ("chains", 400), ("bundles", 500), ("kills", 1000), ("records", 10_000)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--list", type=int, default=100_000)
    given, found = parser.parse_args(), explanation()
    rows: dict[str, tuple[Callable[[int, Path, Explanation], str], int]] = {
        "single changed bits": (flips, given.flips),
        "deleted, cut, reordered, copied": (chains, given.chains),
        "two verifiers": (bundles, given.bundles),
        "kill -9 while filing": (kills, given.kills),
        "many records": (speed, given.records),
        "pages of the list": (pages, given.list),
    }
    print("| what | found |\n|---|---|", flush=True)
    for name, (measure, count) in rows.items():
        if count:
            with tempfile.TemporaryDirectory() as folder:
                print(f"| {name} | {measure(count, Path(folder), found)} |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
