"""Mounts the grid of heads (grid.js) and the map of one head (map.js); `explain.render.heads` prepares their data."""

from __future__ import annotations

from typing import Any

from explain.dashboard.view import component

_grid = component("grid", "heads", "heads.css", "grid.js")
_map = component("map", "map", "heads.css", "map.js")


def grid(data: dict[str, Any], *, key: str) -> tuple[int, int]:
    """Show the grid; returns the (layer, head) that is open."""
    state = _grid(data=data, key=key, default={"chosen": data["chosen"]}, on_chosen_change=lambda: None)
    layer, head = getattr(state, "chosen", None) or data["chosen"]
    return int(layer), int(head)


def head_map(data: dict[str, Any], *, key: str) -> tuple[int, int] | None:
    """Show one head; returns the (row, column) that was clicked, if any."""
    state = _map(data=data, key=key, default={"cell": None}, on_cell_change=lambda: None)
    cell = getattr(state, "cell", None)
    within = cell is not None and cell[0] < data["size"] and cell[1] < len(data["columns"])
    return (int(cell[0]), int(cell[1])) if cell is not None and within else None
