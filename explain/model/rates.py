"""How fast a model is on this machine, learned from the passes that it made."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from itertools import accumulate
from statistics import median

KEPT = 30
"""Passes that are remembered of each kind."""
FEW = 5
"""Usual passes that one pass may count for."""


@dataclass
class Rates:
    """Seconds a token for a forward pass, and for a forward and backward pass; None until measured.

    Each is the median over the tokens of the last passes: small batches, which take longer a token, count for little
    beside large ones. None counts for more than `FEW` usual ones, so that one pass that had to share the machine spoils
    no forecast. `last` holds their seconds and tokens.
    """

    last: dict[bool, deque[tuple[float, int]]] = field(
        default_factory=lambda: {False: deque(maxlen=KEPT), True: deque(maxlen=KEPT)}
    )

    def learn(self, seconds: float, tokens: int, backward: bool) -> None:
        """Remember a new measurement."""
        self.last[backward].append((seconds, tokens))

    @property
    def forward(self) -> float | None:
        """Seconds a token without gradients; None before any was measured."""
        return _median(self.last[False])

    @property
    def backward(self) -> float | None:
        """Seconds a token with gradients; None before any was measured."""
        return _median(self.last[True])

    def forecast(self, tokens: int, forward: int, backward: int) -> float | None:
        """Seconds that so many passes over a text of `tokens` will take; None before anything was measured."""
        if self.forward is None:
            return None
        slow = self.backward or 3 * self.forward
        return tokens * (forward * self.forward + backward * slow)


def _median(passes: deque[tuple[float, int]]) -> float | None:
    """The seconds a token that half of all tokens took at most."""
    most = FEW * median(tokens for _, tokens in passes) if passes else 0
    each = sorted((seconds / tokens, min(tokens, most)) for seconds, tokens in passes)
    sums = list(accumulate(tokens for _, tokens in each))
    return next((rate for (rate, _), sum_ in zip(each, sums, strict=True) if 2 * sum_ >= sums[-1]), None)
