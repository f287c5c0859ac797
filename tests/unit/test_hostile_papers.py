"""Pictures and PDFs of records that are made to break them: nothing cut off, nothing run together, nothing acting."""

from __future__ import annotations

import dataclasses
import html
import io
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from explain import camera, filing
from explain.audit.records import Decision, Purpose, Who
from explain.audit.store import Store
from explain.errors import InputError
from explain.records import Explanation
from explain.render.lines import fitting, wrapped
from explain.render.picture import WIDTH, picture
from tests import examples
from tests.hostile import PAPERS
from tests.pictures import chromium, poppler

LABELS = ("N" * 10_000, "<b>P</b>\u202e " + "very long name " * 700)


def labelled(found: Explanation) -> Explanation:
    """The same decision between two labels of 10,000 characters."""
    target = dataclasses.replace(found.target, name=LABELS[1])
    return dataclasses.replace(
        found,
        model=dataclasses.replace(found.model, labels=LABELS),
        target=target,
        prediction=dataclasses.replace(found.prediction, labels=LABELS),
        attributions=tuple(dataclasses.replace(a, target=target) for a in found.attributions),
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A record of each text, one of long labels, and one of long names; each with a review."""
    made = Store(tmp_path_factory.mktemp("papers") / "evidence")
    records = [
        *(made.file(examples.explanation(text), note=text, pictures=filing.pictures) for text in PAPERS.values()),
        made.file(labelled(examples.explanation()), pictures=filing.pictures),
        made.file(
            examples.explanation(),
            who=Who("W" * 200),
            purpose=Purpose("K" * 200, "u w " * 50),
            decision=Decision("L" * 200, 0.5, 0.5, "7" * 64, "S" * 200, "2026-03-01T09:30:00+01:00"),
            pictures=filing.pictures,
        ),
    ]
    for record in records:
        made.review(record.header.id, Who("R" * 200), agree=False, note="n" * 9_000)
    return made


def filings(store: Store) -> Iterator[filing.Filing]:
    for number in range(1, len(PAPERS) + 3):
        yield filing.filing(store, store.read(number).header.id)


@chromium
def test_no_text_runs_out_of_a_picture_or_over_the_line_below(store: Store) -> None:
    """As Chromium lays it out, with the fonts that are here."""
    drawn = [picture(f.content.explanation, *filing.footer(f)) for f in filings(store)]
    seen = 0

    def look(page: Any) -> bytes:
        nonlocal seen
        for number, svg in enumerate(page.locator("svg").all()):
            here = svg.bounding_box()
            lines = [(line.bounding_box(), line.text_content()) for line in svg.locator("text").all()]
            for box, said in lines:
                seen += 1
                assert box["x"] >= here["x"], (number, said)
                assert box["x"] + box["width"] <= here["x"] + WIDTH, (number, said, box)
                assert box["y"] + box["height"] <= here["y"] + here["height"] + 1, (number, said)
            names = [box for box, _ in lines if box["x"] < here["x"] + 200 < box["x"] + box["width"] < here["x"] + 215]
            assert all(one["x"] + one["width"] < here["x"] + 220 for one in names), "left of the bars"
        return b""

    camera._taken(f'<body style="margin:0">{"".join(drawn)}</body>', look)
    assert seen > 200


def test_lines_are_broken_by_width_and_nothing_is_lost() -> None:
    for text in (*PAPERS.values(), *LABELS, "K" * 300, "a " * 200):
        lines = wrapped(text, 60)
        kept = "".join("".join(lines).split())
        assert kept == "".join(re.sub(r"\s", "", fitting(text, 1e9))), text[:20]
        assert all(line == line.strip() for line in lines)
    assert wrapped("", 60) == [""]
    assert fitting("short", 14) == "short"
    assert fitting("W" * 28, 14) == "W" * 12 + "…"
    assert fitting("i" * 28, 14) == "i" * 28
    assert len(fitting("字" * 28, 14)) == 12
    assert fitting("a\u202eb", 14) == "a[U+202E]b"


@chromium
@poppler
def test_no_word_runs_out_of_a_page_or_over_another(store: Store, tmp_path: Path) -> None:
    """Latin texts only: where other scripts have no font here, the boxes that poppler guesses overlap."""
    path = tmp_path / "x.pdf"
    for number, found in enumerate(filings(store)):
        name = [*PAPERS, "labels", "names"][number]
        if name in ("Hebrew", "Arabic", "Chinese", "emoji", "marks"):
            continue
        path.write_bytes(camera.pdf(filing.page(store, found.content.id)).data)
        words = 0
        for width, height, boxes in _pages(path):
            words += len(boxes)
            for at, (left, top, right, bottom, word) in enumerate(boxes):
                assert left >= 0, (name, word)
                assert right <= width, (name, word)
                assert bottom <= height, (name, word)
                for left2, top2, right2, bottom2, other in boxes[at + 1 : at + 60]:
                    wide, high = min(right, right2) - max(left, left2), min(bottom, bottom2) - max(top, top2)
                    assert wide < 2 or high < 4, (name, word[:40], other[:40])
        assert words > 300, name


def _pages(path: Path) -> Iterator[tuple[float, float, list[tuple[float, float, float, float, str]]]]:
    """Width and height of each page, and its words with their boxes, in points."""
    said = subprocess.run(["pdftotext", "-bbox", str(path), "-"], capture_output=True, text=True, check=True).stdout
    number = r'="(-?[\d.]+)"'
    for page in said.split("<page ")[1:]:
        size = re.match(rf"width{number} height{number}", page)
        assert size is not None
        found = re.findall(rf"<word xMin{number} yMin{number} xMax{number} yMax{number}>(.*?)</word>", page)
        yield float(size[1]), float(size[2]), [(*map(float, box), html.unescape(word)) for *box, word in found]


@chromium
@poppler
def test_a_text_of_20_000_characters_is_on_the_pages_whole_and_is_no_picture(tmp_path: Path) -> None:
    text = " ".join(f"word{i}" for i in range(2_250))
    assert len(text) > 19_000
    store = Store(tmp_path / "evidence")
    page = filing.page(store, store.file(examples.explanation(text)).header.id)
    with pytest.raises(InputError, match=r"Write a \.pdf"):
        camera.png(page)
    (tmp_path / "x.pdf").write_bytes(camera.pdf(page).data)
    said = subprocess.run(
        ["pdftotext", str(tmp_path / "x.pdf"), "-"], capture_output=True, text=True, check=True
    ).stdout
    found = re.findall(r"word\d+", said)
    assert set(found) == set(text.split())
    assert len(found) == 2 * 2_250, "in the text, and in the table"


@chromium
@pytest.mark.parametrize(("pixels", "dots"), [(8_100, 2), (16_300, 1)])
def test_a_long_picture_is_whole_down_to_its_end(pixels: int, dots: int) -> None:
    """Chromium leaves parts of what is longer white, and says nothing."""
    stripes = "".join(
        f'<div style="height:100px;background:#{i % 16:x}{i // 16:x}8"></div>' for i in range(pixels // 100)
    )
    shot = camera.png(f'<!doctype html><body style="margin:0">{stripes}</body>')
    seen = Image.open(io.BytesIO(shot.data)).convert("RGB")
    assert seen.size == (960 * dots, pixels * dots)
    for i in range(pixels // 100):
        for x in (3, 480, 956):
            wanted = (17 * (i % 16), 17 * (i // 16), 0x88)
            assert seen.getpixel((x * dots, (100 * i + 50) * dots)) == wanted, i
