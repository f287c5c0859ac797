"""A page that was left takes nothing of the server with it, nor leaves anything there."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from tests.benchmarks.load.pages import Session, _server
from tests.browser.harness import dashboard


def files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.slow
def test_a_session_that_was_left_is_closed(tiny_folder: Path) -> None:
    gone = {"STREAMLIT_SERVER_DISCONNECTED_SESSION_TTL": "2"}
    with dashboard(EXPLAIN_MODEL=str(tiny_folder), **gone) as address:
        pid = _server(address.rsplit(":", 1)[1])
        Session(address).close()  # what the first one brings with it stays
        until(lambda: files(pid) < 40)
        before = files(pid)
        for _ in range(6):
            Session(address).close()
        assert files(pid) >= before + 6, "each one holds files until it is closed"
        until(lambda: files(pid) <= before)


def until(there: object, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not there():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.5)
