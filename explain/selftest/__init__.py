"""A ground truth for any install: models whose shortcut is known, games whose answers are known, every method on both.

`run()` trains three small models in memory, plays games with closed-form answers, and returns a `Report`. It needs no
file, no network and no downloads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from explain.methods import methods
from explain.record import Record
from explain.selftest.measure import Games, Row, measured
from explain.selftest.planted import KINDS, Planted, judged, plant
from explain.selftest.promises import REPORTED, Promise, promises
from explain.selftest.toys import drawn


@dataclass(frozen=True, eq=False)
class Size(Record):
    """How much is run: texts of each kind of shortcut, games, and runs of each sampling method on each game."""

    texts: int
    games: int
    runs: int


FULL, QUICK = Size(30, 12, 10), Size(20, 8, 5)


@dataclass(frozen=True, eq=False)
class Report(Record):
    """What was seen: shares of held-out texts decided as planted (of all; of those that contradict), rows, promises."""

    seed: int
    size: Size
    accuracy: tuple[tuple[str, float, float], ...]
    rows: tuple[Row, ...]
    promises: tuple[Promise, ...]

    @property
    def broken(self) -> tuple[Promise, ...]:
        """Promises that were not kept."""
        return tuple(p for p in self.promises if not p.kept)


def run(
    size: Size = FULL,
    *,
    seed: int = REPORTED[0],
    names: Sequence[str] | None = None,
    planted: Sequence[Planted] | None = None,
    progress: Callable[[str], None] = lambda stage: None,
) -> Report:
    """Measure every method (or those named) on models planted from `seed` (or those given) and on games.

    Models that did not learn their shortcut are reported, and no method is judged on them.
    """
    if planted is None:
        planted = []
        for kind in KINDS:
            progress(f"Training a model with a planted shortcut: {kind}")
            planted = [*planted, plant(kind, seed)]
    learned = [p for p in planted if p.learned]
    texts = {p.kind: judged(p.kind, seed, size.texts) for p in learned}
    played = [drawn(1000 * seed + i) for i in range(size.games)]
    games = Games([(game, game.model()) for game in played], size.runs)
    rows = []
    for name in methods() if names is None else names:
        progress(f"Measuring {name}")
        rows.append(measured(name, learned, texts, games))
    return Report(
        seed,
        size,
        tuple((p.kind, p.accuracy, p.obeys) for p in planted),
        tuple(rows),
        promises(planted, rows),
    )
