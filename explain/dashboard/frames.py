"""Documents that a page shows in a frame: kept in memory, served by an address that cannot be guessed, and shut off.

A document may run its own scripts and nothing else: `sandbox` without `allow-same-origin` gives it an origin of its
own, from where the page around it cannot be read or scripted, and it may load nothing from anywhere. One thing only
the page around it can forbid: that a frame goes to another address, with what it knows in it. `frame-src` in
`guard.PAGE_POLICY` does.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Callable
from threading import Lock

from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route

from explain.errors import ExplainError
from explain.render.bertviz import SAFE

KEPT = 8
"""Documents of this process, of all sessions; the oldest goes first, and is made again when it is asked for."""
HEADERS = {
    "Content-Security-Policy": f"sandbox allow-scripts; {SAFE}; frame-ancestors 'self'",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_GONE = "<p>This picture is no longer kept. Reload the page to draw it again.</p>"
_secret = secrets.token_bytes(32)
_documents: OrderedDict[str, bytes] = OrderedDict()  # as sent: one emoji would make a str four times as large
_alive: dict[str, Callable[[], bool]] = {}
_lock = Lock()


def place(name: str, build: Callable[[], str], alive: Callable[[], bool] | None = None) -> str:
    """Address of a document. `name` says what is in it: a known one keeps its address and is not built again.

    `alive` is asked each time before the document is given away: what another process erased is not shown any more.
    """
    key = hashlib.blake2b(name.encode(), key=_secret, digest_size=20).hexdigest()
    if key not in _documents:
        document = build().encode("utf-8", "replace")
        with _lock:
            _documents[key] = document
            if alive is not None:
                _alive[key] = alive
            while len(_documents) > KEPT:
                _alive.pop(_documents.popitem(last=False)[0], None)
    return f"/viz/{key}"


def forget() -> None:
    """Drop every document: one of them may show what is being erased."""
    with _lock:
        _documents.clear()
        _alive.clear()


def answer(request: Request) -> HTMLResponse:
    """The document at an address, under the headers that shut it off."""
    key = request.path_params["key"]
    alive, document = _alive.get(key), _documents.get(key)
    try:
        gone = alive is not None and not alive()
    except ExplainError:  # nobody can say
        gone = True
    if gone:
        forget()
        document = None
    return HTMLResponse(document or _GONE, 200 if document else 404, HEADERS)


route = Route("/viz/{key}", answer)
