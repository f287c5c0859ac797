"""Take the pictures in assets/screenshots: `make screenshots`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from playwright.sync_api import sync_playwright

from tests.browser.harness import ROOT, chromium, dashboard, settle, whole

SIZES = {"explain": 1440, "explain-narrow": 390}


def main() -> None:
    """One picture per width and theme, of the whole page."""
    folder = ROOT / "assets" / "screenshots"
    folder.mkdir(exist_ok=True)
    with dashboard(HF_HUB_OFFLINE="1") as address, sync_playwright() as playwright:
        browser = chromium(playwright)
        for name, width in SIZES.items():
            for theme in ("light", "dark"):
                page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=theme)  # type: ignore[arg-type]
                page.goto(address)
                settle(page)
                page.wait_for_selector(".js-plotly-plot .heatmaplayer", timeout=30_000)
                whole(page, folder / f"{name}-{theme}.png")
                page.close()
        browser.close()


if __name__ == "__main__":
    main()
