"""How long content is kept. The header stays: it holds no text, and the chain needs it."""

from __future__ import annotations

from datetime import datetime, timedelta

from explain.errors import InputError

CLASSES: dict[str, int | None] = {"short": 30, "standard": 184, "long": 3653, "permanent": None}
"""Days that each class keeps content; None for ever. 184 are no less than six months, which the AI Act asks of logs."""


def due(recorded: str, retention: str) -> str | None:
    """When the content is to be erased, as UTC in ISO 8601; None for never. Raises InputError."""
    if retention not in CLASSES:
        raise InputError(
            f"There is no retention class '{str(retention)[:40]}'. There are: {', '.join(CLASSES)}.",
            code="bad_retention",
        )
    days = CLASSES[retention]
    return None if days is None else (datetime.fromisoformat(recorded) + timedelta(days=days)).isoformat()
