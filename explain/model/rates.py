"""How fast a model is on this machine, learned from the passes that it made."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from statistics import median


@dataclass
class Rates:
    """Seconds a token for a forward pass, and for a forward and backward pass; None until measured.

    Each is the median of the last passes, so that one that had to share the machine spoils no forecast.
    """

    last: dict[bool, deque[float]] = field(default_factory=lambda: {False: deque(maxlen=15), True: deque(maxlen=15)})

    def learn(self, seconds: float, tokens: int, backward: bool) -> None:
        """Remember a new measurement."""
        self.last[backward].append(seconds / tokens)

    @property
    def forward(self) -> float | None:
        """Seconds a token without gradients."""
        return median(self.last[False]) if self.last[False] else None

    @property
    def backward(self) -> float | None:
        """Seconds a token with gradients."""
        return median(self.last[True]) if self.last[True] else None

    def forecast(self, tokens: int, forward: int, backward: int) -> float | None:
        """Seconds that so many passes over a text of `tokens` will take; None before anything was measured."""
        if self.forward is None:
            return None
        slow = self.backward or 3 * self.forward
        return tokens * (forward * self.forward + backward * slow)
