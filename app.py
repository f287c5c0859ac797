"""Picture frame of the dashboard: `streamlit run app.py` serves it."""

from contextlib import asynccontextmanager
from pathlib import Path

import streamlit as st

from explain import dashboard
from explain.service import service
from explain.settings import settings


@asynccontextmanager
async def lifespan(_app):
    """Load the first model while the first browser is still on its way."""
    service().warm(settings().model)
    yield {}


app = st.App(Path(dashboard.__file__).with_name("main.py"), lifespan=lifespan)
