"""Take the pictures in assets/screenshots: `make screenshots`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.harness import ROOT, chromium, dashboard, settle, whole

FOLDER = ROOT / "assets" / "screenshots"
WIDTHS = {"": 1440, "-narrow": 390}
ADDRESSES = {"explain": "", "attention": "/attention", "inside": "/inside"}
THERE = {"attention": ".map canvas", "inside": ".wb-how"}


def open_page(browser: Browser, address: str, name: str, width: int, theme: str) -> Page:
    """A page, once everything on it stands still."""
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=theme)  # type: ignore[arg-type]
    page.goto(address + ADDRESSES[name])
    if name == "explain":
        settle(page)
        page.wait_for_selector(".js-plotly-plot .heatmaplayer", timeout=60_000)
    else:
        page.wait_for_selector(THERE[name], timeout=60_000)
        page.wait_for_timeout(3_000)
    return page


def main() -> None:
    """One picture per page, width and theme, of the whole page; and the first screen as a person meets it."""
    FOLDER.mkdir(exist_ok=True)
    with dashboard(HF_HUB_OFFLINE="1") as address, sync_playwright() as playwright:
        browser = chromium(playwright)
        for theme in ("light", "dark"):
            for name in ADDRESSES:
                for suffix, width in WIDTHS.items():
                    page = open_page(browser, address, name, width, theme)
                    if (name, suffix, theme) == ("explain", "", "light"):
                        page.screenshot(path=str(FOLDER / "first-light.png"))
                    whole(page, FOLDER / f"{name}{suffix}-{theme}.png")
                    page.close()
        browser.close()


if __name__ == "__main__":
    main()
