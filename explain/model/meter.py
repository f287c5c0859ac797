"""One caller's view of running work."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from explain.errors import Cancelled


@dataclass
class Meter:
    """One caller's view of running work: how far it is, whether to stop, what it cost.

    `progress(rows_done)` is called after every chunk, `cancel` is checked before it.
    """

    progress: Callable[[int], None] | None = None
    cancel: threading.Event | None = None
    halved: int = 0
    done: int = field(default=0, init=False)

    def check(self) -> None:
        """Raise Cancelled if somebody asked to stop."""
        if self.cancel is not None and self.cancel.is_set():
            raise Cancelled("The explanation was cancelled.")

    def advance(self, rows: int) -> None:
        """Count rows and tell the listener."""
        self.done += rows
        if self.progress is not None:
            self.progress(self.done)
