"""Drive one method or check on one text, as the engine does, to look at it from inside."""

from __future__ import annotations

from typing import Any

from explain.case import Case, Steps
from explain.catalog import Request
from explain.drive import drive
from explain.engine import Model
from explain.model.runner import Meter
from explain.work import Work


def case_of(model: Model, text: str | tuple[str, str], **options: Any) -> Case:
    """The Case that the engine would make for this text."""
    request = Request(texts=(text,) if isinstance(text, str) else text, **options)
    work = Work(model, [request])
    encoding = model.encode(request.texts, truncate=request.truncate, windows=request.windows)
    return work._case(request, encoding, model.decide([encoding])[0])


def run(model: Model, steps: Steps[Any]) -> Any:
    """The result of a method's or check's generator."""
    return drive(model, [steps], Meter())[0][0]
