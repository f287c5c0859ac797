"""How the application is put behind uvicorn: its limits, and what uvicorn lacks, a time for headers and one to leave.

uvicorn's own `timeout_keep_alive` ends a connection on which nothing comes at all, and only after its first request;
each byte sets it back. A client that sends its headers byte by byte could hold a connection for ever, and with
`limit_concurrency` of them the service. Bodies are limited where they are read (`bodies`).
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from explain.settings import Settings


def config(app: FastAPI, limits: Settings, **more: Any) -> uvicorn.Config:
    """What `explain serve` runs `app` with; `more` are further arguments of uvicorn.Config, such as host and port."""
    return uvicorn.Config(
        app,
        http=prompt(limits.body_seconds),
        ws="none",  # there is no address for one
        access_log=False,
        server_header=False,
        proxy_headers=False,  # whoever asks could claim any address
        limit_concurrency=1_000,
        h11_max_incomplete_event_size=65_536,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=int(limits.drain_seconds) + 1,
        **{"lifespan": "on", **more},
    )


class Server(uvicorn.Server):
    """uvicorn's server, which says that it is about to end before it stops listening.

    After SIGTERM it goes on for some seconds as before, but for readiness, which says no: so whoever deals requests out
    to several servers leaves this one out before a connection is refused or cut. Ctrl-C, which is a person's who waits,
    and a second signal end these seconds.
    """

    def __init__(self, config: uvicorn.Config, leave: Callable[[], None], seconds: float) -> None:
        """`leave` is called once, when the server is told to end; it stops listening `seconds` later."""
        super().__init__(config)
        self._leave, self._seconds = leave, seconds
        self._told: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal: the first SIGTERM leaves time, everything else does not."""
        if sig != signal.SIGTERM or self.should_exit:
            self._seconds = 0
        super().handle_exit(sig, frame)

    async def on_tick(self, counter: int) -> bool:
        """Whether to stop listening now; asked ten times a second."""
        if not await super().on_tick(counter):
            return False
        if self._told is None:
            self._told = time.monotonic()
            self._leave()
        return time.monotonic() - self._told >= self._seconds


def prompt(seconds: float) -> type[H11Protocol]:
    """uvicorn's HTTP for clients that have said what they want `seconds` after they connected or were last answered.

    It covers what is left of a body that nobody read, too: to the server that is the time before the next request.
    """

    class Prompt(H11Protocol):
        _deadline: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._deadline = self.loop.call_later(seconds, transport.close)

        def on_response_complete(self) -> None:
            self._end_deadline()
            self._deadline = self.loop.call_later(seconds, self.transport.close)
            super().on_response_complete()  # last: the next request may be there already

        def handle_events(self) -> None:
            super().handle_events()
            if self.cycle is not None and not self.cycle.response_complete:  # all headers have come
                self._end_deadline()

        def connection_lost(self, exc: Exception | None) -> None:
            self._end_deadline()
            super().connection_lost(exc)

        def _end_deadline(self) -> None:
            if self._deadline is not None:
                self._deadline.cancel()

    return Prompt
