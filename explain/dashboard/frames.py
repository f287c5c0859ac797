"""Documents that a page shows in a frame: kept in memory, served by an address that cannot be guessed, and shut off.

A document may run its own scripts and nothing else: `sandbox` without `allow-same-origin` gives it an origin of its
own, from where the page around it cannot be read or scripted, and it may load nothing from anywhere. One thing only
the page around it can forbid: that a frame goes to another address, with what it knows in it. `frame-src` in
`guard.PAGE_POLICY` does.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route

from explain.errors import ExplainError
from explain.render.bertviz import SAFE

KEPT = 8
"""Documents of this process, of all sessions; the oldest goes first, and is made again when it is asked for."""
SECONDS = 900
"""How long a document is kept."""
HEADERS = {
    "Content-Security-Policy": f"sandbox allow-scripts; {SAFE}; frame-ancestors 'self'",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_GONE = "<p>This picture is no longer kept. Reload the page to draw it again.</p>"
_secret = secrets.token_bytes(32)
_documents: OrderedDict[str, _Document] = OrderedDict()
_lock = Lock()


@dataclass(frozen=True)
class _Document:
    """A document as it is sent, when it was made (seconds), and whether what it shows is gone since."""

    data: bytes  # one emoji would make a str four times as large
    made: float
    gone: Callable[[], bool]


def place(name: str, build: Callable[[], str], gone: Callable[[], bool] = lambda: False) -> str:
    """Address of a document. `name` says what is in it: a known one keeps its address and is not built again.

    It is never served once `gone` is true, whoever made it so.
    """
    key = hashlib.blake2b(name.encode(), key=_secret, digest_size=20).hexdigest()
    if _kept(key) is None:
        document = _Document(build().encode("utf-8", "replace"), time.monotonic(), gone)
        with _lock:
            _documents[key] = document
            while len(_documents) > KEPT:
                _documents.popitem(last=False)
    return f"/viz/{key}"


def _kept(key: str) -> _Document | None:
    """The document of a key, after those that are too old were dropped."""
    oldest = time.monotonic() - SECONDS
    with _lock:
        for old in [k for k, document in _documents.items() if document.made < oldest]:
            del _documents[old]
        return _documents.get(key)


def tidy() -> None:
    """Drop what is too old, also while nobody asks for a document."""
    _kept("")


def forget() -> None:
    """Drop every document: one of them may show what is being erased."""
    with _lock:
        _documents.clear()


async def answer(request: Request) -> HTMLResponse:
    """The document at an address, under the headers that shut it off."""
    document = _kept(request.path_params["key"])
    try:
        shown = document is not None and not await run_in_threadpool(document.gone)
    except ExplainError:  # nobody knows
        shown = False
    return HTMLResponse(document.data if document and shown else _GONE, 200 if shown else 404, HEADERS)


route = Route("/viz/{key}", answer)
