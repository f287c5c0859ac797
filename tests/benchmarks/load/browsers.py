"""How long eight browsers wait that explain and export at once, and is each answer its own (L8)?

    python -m tests.benchmarks.load.browsers [--pages 8] [--texts 5]

The model is Fixture T. S is the median of serial explanations over REST by the same server, before the pages come. All
pages are opened at once, and explain at once when the last one shows its first answer. From
the click on Explain to the result is until the page shows this text's words and stands still with everything about it;
then its JSON is downloaded, which must be about the text that was typed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Page, async_playwright

from explain import Client, camera
from explain.camera import FLAGS
from tests.benchmarks.load import world as at
from tests.benchmarks.load.__main__ import show
from tests.benchmarks.load.runs import Row
from tests.browser.conftest import IGNORED
from tests.browser.harness import dashboard
from tests.tiny import bert_folder

PATIENCE = 600
"""Seconds until a page is given up."""
LOOK = 250
"""Milliseconds between a page's looks at itself: asked from outside, eight pages would take a third of the machine."""
SETTLED = """text => {
  const shown = where => document.querySelectorAll(where).length;
  const still = shown('[data-testid="stApp"][data-test-script-state="notRunning"]') === 1;
  if (!still || shown(".wb-how") !== 1 || shown("[data-testid=stProgress]")) return false;
  const hosts = [...document.querySelectorAll("*")].filter(node => node.shadowRoot);
  const words = hosts.flatMap(host => [...host.shadowRoot.querySelectorAll(".words")]).map(node => node.textContent);
  return words.length > 0 && (text === null || words.join("\\n") === text);
}"""
"""Does the page stand still with everything about this text (null: about any)?"""


@dataclass
class Seen:
    """What all pages met: seconds until all are open, then from click to result, exports of another text, errors."""

    opening: float = math.nan
    seconds: list[float] = field(default_factory=list)
    exported: int = 0
    wrong: int = 0
    errors: list[str] = field(default_factory=list)


def alone(address: str, count: int = 9) -> float:
    """S: median seconds of one explanation."""
    client, spent = Client(f"{address}/api", model="T"), []
    for number in range(count + 1):
        began = time.monotonic()
        client.explain(at.text(10_000 + number), truncate=True)
        spent.append(time.monotonic() - began)
    return statistics.median(spent[1:])  # the first one waited for the model


async def opened(browser: Browser, address: str, seen: Seen) -> Page:
    """A page that shows its first answer."""
    context = await browser.new_context(viewport={"width": 1440, "height": 1000}, accept_downloads=True)
    page = await context.new_page()
    page.on("console", lambda said: _heard(said, seen))
    page.on("pageerror", lambda error: seen.errors.append(str(error)))
    await page.goto(address, timeout=1_000 * PATIENCE)
    await _settled(page, None)
    return page


async def one(page: Page, texts: list[str], seen: Seen) -> None:
    """One page: type, explain, export, again and again."""
    try:
        for text in texts:
            await page.get_by_label("Text", exact=True).fill(text)
            began = time.monotonic()
            await page.get_by_role("button", name="Explain", exact=True).click()
            await _settled(page, text)
            seen.seconds.append(time.monotonic() - began)
            async with page.expect_download(timeout=60_000) as download:
                await page.get_by_role("button", name="Download JSON").click()
            file = json.loads(Path(await (await download.value).path()).read_text("utf-8"))
            seen.exported += 1
            seen.wrong += file["tokens"]["texts"] != [text]
    except Exception as error:  # the others go on; this one is missing from the count
        seen.errors.append(f"given up: {type(error).__name__} {str(error)[:200]}")


async def _settled(page: Page, text: str | None) -> None:
    """Wait until the page shows all about `text` (None: about any)."""
    await page.wait_for_function(SETTLED, arg=text, polling=LOOK, timeout=1_000 * PATIENCE)


def _heard(said: Any, seen: Seen) -> None:
    if said.type == "error" and not any(part in str(said.location.get("url", "")) for part in IGNORED):
        seen.errors.append(said.text)


async def together(address: str, pages: int, texts: int) -> Seen:
    """All pages at once, in one Chromium: first all open, then all explain."""
    seen = Seen()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=camera.browser(), args=list(FLAGS))
        every = [[at.text(100 * i + j) for j in range(texts)] for i in range(pages)]
        began = time.monotonic()
        found = await asyncio.gather(*(opened(browser, address, seen) for _ in every))
        seen.opening = time.monotonic() - began
        await asyncio.gather(*(one(page, mine, seen) for page, mine in zip(found, every, strict=True)))
        await browser.close()
    return seen


def run(address: str, pages: int, texts: int) -> Row:
    """L8."""
    service = alone(address)
    seen = asyncio.run(together(address, pages, texts))
    p95, bound, asked = at.quantile(seen.seconds, 0.95), 10 * service + 3, pages * texts
    for error in sorted(set(seen.errors)):
        print(f"  {error}")
    said = (
        f"{pages} pages: {len(seen.seconds)} of {asked} explained, {seen.exported} exported, {seen.wrong} of another "
        f"text, {len(seen.errors)} errors; all open after {seen.opening:.1f} s; "
        f"S {service:.2f} s, p95 {p95:.2f} s, allowed {bound:.2f} s"
    )
    kept = seen.exported == asked and not seen.wrong and not seen.errors and p95 <= bound
    return Row("L8 browsers", "0 console errors; p95 click to result ≤ 10 × S + 3 s", said, kept)


def main() -> None:
    """Print the row; exit with 1 if the promise was missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=int, default=8)
    parser.add_argument("--texts", type=int, default=5)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = bert_folder(Path(folder) / "T", spread=0.05, **at.FIXTURE_T)
        limits = {"EXPLAIN_CACHE_SECONDS": "0", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
        place = {"EXPLAIN_MODEL": str(model), "EXPLAIN_MODELS_ROOT": folder}
        with dashboard(**place, **limits) as address:
            row = run(address, chosen.pages, chosen.texts)
    show([row])
    raise SystemExit(not row.kept)


if __name__ == "__main__":
    main()
