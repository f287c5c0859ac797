"""What the handlers of one application share, and how a handler is told apart from a door that is open to nobody."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from explain.catalog import Forecast
from explain.catalog import Request as Explain
from explain.keys import DOORS, Action, Holder, Keys, Role
from explain.rest.board import Board
from explain.rest.limiter import Limiter
from explain.rest.metrics import Metrics
from explain.rest.served import Served
from explain.service import Job, Question
from explain.settings import Settings

Handler = Callable[[Request], Awaitable[Response]]
Door = Role | Literal["open"]


class Engine(Protocol):
    """What REST needs of a service: somewhere to put a question, and how many wait there."""

    @property
    def waiting(self) -> int:
        """Questions that wait."""

    @property
    def stopping(self) -> bool:
        """Whether it takes no new ones."""

    def info(self, model: str, *, client: str = ...) -> Job:
        """Ask which network it is; raises BusyError."""

    def forecasts(self, requests: Sequence[Explain], model: str) -> list[Forecast]:
        """What each of several explanations of one text would cost; nothing of it where that is not known now."""

    def submit(
        self,
        request: Question,
        model: str,
        alive: Callable[[], bool] = ...,
        *,
        client: str = ...,
        seconds: float | None = ...,
    ) -> Job:
        """Queue a question; raises BusyError."""


@dataclass(frozen=True)
class Face:
    """One application: its limits, its models, its keys, and the service that answers.

    `leaving` is set once its server is about to end: it still answers, but nothing new should be sent to it.
    """

    settings: Settings
    engine: Callable[[], Engine]
    served: Served
    keys: Keys | None
    limiter: Limiter
    board: Board
    metrics: Metrics
    leaving: threading.Event = field(default_factory=threading.Event)


def face(request: Request) -> Face:
    """The face that a request came to."""
    return request.app.state.face  # type: ignore[no-any-return]


def holder(request: Request) -> Holder:
    """Who asks, as `access.authorise` found out."""
    return request.state.holder  # type: ignore[no-any-return]


def told_of_machine(who: Holder) -> bool:
    """Whether answers tell somebody on which machine and with which code they were computed: who may read records."""
    return who.may(DOORS["read evidence"])


@dataclass(frozen=True)
class Route:
    """One address: what is done there, what it takes, and an example that a test sends and documentation shows.

    `answers` is the JSON schema of a good answer, `examples` are bodies by name, `path` has its parameters in braces.
    `others` are examples for models of another task than text classification, each with that task.
    """

    method: str
    path: str
    action: Action | Literal["open"]
    handler: Handler
    takes: type[BaseModel] | None = None
    answers: dict[str, Any] = field(default_factory=lambda: {"type": "object"})
    examples: dict[str, Any] = field(default_factory=dict)
    others: dict[str, tuple[str, Any]] = field(default_factory=dict)
    status: int = 200
    media: tuple[str, ...] = ("application/json",)
    tag: str = "Lists"
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def door(self) -> Door:
        """The role that may use it, as `keys.DOORS` says; or open to everybody."""
        return "open" if self.action == "open" else DOORS[self.action]


ROUTES: list[Route] = []
"""Every address there is; `access` lets nobody through to any other."""


def route(method: str, path: str, action: Action | Literal["open"], **more: Any) -> Callable[[Handler], Handler]:
    """Register a handler. The first line of its docstring is its summary."""

    def register(handler: Handler) -> Handler:
        ROUTES.append(Route(method, path, action, handler, **more))
        return handler

    return register
