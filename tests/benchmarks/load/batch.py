"""Does a job of many rows, some of them bad, end as it should when its service is killed twice (L16)?

    python -m tests.benchmarks.load.batch [--rows 5000] [--bad 50]

The service is `explain serve` with EXPLAIN_JOBS, killed by SIGKILL after a third and after two thirds of the rows. What
the job holds in the end must be what an unbroken job holds, but for clock times and ids of requests.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from explain import Client
from explain.errors import ExplainError
from tests.benchmarks.load import world as at
from tests.benchmarks.load.runs import Row
from tests.browser.harness import free_port
from tests.tiny import bert_folder

ASKED: dict[str, Any] = {"methods": ["occlusion"], "checks": []}
START = 180
"""Seconds that a service may take until it answers."""


def killed(folder: Path, rows: int, bad: int) -> Row:
    """L16: a job whose service is killed twice, beside one that nobody disturbs."""
    model = bert_folder(folder / "T", spread=0.05)
    every = rows // bad
    texts = ["" if i % every == 0 and i // every < bad else at.text(i) for i in range(rows)]
    began = time.monotonic()
    for share in (1 / 3, 2 / 3):
        with serving(folder, model) as (client, process):
            job = client.submit(texts, key="killed", **ASKED)
            until(client, job, int(share * rows))
            process.send_signal(signal.SIGKILL)
    with serving(folder, model) as (client, _):
        job = client.submit(texts, key="killed", **ASKED)
        found = until(client, job, rows)["results"]
        spent = time.monotonic() - began
        whole = client.submit(texts, key="unbroken", **ASKED)
        unbroken = until(client, whole, rows)["results"]
    lines = (folder / "jobs" / f"{job}.jsonl").read_bytes().splitlines()[1:]
    times = collections.Counter(json.loads(line)["row"] for line in lines)
    good = sum("attributions" in one for one in found if one is not None)
    errors = sum("code" in one for one in found if one is not None)
    doubled, missing = sum(n > 1 for n in times.values()), rows - len(times)
    same = digest(found) == digest(unbroken)
    said = (
        f"{good:,} results + {errors} row errors, {doubled} doubled, {missing} missing; "
        f"digest {'the same' if same else 'another'}; {spent:.0f} s with three starts"
    )
    kept = same and (good, errors, doubled, missing) == (rows - bad, bad, 0, 0)
    return Row("L16 batch, killed twice", "0 doubled, 0 missing; same digest as unbroken", said, kept)


@contextlib.contextmanager
def serving(folder: Path, model: Path) -> Iterator[tuple[Client, subprocess.Popen[bytes]]]:
    """`explain serve` that answers, and its process, which is gone afterwards."""
    port = free_port()
    env = {
        **os.environ,
        "EXPLAIN_JOBS": str(folder / "jobs"),
        "EXPLAIN_MODELS_ROOT": str(model.parent),
        "EXPLAIN_MODEL": model.name,
        "EXPLAIN_CACHE_SECONDS": "0",
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "explain", "serve", "--port", str(port)]
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    client = Client(f"http://127.0.0.1:{port}")
    try:
        until = time.monotonic() + START
        while True:
            assert process.poll() is None, "the service ended"
            assert time.monotonic() < until, "the service did not start"
            with contextlib.suppress(ExplainError):
                client.limits()
                break
            time.sleep(0.1)
        yield client, process
    finally:
        process.kill()
        process.wait(20)


def until(client: Client, job: str, rows: int) -> dict[str, Any]:
    """A job once so many of its rows are over; raises AssertionError where it ended before."""
    while True:
        found = client.job(job)
        if found["answered"] >= rows and (found["state"] != "running" or rows < found["inputs"]):
            return found
        assert found["state"] in ("queued", "running"), found["error"]
        time.sleep(0.02)


def digest(results: list[Any]) -> str:
    """SHA-256 of results without clock times and ids of requests."""
    plain = json.dumps(results, sort_keys=True)
    plain = re.sub(r'"created": "[^"]*"|"seconds": [0-9.e-]+|"request_id": "[^"]*"', "", plain)
    return hashlib.sha256(plain.encode()).hexdigest()


def main() -> None:
    """Print the row; exit with 1 if the promise was missed."""
    from tests.benchmarks.load.__main__ import show

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=5_000)
    parser.add_argument("--bad", type=int, default=50)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        row = killed(Path(folder), chosen.rows, chosen.bad)
    show([row])
    raise SystemExit(not row.kept)


if __name__ == "__main__":
    main()
