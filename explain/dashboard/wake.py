"""Draw a session's page anew from outside of it, once there is news: so nobody needs to ask again and again.

A look at a job costs a browser a tenth of a second, and eight waiting pages would ask the machine away from the work
that they wait for. Nothing public of Streamlit wakes a page; where its inside is another one day, pages find out by
looking, as they do in tests without a server.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from streamlit.runtime import exists, get_instance
from streamlit.runtime.scriptrunner import RerunData, get_script_run_ctx

from explain import journal

AGAIN, TRIES = 0.05, 200
"""Seconds between looks at whether a script still runs, and how many there are."""


def waker() -> Callable[[], None] | None:
    """What draws this session's page anew, from any thread; None where there is no session or no way to it.

    It does nothing once the browser has gone or shows another page. A script that runs is never broken off: it may be
    that of a click, whose press would be lost, or of a change of page.
    """
    context = get_script_run_ctx()
    if context is None or not exists():
        return None
    runtime: Any = get_instance()
    name, page = context.session_id, context.page_script_hash
    again = RerunData(query_string=context.query_string, page_script_hash=page, context_info=context.context_info)
    try:
        session = runtime._session_mgr.get_active_session_info(name).session
        loop, _ = session._event_loop, (session._client_state, session._scriptrunner, session._create_scriptrunner)
    except AttributeError:
        return None

    def draw(tries: int) -> None:  # on the server's own loop, where clicks arrive too: never two at once
        try:
            if not runtime.is_active_session(name) or not tries:
                return  # the page looks by itself, if later
            if session._scriptrunner is not None:
                loop.call_later(AGAIN, draw, tries - 1)
            elif session._client_state.page_script_hash == page:
                session._create_scriptrunner(again)
        except Exception:
            journal.fault(about="a page to wake")

    def wake() -> None:
        with suppress(RuntimeError):  # the server has ended
            loop.call_soon_threadsafe(draw, TRIES)

    return wake
