"""One question on its way to an answer: what a face watches, and what an engine reports to."""

from __future__ import annotations

import math
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from explain.alignment import Alignment, AlignRequest
from explain.catalog import Claim, Forecast, PredictRequest, Progress, Request
from explain.errors import Cancelled, ExplainError
from explain.generation import Explanations, GenerateRequest, Generation, TokensRequest
from explain.heads import HeadMap, HeadRequest, HeadsReport, HeadsRequest, StackReport
from explain.lens import Inside, InsideRequest
from explain.record import Record
from explain.records import Explanation, ModelInfo, Prediction
from explain.road import Road, RoadRequest

State = Literal["queued", "running", "done", "failed", "cancelled"]


@dataclass(frozen=True, eq=False)
class InfoRequest(Record):
    """Which network is this? It is loaded if it is not yet."""


@dataclass(frozen=True, eq=False)
class ForecastRequest(Record):
    """What would each of these requests about one text cost?"""

    requests: tuple[Request, ...]


@dataclass(frozen=True, eq=False)
class Forecasts(Record):
    """What each request will cost."""

    found: tuple[Forecast, ...]


@dataclass(frozen=True, eq=False)
class Facts(Record):
    """What an engine says of a model that it has loaded: which one it is, what was measured on it, and with what.

    `claims` are those of gated methods with their usual parameters, by method. `versions` and `threads` change the last
    bits of an answer. `talks`: it reads conversations.
    """

    info: ModelInfo
    claims: Mapping[str, Claim]
    versions: Mapping[str, str]
    threads: int
    talks: bool = False


Looking = HeadsRequest | HeadRequest | RoadRequest | InsideRequest
Question = Request | PredictRequest | Looking | GenerateRequest | TokensRequest | AlignRequest
Asked = Question | InfoRequest | ForecastRequest
Seen = (
    Prediction
    | HeadsReport
    | StackReport
    | HeadMap
    | Road
    | Inside
    | Generation
    | Explanations
    | Alignment
    | ModelInfo
    | Forecasts
)
Answer = Explanation | Seen


class Job:
    """Read `state`, `progress`, `partial` and `seen` at any time; call `cancel`, `settle` and `wait` from any thread.

    `seconds` bounds the work from the moment when the model is loaded; None: no bound. `forecast` is what it should
    cost; None before that is known. `begun` is when its work began, by the monotonic clock; None while it waits.
    `heard` is called, from any thread and without arguments, when there is something new to show and at the end; it
    must be quick and raise nothing.
    """

    def __init__(
        self,
        request: Asked,
        model: str,
        alive: Callable[[], bool] = lambda: True,
        *,
        client: str = "",
        seconds: float | None = None,
    ) -> None:
        self.id = uuid.uuid4().hex
        self.request, self.model, self.alive, self.client, self.seconds = request, model, alive, client, seconds
        self.state: State = "queued"
        self.progress = Progress("Waiting for another explanation to end", 0)
        self.partial: Explanation | None = None
        self.seen: Seen | None = None
        self.error: ExplainError | None = None
        self.forecast: Forecast | None = None
        self.begun: float | None = None
        self.heard: Callable[[], object] = lambda: None
        self.stop, self.enough = threading.Event(), threading.Event()
        self._over, self._lock = threading.Event(), threading.Lock()

    @property
    def over(self) -> bool:
        """Whether the job has ended, in whatever way."""
        return self._over.is_set()

    @property
    def result(self) -> Explanation | None:
        """The explanation of a job that is done; None before, and after a failure. Other answers are in `seen`."""
        return self.partial if self.state == "done" else None

    def cancel(self) -> None:
        """End the job if it waits; else ask it to stop before its next pass through the model."""
        self.stop.set()
        if self.state == "queued":
            self.end("cancelled", Cancelled("The explanation was cancelled."))

    def settle(self) -> None:
        """Ask a sampling method to stop refining and give the answer it has."""
        self.enough.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Block until the job is over; False if `timeout` seconds pass first."""
        return self._over.wait(timeout)

    # What service and engine say to it.

    @property
    def abandoned(self) -> bool:
        """Whether somebody cancelled the job, or nobody waits for it any more."""
        if not self.stop.is_set() and not self.alive():
            self.stop.set()
        return self.stop.is_set()

    def begin(self) -> bool:
        """From now on it runs; False if it is over already."""
        with self._lock:
            if not self.over:
                self.state, self.begun = "running", time.monotonic()
            return not self.over

    def left(self, now: float) -> float:
        """Seconds that the work should still take from `now` on; infinite where nobody knows."""
        if self.begun is None or self.forecast is None or self.forecast.seconds is None:
            return math.inf
        return max(0.0, self.begun + self.forecast.seconds - now)

    def tell(self, progress: Progress, partial: Explanation | None = None) -> None:
        """How far it is, and what is known so far where that is new."""
        self.progress = progress
        if partial is not None:
            self.partial = partial
            self.heard()

    def done(self, answer: Answer) -> None:
        """End with an answer; one that comes after the end is dropped."""
        with self._lock:
            if not self.over:
                if isinstance(answer, Explanation):
                    self.partial = answer
                else:
                    self.seen = answer
                self.state = "done"
                self._over.set()
        self.heard()

    def end(self, state: Literal["failed", "cancelled"], error: ExplainError) -> None:
        """End without an answer; the first end counts."""
        with self._lock:
            if not self.over:
                self.state, self.error = state, error
                self._over.set()
        self.heard()
