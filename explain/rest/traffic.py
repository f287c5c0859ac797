"""The outermost layer: every request gets an id, is counted and logged, and a fault leaves as a problem only."""

from __future__ import annotations

import re
import time
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from explain import journal
from explain.rest import answers
from explain.rest.metrics import Metrics

_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")


class Traffic:
    """ASGI middleware. A client may send its own `X-Request-ID` of 8 to 64 letters, digits, hyphens, underscores."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        scope["request_id"] = given if _ID.fullmatch(given) else uuid.uuid4().hex
        status, began = 0, time.perf_counter()

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-ID"] = scope["request_id"]
            await send(message)

        self.metrics.began()
        try:
            await self.app(scope, receive, watched)
        except ClientDisconnect:  # nobody is left to answer, and nothing is wrong
            pass
        except Exception:  # the answer must be ours, and the log must not hold the exception's words
            self.metrics.fault(scope["request_id"])
            if not status:
                await answers.refusal(Request(scope), answers.UNKNOWN)(scope, receive, watched)
        finally:
            seconds = time.perf_counter() - began
            # the pattern, not the address: that may hold anything
            pattern = str(getattr(scope.get("route"), "path", "unmatched"))
            who = getattr(scope.get("state", {}).get("holder"), "name", None)
            self.metrics.ended(scope["method"], pattern, status, seconds)
            journal.note(
                "request",
                request_id=scope["request_id"],
                method=scope["method"] if scope["method"].isalpha() else "other",
                route=pattern,
                status=status,
                seconds=round(seconds, 4),
                client=who,
            )
