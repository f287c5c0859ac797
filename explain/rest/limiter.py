"""How often one client may ask: a bucket of tokens each, filled at a steady rate."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable

from explain.errors import BusyError

BURST = 10
"""Seconds' worth of requests that may come at once."""
REMEMBERED = 10_000
"""Clients whose buckets are kept; the one that asked longest ago is forgotten first."""


class Limiter:
    """Requests a second, by client. Used from one thread, the event loop's."""

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.rate, self._clock = rate, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, client: str) -> None:
        """Count one request; raises BusyError, code rate_limited, when the bucket is empty."""
        now, most = self._clock(), max(1.0, self.rate * BURST)
        left, since = self._buckets.pop(client, (most, now))
        left = min(most, left + (now - since) * self.rate)
        self._buckets[client] = (left - 1 if left >= 1 else left, now)
        while len(self._buckets) > REMEMBERED:
            self._buckets.popitem(last=False)
        if left < 1:
            wait = max(1, math.ceil((1 - left) / self.rate))
            raise BusyError(
                f"More than {self.rate:g} requests a second. Ask again in {wait} s.",
                retry_after=wait,
                code="rate_limited",
            )
