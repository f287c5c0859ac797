"""How long the Attention page and BertViz's views take in a browser, and what they send.

    python -m tests.benchmarks.attention_page

Prints a line a measurement. `draws` is from the frame's first byte to its last line, in the browser alone; `opens` is
what a person waits after choosing the view, with the pass through the model and the document made.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Error, Frame, Page, WebSocket, sync_playwright

from tests.browser.harness import chromium, dashboard
from tests.tiny import bert_folder

FRAMES = [("Head view", 32), ("Head view", 128), ("Model view", 32), ("Model view", 48)]
LAYERS, HEADS = 6, 12


def ready(page: Page) -> None:
    """Wait until the grid and the picture of a head are there and nothing runs."""
    page.locator(".map canvas").wait_for(timeout=300_000)
    page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]', timeout=300_000)


def warm(page: Page, address: str) -> None:
    """Have the model loaded, and its average outputs known; closes the page."""
    page.goto(f"{address}/attention")
    ready(page)
    page.close()


def frame(page: Page, view: str, count: int) -> str:
    """Open a view of a text of `count` tokens."""
    page.get_by_label("Text", exact=True).fill("film " * (count - 2))
    page.get_by_role("button", name="Look", exact=True).click()
    page.wait_for_timeout(1000)
    ready(page)
    page.locator("summary", has_text="BertViz").click()
    page.get_by_role("radio", name="Head view").wait_for()
    begin = time.perf_counter()
    if view != "Head view":
        page.get_by_role("radio", name=view).click(force=True)
    place = page.locator(f"iframe[title='BertViz {view.lower()}']")
    place.wait_for(timeout=120_000)
    page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]', timeout=120_000)
    found = place.element_handle().content_frame()
    lines = (HEADS if view == "Head view" else LAYERS * HEADS) * count**2
    while _drawn(found) < lines:
        page.wait_for_timeout(50)
    found.evaluate("new Promise(done => requestAnimationFrame(() => setTimeout(done)))")  # painted, not only made
    opens = time.perf_counter() - begin
    draws = found.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd") / 1000
    sent = found.evaluate("performance.getEntriesByType('navigation')[0].decodedBodySize")
    return f"{view}, {count} tokens: opens {opens:.1f} s, draws {draws:.1f} s, {lines:,} lines, {sent / 1e6:.2f} MB"


def _drawn(frame: Frame) -> int:
    """Lines that are there; none while the frame turns to the document of another view."""
    with contextlib.suppress(Error):
        return int(frame.evaluate("document.querySelectorAll('svg line').length"))
    return 0


def first_visit(page: Page, address: str) -> str:
    """The page at 512 tokens, from navigation on, with what the server sends over its socket."""
    received: list[int] = []

    def watch(socket: WebSocket) -> None:
        socket.on("framereceived", lambda data: received.append(len(data)))

    page.on("websocket", watch)
    begin = time.perf_counter()
    page.goto(f"{address}/attention?example=Too+long")
    page.locator(".heads .cell").first.wait_for(timeout=300_000)
    grid = time.perf_counter() - begin
    ready(page)
    whole, sent = time.perf_counter() - begin, sum(received)
    paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime") / 1000
    return (
        f"512 tokens: first paint {paint:.1f} s, grid {grid:.1f} s, interactive {whole:.1f} s, {sent / 1e6:.2f} MB; "
        f"another head {another(page, 40):.1f} s"
    )


def another(page: Page, cell: int) -> float:
    """Seconds from a click on another head, the grid's cell number `cell`, until its map is drawn and nothing runs."""
    begin = time.perf_counter()
    page.locator(".heads .cell").nth(cell).click()
    page.get_by_role("heading", name=f"Layer {cell // HEADS}, head {cell % HEADS}").wait_for(timeout=300_000)
    ready(page)
    return time.perf_counter() - begin


def large(folder: Path, longest: int) -> Path:
    """A random BERT of 12 layers with 12 heads that reads `longest` tokens; narrow: the page is measured, not it."""
    found = bert_folder(
        folder, spread=0.05, hidden_size=192, num_hidden_layers=12, num_attention_heads=HEADS, intermediate_size=768,
        max_position_embeddings=longest,
    )  # fmt: skip
    file = found / "tokenizer_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text("utf-8")), "model_max_length": longest}), "utf-8")
    return found


def long_texts(page: Page, address: str) -> str:
    """A large model over 512 tokens, from navigation on, and one head of 2,048."""
    page.goto(f"{address}/attention")
    ready(page)  # the model is loaded
    found = []
    for count in (511, 512, 2048):  # the first is read by a model that has seen no long text yet
        page.get_by_label("Text", exact=True).fill("film " * (count - 2))
        begin = time.perf_counter()
        page.get_by_role("button", name="Look", exact=True).click()
        page.wait_for_timeout(1000)
        ready(page)
        whole = time.perf_counter() - begin
        found.append(f"{count:,} tokens: all heads {whole:.1f} s, another {another(page, 13 + count % 100):.1f} s")
    return f"12 layers x 12 heads, 192 wide: {'; '.join(found)}"


def main() -> None:
    """Measure everything once."""
    with tempfile.TemporaryDirectory() as folder:
        for longest in (512, 2048):
            options = {"HF_HUB_OFFLINE": "1", "EXPLAIN_MODEL": str(large(Path(folder) / str(longest), longest))}
            with dashboard(**options) as address, sync_playwright() as playwright:
                browser = chromium(playwright)
                if longest == 512:
                    warm(browser.new_page(), address)
                    print(f"12 layers x 12 heads, {first_visit(browser.new_page(), address)}", flush=True)
                else:
                    print(long_texts(browser.new_page(), address), flush=True)
                browser.close()
    with dashboard(HF_HUB_OFFLINE="1", OMP_NUM_THREADS="1") as address, sync_playwright() as playwright:
        browser = chromium(playwright)
        warm(browser.new_page(), address)
        for view, count in FRAMES:
            page = browser.new_page()
            page.goto(f"{address}/attention")
            ready(page)
            print(frame(page, view, count), flush=True)
            page.close()
        print(first_visit(browser.new_page(), address), flush=True)
        browser.close()


if __name__ == "__main__":
    main()
