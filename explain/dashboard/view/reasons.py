"""Mounts the interactive word view (reasons.js) with the data that `explain.render.reasons` prepares."""

from __future__ import annotations

from typing import Any

from explain.dashboard.view import component, source

_CSS = source("reasons.css")
_view = component("reasons", "reasons", "reasons.css", "reasons.js")


def reasons(data: dict[str, Any], *, key: str) -> int | None:
    """Show words, legend and table; return the index of the selected word, if any."""
    state = _view(data={**data, "styles": _CSS}, key=key, default={"selected": None}, on_selected_change=lambda: None)
    return getattr(state, "selected", None)
