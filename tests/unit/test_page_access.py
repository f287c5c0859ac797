"""Who may do what on the pages: generated from every page, every action and every button that there is."""

from __future__ import annotations

import ast
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_args
from unittest.mock import Mock

import pytest
from streamlit.testing.v1 import AppTest

from explain import filing
from explain.audit.records import Purpose, Who
from explain.audit.store import Store
from explain.catalog import Request
from explain.dashboard import access, evidence, jobs, pages
from explain.dashboard.pages import PAGES
from explain.engine import Model
from explain.errors import AccessError
from explain.keys import DOORS, MAY, ROLES, Action
from explain.login import ANYBODY_HERE, NOBODY, Person
from explain.rest.face import ROUTES
from explain.service import Service
from tests.conftest import MAIN, html_of
from tests.engines import Inline
from tests.unit.test_login import login

DASHBOARD = Path(pages.__file__).parent
FREE: Literal["free"] = "free"
BUTTONS: dict[tuple[str, str], tuple[Action | Literal["free"], tuple[str, ...]]] = {
    ("ask", "button"): ("explain", ("Explain", "Look", "Look inside")),
    ("progress", "'Stop refining'"): (FREE, ("Stop refining",)),  # of the person's own question
    ("progress", "'Cancel'"): (FREE, ("Cancel",)),
    ("conversation", "'Add a message'"): (FREE, ("Add a message",)),
    ("conversation", "'Remove'"): (FREE, ("Remove",)),
    ("continuation", "'Write on'"): ("explain", ("Write on",)),
    ("continuation", "label"): ("explain", ("Previous token", "Next token")),
    ("continuation", "'Align'"): ("explain", ("Align",)),
    ("continuation", "'Try again'"): ("explain", ("Try again",)),
    ("long", "THROUGH"): ("explain", ("Explain it in windows",)),
    ("long", "BEGINNING"): ("explain", ("Explain its beginning only",)),
    ("trust", "'Check thoroughly'"): ("explain", ("Check thoroughly",)),
    ("panels", "wish"): ("explain", ("Find words that work together",)),
    ("panels", "'Show it anyway'"): ("explain", ("Show it anyway",)),
    ("panels", "'Download JSON'"): ("explain", ("Download JSON",)),
    ("panels", "'Download CSV'"): ("explain", ("Download CSV",)),
    ("inside_page", "'Download JSON'"): ("explain", ("Download JSON",)),
    ("attention_page", "'Download JSON'"): ("explain", ("Download JSON",)),
    ("attention_page", "'Measure what each head does'"): ("explain", ("Measure what each head does",)),
    ("evidence", "'File'"): ("file evidence", ("File",)),
    ("dossier", "'All records'"): ("read evidence", ("All records",)),
    ("dossier", "'Verify'"): ("verify evidence", ("Verify",)),
    ("dossier", "'Report (HTML)'"): ("export evidence", ("Report (HTML)",)),
    ("dossier", "'Content (JSON)'"): ("export evidence", ("Content (JSON)",)),
    ("dossier", "'Bundle (zip)'"): ("export evidence", ("Bundle (zip)",)),
    ("dossier", "'File the review'"): ("review evidence", ("File the review",)),
    ("dossier", "'Change'"): ("keep evidence", ("Change",)),
    ("dossier", "'Release the legal hold' if on else 'Put a legal hold on it'"): (
        "keep evidence",
        ("Release the legal hold", "Put a legal hold on it"),
    ),
    ("dossier", "'Erase for good'"): ("erase evidence", ("Erase for good",)),
    ("evidence_page", "'Verify everything'"): ("verify evidence", ("Verify everything",)),
    ("evidence_page", "'Write a checkpoint'"): ("verify evidence", ("Write a checkpoint",)),
    ("evidence_page", "'Erase what is over'"): ("keep evidence", ("Erase what is over",)),
    ("evidence_page", "f'Erase {len(over):,} for good'"): ("keep evidence", ("Erase 1 for good",)),
    ("evidence_page", "'Keep them'"): (FREE, ("Keep them",)),
    ("signing", "'Sign in'"): (FREE, ("Sign in",)),
    ("signing", "'Sign out'"): (FREE, ("Sign out",)),
}
"""File and label of every button in the dashboard → what it does. A button that is not here fails the tests."""
TAKES = {label: action for action, labels in BUTTONS.values() for label in labels}
RIGHTS: dict[str, set[Action]] = {
    "file": {"file evidence"},
    "add": {"review evidence", "keep evidence"},
    "review": {"review evidence"},
    "hold": {"keep evidence"},
    "summarise": set(),
    "erase": {"erase evidence"},
    "expire": {"keep evidence"},
    "checkpoint": {"verify evidence"},
    "rotate": set(),
    "sweep": set(),
}
"""Methods of the store that change something → the actions under which a page may use them."""
PASSED_ON = "evidence.store(action)"
"""In `dossier.done`, whose own calls name the action."""
CERTAIN = {
    "explain": {
        "Explain",
        "Check thoroughly",
        "Find words that work together",
        "Download JSON",
        "Download CSV",
        "File",
    },
    "attention": {"Look"},
    "inside": {"Look inside"},
    "evidence": {"Verify everything", "Write a checkpoint", "Erase what is over"},
    "record": {
        *("All records", "Verify", "Report (HTML)", "Content (JSON)", "Bundle (zip)", "File the review", "Change"),
        *("Put a legal hold on it", "Erase for good"),
    },
}
"""Page → buttons that are there for whoever may press them."""
PEOPLE = {role: Person(f"{role}@example.org", "test", frozenset({role})) for role in ROLES} | {
    "nobody": NOBODY,
    "no role": Person("eve@example.org", "test", frozenset()),
}


def calls() -> Iterator[tuple[str, ast.Call]]:
    """Every call in the dashboard, with the name of its file."""
    for path in sorted(DASHBOARD.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                yield path.stem, node


def called(node: ast.Call) -> str:
    """The last name of what is called."""
    return str(getattr(node.func, "attr", getattr(node.func, "id", "")))


def test_every_button_has_an_entry() -> None:
    kinds = {"button", "download_button", "form_submit_button", "link_button", "chat_input", "file_uploader"}
    found = {(file, ast.unparse(node.args[0])) for file, node in calls() if called(node) in kinds}
    assert found == set(BUTTONS)


def test_every_action_has_a_role_and_every_role_an_action() -> None:
    assert set(get_args(Action)) == set(DOORS)
    assert set(DOORS.values()) == set(ROLES)
    used = {page.takes for page in PAGES} | {r.action for r in ROUTES} | {action for action, _ in BUTTONS.values()}
    assert used - {"open", FREE} == set(DOORS), "an action that nothing does"


def test_pages_and_rest_ask_the_same_table() -> None:
    assert {r.path: r.door for r in ROUTES if r.action == "explain"}["/v1/explain"] == DOORS["explain"]
    for route in ROUTES:
        assert route.door == ("open" if route.action == "open" else DOORS[route.action])


def test_the_store_is_opened_for_a_named_action_only() -> None:
    changing = {name for name in vars(Store) if not name.startswith("_")} & set(RIGHTS)
    assert changing == set(RIGHTS), "RIGHTS names methods that are not there"
    for file, node in calls():
        name = called(node)
        assert ast.unparse(node.func) != "evidence.opened", f"{file}: evidence.store() opens it, and asks who is there"
        if name == "store" and ast.unparse(node.func) != "verify.store" and ast.unparse(node) != PASSED_ON:
            assert isinstance(node.args[0], ast.Constant), f"{file}: {ast.unparse(node)}"
            assert node.args[0].value in DOORS, f"{file}: {ast.unparse(node)}"
        if name == "done":
            action, method = (ast.unparse(a) for a in node.args[:2])
            assert ast.literal_eval(action) in RIGHTS[method.removeprefix("Store.")], ast.unparse(node)
        if name in RIGHTS and isinstance(node.func, ast.Attribute):
            on = node.func.value
            if isinstance(on, ast.Call) and called(on) == "store":
                assert ast.literal_eval(on.args[0]) in RIGHTS[name], ast.unparse(node)
            else:
                assert "store" not in ast.unparse(on).lower(), f"{file}: name the action: {ast.unparse(node)}"


def test_only_one_place_asks_the_models() -> None:
    asking = {(file, ast.unparse(node.func)) for file, node in calls() if "service()" in ast.unparse(node.func)}
    assert {file for file, _ in asking} == {"jobs"}
    assert {name for _, name in asking} <= {
        *("service", "service().submit", "service().info", "service().forecasts", "service().refused"),
        "service().talks",
    }, "each of these must ask for the action first"


@pytest.fixture
def own(tmp_path: Path, tiny: Model, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store with one record; opening it is remembered."""
    store = Store(tmp_path / "evidence")
    found = tiny.explain("A charming film.", checks=())
    store.file(found, who=Who("ada"), purpose=Purpose("case 1"), pictures=filing.pictures)
    monkeypatch.setattr("explain.dashboard.evidence.opened", lambda: store)
    return store


def become(name: str, patch: pytest.MonkeyPatch) -> Person:
    """From now on this person looks at the pages."""
    patch.setattr("explain.dashboard.access.person", lambda: PEOPLE[name])
    patch.setattr("explain.dashboard.access.login", login)
    return PEOPLE[name]


@pytest.mark.parametrize("name", PEOPLE)
def test_only_who_may_explain_has_a_model_loaded(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    who, line = become(name, monkeypatch), Mock()
    monkeypatch.setattr("explain.dashboard.jobs.service", lambda: line)
    found = jobs.info("owner/model", "")
    assert line.info.called is who.may("explain") is not isinstance(found, AccessError)


@pytest.mark.parametrize("name", PEOPLE)
@pytest.mark.parametrize("action", DOORS)
def test_each_action_asks_for_its_role(name: str, action: Action, own: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    who = become(name, monkeypatch)
    allowed = any(DOORS[action] in MAY[role] for role in who.roles)
    assert who.may(action) == access.may(action) == allowed
    if allowed:
        assert evidence.store(action) is own
    else:
        with pytest.raises(AccessError) as refused:
            evidence.store(action)
        assert refused.value.code == ("forbidden" if who.signed_in else "unauthorized")
    if action == "explain":
        engine = Mock()
        monkeypatch.setattr("explain.dashboard.jobs.service", lambda: engine)
        if allowed:
            jobs._submit(Request(("a",)), "m", 1)
        else:
            with pytest.raises(AccessError):
                jobs._submit(Request(("a",)), "m", 1)
        assert engine.submit.call_count == int(allowed)


def test_without_a_login_everything_is_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("explain.dashboard.access.login", lambda: None)
    assert access.person() is ANYBODY_HERE
    assert all(access.may(action) for action in DOORS)


@pytest.mark.parametrize("name", PEOPLE)
@pytest.mark.parametrize("page", CERTAIN)
def test_each_page_shows_what_the_role_may_do(
    name: str, page: str, own: Store, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The address of each page is asked for, as a browser could that somebody else used before."""
    engine, asked = Service(Inline()), []
    real = engine.submit
    monkeypatch.setattr(engine, "submit", lambda *a, **k: asked.append(a) or real(*a, **k))
    monkeypatch.setattr("explain.dashboard.jobs.service", lambda: engine)
    app = AppTest.from_file(str(MAIN), default_timeout=60)
    app.query_params["model"] = str(tiny_folder)
    app.session_state["trusted"] = str(tiny_folder) if page == "explain" else ""
    if page != "explain":
        become("admin", monkeypatch)
        app.run()
        path = "evidence" if page == "record" else page
        app.switch_page(f"screens/{next(p.file for p in PAGES if p.path == path)}")
        if page == "record":
            app.query_params["record"] = own.read(1).header.id
        assert not asked
    who = become(name, monkeypatch)
    app.run()
    if asked:
        assert app.session_state["job"].wait(60)
        time.sleep(0.05)
        app.run()
    assert not app.exception
    shown = {b.label for b in app.button if not b.disabled} | {b.proto.label for b in app.get("download_button")}
    disabled = {b.label for b in app.button if b.disabled}
    for label in shown:
        action = TAKES[label]
        assert action == FREE or who.may(action), f"{name} on {page}: {label}"
    opens = next((p.takes for p in PAGES if p.path == page), "read evidence")
    if who.may(opens):
        expected = {label for label in CERTAIN[page] if TAKES[label] == FREE or who.may(TAKES[label])}  # type: ignore[arg-type]
        assert expected <= shown | disabled, f"{name} on {page}"
    assert bool(asked) == (page == "explain" and who.may("explain"))
    if not who.roles:
        assert shown == ({"Sign in"} if not who.signed_in else {"Sign out"})
        assert not app.text_area
        assert not app.get("iframe")
        assert "charming" not in html_of(app)
    if not who.may("read evidence"):
        assert "Record 1" not in html_of(app)
        assert not app.dataframe
    engine.stop(0)


def test_the_person_who_is_signed_in_speaks(own: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    become("auditor", monkeypatch)
    app = AppTest.from_file(str(MAIN), default_timeout=60)
    app.session_state["actor"] = "somebody else"  # as a page that a person made themselves could send it
    app.query_params["actor"] = "somebody else"
    app.run().switch_page("screens/evidence_page.py")
    app.query_params["record"] = own.read(1).header.id
    app.run()
    assert not any(field.key == "actor" for field in app.text_input)
    next(b for b in app.button if b.label == "File the review").click()
    app.run()
    assert not app.exception
    review = own.events(own.read(1).header.id)[-1].header
    assert (review.kind, review.who.actor, review.who.auth) == ("review", "auditor@example.org", "test")


def test_a_sign_in_that_ended_files_nothing(own: Store, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The form was drawn for somebody who may file; when the button is pressed, their sign-in is over."""
    become("admin", monkeypatch)
    app = AppTest.from_file(str(MAIN), default_timeout=60)
    app.query_params["model"] = "nobody/model"
    app.run().switch_page("screens/evidence_page.py")
    record = own.read(1).header.id
    app.query_params["record"] = record
    app.run()
    app.text_input(key="sure").set_value("erase")
    app.run()
    become("nobody", monkeypatch)
    next(b for b in app.button if b.label == "Erase for good").click()
    app.run()
    assert not own.read(1).state.erased
    assert [b.label for b in app.button] == ["Sign in"]
