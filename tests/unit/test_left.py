"""A page that was left takes nothing of the server with it, nor leaves anything there."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from streamlit.runtime.caching.ttl_cache import TTLCache

from explain.dashboard import frames, left
from tests.benchmarks.load.pages import Session, _server
from tests.browser.harness import dashboard


class Left:
    """What the store holds of a page that was left; it notes when it is closed, and one cannot be."""

    def __init__(self, name: str, closed: list[str]) -> None:
        self.session, self.name, self.closed = self, name, closed

    def shutdown(self) -> None:
        self.closed.append(self.name)
        if self.name == "bad":
            raise RuntimeError


def storage(kept: TTLCache[str, Any], active: tuple[str, ...] = ()) -> SimpleNamespace:
    """A runtime with this store of pages that were left."""
    manager = SimpleNamespace(
        _session_storage=SimpleNamespace(_cache=kept), is_active_session=lambda name: name in active
    )
    return SimpleNamespace(_session_mgr=manager)


def apart(work: Coroutine[Any, Any, None]) -> None:
    """Run it in a thread of its own: a loop of a browser's tests may run in this one."""
    with ThreadPoolExecutor(1) as threads:
        threads.submit(asyncio.run, work).result()


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


def test_who_was_dropped_for_another_is_closed_and_who_came_back_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """The store drops what is over when somebody else leaves, and the oldest where it is full."""
    closed: list[str] = []
    now = [0.0]
    kept: TTLCache[str, Any] = TTLCache(maxsize=2, ttl=10, timer=lambda: now[0])
    runtime = storage(kept, active=("back",))
    monkeypatch.setattr(left, "get_instance", lambda: runtime)

    async def leave() -> None:
        looking = asyncio.create_task(left.close_left())
        await asyncio.sleep(0)
        for name in ("first", "back", "second"):
            kept[name] = Left(name, closed)
            kept.pop("back", None)
        kept["third"] = Left("third", closed)  # one too many
        await asyncio.sleep(0.01)
        assert closed == ["first"]
        now[0] = 11.0
        kept["last"] = Left("last", closed)
        await asyncio.sleep(0.01)
        looking.cancel()

    apart(leave())
    assert closed == ["first", "second", "third"]


def test_one_that_cannot_be_closed_keeps_no_other_open(monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[str] = []
    now = [0.0]
    kept: TTLCache[str, Any] = TTLCache(maxsize=9, ttl=10, timer=lambda: now[0])
    for name in ("bad", "good"):
        kept[name] = Left(name, closed)
    runtime = storage(kept)
    monkeypatch.setattr(left, "get_instance", lambda: runtime)
    monkeypatch.setattr(left, "OFTEN", 0.01)
    address = frames.place("old", lambda: "<p>a text</p>")
    monkeypatch.setattr(frames, "SECONDS", -1)

    async def look() -> None:
        looking = asyncio.create_task(left.close_left())
        for count in (2, 3):
            now[0] += 11
            while len(closed) < count:
                await asyncio.sleep(0.01)
                assert not looking.done()
            kept["later"] = Left("later", closed)
        looking.cancel()

    apart(look())
    assert closed == ["bad", "good", "later"]
    assert address.rpartition("/")[2] not in frames._documents, "what a frame showed does not wait for the next visitor"


def until(there: object, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not there():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.5)
