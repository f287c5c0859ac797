"""How long a person waits: decision, words and checks in the order in which they appear, and how fast Cancel is.

    python -m tests.benchmarks.page [--cancels 20]

Serves the dashboard, drives a real Chromium, and prints seconds from the click (from the server's start for the first
text). The figures are of this machine, this moment.
"""

from __future__ import annotations

import argparse
import random
import statistics
import subprocess
import sys
import time

from playwright.sync_api import Page, sync_playwright

from tests.browser.harness import chromium, dashboard, settle

TEXTS = (
    "A gorgeous, witty, seductive movie.",
    "The plot is thin, but the actors save it.",
    "Nobody I know would want to sit through this twice.",
    "It is a dull film, but the music is great.",
    "Fine acting and a silly end.",
)
MARKS = {
    "completeness": "Completeness",
    "baseline": "Baseline",
    "comprehensiveness": "Comprehensiveness",
}
"""What the page calls the checks that run by themselves."""
LOOK = """([text, marks]) => {
  const said = where => document.querySelector(where)?.textContent ?? "";
  const before = said(".wb-verdict"), now = () => performance.timeOrigin + performance.now();
  const words = () => [...document.querySelectorAll("*")].filter(node => node.shadowRoot)
    .flatMap(host => [...host.shadowRoot.querySelectorAll(".words")]).map(node => node.textContent).join("\\n");
  const seen = window.seen = {};
  document.addEventListener("pointerdown", () => { seen.began ??= now(); }, {once: true, capture: true});
  const timer = setInterval(() => {
    const verdict = said(".wb-verdict h2"), checks = [...document.querySelectorAll(".wb-questions b")];
    if (verdict && said(".wb-verdict") !== before) seen.decision ??= now();
    if (!seen.decision) return;
    const read = seen.words ? "" : words();
    if (text === null ? read : read === text) seen.words ??= now();
    if (!seen.words) return;
    for (const [name, title] of Object.entries(marks))
      if (checks.some(node => node.textContent.includes(title))) seen[name] ??= now();
    const all = [...document.querySelectorAll("button")].some(node => node.textContent.includes("Download JSON"));
    if (all) { seen.all ??= now(); clearInterval(timer); }
  }, 20);
}"""
"""The page looks at itself: asked from outside 20 times a second, it showed its words half a second later."""


def arrivals(page: Page, began: float | None = None) -> dict[str, float]:
    """Seconds until each part of the page was there, from the press on Explain, or from `began` on the wall's clock."""
    page.wait_for_function("() => window.seen.all", polling=250, timeout=120_000)
    seen: dict[str, float] = page.evaluate("() => window.seen")
    start = 1000 * began if began is not None else seen["began"]
    return {name: (at - start) / 1000 for name, at in seen.items() if name != "began"}


def imports() -> float:
    """Seconds that a Python takes to start and to import torch and transformers."""
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", "import torch, transformers.modeling_utils"], check=True)
    return time.monotonic() - began


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
    bare, began = imports(), time.time()
    with dashboard(HF_HUB_OFFLINE="1") as address, sync_playwright() as playwright:
        browser = chromium(playwright)
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.goto(address)
        page.evaluate(LOOK, [None, MARKS])
        first = f"first text, from the server's start ({bare:.1f} s of imports)"
        rows = {first: arrivals(page, began)}
        for text in TEXTS:
            settle(page)
            page.get_by_label("Text", exact=True).fill(text)
            page.evaluate(LOOK, [text, MARKS])
            page.get_by_role("button", name="Explain", exact=True).click()
            rows[text] = arrivals(page)
        edits = sorted(rows[text]["words"] for text in TEXTS)
        print(f"an edit to the words, median of {len(edits)}: {statistics.median(edits):.2f} s")
        for name, seen in rows.items():
            print(f"{name:62s} " + " · ".join(f"{mark} {seconds:.2f}" for mark, seconds in seen.items()))
        spent = sorted(cancelled(page, random.Random(i).uniform(0.5, 6)) for i in range(count))
        if spent:
            print(f"cancel, {count} times: median {spent[count // 2]:.2f} s, longest {spent[-1]:.2f} s")
        browser.close()


if __name__ == "__main__":
    main()
