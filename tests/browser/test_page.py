"""The Explain page as a person meets it, in a real browser, with the bundled model."""

from __future__ import annotations

import json
import struct
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

import explain
from explain.dashboard.examples import EXAMPLES, FIRST
from explain.dashboard.progress import SELDOM
from explain.engine import Model
from tests.browser.harness import settle

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]
"""All in one process, so that they share one server and one browser."""


def ask(page: Page, text: str) -> None:
    """Type a text, press Explain and wait for the answer."""
    before = shown_words(page)
    page.get_by_label("Text", exact=True).fill(text)
    page.get_by_role("button", name="Explain", exact=True).click()
    for _ in range(600):  # until then the old answer stands there
        if shown_words(page) not in ("", before) or page.locator("[data-testid=stAlert]").count():
            break
        page.wait_for_timeout(100)
    settle(page)


def shown_words(page: Page) -> str:
    """The text as the word view reproduces it."""
    return str(page.locator(".words").evaluate_all("nodes => nodes.map(n => n.textContent).join('\\n')"))


def test_first_screen_answers_without_a_click(page: Page, address: str) -> None:
    page.goto(address)
    settle(page)
    expect(page.locator(".wb-verdict h2")).to_contain_text("POSITIVE")
    assert shown_words(page) == EXAMPLES[FIRST]
    assert page.locator(".word").count() >= 10
    expect(page.locator(".wb-questions")).to_contain_text("Completeness")
    expect(page.locator(".wb-how")).to_contain_text("NOT FILED")
    assert page.locator(".js-plotly-plot").count() >= 1


def test_type_and_explain(page: Page, address: str) -> None:
    page.goto(address)
    settle(page)
    ask(page, "A dreadful, boring waste of time.")
    expect(page.locator(".wb-verdict h2")).to_contain_text("NEGATIVE")
    assert shown_words(page) == "A dreadful, boring waste of time."
    assert "dreadful" not in page.url, "a person's text must not be in the address"


def test_sentences_first(page: Page, address: str) -> None:
    page.goto(f"{address}/?granularity=hierarchical")
    settle(page)
    whole = "We came by bus."
    text = f"A dreadful, boring waste of time. {whole} The hall was full. It was a Tuesday."
    ask(page, text)
    assert shown_words(page) == text
    sentence = page.locator(".word.whole", has_text=whole)
    expect(sentence).to_have_css("border-bottom-style", "dashed")
    sentence.hover()
    expect(page.locator(".tip.shown")).to_contain_text(f"Sentence: {whole}")
    expect(page.locator(".word:not(.whole)", has_text="dreadful")).to_have_text("dreadful")
    expect(page.locator(".marks")).to_contain_text("a sentence that is scored as a whole")


def test_what_is_being_typed_survives_the_answer(page: Page, address: str) -> None:
    page.goto(address)
    field = page.get_by_label("Text", exact=True)
    field.fill("")
    field.press_sequentially("A slow and clumsy sequel.", delay=150)  # meanwhile the first answer comes
    settle(page)
    expect(field).to_have_value("A slow and clumsy sequel.")
    expect(page.locator(".wb-verdict h2")).to_contain_text("POSITIVE")  # still of the example: nobody pressed Explain


def test_click_selects_a_word_everywhere_and_keyboard_works(page: Page, address: str) -> None:
    page.goto(address)
    settle(page)
    word = page.locator(".word", has_text="stirring").first
    word.click()
    expect(word).to_have_attribute("aria-pressed", "true")
    expect(page.locator("tr.selected")).to_contain_text("stirring")
    settle(page)
    expect(page.locator("tr.selected")).to_contain_text("stirring")
    word.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.locator("tr.selected")).to_contain_text("funny")
    expect(page.locator(".tip.shown")).to_contain_text("rank")


def test_switch_method_and_reload_by_link(page: Page, address: str) -> None:
    page.goto(f"{address}/?example=Mixed&method=occlusion&p.replacement=remove")
    settle(page)
    assert shown_words(page) == EXAMPLES["Mixed"]
    expect(page.locator(".wb-how")).to_contain_text("occlusion")
    expect(page.locator(".wb-how")).to_contain_text("remove")
    page.locator("summary", has_text="Settings").click()
    page.get_by_role("radio", name="Gradient", exact=True).click()
    page.get_by_role("radio", name="Saliency").click(force=True)
    page.wait_for_timeout(600)
    settle(page)
    expect(page.locator(".wb-how")).to_contain_text("saliency")
    assert "method=saliency" in page.url
    before = shown_words(page)
    page.reload()
    settle(page)
    expect(page.locator(".wb-how")).to_contain_text("saliency")
    assert shown_words(page) == before


def test_settings_hold_when_they_are_closed(page: Page, address: str) -> None:
    page.goto(address)
    settle(page)
    summary, field = page.locator("summary", has_text="Settings"), page.get_by_role("textbox", name="Score as one")
    expect(field).to_have_count(0)
    summary.focus()
    page.keyboard.press("Enter")
    field.fill("stirring, funny")  # and no Enter: the button alone takes it
    page.get_by_role("button", name="Explain", exact=True).click()
    expect(page.locator(".word", has_text="stirring, funny")).to_have_count(1)
    settle(page)
    expect(field).to_have_count(0)
    assert shown_words(page) == EXAMPLES[FIRST]
    summary.focus()
    page.keyboard.press("Enter")
    expect(field).to_have_value("stirring, funny")
    settle(page)
    expect(page.locator(".word", has_text="stirring, funny")).to_have_count(1)


def test_who_waits_for_others_is_woken_and_need_not_ask(page: Page, address: str) -> None:
    asked: list[object] = []
    page.on("websocket", lambda socket: socket.on("framesent", lambda frame: asked.append(frame)))
    page.goto(address)
    settle(page)
    line = [f"A long and winding tale of {i} clumsy heroes, told far too slowly to be funny." for i in range(6)]
    client = explain.Client(f"{address}/api", model="sentiment")
    with ThreadPoolExecutor(len(line)) as others:
        answers = [others.submit(client.explain, text, orders=30) for text in line]
        page.wait_for_timeout(500)
        page.get_by_label("Text", exact=True).fill("A warm and clever film.")
        page.get_by_role("button", name="Explain", exact=True).click()
        page.wait_for_timeout(300)
        asked.clear()  # the click itself
        began = time.monotonic()
        expect(page.locator(".words")).to_have_text("A warm and clever film.", timeout=120_000)
        bars = (time.monotonic() - began) // SELDOM
        assert len(asked) <= bars, "its bar is drawn seldom while so many wait, so only the job can have woken the page"
        assert all(answer.result().tokens.texts for answer in answers)
    settle(page)


def test_cancel_stops_and_can_be_started_again(page: Page, address: str) -> None:
    page.goto(address)
    settle(page)
    page.get_by_text("Too long", exact=True).click()
    cancel = page.get_by_role("button", name="Cancel")
    cancel.click(timeout=20_000)
    page.get_by_text("Cancelled. Press Explain to start again.").wait_for(timeout=10_000)
    page.get_by_text("Clear", exact=True).click()
    settle(page)
    expect(page.locator(".wb-verdict h2")).to_contain_text("POSITIVE")


@pytest.mark.parametrize(
    "text",
    [
        "</script><img src=x onerror=alert(1)> good film",
        '"><svg onload=alert(1)> bad <b>film</b> <br> &amp;',
        "**bold** $x^2$ :red[x] `code` [a](javascript:alert(1)) good # film",
    ],
)
def test_markup_is_shown_literally(page: Page, address: str, text: str) -> None:
    page.goto(address)
    settle(page)
    ask(page, text)
    assert shown_words(page) == text
    assert page.locator("img[src=x], svg[onload]").count() == 0
    assert page.locator(".words b, .words strong, .words em, .katex").count() == 0


@pytest.mark.parametrize(
    "text", ["هذا الفيلم رائع good جدا", "👨‍👩‍👧 what a 你好世界 film 🇩🇪", "re\u202eversed go\u200bod"]
)
def test_any_script_is_reproduced(page: Page, address: str, text: str) -> None:
    page.goto(address)
    settle(page)
    ask(page, text)
    raw = "".join(f"U+{ord(c):04X}" if c in "\u202e\u200b" else c for c in text)
    assert shown_words(page) == raw
    if "\u202e" in text:
        expect(page.locator(".wb-notices")).to_contain_text("U+202E")
        assert "\u202e" not in page.locator(".words").first.inner_text()
    if text.startswith("ه"):
        assert page.locator(".words").first.evaluate("n => getComputedStyle(n).direction") == "rtl"


@pytest.mark.parametrize("text", ["   ", "\u200b\u200b"])
def test_nothing_to_read_gets_a_sentence(page: Page, address: str, text: str) -> None:
    page.goto(address)
    settle(page)
    ask(page, text)
    expect(page.locator("[data-testid=stAlert]").first).to_contain_text("Enter a sentence")
    assert page.locator(".word").count() == 0


def test_downloads(page: Page, address: str, sentiment: Model, tmp_path: Path) -> None:
    page.goto(address)
    settle(page)
    with page.expect_download() as found:
        page.get_by_role("button", name="Download JSON").click()
    text = Path(found.value.path()).read_text("utf-8")
    downloaded, ours = explain.read(text), sentiment.explain(EXAMPLES[FIRST], truncate=True)
    assert timeless(downloaded.to_json()) == timeless(ours.to_json())
    with page.expect_download() as found:
        page.get_by_role("button", name="Download CSV").click()
    assert Path(found.value.path()).read_text("utf-8-sig").startswith("segment,start,end,text,score")
    with page.expect_download() as found:
        page.get_by_role("button", name="Download picture").click()
    png = Path(found.value.path()).read_bytes()
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", png[16:24])
    assert width == 1920
    assert height > 200


def timeless(text: str) -> str:
    """JSON without the clock, in canonical order."""
    data = json.loads(text)
    for name in ("created", "seconds"):
        data["provenance"].pop(name)
    return json.dumps(data, sort_keys=True)


def test_narrow_screen_does_not_scroll_sideways(page: Page, address: str) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(address)
    settle(page)
    overflow = page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth - window.innerWidth")
    assert overflow <= 0


def test_no_number_of_the_waterfall_stands_on_a_name_on_a_phone(page: Page, address: str) -> None:
    """The baseline of `tales` is far below zero, so its bar goes left and its number stands left of it."""
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{address}/?model=tales")
    settle(page, 180_000)  # a second model has to be loaded first
    page.locator(".waterfalllayer .bartext").first.scroll_into_view_if_needed()
    numbers, names = (
        page.locator(".js-plotly-plot", has=page.locator(".waterfalllayer"))
        .locator(found)
        .evaluate_all("all => all.map(n => n.getBoundingClientRect()).map(r => [r.left, r.top, r.right, r.bottom])")
        for found in (".waterfalllayer .bartext", ".ytick text")
    )
    assert len(numbers) == len(names) > 3
    assert numbers[0][2] < 390 / 2, "the baseline's, left of its bar"
    touching = [(a, b) for a in numbers for b in names if a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]]
    assert touching == []
    assert min(left for left, *_ in names) >= 0, "and all names are on the screen"
