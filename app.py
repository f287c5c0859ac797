"""Picture frame of the dashboard: `streamlit run app.py` serves it."""

import asyncio
from contextlib import asynccontextmanager
from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware
from starlette.routing import Mount

from explain import dashboard, rest
from explain.dashboard import frames
from explain.dashboard.policy import page_policy
from explain.errors import ExplainError
from explain.guard import LOCAL, AllowedHosts, Headers
from explain.service import service
from explain.settings import settings

DRAIN = 5.0
"""Seconds that running work has to end once the server is asked to; pages that wait for it are gone by then."""


try:
    api = rest.create()
except ExplainError as error:  # the folder of EXPLAIN_JOBS, which may be another service's
    raise SystemExit(str(error)) from None


@asynccontextmanager
async def lifespan(_app):
    """Load the first model while the first browser is still on its way."""
    if (address := st.get_option("server.address")) not in LOCAL:
        raise SystemExit(f"Without keys the dashboard serves this machine only; server.address is {address!r}.")
    service().warm(settings().model)
    async with rest.lifespan(api):
        yield {}
    await asyncio.to_thread(service().stop, DRAIN)


app = st.App(
    Path(dashboard.__file__).with_name("main.py"),
    lifespan=lifespan,
    routes=[frames.route, Mount("/api", api)],
    middleware=[Middleware(Headers, policy=page_policy()), Middleware(AllowedHosts)],
)
