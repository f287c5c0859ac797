"""Picture frame of the dashboard: `streamlit run app.py` serves it."""

from contextlib import asynccontextmanager

import streamlit as st

from explain.service import service
from explain.settings import settings


@asynccontextmanager
async def lifespan(_app):
    """Load the first model while the first browser is still on its way."""
    service().warm(settings().model)
    yield {}


app = st.App("explain/dashboard/main.py", lifespan=lifespan)
