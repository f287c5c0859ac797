"""Prometheus metrics: how many, how fast, how full. Labels are patterns of addresses, methods, statuses; never text."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from explain import journal

SECONDS = (0.005, 0.02, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Metrics:
    """The metrics of one application, in a registry of its own."""

    media = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "explain_requests", "Requests that were answered.", ("method", "route", "status"), registry=self.registry
        )
        self._seconds = Histogram(
            "explain_request_seconds", "Seconds to the end of an answer.", ("route",), buckets=SECONDS,
            registry=self.registry,
        )  # fmt: skip
        self._running = Gauge("explain_requests_running", "Requests without an answer yet.", registry=self.registry)
        self._faults = Counter("explain_faults", "Failures that nobody foresaw.", registry=self.registry)

    def watch(self, name: str, help: str, read: Callable[[], float]) -> None:
        """Add a gauge that is read when it is asked for."""
        Gauge(name, help, registry=self.registry).set_function(read)

    def began(self) -> None:
        """A request has arrived."""
        self._running.inc()

    def ended(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request is over."""
        self._running.dec()
        self._requests.labels(method if method in ("GET", "POST", "DELETE") else "other", route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def fault(self, request_id: str) -> None:
        """The exception being handled was nobody's plan: count it, and log where it happened."""
        self._faults.inc()
        journal.fault(request_id=request_id)

    def text(self) -> bytes:
        """All of them, in Prometheus' text form."""
        return generate_latest(self.registry)
