"""REST: the third face. `create()` makes the application that `explain serve` runs and the dashboard mounts at /api.

It computes nothing: questions go to the service, answers are the records that Python returns, as the same bytes.
Layers, from the outside in: `traffic` (id, count, log), `guard` (Host, Origin, headers), `access` (who may), `bodies`
and `asks` (what is asked), `running` (the way through the service), `answers`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fastapi import Depends, FastAPI
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

import explain
from explain.errors import AccessError, ExplainError, InputError
from explain.guard import DATA_POLICY, FOREIGN, AllowedHosts, Headers
from explain.keys import Keys
from explain.rest import access, answering, document, health, kserve, later, lists, writing
from explain.rest.access import authorise
from explain.rest.answers import CODES, refusal
from explain.rest.board import Board
from explain.rest.face import ROUTES, Engine, Face
from explain.rest.limiter import Limiter
from explain.rest.metrics import Metrics
from explain.rest.served import Served
from explain.rest.shelf import Shelf
from explain.rest.traffic import Traffic
from explain.service import service
from explain.settings import Settings, settings

__all__ = ["access", "answering", "create", "health", "kserve", "later", "lists", "writing"]


def create(limits: Settings | None = None, engine: Callable[[], Engine] = service) -> FastAPI:
    """The REST application.

    Args:
        limits: its settings; None for those of this process.
        engine: gives the service that answers; called at the first question.

    Raises:
        InputError: the folder for jobs cannot be used, or another service uses it.
    """
    limits = limits or settings()
    metrics = Metrics()
    app = FastAPI(
        title="Whyboard",
        version=_version(),
        description="See what a Transformer decided and why.",
        openapi_url=None,  # served by a route of ours, so that the rules of access hold for it
        docs_url=None,  # FastAPI's pages load scripts from another machine
        redoc_url=None,
        redirect_slashes=False,
        dependencies=[Depends(authorise)],
        middleware=[
            Middleware(Traffic, metrics=metrics),
            Middleware(Headers, policy=DATA_POLICY),
            Middleware(AllowedHosts, more=limits.allowed_hosts, refuse=_foreign),
        ],
        lifespan=lifespan,
        exception_handlers={ExplainError: _refused, HTTPException: _unrouted},
    )
    app.state.face = Face(
        settings=limits,
        engine=engine,
        served=Served(limits),
        keys=_keys(limits),
        limiter=Limiter(limits.rate),
        board=_board(limits),
        metrics=metrics,
    )
    app.state.face.board.put_back(later.earlier(app.state.face))
    metrics.watch("explain_questions_waiting", "Questions before the models.", lambda: engine().waiting)
    metrics.watch("explain_jobs_open", "Jobs that wait or run.", lambda: app.state.face.board.open())
    for route in sorted(ROUTES, key=lambda r: (":" not in r.path, r.path)):  # the more exact pattern first
        app.add_api_route(
            route.path,
            _plain(route.handler),
            methods=[route.method],
            name=route.handler.__name__,
            status_code=route.status,
            response_model=None,
            responses=document.responses(route),
            openapi_extra=document.extra(route),
            tags=[route.tag],
            operation_id=f"{route.handler.__module__.rpartition('.')[2]}_{route.handler.__name__}",
        )
    explain.list_methods(), explain.list_checks()  # found once, before anybody waits for them
    return app


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """From the start of an application to its end, at which its jobs are cancelled; a mounted one needs it by hand."""
    tidying = asyncio.create_task(app.state.face.board.tidy())
    try:
        yield
    finally:
        tidying.cancel()
        await app.state.face.board.stop()


def _keys(limits: Settings) -> Keys | None:
    """Who may ask. Where people sign in to the pages, others reach this machine too, so keys are asked for even if
    nobody made any: the login is of the pages, and opens nothing here.
    """
    if limits.keys is None and not limits.login_metadata_url:
        return None
    return Keys(limits.keys or limits.home / "keys")


def _board(limits: Settings) -> Board:
    if limits.jobs is None:
        return Board(limits.max_jobs, limits.keep_seconds)
    return Board(limits.max_jobs, limits.jobs_hours * 3_600, Shelf(limits.jobs))


def _plain(handler: Callable[[Request], Awaitable[Response]]) -> Callable[..., Any]:
    async def call(request: Request) -> Response:
        return await handler(request)

    call.__doc__, call.__name__ = handler.__doc__, handler.__name__
    return call


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, ExplainError)
    return refusal(request, error)


def _foreign(scope: Scope, status: int) -> Response:
    """What `AllowedHosts` refuses."""
    error = InputError(FOREIGN, code="bad_host") if status == 400 else AccessError(FOREIGN)
    return refusal(Request(scope), error)


async def _unrouted(request: Request, error: Exception) -> Response:
    """What the router itself refuses: no such address, or not with this method."""
    assert isinstance(error, HTTPException)
    said = {404: "There is no such address.", 405: "This address does not take that method."}
    code = CODES.get(error.status_code, "bad_request")
    found = refusal(request, InputError(said.get(error.status_code, "The request cannot be read."), code=code))
    found.headers.update({name: value for name, value in (error.headers or {}).items() if name.lower() == "allow"})
    return found


def _version() -> str:
    try:
        return version("whyboard")
    except PackageNotFoundError:
        return "unknown"
