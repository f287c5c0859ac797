"""How long a person waits: decision, words and checks in the order in which they appear, and how fast Cancel is.

    python -m tests.benchmarks.page [--cancels 20]

Serves the dashboard, drives a real Chromium, and prints seconds from the click (from the server's start for the first
text). The figures are of this machine, this moment.
"""

from __future__ import annotations

import argparse
import random
import time

from playwright.sync_api import Page, sync_playwright

from tests.browser.harness import chromium, dashboard, settle

TEXTS = (
    "A gorgeous, witty, seductive movie.",
    "The plot is thin, but the actors save it.",
    "Nobody I know would want to sit through this twice.",
)
MARKS = {
    "decision": ".wb-verdict h2",
    "words": ".word",
    "completeness": ".wb-questions b:has-text('Completeness')",
    "baseline": ".wb-questions b:has-text('Baseline')",  # there is a setting of that name too
    "comprehensiveness": ".wb-questions b:has-text('Comprehensiveness')",
    "all": "text=Download JSON",
}


def arrivals(page: Page, began: float, timeout: float = 120) -> dict[str, float]:
    """Seconds until each part of the page is there, looked for 20 times a second."""
    seen: dict[str, float] = {}
    while len(seen) < len(MARKS) and time.monotonic() - began < timeout:
        for name, place in MARKS.items():
            if name not in seen and page.locator(place).first.is_visible():
                seen[name] = time.monotonic() - began
        page.wait_for_timeout(50)
    return seen


def cancelled(page: Page, wait: float) -> float:
    """Ask for every check of a long text, cancel after a while, and wait for the page to say so."""
    page.get_by_text("Too long", exact=True).click()
    button = page.get_by_role("button", name="Cancel")
    button.wait_for(timeout=60_000)
    page.wait_for_timeout(1000 * wait)
    began = time.monotonic()
    button.click()
    page.get_by_text("Cancelled. Press Explain to start again.").wait_for(timeout=60_000)
    spent = time.monotonic() - began
    page.get_by_text("Clear", exact=True).click()
    settle(page)
    return spent


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cancels", type=int, default=20)
    count = parser.parse_args().cancels
    began = time.monotonic()
    with dashboard(HF_HUB_OFFLINE="1") as address, sync_playwright() as playwright:
        browser = chromium(playwright)
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.goto(address)
        rows = {"first text, from the server's start": arrivals(page, began)}
        for text in TEXTS:
            page.get_by_label("Text", exact=True).fill(text)
            began = time.monotonic()
            page.get_by_role("button", name="Explain", exact=True).click()
            while page.locator(".words").first.text_content() != text:  # until then the old answer stands there
                page.wait_for_timeout(20)
            rows[text] = {"words": time.monotonic() - began, **arrivals(page, began)}
        for name, seen in rows.items():
            print(f"{name:55s} " + " · ".join(f"{mark} {seconds:.2f}" for mark, seconds in seen.items()))
        spent = sorted(cancelled(page, random.Random(i).uniform(0.5, 6)) for i in range(count))
        if spent:
            print(f"cancel, {count} times: median {spent[count // 2]:.2f} s, longest {spent[-1]:.2f} s")
        browser.close()


if __name__ == "__main__":
    main()
