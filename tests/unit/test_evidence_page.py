"""The page Evidence and the form that files, without a browser."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient
from streamlit.testing.v1 import AppTest

from explain import filing
from explain.audit.records import Purpose, Who
from explain.audit.store import Store
from explain.dashboard import frames
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
    next(n for n in app.number_input if n.label == "Its threshold").set_value(0.5)
    next(t for t in app.text_input if t.label == "System that took it").set_value("old system")
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
    assert content.matches == "not supplied", "a threshold and a name are no decision to compare with"
    assert content.decision is not None
    assert (content.decision.label, content.decision.threshold, content.decision.system) == (None, 0.5, "old system")
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
    assert "Nothing found. Clear the search" in app.info[0].value


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


def test_what_cannot_be_filed_as_a_review_is_said_and_not_dropped(filled: Store) -> None:
    record = filled.read(1).header.id
    app = page(record)
    app.text_input(key="actor").set_value("bob")
    next(r for r in app.radio if r.label == "Was the decision right?").set_value("only a note")
    press(app)
    assert "The note is empty" in app.error[0].value
    next(c for c in app.checkbox if c.label == "Sign off").set_value(True)
    next(t for t in app.text_area if t.label == "Note").set_value("as expected")
    press(app)
    assert "Only a verdict can be signed off" in app.error[0].value
    assert filled.events(record) == []


def test_a_later_review_is_not_signed_off_by_the_one_before(filled: Store) -> None:
    record = filled.read(1).header.id
    app = page(record)
    app.text_input(key="actor").set_value("bob")
    next(c for c in app.checkbox if c.label == "Sign off").set_value(True)
    next(t for t in app.text_area if t.label == "Note").set_value("as expected")
    press(app)
    assert filled.read(record).state.signed_off
    assert not next(c for c in app.checkbox if c.label == "Sign off").value, "a new form, and empty"
    assert next(t for t in app.text_area if t.label == "Note").value == ""
    next(r for r in app.radio if r.label == "Was the decision right?").set_value("disagree")
    press(app)
    now = filled.read(record).state
    assert (now.review, now.signed_off) == ("disagree", False)


def press(app: AppTest) -> None:
    next(b for b in app.button if b.label == "File the review").click()
    app.run()
    assert not app.exception


def test_an_unsigned_store_says_so_in_heading_and_list(
    tiny: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, filled: Store
) -> None:
    assert list(page().dataframe[0].value["signed"]) == ["yes"] * 3
    own = Store(tmp_path / "unsigned" / "evidence", signed=False)
    monkeypatch.setattr("explain.dashboard.evidence.store", lambda *_: own)
    app = page()
    assert "UNSIGNED, chained" in html_of(app)
    app.button(key="checkpoint").click().run()
    assert "no checkpoint was written" in app.info[-1].value, "nothing is filed yet"
    own.file(tiny.explain("A charming film.", checks=()))
    app = page()
    assert list(app.dataframe[0].value["signed"]) == ["UNSIGNED"]
    app.button(key="checkpoint").click().run()
    assert "Written to" in app.success[0].value


@pytest.mark.parametrize("name", ["number", "upper", "event", "nonsense", "store"])
def test_links_name_records_by_id_or_number_or_what_is_about_them(filled: Store, name: str) -> None:
    record = filled.read(1).header.id
    event = filled.review(record, Who("bob"), agree=True).header.id
    change = filled.rotate(Who("bob")).header.id
    wish = {"number": "1", "upper": record.upper(), "event": event, "nonsense": "nonsense", "store": change}[name]
    app = page(wish)
    assert not app.exception
    if name == "nonsense":
        assert "no record nonsense" in app.warning[0].value
    elif name == "store":
        assert "about the store" in app.info[0].value
    else:
        assert "<h3>Record 1</h3>" in html_of(app)
        assert any("case 0" in c.value for c in app.caption), "which decision it is stands above the frame"
    assert bool(app.dataframe) == (name in ("nonsense", "store"))


def test_a_record_is_opened_without_a_mouse(filled: Store) -> None:
    app = page()
    app.selectbox(key="evidence_open").set_value(2).run()
    assert "<h3>Record 2</h3>" in html_of(app)
    next(b for b in app.button if b.label == "All records").click().run()
    assert len(app.dataframe[0].value) == 3


def test_what_is_over_is_erased_counted_and_no_longer_shown(filled: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    client = TestClient(Starlette(routes=[frames.route]))
    shown: list[str] = []
    monkeypatch.setattr("streamlit.iframe", lambda address, **_: shown.append(address))
    page(filled.read(1).header.id)
    page(filled.read(2).header.id)
    assert all("charming" in client.get(address).text for address in shown)
    Store(filled.home).erase(filled.read(2).header.id, Who("another process"), "asked")
    assert client.get(shown[1]).status_code == 404
    page(filled.read(1).header.id)
    later = datetime.now(UTC) + timedelta(days=400)
    over = Store.over
    monkeypatch.setattr(Store, "over", lambda self, now=None: over(self, now or later))
    app = page()
    app.text_input(key="evidence_search").set_value("case").run()
    app.button(key="expire").click().run()
    assert "2 records are over and would be erased for good: number 1, 3." in said(app.warning[0])
    app.button(key="expire_no").click().run()
    assert not app.warning
    assert not filled.read(1).state.erased
    app.button(key="expire").click().run()
    app.button(key="expire_yes").click().run()
    assert "needs the name" in said(app.error[0]), "who erased stays in the chain"
    filled.hold(filled.read(3).header.id, Who("legal"), "a lawsuit")  # meanwhile
    app.text_input(key="actor").set_value("ada").run()
    app.button(key="expire_yes").click().run()
    assert "over: 1" in said(app.success[0])
    assert list(app.dataframe[0].value["kept until"]) == ["legal hold", "erased", "erased"]
    assert filled.events(filled.read(1).header.id)[-1].header.who.actor == "ada"
    assert client.get(shown[0]).status_code == 404
    app.button(key="expire").click().run()
    assert "No record's time is over" in said(app.info[-1])


def said(element: Any) -> str:
    return str(element.value).replace("\\", "")


def test_keeping_holding_and_erasing(filled: Store) -> None:
    record = filled.read(1).header.id
    app = page(record)
    app.button(key="hold").click().run()
    assert "needs the name of who does it, and a reason" in said(app.error[0])
    app.text_input(key="actor").set_value("legal").run()
    app.text_input(key="why").set_value("a lawsuit").run()
    app.button(key="hold").click().run()
    hold = filled.events(record)[-1].header
    assert (hold.kind, hold.who.actor, hold.detail["reason"]) == ("hold", "legal", "a lawsuit")
    assert "a lawsuit" in html_of(app)
    assert filled.read(record).state.held
    assert not any(b.key == "erase" for b in app.button), "what a hold keeps is not offered for erasing"
    app.text_input(key="why").set_value("it is over").run()
    app.button(key="hold").click().run()
    assert not filled.read(record).state.held
    assert app.button(key="erase").disabled
    app.text_input(key="sure").set_value("erase").run()
    app.button(key="erase").click().run()
    assert "and a reason" in said(app.error[0])
    app.text_input(key="reason").set_value("asked by the person").run()
    app.button(key="erase").click().run()
    assert not app.exception
    assert filled.read(record).state.erased
    assert "was erased" in app.info[0].value
    assert "charming" not in html_of(app)
    assert "asked by the person" in html_of(app), "the reason stays, and is shown"


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
