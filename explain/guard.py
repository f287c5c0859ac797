"""Who may speak to a server of ours, and under which headers it answers; dashboard and REST share it.

A website in the same browser can send requests here under its own name (Origin), or under a name of its own that it
points at this machine (Host, "DNS rebinding"). Both are refused before anything else sees them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
FOREIGN = "This server answers to its own names and pages only."
SEALED = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Headers of every answer that does not set its own; what is shown here may be private, so nothing is stored."""
DATA_POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'"
"""The content security policy of answers that are data: a browser may do nothing with them."""
PAGE_POLICY = (
    "default-src 'self'; script-src 'self' blob: 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; media-src 'self' data: blob:; connect-src 'self' data: blob:; "
    "worker-src 'self' blob:; frame-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'self'"
)
"""The policy of Streamlit's pages: scripts of this server only (blob: holds our own components), and no eval."""


def plainly(_scope: Scope, status: int) -> Response:
    """A refusal in one sentence of text."""
    return PlainTextResponse(FOREIGN, status)


class AllowedHosts:
    """ASGI middleware: Host must be a name of this server, and Origin, where a browser sends one, the same place.

    `refuse` makes the answer to others, of a request's scope and a status.
    """

    def __init__(
        self, app: ASGIApp, more: Iterable[str] = (), refuse: Callable[[Scope, int], Response] = plainly
    ) -> None:
        self.app, self.names, self.refuse = app, LOCAL | {name.lower() for name in more}, refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        status = 200 if scope["type"] == "lifespan" else verdict(dict(scope["headers"]), self.names)
        if status == 200:
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            await self.refuse(scope, status)(scope, receive, send)
        else:
            await WebSocketClose(1008)(scope, receive, send)


class Headers:
    """ASGI middleware: every answer is sealed, and carries a content security policy unless it brings its own."""

    def __init__(self, app: ASGIApp, policy: str, more: Mapping[str, str] = SEALED) -> None:
        self.app, self.policy, self.more = app, policy, more

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def add(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("Content-Security-Policy", self.policy)
                for name, value in self.more.items():
                    headers.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, add)


def verdict(headers: Mapping[Any, Any], names: Collection[str | None] = LOCAL) -> int:
    """200, or the status to refuse with: 400 for a Host that is not ours, 403 for another page's Origin."""
    host = _place(f"//{headers.get(b'host', b'').decode('latin-1')}")
    if host is None or host[0] not in names:
        return 400
    origin = headers.get(b"origin")
    return 200 if origin is None or _place(origin.decode("latin-1")) == host else 403


def _place(address: str) -> tuple[str | None, int | None] | None:
    try:
        parts = urlsplit(address)
        return parts.hostname, parts.port
    except ValueError:
        return None
