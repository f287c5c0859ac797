"""Why an architecture could not be explained, for the lists that the commands of this folder print."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from explain.errors import ExplainError


def failure(explained: Callable[[str, Path], object], model_type: str, folder: Path) -> str | None:
    """The error that explaining it ends with; marked UNCLEAR where it is none of ours. None: it works."""
    try:
        explained(model_type, folder)
    except ExplainError as error:
        return f"{type(error).__name__}: {error}"
    except Exception as error:
        return f"UNCLEAR {type(error).__name__}: {str(error).strip().splitlines()[:1]}"
    return None
