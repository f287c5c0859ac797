"""Who may do what: every request passes here before its body is read, and what no rule names is refused."""

from __future__ import annotations

from starlette.requests import Request

from explain.errors import AccessError
from explain.keys import Holder, bearer
from explain.rest.face import ROUTES, Door, face

ANYBODY = Holder("anybody", "viewer")


def door(request: Request) -> Door:
    """Who may use the address of a request; raises AccessError where no rule says so."""
    path = getattr(request.scope.get("route"), "path", None)
    found = next((r.door for r in ROUTES if (r.method, r.path) == (request.method, path)), None)
    if found is None:
        raise AccessError("No rule opens this address to anybody.")
    return found


async def authorise(request: Request) -> None:
    """Let a request through, and remember whose it is.

    Raises:
        AccessError: no key (code unauthorized), or a role that may not (code forbidden).
        BusyError: this client asked too often.
    """
    role, here = door(request), face(request)
    if role == "open":
        request.state.holder = ANYBODY
        return
    address = request.client.host if request.client else "nobody"
    if here.keys is None:  # only this machine can ask: `serve` and app.py see to that
        who = Holder("local", "admin")
    else:
        key = bearer(request.headers.get("authorization"))
        known = None if key is None else here.keys.holder(key)
        if known is None:
            here.limiter.take(f"unknown {address}")
            raise AccessError("Expected the header 'Authorization: Bearer KEY' with a key that is known here.",
                              code="unauthorized")  # fmt: skip
        who = known
    request.state.holder = who
    here.limiter.take(who.name)
    if not who.may(role):
        raise AccessError(f"This needs the role {role}, and this key has the role {who.role}.")
