"""Sessions whose browser has gone, closed once they can no longer come back.

Streamlit keeps a session for a while after its browser went, and then drops it without closing it: what the person
typed and could download stays in memory, and files stay open, until somebody else happens to come and leave. Nothing
public of Streamlit reaches those sessions. Documents of frames, which belong to no session, are dropped in time, too.
"""

from __future__ import annotations

import asyncio

import streamlit as st
from streamlit.runtime import get_instance

from explain import journal
from explain.dashboard import frames

OFTEN = 30.0
"""Seconds between looks, at most."""


async def close_left() -> None:
    """Look again and again, on the server's own loop, until cancelled."""
    every = min(OFTEN, max(1.0, float(st.get_option("server.disconnectedSessionTTL"))))
    while True:
        await asyncio.sleep(every)
        frames.tidy()
        kept = get_instance()._session_mgr._session_storage._cache  # type: ignore[attr-defined]
        for _, left in kept.expire():
            try:
                left.session.shutdown()
            except Exception:  # the others are closed all the same, and so are those that come later
                journal.fault(about="a session to close")
