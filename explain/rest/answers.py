"""Answers: canonical JSON, or a problem (RFC 9457) with a stable code and the sentence that the other faces show."""

from __future__ import annotations

import http
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from explain import canonical
from explain.errors import OUTCOMES, TYPE, BusyError, ExplainError, WorkerError, outcome
from explain.rest import quotes

AGAIN = 5
"""Seconds after which to ask again once the worker was lost: it is back by then."""
CODES = {404: "not_found", 405: "method_not_allowed"}
UNKNOWN = ExplainError(
    "The service failed for a reason that it does not know; its log says more under this request's id.",
    code="internal",
)


def json(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A record, or plain values, as canonical JSON."""
    return raw(canonical.encode(content), status, headers)


def raw(content: bytes, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """JSON that is bytes already."""
    return Response(content, status, headers, media_type="application/json")


def problem(error: ExplainError, request_id: str, asked: Any = None) -> dict[str, Any]:
    """An error as a problem document. It holds no path, no traceback, and nothing of what was `asked`."""
    status = outcome(error).status
    title = "Client Closed Request" if status == 499 else http.HTTPStatus(status).phrase
    sentence = quotes.unquoted(str(error), asked)
    kind = next(k for k in type(error).__mro__ if k in OUTCOMES)
    return {
        "type": f"{TYPE}{kind.__name__}",
        "title": title,
        "status": status,
        "code": error.code,
        "detail": sentence,
        "error": sentence,
        "request_id": request_id,
    }


def refusal(request: Request, error: ExplainError) -> Response:
    """An error as an answer."""
    found = problem(error, request_id(request), getattr(request.state, "body", None))
    headers = {}
    if isinstance(error, BusyError):
        headers["Retry-After"] = str(max(1, int(error.retry_after)))
    elif isinstance(error, WorkerError):
        headers["Retry-After"] = str(AGAIN)
    if found["status"] == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if found["status"] in (408, 413, 415):
        headers["Connection"] = "close"  # the rest of the body is not read
    return Response(canonical.encode(found), found["status"], headers, media_type="application/problem+json")


def request_id(request: Request) -> str:
    """The id under which the log knows this request."""
    return str(request.scope.get("request_id", ""))
