"""A dashboard on a free port and a Chromium to look at it."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, Playwright

from explain import camera
from explain.camera import FLAGS

ROOT = Path(__file__).resolve().parents[2]


def free_port() -> int:
    """A TCP port that nobody uses."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@contextlib.contextmanager
def dashboard(port: int | None = None, log: Path = Path(os.devnull), **env: str) -> Iterator[str]:
    """Serve app.py; yields its address, and stops it afterwards. What it prints goes to `log`."""
    port = port or free_port()
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port)]
    with log.open("wb") as said:
        process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **env}, stdout=said, stderr=subprocess.STDOUT)
    address = f"http://localhost:{port}"
    try:
        for _ in range(300):
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{address}/_stcore/health", timeout=1):
                break
            assert process.poll() is None, "the dashboard did not start"
            time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        process.wait(10)


def chromium(playwright: Playwright) -> Browser:
    """The distribution's Chromium if there is one, else Playwright's own."""
    return playwright.chromium.launch(executable_path=camera.browser(), args=list(FLAGS))


STILL = '[data-testid="stApp"][data-test-script-state="notRunning"]'


def settle(page: Page, timeout: float = 60_000) -> None:
    """Wait until the job is over and the page stands still."""
    while True:
        page.wait_for_selector(STILL, timeout=timeout)
        page.wait_for_selector(".wb-how, [data-testid=stAlert]", timeout=timeout)
        page.wait_for_selector("[data-testid=stProgress]", state="detached", timeout=timeout)
        page.wait_for_selector(STILL, timeout=timeout)
        page.wait_for_selector(
            ".word, [data-testid=stAlert]", timeout=timeout
        )  # the word view is mounted a moment later
        page.wait_for_timeout(400)
        if page.locator(STILL).count() and not page.locator("[data-testid=stProgress]").count():
            return  # else a job ended while the page was drawn, and it is drawn once more


def whole(page: Page, path: Path) -> None:
    """A picture of the whole page, not only of what is in view."""
    size: Any = page.viewport_size
    height = page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
    page.set_viewport_size({"width": size["width"], "height": int(height)})
    page.wait_for_timeout(500)
    page.screenshot(path=str(path))
    page.set_viewport_size(size)
