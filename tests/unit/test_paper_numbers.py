"""The numbers that a person reads in a PDF or PNG, read back from it, are those of the record's JSON."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pypdf import PdfReader

from explain import camera, filing
from explain.audit.store import Store
from explain.engine import Model
from explain.records import Effects
from tests import examples
from tests.pictures import chromium, poppler, tesseract

TEXT = "A charming and witty story about people , but with a dull ending"
NUMBER = r"([+-]? ?\d+[.,]\d+)"
ROW = re.compile(
    rf"^\W*(\d+) +(\S+) +{NUMBER} *(?:± *\S+)? +(\d+) ?% +{NUMBER} *\((?:over |under )?(\d+[.,]\d) ?%\) +(\d+)$", re.M
)
"""Index, word, score, share, score and probability without it, rank."""


@pytest.fixture(scope="module")
def store(tiny: Model, tmp_path_factory: pytest.TempPathFactory) -> Store:
    made = Store(tmp_path_factory.mktemp("numbers") / "evidence")
    made.file(tiny.explain(TEXT, methods=["integrated_gradients", "occlusion"]), pictures=filing.pictures)
    return made


def plain(text: str) -> str:
    """With one kind of minus and one kind of space."""
    return re.sub(r"[ \u00a0]+", " ", re.sub(r"[−—–~]", "-", text))


def number(said: str) -> float:
    return float(said.replace(" ", "").replace(",", "."))


def known(store: Store) -> dict[str, Any]:
    """The explanation as the record's JSON has it."""
    found: dict[str, Any] = json.loads(store.content(store.read(1).header.id).to_json())["explanation"]
    return found


def wanted(explanation: dict[str, Any], index: int) -> list[tuple[int, str, float, float, float]]:
    """Rows of a table: index, word, score, value and probability without it, rounded as they are shown."""
    attribution, effects = explanation["attributions"][index], explanation["effects"]
    values, probs = effects["without"], effects["probs"]
    return [
        (unit, TEXT[a:b], round(score, 2), round(value, 2), round(100 * prob, 1))
        for unit, ((a, b), score, value, prob) in enumerate(
            zip(attribution["units"], attribution["scores"], values, probs, strict=True)
        )
    ]


def tables(text: str) -> list[list[tuple[int, str, float, float, float]]]:
    """The rows that stand in a text, a new table at each row 0."""
    found: list[list[tuple[int, str, float, float, float]]] = []
    for unit, word, score, _, value, prob, _ in ROW.findall(plain(text)):
        if unit == "0":
            found.append([])
        found[-1].append((int(unit), word, number(score), number(value), number(prob)))
    return found


@chromium
@pytest.mark.parametrize("reader", ["pypdf", pytest.param("poppler", marks=poppler)])
def test_the_text_layer_of_a_pdf_says_the_records_numbers(store: Store, tmp_path: Path, reader: str) -> None:
    path = tmp_path / "x.pdf"
    path.write_bytes(camera.pdf(filing.page(store, store.read(1).header.id)).data)
    if reader == "pypdf":
        said = "\n".join(page.extract_text() for page in PdfReader(path).pages)
    else:
        command = ["pdftotext", "-layout", str(path), "-"]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    explanation = known(store)
    assert tables(said) == [wanted(explanation, 0), wanted(explanation, 1)]
    lines = plain(said)
    for label, logit in zip(explanation["model"]["labels"], explanation["prediction"]["logits"], strict=True):
        (shown,) = re.findall(rf"^ *{label} +(-? ?\d+\.\d{{4}}) ", lines, re.M)
        assert number(shown) == round(logit, 4)
    for name, key in (("baseline", "value_baseline"), ("special tokens", "special"), ("this text", "value_input")):
        shown_values = [number(v) for v in re.findall(rf"^ *{name} +([+-]? ?\d+\.\d{{4}}) *$", lines, re.M)]
        assert shown_values == [round(a[key], 4) for a in explanation["attributions"] if a[key] is not None], name
    for ligature in "ﬀﬁﬂﬃﬄ":
        assert ligature not in said, "whoever searches for a word finds it"


@chromium
@tesseract
def test_a_picture_shows_the_records_numbers(tmp_path: Path) -> None:
    """Read by OCR, from the first table of the page."""
    found, rng = examples.explanation(TEXT), np.random.default_rng(1)
    attribution = found.attributions[0]
    count = len(attribution.scores)
    measured = Effects(
        *("mask", attribution.units, 2.5, 0.92, rng.normal(size=count).astype(np.float32)),
        rng.uniform(0.1, 0.9, count).astype(np.float32),
    )
    own = Store(tmp_path / "evidence")
    own.file(dataclasses.replace(found, effects=measured), pictures=filing.pictures)
    page = filing.page(own, own.read(1).header.id)
    first = re.sub(r"</table>.*</main>", "</table></main>", page, count=1, flags=re.S)
    (tmp_path / "x.png").write_bytes(camera.png(first).data)
    command = ["tesseract", str(tmp_path / "x.png"), "-", "--psm", "6"]
    alone = {**os.environ, "OMP_THREAD_LIMIT": "1"}
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300, env=alone).stdout
    (read,) = tables(said)
    expected = wanted(known(own), 0)
    assert [row[2:] for row in read] == [row[2:] for row in expected]
    words = sum(a[1] == b[1] for a, b in zip(read, expected, strict=True))
    assert words >= len(expected) - 2, "letters are read less surely than digits"
