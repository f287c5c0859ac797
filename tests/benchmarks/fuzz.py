"""Schemathesis against the OpenAPI document: 2,000 cases, and after each address a good question answered right.

    python -m tests.benchmarks.fuzz [cases]

Every answer must be one that the document names, with the content type and schema it names; nothing may answer 500,
and no case may take longer than `SLOWEST`. It prints what was sent by status, and exits with 1 at the first fault.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from explain.service import Service
from tests import rest
from tests.engines import Inline
from tests.rest import TEXT
from tests.tiny import bert_folder

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
MODEL = "tiny0"
SLOWEST = 30.0
"""Seconds that one case may take; more would mean that something hangs."""


def fuzz(app: FastAPI, cases: int, start: int = 0) -> Counter[str]:
    """Send `cases` cases, divided among the operations; returns how many were answered with which status.

    Raises AssertionError, or schemathesis' own failure, at the first answer that is wrong.
    """
    document = schemathesis.openapi.from_asgi("/openapi.json", app, headers={"Host": "localhost"})
    operations = [found.ok() for found in document.get_all_operations()]
    varied = [found for found in operations if found.body or found.path_parameters]  # the others have one case each
    each = max(1, -(-cases // len(varied)))
    seen: Counter[str] = Counter()
    with rest.client(app) as web:
        for operation in operations:
            _one(operation, web, each, start, seen)
            answer = web.post("/v1/predict", json={"inputs": TEXT})
            assert answer.status_code == 200, f"after {operation.label}: {answer.text}"
            assert answer.json()["labels"] == ["NEGATIVE", "POSITIVE"]
    return seen


def _one(operation: Any, web: Any, each: int, start: int, seen: Counter[str]) -> None:
    modes = [schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE]
    cases = operation.as_strategy(generation_mode=modes[0]) | operation.as_strategy(generation_mode=modes[1])

    @seed(start)
    @settings(
        max_examples=each,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases)
    def send(case: Any) -> None:
        if seen.total() % 2 and "name" in (case.path_parameters or {}):
            case.path_parameters["name"] = MODEL  # else hardly a case would reach a model
        began = time.monotonic()
        answer = case.call(base_url="http://localhost")
        assert time.monotonic() - began < SLOWEST, f"{operation.label} hangs"
        seen[f"{operation.label} {answer.status_code}"] += 1
        case.validate_response(answer, checks=CHECKS)
        assert "Traceback" not in answer.text

    send()


def main() -> None:
    """Fuzz an application on a tiny model."""
    cases = int(sys.argv[1]) if len(sys.argv) > 1 else 2_000
    with tempfile.TemporaryDirectory() as place:
        service = Service(Inline())
        app = rest.application(bert_folder(Path(place) / MODEL), service, rate=1e6)
        began = time.monotonic()
        seen = fuzz(app, cases)
        service.stop(0)
    for name, count in sorted(seen.items()):
        print(f"{count:6} {name}")
    print(f"{sum(seen.values())} cases, no fault, {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
