"""One dashboard and one Chromium for all browser tests; every page is watched."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from urllib.parse import urlparse

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect, sync_playwright

from tests.browser.harness import chromium, dashboard

IGNORED = ("favicon", "/_stcore/")
expect.set_options(timeout=30_000)  # a busy machine is slow, not wrong


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Function) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What the page showed when a test failed: of a failure on another machine nothing else is left."""
    report = yield
    page = item.funcargs.get("page")
    if report.when == "call" and report.failed and isinstance(page, Page):
        state = "document.querySelector('[data-testid=stApp]')?.dataset.testScriptState"
        shown = f"script: {page.evaluate(state)}\n{page.url}\n{page.inner_text('body')[:6000]}"
        report.sections.append(("the page", shown))
    return report


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    """Where the dashboard is served, offline."""
    with dashboard(HF_HUB_OFFLINE="1", OMP_NUM_THREADS="1") as found:
        yield found


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A real Chromium."""
    with sync_playwright() as playwright:
        found = chromium(playwright)
        yield found
        found.close()


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """A fresh page; fails if anything was asked of another machine, a script broke, or a dialog opened."""
    context = browser.new_context(viewport={"width": 1440, "height": 1000}, accept_downloads=True)
    found = context.new_page()
    faults: list[str] = []

    def watch_request(request: Request) -> None:
        host = urlparse(request.url).hostname
        if host not in (None, "", "localhost", "127.0.0.1"):
            faults.append(f"asked another machine: {request.url}")

    def watch_console(message: ConsoleMessage) -> None:
        where = str(message.location.get("url", ""))
        if message.type == "error" and not any(part in where for part in IGNORED):
            faults.append(f"console: {message.text}")

    found.on("request", watch_request)
    found.on("console", watch_console)
    found.on("pageerror", lambda error: faults.append(f"script: {error}"))
    found.on("dialog", lambda dialog: (faults.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    yield found
    context.close()
    assert not faults, faults
