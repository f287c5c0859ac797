"""Answers that are no explanation, filed with the explanation of the same text: kept, verified, shown, repeated."""

from __future__ import annotations

import dataclasses
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from explain import canonical, filing, replay
from explain.audit import bundle, verify
from explain.audit.chain import New, append
from explain.audit.entry import RECORD
from explain.audit.records import Beside, Content, Who
from explain.audit.store import Store
from explain.catalog import Request
from explain.engine import Model
from explain.errors import InputError
from explain.heads import HeadsReport, HeadsRequest
from explain.records import Explanation
from explain.road import Road, RoadRequest
from tests import verifier
from tests.conftest import finish, html_of

TEXT = "A charming, witty story but very dull ending."
ABOUT = Request((TEXT,))


@pytest.fixture(scope="module")
def found(tiny: Model) -> Explanation:
    return tiny.explain(TEXT, checks=())


@pytest.fixture(scope="module", params=["heads", "road"])
def beside(tiny: Model, request: pytest.FixtureRequest) -> Beside:
    if request.param == "heads":
        asked = HeadsRequest(ABOUT, "mean", (1,))
        return Beside(asked, tiny.look(asked))  # type: ignore[arg-type]
    question = RoadRequest(ABOUT, 1, 2, 3)
    return Beside(question, tiny.walk(question))  # type: ignore[arg-type]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "evidence")


def test_it_comes_back_as_it_was_filed_and_verifies(store: Store, found: Explanation, beside: Beside) -> None:
    record = store.file(found, beside=beside, pictures=filing.pictures).header.id
    content = store.content(record)
    assert content.beside == beside
    assert content.explanation == found
    assert "beside" not in content.absent
    assert store.read(record).header.detail == {"beside": beside.answer.schema}
    assert verify.store(store).faults == ()
    data = bundle.write(store, record)
    assert bundle.verify(data).exit_code == verifier.verify(data)[0] == 0
    assert "no other answer" in store.content(store.file(found).header.id).absent["beside"]


def test_an_envelope_that_names_another_answer_is_found(store: Store, found: Explanation, beside: Beside) -> None:
    """By the store's own verifier, by that of bundles, and by the one written from the specification."""
    whole = store.content(store.file(found, beside=beside).header.id)
    for content, detail in ((whole, {}), (dataclasses.replace(whole, beside=None), {"beside": "heads/1"})):

        def contents(record: str, key: bytes, content: Content = content) -> dict[str, bytes]:
            return {RECORD: canonical.encode(dataclasses.replace(content, id=record))}

        entry = append(store, New("explanation", Who(), contents=contents, explanation=found, detail=detail))
        faults = verify.record(store, entry.header.id).faults
        assert [f.level for f in faults] == ["V1"]
        assert "second answer" in faults[0].what
        packed = bundle.write(store, entry.header.id)
        assert bundle.verify(packed).exit_code == verifier.verify(packed)[0] == 3


def test_another_text_or_model_is_refused(store: Store, tiny: Model, found: Explanation, beside: Beside) -> None:
    other = dataclasses.replace(found, model=dataclasses.replace(found.model, weights_sha256="0" * 64))
    for wrong in (tiny.explain("A dull film.", checks=()), other):
        with pytest.raises(InputError, match="its text, by its model") as refused:
            store.file(wrong, beside=beside)
        assert refused.value.code == "bad_beside"


def test_another_reading_or_place_is_refused(store: Store, found: Explanation, beside: Beside) -> None:
    """An answer with words hidden under a question that hides none, and the road of another token."""
    asked = beside.question
    if isinstance(asked, HeadsRequest):
        wrong = [dataclasses.replace(asked, masked=()), dataclasses.replace(asked, masked=(2,))]
    else:
        wrong = [dataclasses.replace(asked, **{name: 0}) for name in ("layer", "head", "token")]
    answer = beside.answer
    tokenizer = dataclasses.replace(answer, model=dataclasses.replace(answer.model, tokenizer_sha256="0" * 64))
    for one in (*(Beside(question, answer) for question in wrong), Beside(asked, tokenizer)):
        with pytest.raises(InputError, match="answer its question"):
            store.file(found, beside=one)


class Tables(HTMLParser):
    """The exact numbers of each table of a report."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.found: dict[str, list[float]] = {}
        self.table = ""
        self.feed(document)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "table":
            self.table = str(dict(attrs).get("id"))
        elif tag == "data":
            self.found.setdefault(self.table, []).append(float(str(dict(attrs)["value"])))


def test_the_report_shows_its_numbers_exactly(store: Store, found: Explanation, beside: Beside) -> None:
    record = store.file(found, beside=beside, pictures=filing.pictures).header.id
    for document in (filing.page(store, record), store.open(record, filing.REPORT).decode()):
        tables, answer = Tables(document).found, beside.answer
        assert "Beside it:" in document
        if isinstance(answer, HeadsReport):
            assert "Where heads look is not why the model decided" in document
            assert "Without having read “charming”. [MASK] stands there instead." in document
            assert f"So the model said: {answer.prediction.label}." in document
            assert answer.effects is not None
            expected = {"effect": answer.effects, **answer.statistics}
            for name, values in expected.items():
                assert np.array_equal(np.float32(tables[f"heads-{name}"]), values.ravel())
        else:
            assert answer.attention is not None
            assert answer.answer is not None
            both = np.stack([answer.attention.scores, answer.attention.weights], axis=1)
            assert np.array_equal(np.float32(tables["road-attention"]), both.ravel())
            assert np.array_equal(np.float32(tables["road-answer"]), answer.answer.logits)


def test_it_is_repeated_to_the_bit_and_a_changed_number_is_not(
    store: Store, tiny: Model, found: Explanation, beside: Beside
) -> None:
    entry = store.file(found, beside=beside)
    content = store.content(entry.header.id)
    again = replay.replay(tiny, entry.header, content)
    kind = "heads" if isinstance(beside.answer, HeadsReport) else "road"
    mine = [part for part in again.parts if part.name.startswith(kind)]
    assert len(mine) >= 5
    assert again.holds
    assert all(part.bitwise for part in mine)
    if isinstance(beside.answer, HeadsReport):
        changed: HeadsReport | Road = dataclasses.replace(beside.answer, rollout=beside.answer.rollout * 0.5)
    else:
        changed = dataclasses.replace(beside.answer, leaving=beside.answer.leaving[:-1])
    forged = dataclasses.replace(content, beside=dataclasses.replace(beside, answer=changed))
    assert not replay.replay(tiny, entry.header, forged).holds


@pytest.mark.parametrize("page", ["attention", "inside"])
def test_every_page_that_shows_a_result_files_it(
    app: AppTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: str
) -> None:
    own = Store(tmp_path / "evidence")
    monkeypatch.setattr("explain.dashboard.evidence.opened", lambda: own)
    finish(app)
    app.switch_page(f"screens/{page}_page.py").run()
    assert not app.exception
    assert "NOT FILED" in html_of(app)
    assert not any(b.label == "File" for b in app.button), "nothing is explained before it is asked for"
    app.session_state["save"] = True
    app.run()
    assert not app.exception
    app.text_input(key="case").set_value("4711")
    next(b for b in app.button if b.label == "File").click()
    app.run()
    assert not app.exception
    assert "FILED as record 1" in html_of(app)
    assert "NOT FILED" not in html_of(app)
    entry = own.read(1)
    content = own.content(entry.header.id)
    assert entry.header.purpose.case_id == "4711"
    assert content.beside is not None
    assert content.beside.answer.schema == ("heads/1" if page == "attention" else "road/1")
    assert content.explanation.attributions
    assert verify.store(own).faults == ()
    app.query_params["record"] = entry.header.id
    app.switch_page("screens/evidence_page.py").run()
    assert not app.exception
