"""Who may speak to a dashboard without keys: pages that this machine itself served, by a name of this machine.

A website in the same browser can send requests here under its own name (Origin), or under a name of its own that it
points at this machine (Host, "DNS rebinding"). Both are refused before Streamlit sees them.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


class LoopbackOnly:
    """ASGI middleware: Host must name this machine, and Origin, where a browser sends one, the same host and port."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or allowed(dict(scope["headers"])):
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            await PlainTextResponse("This dashboard answers to this machine only.", 403)(scope, receive, send)
        else:
            await WebSocketClose(1008)(scope, receive, send)


def allowed(headers: dict[Any, Any]) -> bool:
    """Do Host and Origin name this machine, and each other?"""
    host = _place(f"//{headers.get(b'host', b'').decode('latin-1')}")
    if host is None or host[0] not in LOCAL:
        return False
    origin = headers.get(b"origin")
    return origin is None or _place(origin.decode("latin-1")) == host


def _place(address: str) -> tuple[str | None, int | None] | None:
    try:
        parts = urlsplit(address)
        return parts.hostname, parts.port
    except ValueError:
        return None
