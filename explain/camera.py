"""Pictures of a report by a headless Chromium: PNG of the whole page, and a tagged PDF. Needs the extra [screenshot].

The page is handed over as text, scripts are off, and every request that it would make is refused, so that a picture
needs no network and no server. One browser gives the same bytes for the same page: the PDF's dates are set to the
record's. Each step has a time limit; a browser that hangs is ended with its process.
"""

from __future__ import annotations

import re
import shutil
import struct
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from explain import bundled
from explain.errors import ExplainError, InputError

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--font-render-hinting=none",
    "--force-color-profile=srgb",
)
SECONDS = 30
"""Longest time for one step of the browser."""
VIEWPORT = {"width": 960, "height": 1200}
DOTS = 2
"""Dots of a picture for one pixel of the page."""
TALLEST = 16_384
"""Most dots of a picture from top to bottom: what Chromium draws whole (its largest texture)."""
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_DATES = re.compile(rb"/(CreationDate|ModDate) \(D:[^)]*\)")


@dataclass(frozen=True)
class Shot:
    """A picture, and the browser that took it with what decides how it looks."""

    data: bytes
    browser: str


def browser() -> str | None:
    """Where this machine's Chromium or Chrome is; None where there is none, and Playwright's own is tried."""
    return next((path for name in _BROWSERS if (path := shutil.which(name))), None)


def png(document: str) -> Shot:
    """The whole page as PNG, two dots a pixel (one where it is long); the page's title stands in it, as in a PDF.

    Raises:
        InputError: the page is too long for one picture, which Chromium would leave white in places without a word.
    """

    def take(page: Any) -> bytes:
        height = (page.locator("html").bounding_box() or {"height": 0})["height"]
        if height > TALLEST:
            raise InputError(
                f"The page is {height:,.0f} pixels long, and one picture holds {TALLEST:,}. Write a .pdf, which "
                "has pages.",
                code="too_long",
            )
        scale = "device" if height * DOTS <= TALLEST else "css"
        whole: bytes = page.screenshot(full_page=True, animations="disabled", scale=scale, timeout=SECONDS * 1000)
        return whole

    shot = _taken(document, take)
    title = re.search(r"<title>([ -;=?-~]{1,79})</title>", document)
    return Shot(_titled(shot.data, title[1].encode()), shot.browser) if title is not None else shot


def _titled(data: bytes, title: bytes) -> bytes:
    """A PNG with a tEXt chunk behind its header, which is always 33 bytes long (PNG specification, 11.3.4.3)."""
    chunk = b"tEXtTitle\0" + title
    return data[:33] + struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) + data[33:]


def pdf(document: str, at: str = "1970-01-01T00:00:00") -> Shot:
    """The page as tagged PDF with an outline, on A4; `at` (ISO 8601) stands in it as its date."""
    shot = _taken(
        document,
        lambda page: page.pdf(format="A4", print_background=True, tagged=True, outline=True, prefer_css_page_size=True),
    )
    date = re.sub(r"\D", "", at)[:14].ljust(14, "0").encode()

    def dated(found: re.Match[bytes]) -> bytes:
        start = b"/" + found[1] + b" (D:" + date
        return start + b"Z".ljust(len(found[0]) - len(start) - 1) + b")"  # as long as before: offsets stay right

    return Shot(_DATES.sub(dated, shot.data), shot.browser)


def _taken(document: str, take: Callable[[Any], bytes]) -> Shot:
    """Open the document and take a picture, in a thread of its own: callers may have an event loop."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(_take, document, take).result()


def _take(document: str, take: Callable[[Any], bytes]) -> Shot:
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        raise InputError(
            f"Pictures need the package playwright. Run `{bundled.installing('screenshot')}`.", code="missing_package"
        ) from None
    try:
        with sync_playwright() as playwright:
            opened = playwright.chromium.launch(executable_path=browser(), args=list(FLAGS), timeout=SECONDS * 1000)
            try:
                context = opened.new_context(
                    viewport=VIEWPORT,  # type: ignore[arg-type]
                    device_scale_factor=DOTS,
                    java_script_enabled=False,
                    reduced_motion="reduce",
                    color_scheme="light",
                    locale="en-GB",
                    timezone_id="UTC",
                    offline=True,
                )
                context.set_default_timeout(SECONDS * 1000)
                page = context.new_page()
                page.set_content(document, wait_until="load")
                return Shot(take(page), f"Chromium {opened.version}")
            finally:
                opened.close()
    except Error as error:
        said = str(error).splitlines()[0][:160]
        raise ExplainError(
            f"The browser took no picture: {said}. `apt install chromium` brings one.", code="browser"
        ) from None
