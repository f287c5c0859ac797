"""Addresses beside the pages: who is not signed in gets the empty frame around the sign-in page, and no more.

The pages themselves come through one WebSocket, where the script asks (`access`). What a page links to (downloads,
pictures, frames) has addresses of its own; the table below says what each takes, and an address without an entry is
shut. It reads the cookie that Streamlit signed, and ends a sign-in for good when its person signs out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any, Literal

import streamlit as st
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose
from streamlit import config
from streamlit.auth_util import get_cookie_with_chunks
from streamlit.web.server.starlette.starlette_app_utils import decode_signed_value

from explain import bundled
from explain.errors import InputError
from explain.keys import Action
from explain.login import NOBODY, Login

COOKIE = "_streamlit_user"
LOGOUT = "/auth/logout"
PLACES: tuple[tuple[str, Action | Literal["open"]], ...] = (
    (r"/[\w-]*/?", "open"),  # a page's empty frame, whatever its name; the way back from the provider
    (r"/auth/log(in|out)", "open"),
    (r"/(favicon\.\w+|index\.html|manifest\.json|static/.+)", "open"),  # Streamlit's own program
    (r"(/[\w-]+)*/_stcore/(health|host-config)", "open"),  # asked below a page's name too, to find the server
    (r"/_stcore/stream", "open"),  # the script at its other end asks who is there
    (r"/_stcore/bidi-components/.+", "open"),  # the code of our components, without a word of a text
    (r"/api(/.*)?", "open"),  # REST asks for a key itself
    (r"/media/.+", "see lists"),
    (r"/viz/.+", "see lists"),
    (r"/_stcore/metrics", "see metrics"),
)
"""Pattern of a path → what is done there; the first that fits counts. Addresses of texts cannot be guessed besides."""


def prepare(login: Login) -> None:
    """Let Streamlit answer to the name that the login uses.

    Raises:
        InputError: Authlib is not installed; or a setting of Streamlit's would let a header say who somebody is, or
            leave the cookie unread.
    """
    if find_spec("authlib") is None or find_spec("httpx") is None:
        raise InputError(f"A login is configured, and Authlib is missing. Run `{bundled.installing('login')}`.")
    if st.get_option("server.trustedUserHeaders"):
        raise InputError("Unset server.trustedUserHeaders: whoever sends such a header would be whom it names.")
    if not st.get_option("server.enableXsrfProtection"):
        raise InputError("Set server.enableXsrfProtection: without it Streamlit does not read who is signed in.")
    if (hosts := st.get_option("server.allowedHosts")) and login.host not in hosts:
        config.set_option("server.allowedHosts", [*hosts, login.host])


def action(path: str) -> Action | Literal["open", "nothing"]:
    """What is done at a path; `nothing` where no entry says."""
    return next((found for pattern, found in PLACES if re.fullmatch(pattern, path)), "nothing")


class SignedIn:
    """ASGI middleware: lets through what `PLACES` opens to whoever the cookie names, and marks cookies as secure."""

    def __init__(self, app: ASGIApp, login: Login) -> None:
        self.app, self.login = app, login
        self.secret: str = login.secrets()["auth"]["cookie_secret"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        wanted = action(scope["path"])
        if wanted != "open":
            who = self.login.person(self.claims(scope)) or NOBODY
            if wanted == "nothing" or not who.may(wanted):
                await _refuse(403 if who.signed_in else 401, scope, receive, send)
                return
        if scope["path"] == LOGOUT:
            self.login.leave(self.claims(scope))
        await self.app(scope, receive, self._securely(send) if self.login.encrypted else send)

    def claims(self, scope: Scope) -> Mapping[str, Any]:
        """What the signed cookie says; nothing if there is none, or if it was not signed here."""
        cookies = HTTPConnection(scope).cookies
        try:
            raw = get_cookie_with_chunks(lambda name: self._signed(cookies, name), COOKIE)
            found = json.loads(raw) if raw else {}
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def _signed(self, cookies: Mapping[str, str], name: str) -> bytes | None:
        value = cookies.get(name)
        return None if value is None else decode_signed_value(self.secret, name, value)

    @staticmethod
    def _securely(send: Send) -> Send:
        async def add(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    (
                        name,
                        value + b"; Secure"
                        if name.lower() == b"set-cookie" and b"; secure" not in value.lower()
                        else value,
                    )
                    for name, value in message["headers"]
                ]
            await send(message)

        return add


async def _refuse(status: int, scope: Scope, receive: Receive, send: Send) -> None:
    said = "Sign in first." if status == 401 else "Your role does not open this."
    answer = WebSocketClose(1008) if scope["type"] == "websocket" else PlainTextResponse(said, status)
    await answer(scope, receive, send)
