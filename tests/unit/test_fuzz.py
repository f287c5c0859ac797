"""A few generated requests for every address; `python -m tests.benchmarks.fuzz` sends thousands."""

from __future__ import annotations

from pathlib import Path

from explain.service import Service
from tests import rest
from tests.benchmarks.fuzz import fuzz
from tests.engines import Inline


def test_no_generated_request_breaks_the_service(tiny_folder: Path) -> None:
    service = Service(Inline())
    seen = fuzz(rest.application(tiny_folder, service, rate=1e6), 80)
    service.stop(0)
    assert sum(seen.values()) >= 80
    statuses = {name.rsplit(" ", 1)[1] for name in seen}
    assert {"200", "422"} <= statuses, "good and bad requests were sent"
