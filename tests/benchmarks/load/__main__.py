"""Does the service keep its promises under more work than it can do (L1 to L13, but for what needs REST)?

    python -m tests.benchmarks.load [--seconds 60] [--count 500] [--only L2,L12] [--nightly]

The model is Fixture T, a random BERT of 4 layers and 256 dimensions. The worker has one core and who asks another,
where there are two (`--loose`: wherever the system puts them). All targets are ratios to S (seconds of one explanation
alone) and X (explanations a second, two clients), both measured first in the same run. `--nightly` repeats everything
three times and shows the worst. Beside it stand `pages` (L7, L9), `browsers` (L8) and `batch` (L16).
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.benchmarks.load import runs
from tests.benchmarks.load import world as at
from tests.benchmarks.load.runs import Row


def once(folder: Path, wanted: Callable[[str], bool], seconds: float, count: int, pin: bool) -> list[Row]:
    """Every wanted run, once."""
    rows: list[Row] = []
    texts = [at.text(i) for i in range(min(32, count))]
    with at.world(folder / "T", pin) as world:
        found = runs.base(world, texts, seconds / 2, min(50, count))
        print(f"S {found.service:.3f} s, X {found.peak:.2f}/s, worker {at.megabytes(world.pid):.0f} MB", flush=True)
        plan: list[tuple[str, Callable[[], Row | list[Row]]]] = [
            ("L1", lambda: runs.serial(world, count)),
            ("L2", lambda: runs.crowd(world, texts, found, seconds)),
            ("L3,L4,L5", lambda: runs.overload(world, texts, found, seconds)),
            ("L6", lambda: runs.fairness(world, texts, seconds)),
            ("L10", lambda: runs.soak(world, 4 * count)),
            ("L12", lambda: runs.cancels(world, max(5, count // 10))),
            ("L13", lambda: runs.kills(world, texts, 3 * seconds / 2)),
        ]
        for names, run in plan:
            if any(map(wanted, names.split(","))):
                made = run()
                rows += made if isinstance(made, list) else [made]
                show(rows[-len(made) :] if isinstance(made, list) else rows[-1:])
    if wanted("L11"):
        rows.append(runs.switches(folder, max(9, 3 * count // 5)))
        show(rows[-1:])
    return rows


def show(rows: list[Row]) -> None:
    """Print lines of the table."""
    for row in rows:
        print(f"{'kept  ' if row.kept else 'MISSED'} | {row.run} | {row.promise} | {row.measured}", flush=True)


def main() -> None:
    """Print the table; exit with 1 if a promise was missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60, help="of each timed run")
    parser.add_argument("--count", type=int, default=500, help="explanations in L1; others follow from it")
    parser.add_argument("--only", default="", help="names of runs, by commas")
    parser.add_argument("--loose", action="store_true", help="pin nothing to a core")
    parser.add_argument("--nightly", action="store_true", help="three times, the worst of each")
    chosen = parser.parse_args()
    names = set(filter(None, chosen.only.split(",")))
    began, worst = time.monotonic(), {}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(3 if chosen.nightly else 1):
            made = once(
                Path(folder), lambda name: not names or name in names, chosen.seconds, chosen.count, not chosen.loose
            )
            for row in made:
                if row.run not in worst or not row.kept:
                    worst[row.run] = row
    if chosen.nightly:
        print("\nThe worst of three:")
        show(list(worst.values()))
    print(f"{time.monotonic() - began:.0f} s")
    raise SystemExit(any(not row.kept for row in worst.values()))


if __name__ == "__main__":
    main()
