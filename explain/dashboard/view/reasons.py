"""Mounts the interactive word view (reasons.js) with the data that `explain.render.reasons` prepares."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import streamlit as st

_HERE = Path(__file__).parent
_CSS = (_HERE / "reasons.css").read_text("utf-8")
_view: Callable[..., Any] = st.components.v2.component(
    "whyboard.reasons",
    html='<div class="reasons"></div>',
    css=_CSS,
    js=(_HERE / "reasons.js").read_text("utf-8"),
)


def reasons(data: dict[str, Any], *, key: str) -> int | None:
    """Show words, legend and table; return the index of the selected word, if any."""
    state = _view(data={**data, "styles": _CSS}, key=key, default={"selected": None}, on_selected_change=lambda: None)
    return getattr(state, "selected", None)
