"""Which tests of pictures can run here: those that a browser draws, and those that are read back with other eyes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from explain import camera


def drawn_here() -> bool:
    """Whether there is a browser for `explain.camera`: this machine's, or the one that Playwright brings."""
    if camera.browser():
        return True
    with sync_playwright() as playwright:
        return Path(playwright.chromium.executable_path).is_file()


DRAWN = drawn_here()
chromium = pytest.mark.skipif(not DRAWN, reason="no Chromium here (make chromium)")
poppler = pytest.mark.skipif(shutil.which("pdftotext") is None, reason="no poppler here (Debian: poppler-utils)")
tesseract = pytest.mark.skipif(shutil.which("tesseract") is None, reason="no OCR here (Debian: tesseract-ocr)")
