"""Sessions whose browser has gone, closed once they can no longer come back.

Streamlit keeps a session for a while after its browser went, and then drops it without closing it, when the next one
leaves or more than 128 have left: what the person typed and could download stays in memory, and files stay open,
until Python happens to find them. Nothing public of Streamlit reaches those sessions. Documents of frames, which
belong to no session, are dropped in time, too.
"""

from __future__ import annotations

import asyncio
from typing import Any

import streamlit as st
from streamlit.runtime import get_instance

from explain import journal
from explain.dashboard import frames

OFTEN = 30.0
"""Seconds between looks, at most."""


async def close_left() -> None:
    """Close sessions as they are dropped, and look again and again for what is over, until cancelled.

    On the server's own loop. A session leaves the store also when its person comes back: that one is in use.
    """
    manager = get_instance()._session_mgr
    kept = manager._session_storage._cache  # type: ignore[attr-defined]
    loop = asyncio.get_running_loop()

    def close(name: str, left: Any) -> None:
        if manager.is_active_session(name):
            return
        try:
            left.session.shutdown()
        except Exception:  # the others are closed all the same, and so are those that come later
            journal.fault(about="a session to close")

    kept._on_remove = lambda name, left: loop.call_soon(close, name, left)  # once it is known who came back
    every = min(OFTEN, max(1.0, float(st.get_option("server.disconnectedSessionTTL"))))
    while True:
        await asyncio.sleep(every)
        frames.tidy()
        kept.expire()
