"""A page that was left takes nothing of the server with it, nor leaves anything there."""

from __future__ import annotations

import asyncio
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from explain.dashboard import frames, left
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


def test_one_that_cannot_be_closed_keeps_no_other_open(monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[str] = []

    class Left:
        def __init__(self, name: str) -> None:
            self.session, self.name = self, name

        def shutdown(self) -> None:
            closed.append(self.name)
            if self.name == "bad":
                raise RuntimeError

    there = [[("1", Left("bad")), ("2", Left("good"))], [("3", Left("later"))]]
    kept = SimpleNamespace(expire=lambda: there.pop(0) if there else [])
    storage = SimpleNamespace(_session_mgr=SimpleNamespace(_session_storage=SimpleNamespace(_cache=kept)))
    monkeypatch.setattr(left, "get_instance", lambda: storage)
    monkeypatch.setattr(left, "OFTEN", 0.01)
    address = frames.place("old", lambda: "<p>a text</p>")
    monkeypatch.setattr(frames, "SECONDS", -1)

    async def look() -> None:
        looking = asyncio.create_task(left.close_left())
        while len(closed) < 3:
            await asyncio.sleep(0.01)
            assert not looking.done()
        looking.cancel()

    with ThreadPoolExecutor(1) as apart:  # a loop of a browser's tests may run in this thread
        apart.submit(asyncio.run, look()).result()
    assert closed == ["bad", "good", "later"]
    assert address.rpartition("/")[2] not in frames._documents, "what a frame showed does not wait for the next visitor"


def until(there: object, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not there():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.5)
