"""Picture frame of the dashboard: `streamlit run app.py` serves it."""

import asyncio
import logging.config
from contextlib import asynccontextmanager
from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware
from starlette.routing import Mount

from explain import dashboard, journal, rest
from explain.dashboard import access, frames, left
from explain.dashboard.policy import page_policy
from explain.errors import ExplainError
from explain.guard import LOCAL, AllowedHosts, Headers
from explain.service import service
from explain.settings import settings

DRAIN = 5.0
"""Seconds that running work has to end once the server is asked to; pages that wait for it are gone by then."""


middleware = [Middleware(Headers, policy=page_policy())]
try:
    api, login = rest.create(), access.login()
    if login is None:
        middleware.append(Middleware(AllowedHosts))
    else:
        from explain.dashboard.signed_in import SignedIn, prepare  # reads Streamlit's cookies, whose form is its own

        prepare(login)
        middleware += [Middleware(AllowedHosts, more=[login.host]), Middleware(SignedIn, login=login)]
except ExplainError as error:  # the folder of EXPLAIN_JOBS, which may be another service's; half of a login
    raise SystemExit(str(error)) from None


@asynccontextmanager
async def lifespan(_app):
    """Load the first model while the first browser is still on its way."""
    if (address := st.get_option("server.address")) not in LOCAL and login is None:
        raise SystemExit(f"Without a login the dashboard serves this machine only; server.address is {address!r}.")
    logging.config.dictConfig(journal.config("WARNING"))  # what went wrong, without a word of a text
    journal.leave_no_dump()
    service().warm(settings().model)
    async with rest.lifespan(api):
        closing = asyncio.create_task(left.close_left())
        yield {}
        closing.cancel()
    await asyncio.to_thread(service().stop, DRAIN)


app = st.App(
    Path(dashboard.__file__).with_name("main.py"),
    lifespan=lifespan,
    routes=[frames.route, Mount("/api", api)],
    middleware=middleware,
    secrets=None if login is None else login.secrets(),
)
