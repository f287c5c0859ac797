"""Mounts the road through the model (road.js); `explain.render.road` prepares its data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st

_HERE = Path(__file__).parent
_road = st.components.v2.component(
    "whyboard.road",
    html='<div class="inside"></div>',
    css=(_HERE / "road.css").read_text("utf-8"),
    js=(_HERE / "road.js").read_text("utf-8"),
)
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
