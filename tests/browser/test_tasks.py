"""The Explain page of models that are no classifiers, in a real browser, with tiny models."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import quote, unquote

import pytest
from playwright.sync_api import Page, expect

from tests.browser.harness import STILL, settle

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]


def open_model(page: Page, address: str, folder: Path) -> None:
    """The page with a model of one's own, which a link alone does not load."""
    page.goto(f"{address}/?model={quote(str(folder))}")
    page.get_by_role("button", name="Explain", exact=True).click()
    page.locator(".wb-verdict h2").wait_for(timeout=120_000)  # the model has to be loaded first
    settle(page)


def test_words_with_tags(page: Page, address: str, tagger_folder: Path) -> None:
    open_model(page, address, tagger_folder)
    text = page.get_by_label("Text", exact=True).input_value()
    assert text.startswith("Angela Merkel met"), "an example for this kind of model"
    view = page.locator(".wb-tagged")
    bare = view.evaluate("n => { n = n.cloneNode(true); n.querySelectorAll('small').forEach(s => s.remove()); "
                         "return n.textContent }")  # fmt: skip
    assert bare == text
    assert "%" in (view.locator("mark").first.get_attribute("title") or "")
    expect(page.locator(".wb-kinds")).to_contain_text("×")
    asked, verdict = view.locator(".wb-tag-asked"), page.locator(".wb-verdict h2")
    first = asked.text_content() or ""
    expect(verdict).to_contain_text(f"The model tags “{first}” as ")

    entities = page.get_by_role("radiogroup", name="Explain the tag of").get_by_role("radio")
    assert entities.count() >= 2
    entities.nth(1).focus()
    page.keyboard.press("Enter")
    expect(asked).not_to_have_text(first)
    settle(page)
    second = asked.text_content() or ""
    expect(verdict).to_contain_text(f"The model tags “{second}” as ")
    assert first not in page.url
    assert second not in page.url, "an address never holds a person's text"


def test_what_may_stand_at_a_mask(page: Page, address: str, filler_folder: Path) -> None:
    open_model(page, address, filler_folder)
    assert "[MASK]" in page.get_by_label("Text", exact=True).input_value()
    expect(page.locator(".wb-verdict h2")).to_contain_text("The most likely token at the mask is")
    expect(page.locator(".asked")).to_have_text("[MASK]")
    candidates = page.get_by_role("radiogroup", name="Candidates").get_by_role("radio")
    assert candidates.count() == 16
    second = (candidates.nth(1).text_content() or "").split(" · ")[0]
    candidates.nth(1).click()
    # while it is computed, the last answer's strip may stand below the new one's
    expect(page.locator(".wb-how").first).to_contain_text(f"log-odds of {second}, at token")


def test_an_answer_in_its_context(page: Page, address: str, answerer_folder: Path) -> None:
    open_model(page, address, answerer_folder)
    assert page.get_by_label("Question", exact=True).input_value() == "Where does the river end?"
    context = page.get_by_label("Context", exact=True).input_value()
    view, verdict = page.locator(".wb-tagged"), page.locator(".wb-verdict h2")
    bare = view.evaluate("n => { n = n.cloneNode(true); n.querySelectorAll('small').forEach(s => s.remove()); "
                         "return n.textContent }")  # fmt: skip
    assert bare == context
    answer = view.locator(".wb-tag-asked").text_content() or ""
    expect(verdict).to_contain_text(f"The model answers “{answer}”")
    tracks = page.locator(".wb-track").evaluate_all("all => all.map(n => n.getBoundingClientRect())")
    assert len(tracks) > 4
    assert len({(box["left"], box["width"]) for box in tracks}) == 1, "bars that can be compared"
    words = page.locator(".words")
    expect(words.nth(0)).to_contain_text("Question")
    expect(words.nth(1)).to_contain_text("Context")

    others = page.get_by_role("radiogroup", name="Answers").get_by_role("radio")
    second = (others.nth(1).text_content() or "").split(" · ")[0]
    others.nth(1).click()
    expect(page.locator(".wb-how").first).to_contain_text(f"log-odds of “{second}”, at token")
    settle(page)
    expect(view.locator(".wb-tag-asked")).to_have_text(second)
    expect(verdict).to_contain_text(f"The model answers “{answer}”")


def test_stepping_through_what_was_written(page: Page, address: str) -> None:
    open_model(page, address, Path("tales"))  # a model with random weights writes what no text is read as
    text, at = page.get_by_label("Text", exact=True), page.get_by_text("the token that the model wrote behind it")
    begin = text.input_value()
    page.get_by_role("button", name="Write on").click()
    expect(at).to_contain_text("1 of", timeout=60_000)
    tokens = page.get_by_role("radiogroup", name="Tokens that the model would write").get_by_role("radio")
    expect(tokens.first).to_be_checked()
    expect(page.get_by_role("button", name="Previous token")).to_be_disabled()

    page.keyboard.press("n")
    expect(at).to_contain_text("2 of")
    settle(page)
    second = text.input_value()
    assert second.startswith(begin)
    assert len(second) > len(begin)
    expect(tokens.nth(1)).to_be_checked()
    page.keyboard.press("p")
    expect(at).to_contain_text("1 of")
    settle(page)
    expect(text).to_have_value(begin)
    page.get_by_role("button", name="Next token").click()
    expect(at).to_contain_text("2 of")
    settle(page)
    expect(text).to_have_value(second)


def test_what_is_written_about_a_text(page: Page, address: str, scribe_folder: Path) -> None:
    open_model(page, address, scribe_folder)
    assert page.get_by_label("Text", exact=True).input_value().startswith("translate English to German: ")
    expect(page.locator(".wb-verdict h2")).to_contain_text("The most likely next token is")
    tokens = page.get_by_role("radiogroup", name="Tokens that the model would write").get_by_role("radio")
    expect(tokens.nth(2)).to_be_visible(timeout=60_000)
    third = (tokens.nth(2).text_content() or "").partition(" (")[0]  # equal tokens have a number
    tokens.nth(2).click()
    expect(page.locator(".wb-how").first).to_contain_text(f"log-odds of {third}", timeout=60_000)
    settle(page)
    words = page.locator(".words")
    expect(words.nth(0)).to_contain_text("Text")
    expect(words.nth(1)).to_contain_text("Written so far")
    said = unquote(page.url)
    assert "English" not in said, "an address never holds a text, only an example's name"
    assert "house" not in said
    page.get_by_role("button", name="Align", exact=True).click()
    expect(page.locator(".js-plotly-plot .heatmaplayer").first).to_be_visible(timeout=60_000)
    expect(page.get_by_text("in what was written before; for")).to_be_visible()


def test_where_a_decoder_looks(page: Page, address: str, scribe_folder: Path) -> None:
    page.goto(f"{address}/attention?model={quote(str(scribe_folder))}&kind=cross")
    page.get_by_role("button", name="Look", exact=True).click()
    picture, heading = page.locator(".map canvas"), page.get_by_role("heading", name="Every head at a glance")
    picture.wait_for(timeout=120_000)  # the model has to be loaded first
    page.wait_for_selector(STILL)
    page.get_by_label("Text", exact=True).fill("the film was charmingly slow, and the actor was never boring.")
    page.get_by_label("Written so far", exact=True).fill("a moving story")
    page.get_by_role("button", name="Look", exact=True).click()
    expect(picture).to_have_attribute("aria-label", re.compile("^Cross-attention: layer \\d, head \\d: 3 by 1[0-9] "))
    page.wait_for_selector(STILL)
    box = picture.bounding_box()
    assert box is not None
    assert box["height"] < box["width"] / 2, "three rows of many columns"
    picture.focus()
    for _ in range(30):
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowRight")
    expect(page.locator(".map .read")).to_have_text(re.compile("^story looks at \\.: "))
    page.keyboard.press("Enter")
    expect(page.get_by_text("“story” asks, “.” answers")).to_be_attached()
    page.get_by_role("radio", name="Encoder").click(force=True)
    expect(picture).to_have_attribute("aria-label", re.compile("^Encoder: layer \\d, head \\d: (\\d+) by \\1 "))
    expect(heading).to_be_visible()
    assert "kind=encoder" in page.url
