"""The page Evidence without a mouse: open a record, review it, hold it, and erase what is over after a question."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from explain import filing
from explain.audit.records import Purpose, Who
from explain.audit.store import Store
from tests import examples
from tests.browser.harness import STILL, dashboard

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Two records, of which the first is over: its time was set back by hand."""
    made = Store(tmp_path_factory.mktemp("home") / "evidence")
    for case in ("4711", "4712"):
        made.file(examples.explanation(), who=Who("ada"), purpose=Purpose(case), pictures=filing.pictures)
    with sqlite3.connect(made.home / "evidence.db") as connection:
        connection.execute("UPDATE entries SET due = '2020-01-01T00:00:00+00:00' WHERE sequence = 1")
    return made


@pytest.fixture(scope="module")
def served(store: Store) -> Iterator[str]:
    with dashboard(HF_HUB_OFFLINE="1", OMP_NUM_THREADS="1", EXPLAIN_HOME=str(store.home.parent)) as found:
        yield found


def tab_to(page: Page, name: str, *, key: str | None = "Enter", write: str | None = None) -> None:
    """Press Tab until what has this name is focused; then write, or press a key."""
    page.wait_for_selector(STILL)
    for _ in range(150):
        page.keyboard.press("Tab")
        said = page.evaluate(
            "(e => (e.getAttribute('aria-label') || e.closest('label')?.innerText || e.innerText || '').trim())"
            "(document.activeElement)"
        )
        if name in said:
            break
    else:
        pytest.fail(f"nobody reaches ‘{name}’ with Tab")
    if write is not None:
        page.keyboard.type(write)
    if key is not None:
        page.keyboard.press(key)
    page.wait_for_timeout(500)


def test_everything_can_be_done_without_a_mouse(browser: Browser, served: str, store: Store) -> None:
    page = browser.new_page(viewport={"width": 1000, "height": 1000})
    page.goto(f"{served}/evidence")
    page.wait_for_selector("[data-testid=stDataFrame]")
    tab_to(page, "Open record", write="2")
    page.wait_for_selector("iframe")
    tab_to(page, "Your name", write="grace")
    tab_to(page, "Note", write="as it should be", key=None)
    tab_to(page, "File the review")
    expect(page.locator(".wb-added")).to_contain_text("as it should be")
    assert store.read(2).state.review == "agree"
    tab_to(page, "Keep or erase")
    tab_to(page, "Reason of the hold", write="a lawsuit")
    tab_to(page, "Put a legal hold on it")
    expect(page.locator(".wb-added")).to_contain_text("a lawsuit")
    assert store.read(2).state.held
    tab_to(page, "All records")
    page.wait_for_selector("[data-testid=stDataFrame]")
    tab_to(page, "The store as a whole")
    tab_to(page, "Erase what is over")
    asked = page.get_by_text("1 record is over and would be erased for good: number 1.")
    expect(asked).to_be_visible()
    tab_to(page, "Keep them")
    expect(asked).not_to_be_visible()
    assert not store.read(1).state.erased
    tab_to(page, "Erase what is over")
    expect(asked).to_be_visible()
    tab_to(page, "Erase 1 for good")
    expect(page.get_by_text("Erased, being over: 1.")).to_be_visible()
    assert store.read(1).state.erased
    assert store.events(store.read(1).header.id)[-1].header.who.actor == "grace", "the name is kept from page to page"
    page.close()
