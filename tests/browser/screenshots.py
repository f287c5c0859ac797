"""Take the pictures in assets/screenshots: `make screenshots`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from playwright.sync_api import Browser, Page, sync_playwright

import explain
from explain import filing
from explain.audit.records import Purpose, Who
from explain.audit.store import Store
from tests.browser.harness import ROOT, chromium, dashboard, settle, whole

FOLDER = ROOT / "assets" / "screenshots"
WIDTHS = {"": 1440, "-narrow": 390}
ADDRESSES = {"explain": "", "tales": "?model=tales", "attention": "/attention", "inside": "/inside"}
THERE = {"attention": ".map canvas", "inside": ".wb-how", "evidence": "[data-testid=stDataFrame]", "record": "iframe"}
FILED = {
    "A stirring, funny film.": "4711",
    "Not bad, but far too long.": "4712",
    "The plot is thin, the acting is not.": "4713",
}


def open_page(browser: Browser, address: str, name: str, width: int, theme: str) -> Page:
    """A page, once everything on it stands still."""
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=theme)  # type: ignore[arg-type]
    page.goto(address)
    if name in ("explain", "tales"):
        settle(page)
        if name == "explain":
            page.get_by_text("One head, word by word").click()
            page.wait_for_selector(".js-plotly-plot .heatmaplayer", timeout=60_000)
            settle(page)
    else:
        page.wait_for_selector(THERE[name], timeout=60_000)
        page.wait_for_timeout(3_000)
    return page


def file_some(home: Path) -> str:
    """Records to look at, under `home`; returns the id of the last one."""
    store, model = Store(home / "evidence"), explain.load("sentiment")
    for text, case in FILED.items():
        entry = store.file(
            model.explain(text), who=Who("ada"), purpose=Purpose(case, "triage of reviews"), pictures=filing.pictures
        )
    store.review(store.read(1).header.id, Who("grace"), agree=True, sign_off=True)
    return entry.header.id


def main() -> None:
    """One picture per page, width and theme, of the whole page; and the first screen as a person meets it."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as home:
        record = file_some(Path(home))
        take(home, {**ADDRESSES, "evidence": "/evidence", "record": f"/evidence?record={record}"})


def take(home: str, addresses: dict[str, str]) -> None:
    """All pictures."""
    with dashboard(HF_HUB_OFFLINE="1", EXPLAIN_HOME=home) as address, sync_playwright() as playwright:
        browser = chromium(playwright)
        for theme in ("light", "dark"):
            for name, path in addresses.items():
                for suffix, width in WIDTHS.items():
                    page = open_page(browser, address + path, name, width, theme)
                    if (name, suffix, theme) == ("explain", "", "light"):
                        page.screenshot(path=str(FOLDER / "first-light.png"))
                    whole(page, FOLDER / f"{name}{suffix}-{theme}.png")
                    page.close()
        browser.close()


if __name__ == "__main__":
    main()
