"""The Attention page in a real browser: the grid by keyboard, the picture of a head, and BertViz in its frame."""

from __future__ import annotations

import re
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, get_args

import numpy as np
import pytest
from playwright.sync_api import Browser, Error, Frame, Page, Route, expect

from explain.dashboard import frames
from explain.render import bertviz
from tests.browser.harness import settle

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

HOSTILE = "</script><img src=x onerror=alert(1)>"
NOTE_ALERTS = "window.alert = () => { window.top === window ? window.ran = true : self.ran = true; }"
"""A sandboxed frame shows no dialog, so an alert leaves a mark there instead."""


@pytest.fixture
def attention(page: Page, address: str) -> Page:
    """The page with its first example, once all heads are measured."""
    page.add_init_script(NOTE_ALERTS)
    page.goto(f"{address}/attention")
    looked(page)
    return page


def looked(page: Page) -> None:
    """Wait until the page shows an answer and stands still."""
    page.wait_for_timeout(400)
    page.locator(".wb-how, [data-testid=stAlert]").first.wait_for(timeout=90_000)
    page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]', timeout=90_000)
    page.locator(".heads .cell, [data-testid=stAlert]").first.wait_for(timeout=30_000)
    page.wait_for_timeout(400)


def look(page: Page, text: str) -> None:
    """Type a text, press Look and wait."""
    page.get_by_label("Text", exact=True).fill(text)
    page.get_by_role("button", name="Look", exact=True).click()
    looked(page)


def open_bertviz(page: Page, view: str = "Head view") -> Frame:
    """Open the section, choose a view, and wait until it has drawn."""
    if not page.get_by_role("radio", name=view).count():
        page.locator("summary", has_text="BertViz").click()
    page.get_by_role("radio", name=view).wait_for(timeout=30_000)
    page.wait_for_timeout(300)
    page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]', timeout=60_000)
    choose(page, view)
    place = page.locator(f"iframe[title='BertViz {view.lower()}']")
    place.wait_for(timeout=60_000)
    page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]')
    element = place.element_handle()
    assert element is not None
    frame = element.content_frame()
    assert frame is not None
    frame.locator("svg line").first.wait_for(state="attached", timeout=60_000)
    return frame


def choose(page: Page, view: str) -> None:
    """Choose a view and see it chosen; a click that falls between two drawings of the control is lost, once."""
    radio = page.get_by_role("radio", name=view)
    radio.click(force=True)
    page.wait_for_timeout(2_000)
    if not radio.is_checked():
        radio.click(force=True)
    expect(radio).to_be_checked()


def nothing_ran(page: Page) -> None:
    """No script of a text ran, in the page or in a frame, and none of its elements exist."""
    for frame in page.frames:
        assert not frame.evaluate("Boolean(window.ran)")
        assert frame.locator("img[src=x], svg[onload]").count() == 0


def test_every_head_is_a_cell_and_the_open_one_a_picture(attention: Page) -> None:
    expect(attention.locator(".heads .cell")).to_have_count(72)
    chosen = attention.locator(".heads .cell[aria-selected=true]")
    expect(chosen).to_have_count(1)
    expect(attention.locator(".map canvas")).to_be_visible()
    painted = "c => new Set(c.getContext('2d').getImageData(0, 0, c.width, c.height).data).size"
    assert attention.locator(".map canvas").evaluate(painted) > 10, "more than one shade"
    named = chosen.get_attribute("aria-label") or ""
    assert attention.get_by_role("heading", name=named.split(":")[0]).is_visible()


def test_arrow_keys_and_enter_open_other_heads(attention: Page) -> None:
    start = attention.locator(".heads .cell").nth(0)
    start.click()
    looked(attention)
    attention.locator(".heads .cell[aria-selected=true]").focus()
    for key in ("ArrowDown", "ArrowDown", "ArrowRight", "Enter"):
        attention.keyboard.press(key)
    expect(attention.get_by_role("heading", name="Layer 2, head 1")).to_be_visible(timeout=30_000)
    looked(attention)
    chosen = attention.locator(".heads .cell[aria-selected=true]")
    expect(chosen).to_have_attribute("aria-label", re.compile("^Layer 2, head 1:"))
    expect(chosen).to_be_focused()
    assert "head=2%2C1" in attention.url
    attention.keyboard.press("ArrowRight")
    attention.keyboard.press("Enter")
    expect(attention.get_by_role("heading", name="Layer 2, head 2")).to_be_visible(timeout=30_000)
    attention.wait_for_url("**head=2%2C2**")
    attention.reload()
    looked(attention)
    expect(attention.get_by_role("heading", name="Layer 2, head 2")).to_be_visible()


@pytest.mark.parametrize("view", ["Head view", "Model view"])
def test_bertviz_draws_every_weight(attention: Page, view: str) -> None:
    assert attention.locator("iframe").count() == 0, "nothing before it is opened"
    frame = open_bertviz(attention, view)
    tokens = frame.evaluate("JSON.parse(document.getElementById('data').textContent).attention[0].left_text")
    heads = 12 if view == "Head view" else 72
    assert tokens[0] == "[CLS]"
    expect(frame.locator("svg line")).to_have_count(heads * len(tokens) ** 2, timeout=60_000)
    if view == "Head view":
        frame.locator("#layer").select_option("4")
        expect(frame.locator("svg line")).to_have_count(heads * len(tokens) ** 2, timeout=60_000)
        assert frame.locator("#left text").all_text_contents() == tokens
    else:
        frame.locator("svg rect[style*='opacity: 0']").nth(14).click()
        expect(frame.locator("svg text.detail")).to_have_text("Layer 1, Head 2", timeout=60_000)
    assert frame.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(255, 255, 255)"


def test_a_typed_script_is_text_in_all_views(attention: Page) -> None:
    look(attention, f"{HOSTILE} good film")
    expect(attention.get_by_text(HOSTILE).first).to_be_visible()
    nothing_ran(attention)
    for view in ("Head view", "Model view"):
        open_bertviz(attention, view)
        nothing_ran(attention)


@pytest.mark.parametrize("view", get_args(bertviz.View))
def test_a_script_as_one_token_is_text_in_the_frame(attention: Page, view: bertviz.View) -> None:
    """The bundled tokenizer takes markup apart; others have such tokens, so the frame is served one."""
    tokens = ["[CLS]", HOSTILE, "<svg onload=alert(1)>", "<!--<script>alert(1)</script>", "[SEP]"]
    document = bertviz.document(view, np.full((6, 12, 5, 5), 0.2, np.float32), tokens)
    attention.route("**/viz/*", lambda route: serve(route, document))
    frame = open_bertviz(attention, view.capitalize())
    if view == "model view":
        frame.locator("svg rect[style*='opacity: 0']").nth(0).click()
    shown = frame.locator("svg text").all_text_contents()
    assert set(tokens) <= set(shown)
    nothing_ran(attention)


@pytest.fixture
def elsewhere() -> Iterator[tuple[str, list[str]]]:
    """Another server, and the paths that anybody has asked it for."""
    asked: list[str] = []

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()


def test_the_frame_reaches_neither_page_nor_network(
    browser: Browser, address: str, elsewhere: tuple[str, list[str]]
) -> None:
    """What a script could try if one ever ran in the frame. Its failures fill the console, so this page is its own."""
    page = browser.new_context().new_page()
    page.goto(f"{address}/attention")
    looked(page)
    frame = open_bertviz(page)
    assert frame.evaluate("self.origin") == "null"
    for reach in (
        "parent.document",
        "top.document.title",
        "parent.localStorage",
        "localStorage",
        "document.cookie",
        "frameElement.src",
        "top.location = 'about:blank'",
    ):
        with pytest.raises(Error, match=r"SecurityError|frameElement|null"):
            frame.evaluate(reach)
    assert frame.evaluate("window.open('about:blank')") is None
    server, asked = elsewhere
    asking = "url => fetch(url, {mode: 'no-cors'}).then(() => 'loaded', () => 'refused')"
    assert page.evaluate(asking, f"{server}/ours") == "refused", "our page's own policy sends nothing elsewhere"
    blank = page.context.new_page()
    assert blank.evaluate(asking, f"{server}/page") == "loaded"
    assert asked == ["/page"], "the server does hear a page without a policy"
    attempts = """server => {
        const load = (tag, url) => new Promise(done => {
            const node = document.createElement(tag);
            node.onload = () => done('loaded');
            node.onerror = () => done('refused');
            node.src = url;
            document.head.append(node);
        });
        const get = url => fetch(url, {mode: 'no-cors'}).then(() => 'loaded', () => 'refused');
        return Promise.all([load('img', `${server}/image`), load('script', `${server}/script`), get(`${server}/get`),
            get('/_stcore/health')]);
    }"""
    assert frame.evaluate(attempts, server) == ["refused"] * 4
    frame.evaluate("server => { location = `${server}/leave` }", server)
    page.wait_for_timeout(1000)
    assert asked == ["/page"]
    page.context.close()


def test_long_texts_get_a_sentence(attention: Page) -> None:
    look(attention, "good film " * 70)
    attention.locator("summary", has_text="BertViz").click()
    expect(attention.get_by_text("up to 128 tokens, and this one has 142")).to_be_visible(timeout=30_000)
    assert attention.locator("iframe").count() == 0


def serve(route: Route, document: str) -> Any:
    """Answer with a document of ours under the headers of the dashboard."""
    route.fulfill(body=document, headers={**frames.HEADERS, "Content-Type": "text/html; charset=utf-8"})


def test_a_persons_text_goes_with_them_from_page_to_page(page: Page, address: str) -> None:
    text = "The plot is thin, but the actors are wonderful."
    page.goto(address)
    settle(page)
    page.get_by_label("Text", exact=True).fill(text)
    page.get_by_role("button", name="Explain", exact=True).click()
    page.locator(".words", has_text=text).wait_for(timeout=120_000)
    for name, there in (("Attention", ".map canvas"), ("Inside", ".wb-how"), ("Explain", ".words")):
        page.get_by_test_id("stSidebarNav").get_by_role("link", name=name).click()
        page.wait_for_selector(there, timeout=60_000)
        expect(page.get_by_label("Text", exact=True)).to_have_value(text)
        assert "wonderful" not in page.url
