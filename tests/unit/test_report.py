"""Reports: every number can be read back and is the record's; nothing is loaded; pictures are the same twice."""

from __future__ import annotations

import dataclasses
import hashlib
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from explain import camera, filing
from explain.audit.building import LIMITS
from explain.audit.records import Decision, Purpose, Who
from explain.audit.store import Store
from explain.engine import Model
from explain.records import Explanation
from explain.render import html, palette, sentences
from explain.render.picture import picture
from explain.render.report import Said, report
from tests.hostile import PAYLOADS
from tests.pictures import chromium

TEXT = "A charming <b>witty</b> story, but a dull\u200b ending."


@pytest.fixture(scope="module")
def found(tiny: Model) -> Explanation:
    return tiny.explain(TEXT, methods=["integrated_gradients", "occlusion"])


@pytest.fixture(scope="module")
def store(found: Explanation, tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store(tmp_path_factory.mktemp("reports") / "evidence")
    decision = Decision("POSITIVE", 0.9, 0.5, "7" * 64, "old system", "2026-03-01T09:30:00+01:00")
    purpose = Purpose("case 4711", "triage")
    store.file(found, who=Who("ada"), purpose=purpose, decision=decision, note="a note", pictures=filing.pictures)
    store.review(store.read(1).header.id, Who("bob"), agree=False, sign_off=True, note="I see it otherwise")
    return store


TAGS = {
    *re.findall(
        r"\w+",
        "html head meta title style body header b span p main h1 h2 h4 div ul li i em bdi sup code "
        "table thead tbody tr th td data dl dt dd footer br",
    )
}
"""All that a report is made of."""


class Numbers(HTMLParser):
    """The exact numbers of each table, row by row, and everything that would be fetched or run."""

    def __init__(self) -> None:
        super().__init__()
        self.tables: dict[str, list[list[float]]] = {}
        self.table = ""
        self.foreign: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.add(tag)
        self.foreign += [str(v) for k, v in attrs if k in ("src", "href", "action", "srcset") or k.startswith("on")]
        if tag == "table":
            self.table = str(given.get("id", ""))
            self.tables[self.table] = []
        elif tag == "tr":
            self.tables[self.table].append([])
        elif tag == "data":
            self.tables[self.table][-1].append(float(str(given["value"])))


def read_back(document: str) -> Numbers:
    numbers = Numbers()
    numbers.feed(document)
    return numbers


def test_every_number_is_read_back_exactly(found: Explanation, store: Store) -> None:
    filed = store.open(store.read(1).header.id, filing.REPORT).decode()
    for document in (report(found), filing.page(store, store.read(1).header.id), filed):
        tables = read_back(document).tables
        for index, attribution in enumerate(found.attributions):
            rows = [row for row in tables[f"attribution-{index}"] if row]
            assert [row[0] for row in rows] == list(range(len(attribution.scores)))
            assert np.array_equal(np.array([row[1] for row in rows], dtype=np.float32), attribution.scores)
            steps = [row[0] for row in tables[f"sum-{index}"] if row]
            assert attribution.value_input in steps
            assert attribution.special in steps
        without = [row[2] for row in tables["attribution-0"] if row]
        assert np.array_equal(np.array(without, dtype=np.float32), found.effects.without)  # type: ignore[union-attr]
        logits = [row[0] for row in tables["prediction"] if row]
        assert np.array_equal(np.array(logits, dtype=np.float32), found.prediction.logits)


def test_a_report_says_what_an_auditor_asks(found: Explanation, store: Store) -> None:
    entry = store.read(1)
    shown = filing.page(store, entry.header.id)
    model = found.model
    wanted = [
        *(entry.header.id, entry.digest, entry.header.files[0].commitment, store.fingerprint),
        *(model.revision, model.weights_sha256, model.tokenizer_sha256, found.provenance.versions["torch"]),
        *("integrated gradients", "case 4711", "triage", "ada", "a note", "old system", "differs by"),
        *("7" * 64, "2026-03-01T09:30:00+01:00"),
        *("bob: disagrees, signed off. I see it otherwise", "FILED as record 1", "explain verify"),
        *("Holds the fields", "They do not say that the decision is right or fair"),
    ]
    for words in wanted:
        assert str(words) in shown, words
    assert "compliant" not in shown.lower()
    assert "NOT FILED" in report(found)
    assert "FILED as record" not in report(found)


def test_every_verdict_is_on_the_report(found: Explanation) -> None:
    document = report(found)
    assert {c.attribution for c in found.checks} == {0, 1}
    for check in found.checks:
        assert html.text(check.sentence) in document, check.name
    assert "match the model? (occlusion)" in document


def test_the_picture_bears_verdicts_limits_and_digests_whole(found: Explanation, store: Store) -> None:
    filed = filing.filing(store, store.read(1).header.id)
    long = dataclasses.replace(
        filed, purpose=Purpose("K" * 200, "u" * 200), said=(Said("review", "R" * 200, "", "agrees. " + "n" * 9000),)
    )
    drawn = picture(found, *filing.footer(long))
    lines = [e.text or "" for e in ElementTree.fromstring(drawn).iter() if e.tag.endswith("text")]
    shown, joined = " ".join(lines), "".join(lines)
    for words in (*LIMITS, found.model.weights_sha256, found.model.tokenizer_sha256, filed.commitment):
        assert words in shown or words.replace(" ", "") in joined.replace(" ", ""), words
    for title, status, _ in sentences.questions(found):
        assert f"{title} {palette.STATUS_WORD[status]}" in shown
    assert joined.count("K") >= 200
    assert joined.count("R") >= 200
    assert "use: " in shown
    assert "filed by: ada" in shown
    assert "nnn…" in joined, "the beginning of a long note"
    assert "…" in picture(tiny_word(found)), "a word that is cut says so"


def tiny_word(found: Explanation) -> Explanation:
    """The same with the first word so long that it is cut."""
    first = found.attributions[0]
    units = first.units.copy()
    units[0] = (0, 40)
    return dataclasses.replace(found, attributions=(dataclasses.replace(first, units=units),))


def test_an_unsigned_record_is_marked(found: Explanation, tmp_path: Path) -> None:
    store = Store(tmp_path / "evidence", signed=False)
    record = store.file(found, pictures=filing.pictures).header.id
    assert filing.page(store, record).count("UNSIGNED") >= 3
    assert "UNSIGNED" in store.open(record, filing.REPORT).decode()


def test_nothing_is_loaded_and_nothing_runs(found: Explanation, store: Store, tiny: Model) -> None:
    numbers = read_back(filing.page(store, store.read(1).header.id))
    assert numbers.foreign == []
    assert numbers.tags <= TAGS
    for payload in PAYLOADS[:12]:
        hostile = tiny.explain(f"{payload} film", checks=())
        parsed = read_back(report(hostile))
        assert not parsed.foreign
        assert parsed.tags <= TAGS
        ElementTree.fromstring(picture(hostile))


def test_the_picture_is_xml_with_its_record(found: Explanation) -> None:
    root = ElementTree.fromstring(picture(found, "record 7"))
    shown = " ".join(root.itertext())
    assert "record 7" in shown
    assert "witty" in shown
    assert "\u200b" not in shown


def test_every_picture_says_which_record_and_case_it_is(found: Explanation, store: Store) -> None:
    filed = filing.filing(store, store.read(1).header.id)
    now, then = picture(found, *filing.footer(filed)), store.open(filed.content.id, filing.PICTURE).decode()
    for drawn in (now, then):
        shown = " ".join(ElementTree.fromstring(drawn).itertext())
        known = (filed.content.id, "signed by key", "case: case 4711", "use: triage", "filed by: ada", "differs by")
        for words in (*known, found.model.revision[:12], "integrated gradients", "They do not say that the decision"):
            assert words in shown, words
    assert "bob disagrees, signed off" in now
    assert "not reviewed" in then
    assert "NOT FILED" in picture(found)
    unsigned = dataclasses.replace(filed, fingerprint=None)
    assert "UNSIGNED" in picture(found, *filing.footer(unsigned))


def test_reports_on_the_command_line(run, found: Explanation, store: Store, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    plain = tmp_path / "x.json"
    plain.write_text(found.to_json(), "utf-8")
    assert run("report", str(plain), "-o", str(tmp_path / "x.html"))[0] == 0
    assert "NOT FILED" in (tmp_path / "x.html").read_text("utf-8")
    assert run("report", "1", "-o", str(tmp_path / "y.svg"), "--store", str(store.home))[0] == 0
    assert store.read(1).header.id in (tmp_path / "y.svg").read_text("utf-8")
    assert run("report", "1", "-o", str(tmp_path / "y.docx"), "--store", str(store.home))[0] == 2
    assert run("screenshot", "1", "-o", str(tmp_path / "y.gif"), "--store", str(store.home))[0] == 2


@chromium
def test_pictures_are_the_same_twice_and_hold_the_text(run, store: Store, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    place = ("--store", str(store.home))
    one, two = tmp_path / "1.png", tmp_path / "2.png"
    assert run("screenshot", "1", "-o", str(one), *place)[0] == run("screenshot", "1", "-o", str(two), *place)[0] == 0
    assert one.read_bytes() == two.read_bytes()
    assert int.from_bytes(one.read_bytes()[20:24]) > 2400, "the whole page, not a screen of it"
    record = store.read(1).header.id
    page = filing.page(store, record)
    first = camera.pdf(page, "2026-01-02T03:04:05").data
    assert first == camera.pdf(page, "2026-01-02T03:04:05").data
    assert b"(D:20260102030405" in first
    assert b"StructTreeRoot" in first, "tagged"
    if shutil.which("pdftotext"):
        (tmp_path / "x.pdf").write_bytes(first)
        said = subprocess.run(["pdftotext", str(tmp_path / "x.pdf"), "-"], capture_output=True, text=True, check=True)
        assert record in re.sub(r"\s", "", said.stdout)
    before = store.read(1).digest
    assert run("screenshot", "1", "-o", str(one), "--attach", "--actor", "ada", *place)[0] == 0
    shot = store.events(record)[-1]
    assert shot.header.kind == "screenshot"
    assert shot.subject[record] == before
    kept = store.open(shot.header.id, "page.png")
    assert hashlib.sha256(kept).digest() == hashlib.sha256(one.read_bytes()).digest()


def test_what_is_filed_with_a_record_does_not_deny_a_later_review(store: Store) -> None:
    """The page and the picture inside a record are drawn before anybody can have reviewed it."""
    record = store.read(1).header.id
    for name in (filing.REPORT, filing.PICTURE):
        assert "not reviewed when filed" in store.open(record, name).decode("utf-8")
    assert "not reviewed" not in filing.page(store, record), "drawn anew, it holds the review"
    assert filing.page(store, record).count("<dt>Versions</dt>") == 1
    assert "explain verify THIS-FILE" in filing.page(store, record)


@chromium
def test_words_stay_whole_on_a_telephone(store: Store) -> None:
    """At 390 pixels a column of words may be cut off, and scrolled, but no word stands letter below letter."""
    widths: list[float] = []

    def look(page: Any) -> bytes:
        page.set_viewport_size({"width": 390, "height": 800})
        widths.extend(
            box["width"] for cell in page.locator("#attribution-0 td bdi").all() if (box := cell.bounding_box())
        )
        heights = [
            box["height"] for cell in page.locator("#attribution-0 td bdi").all() if (box := cell.bounding_box())
        ]
        assert max(heights) < 40, "one line, or two"
        return b""

    camera._taken(filing.page(store, store.read(1).header.id), look)
    assert max(widths) > 40
