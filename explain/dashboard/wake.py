"""Draw a session's page anew from outside of it, once there is news: so nobody needs to ask again and again.

A look at a job costs a browser a tenth of a second, and eight waiting pages would ask the machine away from the work
that they wait for. Nothing public of Streamlit wakes a page; where its inside is another one day, pages find out by
looking, as they do in tests without a server.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from streamlit.runtime import exists, get_instance
from streamlit.runtime.scriptrunner import RerunData, get_script_run_ctx

from explain import journal


def waker() -> Callable[[], None] | None:
    """What draws this session's page anew, from any thread; None where there is no session or no way to it.

    It does nothing once the browser has gone or shows another page.
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

    def draw() -> None:  # on the server's own loop, where clicks arrive too: never two at once
        try:
            if runtime.is_active_session(name) and session._client_state.page_script_hash == page:
                runner = session._scriptrunner
                if runner is None or not runner.request_rerun(again):
                    session._create_scriptrunner(again)
        except Exception:  # the page looks by itself, if later
            journal.fault(about="a page to wake")

    return lambda: loop.call_soon_threadsafe(draw)
