"""A model of inference on the Explain page: labels of one's own, and the hypothesis as what is asked."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.harness import settle
from tests.tiny import inference_folder

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]
ASKED = re.compile(r"^This example is (urgent|not urgent|praise)\.$")


@pytest.mark.parametrize("width", [1440, 390])
def test_labels_are_asked_for_and_the_hypothesis_is_shown(page: Page, address: str, tmp_path: Path, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(f"{address}/?model={inference_folder(tmp_path)}")
    page.get_by_role("button", name="Explain", exact=True).click()
    expect(page.get_by_label("Your labels", exact=True)).to_have_value("urgent; not urgent; praise", timeout=120_000)
    settle(page)
    expect(page.locator(".words .asked")).to_have_text(ASKED)
    before = page.locator(".wb-verdict h2").inner_text()
    page.get_by_label("Your labels", exact=True).fill("good; bad")
    page.get_by_label("Your labels", exact=True).press("Enter")
    expect(page.locator(".wb-classes")).to_contain_text("good", timeout=60_000)
    settle(page)
    assert page.locator(".wb-verdict h2").inner_text() != before
    expect(page.locator(".wb-how")).to_contain_text("good; bad (one of them")
    assert "good" not in page.url
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
