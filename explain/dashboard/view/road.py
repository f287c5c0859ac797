"""Mounts the road through the model (road.js); `explain.render.road` prepares its data."""

from __future__ import annotations

from typing import Any

import streamlit as st

from explain.dashboard.view import component

_road = component("road", "inside", "road.css", "road.js")
KEY = "road"


def chosen(name: str, default: Any) -> Any:
    """What was chosen last in the diagram: `token` or `step`; known before it is drawn again."""
    state = st.session_state.get(KEY)
    found = state.get(name) if hasattr(state, "get") else getattr(state, name, None)
    return default if found is None else found


def road(data: dict[str, Any]) -> None:
    """Show the tokens and the steps."""
    _road(
        data=data,
        key=KEY,
        default={"token": data["token"], "step": data["step"]},
        on_token_change=lambda: None,
        on_step_change=lambda: None,
    )
