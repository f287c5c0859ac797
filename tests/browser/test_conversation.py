"""A conversation on the Explain page, in a real browser, from the keyboard, with a tiny model."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote_plus

import pytest
from playwright.sync_api import Locator, Page, expect

from explain.engine import load
from tests.browser.harness import settle
from tests.browser.test_tasks import open_model
from tests.unit.test_conversation_page import told

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]


def read(page: Page, words: str) -> Locator:
    """Where it says that the model read these words; while the page is drawn anew, the old text stands there too."""
    return page.locator("[data-testid=stCode]", has_text=words)


def test_a_conversation_from_the_keyboard(page: Page, address: str, speaker_folder: Path) -> None:
    open_model(page, address, speaker_folder)
    form = page.get_by_role("radiogroup", name="Ask about").get_by_role("radio", name="Conversation")
    form.focus()
    page.keyboard.press("Enter")
    first = page.get_by_label("Message 1", exact=True)
    expect(first).to_be_visible()
    expect(page.get_by_label("Text", exact=True)).to_have_count(0)
    text, _ = told(load(str(speaker_folder)))
    first.focus()
    page.keyboard.press("Control+A")
    page.keyboard.type(text)
    page.keyboard.press("Tab")  # what was typed counts from now on; the only message cannot be removed
    expect(read(page, f"u:{text}")).to_have_count(1)
    settle(page)
    expect(page.locator(".wb-verdict h2")).to_contain_text("The most likely next token is")

    page.get_by_role("button", name="Add a message").focus()
    page.keyboard.press("Enter")
    second = page.get_by_label("Message 2", exact=True)
    expect(second).to_be_visible()
    expect(page.get_by_text("A message without words is left out.")).to_be_visible()
    second.focus()
    page.keyboard.type("The king")
    page.keyboard.press("Control+Enter")
    expect(read(page, "a:The king")).to_have_count(1)
    settle(page)
    words = page.locator(".words")
    expect(words.nth(0)).to_contain_text("Message 1, user")
    expect(words.nth(1)).to_contain_text("Message 2, assistant")
    assert text not in unquote_plus(page.url), "an address never holds a person's text"

    remove = page.get_by_role("button", name="Remove")
    remove.nth(1).focus()
    page.keyboard.press("Enter")
    expect(second).to_have_count(0)
    expect(read(page, "a:The king")).to_have_count(0)
    expect(first).to_have_value(text)

    page.get_by_role("button", name="Write on").click()
    at = page.get_by_text("the token that the model wrote behind it")
    expect(at).to_contain_text("1 of", timeout=60_000)
    page.get_by_role("button", name="Next token").click()
    expect(at).to_contain_text("2 of")
    settle(page)
    expect(page.get_by_label("Message 2", exact=True)).not_to_have_value("")
