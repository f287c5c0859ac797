"""The page Evidence and the form that files, without a browser."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from explain import filing
from explain.audit.records import Purpose, Who
from explain.audit.store import Store
from explain.engine import Model
from tests.conftest import MAIN, finish, html_of


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    own = Store(tmp_path / "evidence")
    monkeypatch.setattr("explain.dashboard.evidence.opened", lambda: own)
    return own


@pytest.fixture
def filled(store: Store, tiny: Model) -> Store:
    for i, text in enumerate(["A charming film.", "A charming film.", "A dull <b>story</b>."]):
        found = tiny.explain(text, checks=())
        purpose = Purpose(f"case {i}", "triage")
        store.file(found, who=Who("ada"), purpose=purpose, note="first", pictures=filing.pictures)
    return store


def page(record: str | None = None) -> AppTest:
    app = AppTest.from_file(str(MAIN), default_timeout=60)
    app.query_params["model"] = "nobody/model"  # which no page opens without a press: nothing is computed
    app.run().switch_page("screens/evidence_page.py")
    if record is not None:
        app.query_params["record"] = record
    return app.run()


def test_what_is_on_the_screen_is_filed_once_its_checks_are_done(app: AppTest, store: Store) -> None:
    finish(app)
    assert "NOT FILED" in html_of(app)
    app.text_input(key="case").set_value("4711")
    app.text_input(key="actor").set_value("ada")
    next(b for b in app.button if b.label == "File").click()
    app.run()
    assert not app.exception
    entry = store.read(1)
    assert (entry.header.purpose.case_id, entry.header.who.actor, entry.header.who.client) == (
        "4711",
        "ada",
        "dashboard",
    )
    content = store.content(entry.header.id)
    job = app.session_state["job"]
    assert content.explanation == job.result
    assert content.asked == job.request
    assert content.matches == "not supplied"
    app.run()
    assert "FILED as record 1 · signed by key" in html_of(app)
    assert "NOT FILED" not in html_of(app)
    assert not any(b.label == "File" for b in app.button), "it is filed once"


def test_an_empty_store_says_what_to_do(store: Store) -> None:
    app = page()
    assert not app.exception
    assert "No record is filed yet" in app.info[0].value


def test_the_list_is_searched_and_verified(filled: Store) -> None:
    app = page()
    assert not app.exception
    assert len(app.dataframe[0].value) == 3
    app.text_input(key="evidence_search").set_value("case 1").run()
    assert list(app.dataframe[0].value["case"]) == ["case 1"]
    app.text_input(key="evidence_search").set_value("").run()
    app.button(key="verify_all").click().run()
    assert "<b>V1 holds</b>" in html_of(app)
    (filled.place(filled.read(2).header.id) / "record.json").write_bytes(b"changed")
    app.button(key="verify_all").click().run()
    assert "<b>V1 broken</b>" in html_of(app)
    assert "record 2, record" in app.error[0].value


def test_a_page_that_a_filter_took_away_becomes_the_last_one(filled: Store) -> None:
    app = page()
    app.session_state["evidence_page"] = 7
    app.selectbox(key="evidence_review").set_value("not reviewed").run()
    assert not app.exception
    assert len(app.dataframe[0].value) == 3
    app.selectbox(key="evidence_review").set_value("agreed").run()
    assert app.info[0].value == "Nothing found."


def test_a_link_opens_a_record_which_can_be_reviewed(filled: Store) -> None:
    record = filled.read(3).header.id
    app = page(record)
    assert not app.exception
    app.button(key="verify").click().run()
    assert "<b>V1 holds</b>" in html_of(app)
    app.text_input(key="actor").set_value("bob")
    next(r for r in app.radio if r.label == "Was the decision right?").set_value("disagree")
    next(t for t in app.text_input if t.label.startswith("Words that are")).set_value("dull")
    next(b for b in app.button if b.label == "File the review").click()
    app.run()
    assert not app.exception
    assert filled.read(record).state.review == "disagree"
    assert "disagrees. Reason in the reviewer&#x27;s eyes: dull" in html_of(app)
    assert "charming" not in str(app.query_params)


def test_a_review_without_a_name_is_refused_in_words(filled: Store) -> None:
    app = page(filled.read(1).header.id)
    next(b for b in app.button if b.label == "File the review").click()
    app.run()
    assert "name of its reviewer" in app.error[0].value


def test_two_records_are_compared(filled: Store) -> None:
    app = page(filled.read(1).header.id)
    app.number_input(key="other").set_value(2).run()
    assert "difference" in html_of(app)
    app.number_input(key="other").set_value(3).run()
    assert any("not the same" in c.value for c in app.caption)
    app.number_input(key="other").set_value(99).run()
    assert "no record 99" in app.warning[0].value


def test_keeping_holding_and_erasing(filled: Store) -> None:
    record = filled.read(1).header.id
    app = page(record)
    app.button(key="hold").click().run()
    assert filled.read(record).state.held
    assert app.button(key="erase").disabled
    app.text_input(key="sure").set_value("erase").run()
    app.button(key="erase").click().run()
    assert "legal hold" in app.error[0].value
    app.button(key="hold").click().run()
    app.text_input(key="sure").set_value("erase").run()
    app.button(key="erase").click().run()
    assert not app.exception
    assert filled.read(record).state.erased
    assert "was erased" in app.info[0].value
    assert "charming" not in html_of(app)


def test_a_record_that_is_not_there_and_a_broken_one(filled: Store) -> None:
    record = filled.read(1).header.id
    app = page(record[:-4] + ("0000" if record[-4:] != "0000" else "1111"))
    assert "no record" in app.warning[0].value
    assert not page("../../etc/passwd").exception
    (filled.place(record) / "record.json").write_bytes(b"x" * 100)
    broken = page(record)
    assert not broken.exception
    assert "damaged" in broken.warning[0].value
    assert any(b.key == "verify" for b in broken.button), "what is wrong can still be looked at"


def test_a_session_never_files_for_another_text(app: AppTest, store: Store) -> None:
    finish(app)
    next(b for b in app.button if b.label == "File").click()
    app.run()
    app.text_area(key="text").set_value("A dull film.")
    finish(app)
    assert "NOT FILED" in html_of(app)
    digest = app.session_state["job"].result.digest
    assert digest not in app.session_state["filed"]
    assert dataclasses.is_dataclass(store.read(1).header)
