"""The page Evidence without a mouse: a record is opened, reviewed and left again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from explain.audit.records import Purpose, Who
from explain.audit.store import Store
from tests import examples
from tests.browser.harness import STILL, dashboard
from tests.evidence import small_pictures

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]
FOCUSED = (
    "(e => (e.getAttribute('aria-label') || e.closest('label')?.innerText || e.innerText || '').trim())"
    "(document.activeElement)"
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Two records."""
    made = Store(tmp_path_factory.mktemp("home") / "evidence")
    for case in ("4711", "4712"):
        made.file(examples.explanation(), who=Who("ada"), purpose=Purpose(case), pictures=small_pictures)
    return made


@pytest.fixture(scope="module")
def served(store: Store) -> Iterator[str]:
    """The dashboard on that store."""
    with dashboard(HF_HUB_OFFLINE="1", OMP_NUM_THREADS="1", EXPLAIN_HOME=str(store.home.parent)) as found:
        yield found


def reach(page: Page, name: str) -> None:
    """Press Tab until what has this name is focused. The table takes one for each of its columns."""
    page.wait_for_selector(STILL)
    for _ in range(150):
        page.keyboard.press("Tab")
        page.wait_for_timeout(30)  # the focus moves by a script
        said = page.evaluate(FOCUSED)
        if name in said and len(said) < 200:  # the main part of the page can be focused too, and holds every name
            return
    pytest.fail(f"nobody reaches ‘{name}’ with Tab")


def test_a_record_is_opened_and_reviewed_without_a_mouse(browser: Browser, served: str, store: Store) -> None:
    page = browser.new_page(viewport={"width": 1000, "height": 1000})
    page.goto(f"{served}/evidence")
    page.wait_for_selector("[data-testid=stDataFrame]")
    reach(page, "Open record")
    page.keyboard.type("2", delay=50)
    expect(page.locator("[role=option]")).to_have_text(["2"])
    page.keyboard.press("Enter")
    page.wait_for_selector("iframe")
    reach(page, "Your name")
    page.keyboard.type("grace", delay=20)
    reach(page, "Note")
    page.keyboard.type("as it should be", delay=20)
    reach(page, "File the review")
    page.keyboard.press("Enter")
    expect(page.locator(".wb-added")).to_contain_text("as it should be")
    assert store.read(2).state.review == "agree"
    reach(page, "All records")
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-testid=stDataFrame]")
    page.close()
