"""What was masked is in no artefact: page, report, pictures, PDF, JSON, bundle, database."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pypdf import PdfReader
from streamlit.testing.v1 import AppTest

from explain import camera, filing, masking
from explain.audit import bundle
from explain.audit.store import Store
from explain.dashboard import jobs
from explain.engine import Model
from explain.errors import InputError
from explain.render.report import report
from tests.conftest import finish, html_of
from tests.pictures import chromium, tesseract
from tests.traces import left

MAIL, CARD, PHONE = "zebra@example.org", "4111 1111 1111 1111", "+49 30 1234567"
TEXT = f"A film by {MAIL}, {CARD}, or {PHONE}."
SECRETS = [MAIL, "example.org", "zebra", CARD, CARD.replace(" ", ""), PHONE, PHONE.replace(" ", ""), "1234567"]


@pytest.fixture(scope="module")
def store(tiny: Model, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store with one record of the masked text."""
    made = Store(tmp_path_factory.mktemp("masked") / "evidence")
    masked = masking.mask(TEXT)
    made.file(tiny.explain(masked.text, checks=()), masking=masking.as_record([masked]), pictures=filing.pictures)
    return made


@pytest.fixture(scope="module")
def page(store: Store) -> str:
    """The report that the pictures are made from."""
    return filing.page(store, store.read(1).header.id)


def artefacts(store: Store) -> Iterator[tuple[str, bytes]]:
    """Everything that a store gives away about its first record, decrypted."""
    entry = store.read(1)
    record = entry.header.id
    yield "envelope", entry.bytes
    yield "header.json", entry.header.to_json().encode()
    yield "content.json", store.content(record).to_json().encode()
    yield "page.html", filing.page(store, record).encode()
    yield "unfiled.html", report(store.content(record).explanation).encode()
    for f in entry.header.files:
        yield f.name, store.open(record, f.name)
    for name, data in bundle.read(bundle.write(store, record)).items():
        yield f"bundle-{name.replace('/', '-')}", data


def traces(store: Store, into: Path) -> list[str]:
    """What is found of the secrets in a store as it lies on the disk, and in what it gives away."""
    for name, data in artefacts(store):
        (into / name).write_bytes(data)
    return left([store.home.parent, into], SECRETS)


def test_masked_originals_are_in_no_artefact(store: Store, page: str, tmp_path: Path) -> None:
    assert traces(store, tmp_path) == []
    content = store.content(store.read(1).header.id)
    assert content.masking is not None
    assert [k for _, _, _, k in content.masking.spans] == ["EMAIL", "CARD", "PHONE"]
    assert "Reduced, not anonymous" in page
    assert "EMAIL at " in page, "the report says what was masked where"


def test_an_original_that_was_not_masked_is_found_in_each(tiny: Model, tmp_path: Path) -> None:
    """The same search over a record of the text as it was: the record, both reports, the picture and the bundle."""
    bare = Store(tmp_path / "bare" / "evidence")
    bare.file(tiny.explain(TEXT, checks=()), pictures=filing.pictures)
    (tmp_path / "out").mkdir()
    found = {Path(where.rpartition(": ")[0]).name for where in traces(bare, tmp_path / "out")}
    known = {"content.json", "page.html", "unfiled.html", "record.json", "report.html", "words.svg"}
    assert known <= found
    assert any(name.startswith("bundle-files") for name in found)
    assert not {"envelope", "header.json", "evidence.db"} & found, "what is not encrypted never holds the text"


def test_spans_of_another_text_are_refused(store: Store, tiny: Model) -> None:
    with pytest.raises(InputError, match="do not belong"):
        store.file(tiny.explain("A dull film.", checks=()), masking=masking.as_record([masking.mask(TEXT)]))


def test_the_page_shows_and_files_the_masked_text(
    app: AppTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Store(tmp_path / "own" / "evidence")
    monkeypatch.setattr("explain.dashboard.evidence.opened", lambda: own)
    app.run()
    app.text_area(key="text").set_value(TEXT)
    app.toggle(key="masking").set_value(True)
    finish(app)
    next(b for b in app.button if b.label == "File").click()
    app.run()
    assert not app.exception
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "shown.html").write_text(html_of(app) + str(dict(app.query_params)), "utf-8")
    assert traces(own, tmp_path / "out") == []
    assert own.content(own.read(1).header.id).masking is not None


def test_no_page_asks_about_what_was_masked(app: AppTest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Explanations, forecasts, heads, roads, their parameters and second texts; and what two other pages file."""
    own, line = Store(tmp_path / "evidence"), jobs.service()
    asked: list[str] = []
    monkeypatch.setattr("explain.dashboard.evidence.store", lambda *_: own)
    submit, forecasts = line.submit, line.forecasts
    monkeypatch.setattr(line, "submit", lambda *a, **o: asked.append(repr(a[0])) or submit(*a, **o))
    monkeypatch.setattr(line, "forecasts", lambda *a: asked.append(f"forecast {a[0]}") or forecasts(*a))
    app.run()
    app.session_state["job"].wait(60)
    asked.clear()
    app.toggle(key="masking").set_value(True)
    app.text_area(key="text").set_value(TEXT)
    app.selectbox(key="p.integrated_gradients.baseline").set_value("text")
    finish(app)
    app.text_input(key="p.integrated_gradients.baseline_text").set_value(f"Instead, {MAIL}.")
    finish(app)
    app.text_area(key="pair").set_value(f"Or {PHONE}.")
    finish(app)
    assert "Or [PHONE]." in asked[-1]
    for page in ("screens/attention_page.py", "screens/inside_page.py"):
        app.switch_page(page)
        app.session_state["save"] = True
        app.run()
        assert not app.exception
        assert app.toggle(key="masking").value
        assert "CARD, EMAIL, PHONE" in app.caption[0].value
        next(b for b in app.button if b.label == "File").click()
        app.run()
        assert not app.exception
    kinds = {question.split("(")[0] for question in asked}
    assert {"Request", "HeadsRequest", "HeadRequest", "RoadRequest"} < kinds
    assert any(kind.startswith("forecast") for kind in kinds)
    assert not [question for question in asked for secret in SECRETS if secret in question]
    for sequence in (1, 2):
        content = own.content(own.read(sequence).header.id)
        assert content.beside is not None
        assert content.masking is not None
    assert traces(own, tmp_path) == []


@chromium
def test_masked_originals_are_in_no_pdf(page: str, tmp_path: Path) -> None:
    (tmp_path / "x.pdf").write_bytes(camera.pdf(page).data)
    said = [" ".join(sheet.extract_text() for sheet in PdfReader(tmp_path / "x.pdf").pages)]
    if shutil.which("pdftotext"):
        done = subprocess.run(["pdftotext", str(tmp_path / "x.pdf"), "-"], capture_output=True, text=True, check=True)
        said.append(done.stdout)
    for layer in said:
        assert "EMAIL" in layer, "the text layer is read"
        assert not _seen(layer)


@chromium
def test_masked_originals_are_in_no_object_of_a_pdf_and_no_chunk_of_a_png(page: str, tmp_path: Path) -> None:
    """Outline, tags, other names of what is shown, descriptions: everything that no eye sees."""
    reader = PdfReader(io.BytesIO(camera.pdf(page).data))
    strings = [str(reader.metadata), str(reader.xmp_metadata), *(str(item) for item in reader.outline)]
    for number in range(1, len(reader.xref[0]) + 1 if 0 in reader.xref else 0):
        found = reader.get_object(number)
        strings.append(repr(found))
        if hasattr(found, "get_data"):
            strings.append(found.get_data().decode("latin-1"))
    whole = " ".join(strings)
    assert len(strings) > 100, "they are read"
    assert "Whyboard report" in whole
    assert "EMAIL" in whole or "How this was computed" in whole, "the outline, at least"
    assert not _seen(whole)
    png = camera.png(page).data
    names = re.findall(rb"(?:IHDR|tEXt|iTXt|zTXt|eXIf|IDAT|IEND)", png)
    assert set(names) <= {b"IHDR", b"tEXt", b"IDAT", b"IEND"}
    assert re.findall(rb"tEXtTitle\0([ -~]+)", png)[0].startswith(b"Whyboard report 0")


@chromium
@tesseract
def test_masked_originals_are_in_no_picture_of_the_words(store: Store, tmp_path: Path) -> None:
    svg = store.open(store.read(1).header.id, filing.PICTURE).decode()
    seen = _read(camera.png(f"<body style='margin:0;zoom:1.5'>{svg}</body>").data, tmp_path)
    assert "EMAIL" in seen
    assert not _seen(seen)


@chromium
@tesseract
def test_masked_originals_are_in_no_png(page: str, tmp_path: Path) -> None:
    """The page without its last section, which is long; and a page with the originals, which the same eyes do see."""
    seen = _read(camera.png(re.sub(r"<h2>How this was computed</h2>.*</main>", "</main>", page)).data, tmp_path)
    assert "EMAIL" in seen
    assert not _seen(seen)
    bare = _read(camera.png(f"<p style='font:20px sans-serif'>{TEXT}</p>").data, tmp_path)
    assert _seen(bare)


def _seen(text: str) -> list[str]:
    """Which secrets stand in a text, white space aside."""
    packed = re.sub(r"\s", "", text).lower()
    return [secret for secret in SECRETS if re.sub(r"\s", "", secret).lower() in packed]


def _read(png: bytes, folder: Path) -> str:
    (folder / "x.png").write_bytes(png)
    command = ["tesseract", str(folder / "x.png"), "-", "--psm", "6"]
    alone = {**os.environ, "OMP_THREAD_LIMIT": "1"}  # its threads only wait for each other
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=300, env=alone).stdout
