"""Signing in to the pages: what is refused at the start, whom claims name, and which addresses stay shut."""

from __future__ import annotations

import json
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect
from streamlit.auth_util import set_cookie_with_chunks
from streamlit.web.server.starlette.starlette_app import create_streamlit_routes
from streamlit.web.server.starlette.starlette_app_utils import create_signed_value

from explain import doctor
from explain.dashboard import signed_in
from explain.dashboard.pages import PAGES
from explain.errors import InputError
from explain.keys import DOORS, ROLES, Keys
from explain.login import Login, configured
from explain.service.process import Process
from explain.settings import Settings, settings
from tests import rest
from tests.provider import CLIENT, SECRET, provider

GIVEN: dict[str, Any] = {
    "login_metadata_url": "https://login.example/.well-known/openid-configuration",
    "login_client_id": CLIENT,
    "login_client_secret": SECRET,
    "login_redirect_uri": "https://board.example/oauth2callback",
    "login_roles": {"makers": "analyst", "checkers": "auditor", "owners": "admin"},
    "login_emails": {"@example.org": "viewer", "eve@example.org": "admin"},
    "login_roles_claim": "groups",
}


def login(**more: Any) -> Login:
    """A login as `GIVEN` describes it, but for `more`."""
    found = configured(Settings(**{**GIVEN, **more}))
    assert found is not None
    return found


def claims(**more: Any) -> dict[str, Any]:
    """What a cookie says after a good sign-in, but for `more`."""
    good = {"is_logged_in": True, "sub": "1234", "aud": CLIENT, "iss": "https://login.example", "nonce": "n"}
    return {**good, "iat": time.time() - 60, "groups": ["makers"], **more}


def test_without_settings_nobody_signs_in() -> None:
    assert configured(Settings()) is None  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        *(({name: ""}, f"EXPLAIN_{name.upper()} must be set") for name in list(GIVEN)[:4]),
        ({"login_metadata_url": "http://login.example/x"}, "must begin with https"),
        ({"login_redirect_uri": "http://board.example/oauth2callback"}, "must begin with https"),
        ({"login_redirect_uri": "https://board.example/"}, "must end with the path"),
        ({"login_redirect_uri": "https://[oops/oauth2callback"}, "must begin with https"),
        ({"login_roles": {"makers": "king"}}, "got 'king'"),
        ({"login_roles": {}, "login_emails": {}}, "Nobody could sign in"),
        ({"login_emails": {"example.org": "viewer"}}, "an address or an @domain"),
        ({"login_scope": "profile email"}, "must name openid"),
    ],
)
def test_half_a_login_is_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said) as refused:
        login(**wrong)
    assert refused.value.code == "bad_login"
    assert SECRET not in str(refused.value)


def test_rules_alone_do_not_leave_the_pages_open() -> None:
    with pytest.raises(InputError, match="in part"):
        configured(Settings(login_roles={"makers": "analyst"}))  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("more", "roles"),
    [
        ({}, {"analyst"}),
        ({"groups": "owners"}, {"admin"}),
        ({"groups": ["checkers", "makers", "strangers"]}, {"auditor", "analyst"}),
        ({"groups": []}, set()),
        ({"groups": None}, set()),
        ({"groups": [1, {"makers": 1}, ["makers"]]}, set()),
        ({"groups": ["admin"]}, set()),  # a role's name is no rule
        ({"groups": ["@example.org", "eve@example.org"]}, set()),  # what is no address is not taken for one
        ({"groups": [], "email": "ann@example.org", "email_verified": True}, {"viewer"}),
        ({"groups": [], "email": "EVE@Example.org", "email_verified": "true"}, {"viewer", "admin"}),
        ({"groups": [], "email": "eve@example.org", "email_verified": False}, set()),
        ({"groups": [], "email": "eve@example.org"}, set()),  # anybody can type an address
        ({"groups": [], "email": "eve@example.org@evil.example", "email_verified": True}, set()),
        ({"groups": [], "email": "eve@sub.example.org", "email_verified": True}, set()),
        ({"groups": [], "roles": ["owners"]}, set()),  # another claim
    ],
)
def test_roles_come_from_rules_only(more: dict[str, Any], roles: set[str]) -> None:
    found = login().person(claims(**more))
    assert found is not None
    assert found.roles == roles
    assert not roles or found.signed_in
    assert found.may("erase evidence") == ("admin" in roles)


def test_a_claim_may_lie_deeper_or_hold_dots() -> None:
    deep = login(login_roles_claim="realm_access.roles")
    for given in ({"realm_access": {"roles": ["owners"]}}, {"realm_access.roles": ["owners"]}):
        found = deep.person(claims(**given))
        assert found is not None
        assert found.roles == {"admin"}
    for wrong in ({"realm_access": ["owners"]}, {"realm_access": {"roles": {"owners": 1}}}, {"realm_access": None}):
        found = deep.person(claims(**wrong))
        assert found is not None
        assert not found.roles


@pytest.mark.parametrize(
    "more",
    [
        {"is_logged_in": False},
        {"is_logged_in": "yes"},
        {"sub": None},
        {"sub": 5},
        {"sub": " "},
        {"nonce": ""},
        {"nonce": None},
        {"iat": None},
        {"iat": True},
        {"iat": "1700000000"},
        {"iat": float("nan")},
        {"iat": time.time() - 8 * 3600 - 1},
        {"iat": time.time() + 86_400},
        {"aud": "another"},
        {"aud": []},
        {"aud": None},
        {"aud": "another", "azp": CLIENT},
        {"aud": [CLIENT, "another"]},
        {"aud": [CLIENT, "another"], "azp": "another"},
        {"aud": CLIENT, "azp": "another"},
    ],
)
def test_claims_that_name_nobody(more: dict[str, Any]) -> None:
    assert login().person(claims(**more)) is None


def test_a_token_for_several_may_be_ours() -> None:
    assert login().person(claims(aud=[CLIENT])) is not None
    assert login().person(claims(aud=[CLIENT, "another"], azp=CLIENT)) is not None


def test_a_sign_in_ends() -> None:
    assert login(login_hours=1).person(claims(iat=time.time() - 3590)) is not None
    assert login(login_hours=1).person(claims(iat=time.time() - 3610)) is None
    here = login()
    here.leave(claims(nonce="mine"))
    assert here.person(claims(nonce="mine")) is None, "in every tab, and by any copy of the cookie"
    assert here.person(claims(nonce="yours")) is not None
    here.leave({"nonce": 5})  # nobody's: nothing happens
    assert login().person(claims(nonce="mine")) is not None, (
        "another process has another secret, so this cookie is none"
    )


def test_names_are_bounded_and_verified() -> None:
    here = login()
    named = here.person(claims(email="Ann@Example.org", email_verified=True))
    typed = here.person(claims(email="ann@example.org"))
    long = here.person(claims(sub="x" * 10_000))
    assert named and typed and long
    assert (named.name, typed.name, len(str(long.name))) == ("ann@example.org", "1234", 200)
    assert named.auth == "OpenID Connect, https://login.example, subject 1234"


def test_settings_are_read_and_the_secret_is_masked(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPLAIN_LOGIN_CLIENT_SECRET", SECRET)
    monkeypatch.setenv("EXPLAIN_LOGIN_ROLES", "makers = analyst, a=b=admin")
    monkeypatch.setenv("EXPLAIN_LOGIN_EMAILS", '{"CN=a,OU=b@c": "viewer"}')
    settings.cache_clear()
    try:
        assert settings().login_roles == {"makers": "analyst", "a=b": "admin"}
        assert settings().login_emails == {"CN=a,OU=b@c": "viewer"}
        for asked in (("settings",), ("settings", "--json")):
            _, out, err = run(*asked)
            assert SECRET not in out + err
        assert SECRET not in str(doctor.login())
        assert "EXPLAIN_LOGIN_CLIENT_SECRET=****" in run("settings")[1]
        assert SECRET not in repr(settings()) + str(settings().model_dump())
    finally:
        monkeypatch.undo()
        settings.cache_clear()


def test_the_worker_does_not_know_the_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models of strangers are computed there."""
    monkeypatch.setenv("EXPLAIN_LOGIN_CLIENT_SECRET", SECRET)
    monkeypatch.setenv("explain_login_client_secret", SECRET)  # settings are read in any case
    monkeypatch.setenv("EXPLAIN_EVIDENCE_URL", f"postgresql://whyboard:{SECRET}@localhost/evidence")
    monkeypatch.setenv("EXPLAIN_QUEUE", "3")
    started = Mock()
    monkeypatch.setattr("explain.service.process.subprocess.Popen", started)
    monkeypatch.setattr("explain.service.process._widen", Mock())
    monkeypatch.setattr("explain.service.process.threading.Thread", Mock())
    Process()
    env = started.call_args.kwargs["env"]
    assert env["EXPLAIN_QUEUE"] == "3"
    assert SECRET not in str(env)


def test_doctor_asks_the_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "settings", lambda: Settings())  # type: ignore[call-arg]
    assert doctor.login().state == "ok"
    monkeypatch.setattr(doctor, "settings", lambda: Settings(**{**GIVEN, "login_client_id": ""}))
    assert (doctor.login().state, "LOGIN_CLIENT_ID" in doctor.login().found) == ("wrong", True)
    with provider() as there:
        given = Settings(**{**GIVEN, "login_metadata_url": there.metadata_url})
        monkeypatch.setattr(doctor, "settings", lambda: given)
        assert (doctor.login().state, doctor.login().found) == (
            "ok",
            f"{there.address} says who comes; this machine asks 127.0.0.1",
        )
        monkeypatch.setattr(doctor, "find_spec", lambda name: None)
        assert "'.[login]'" in doctor.login().todo
        monkeypatch.undo()
        elsewhere = Settings(**{**GIVEN, "login_metadata_url": f"{there.address}/keys"})
        monkeypatch.setattr(doctor, "settings", lambda: elsewhere)
        assert doctor.login().state == "wrong", "an answer that is no metadata"
    monkeypatch.setattr(doctor, "settings", lambda: given)
    assert (doctor.login().state, "did not answer" in doctor.login().found) == ("wrong", True)


def test_rest_asks_for_keys_where_people_sign_in(tmp_path: Path) -> None:
    """A login of the pages opens no address of REST, and without a key file nobody is let in."""
    with rest.client(rest.application(tmp_path / "none", Mock(), home=tmp_path, **GIVEN)) as web:
        assert web.get("/v1/models").status_code == 401
        assert web.get("/v1/models", cookies=cookies(login())).status_code == 401
        assert web.get("/v2/health/live").status_code == 200
        key = Keys(tmp_path / "keys").add("ann", "viewer")
        assert web.get("/v1/models", headers={"authorization": f"Bearer {key}"}).status_code == 200


def cookies(here: Login, said: Any = None, secret: str | None = None) -> dict[str, str]:
    """The cookies that Streamlit sets after a sign-in."""
    found: dict[str, str] = {}
    secret = secret or here.secrets()["auth"]["cookie_secret"]

    def sign(name: str, value: str) -> bytes:
        return create_signed_value(str(secret), name, value)

    def keep(name: str, value: str) -> None:
        found[name] = sign(name, value).decode()

    set_cookie_with_chunks(keep, sign, signed_in.COOKIE, claims() if said is None else said, cookie_attr_size=100)
    return found


async def anything(request: Request) -> PlainTextResponse:
    answer = PlainTextResponse("a text of a model")
    answer.set_cookie("one", "1")
    answer.set_cookie("two", "2", secure=True)
    return answer


async def stream(socket: WebSocket) -> None:
    await socket.accept()
    await socket.close()


def web(here: Login, sent: dict[str, str] | None = None) -> TestClient:
    """A client with these cookies, of an application that would answer to everything."""
    routes = [Route("/{path:path}", anything), WebSocketRoute("/{path:path}", stream)]
    app = Starlette(routes=routes, middleware=[Middleware(signed_in.SignedIn, login=here)])
    return TestClient(app, cookies=sent, base_url="https://board.example")


SHUT = ("/media/x.json", "/viz/x", "/_stcore/metrics", "/_stcore/upload_file/a/b", "/_stcore/new", "/a/b", "/VIZ/x")


@pytest.mark.parametrize("path", SHUT)
def test_addresses_are_shut_to_who_is_not_signed_in(path: str) -> None:
    here = login()
    forged = [
        {},
        {signed_in.COOKIE: json.dumps(claims())},
        cookies(here, secret="guessed"),
        cookies(login()),  # of another process
        cookies(here, claims(iat=time.time() - 9 * 3600)),
        cookies(here, claims(aud="another")),
        cookies(here, {"sub": "x" * 9_000}),
        {"_streamlit_user_tokens": cookies(here)[signed_in.COOKIE]},
        {signed_in.COOKIE: cookies(here)[signed_in.COOKIE][:-1]},
    ]
    for sent in forged:
        answer = web(here, sent).get(path)
        assert (answer.status_code, "model" in answer.text) == (401, False)
        with pytest.raises(WebSocketDisconnect), web(here, sent).websocket_connect(path):
            pass


def test_addresses_ask_for_the_role_of_what_is_done_there() -> None:
    here = login()
    for group, opened in (("makers", {"/media/x.json", "/viz/x"}), ("owners", {*SHUT[:3]}), ("strangers", set())):
        asked = web(here, cookies(here, claims(groups=[group])))
        assert {path for path in SHUT if asked.get(path).status_code == 200} == opened
    large = cookies(here, claims(groups=["makers", *(f"group {i}" for i in range(2_000))]))
    assert len(large) > 2, "one that Streamlit cuts into pieces"
    assert web(here, large).get("/viz/x").status_code == 200


def test_a_sign_out_ends_every_copy_of_the_cookie() -> None:
    here = login()
    mine, yours = cookies(here), cookies(here, claims(nonce="another"))
    assert web(here, mine).get("/viz/x").status_code == 200
    assert web(here).get("/auth/logout").status_code == 200  # nobody's
    assert web(here, mine).get("/auth/logout").status_code == 200
    assert web(here, mine).get("/viz/x").status_code == 401
    assert web(here, yours).get("/viz/x").status_code == 200


def test_cookies_are_secure_where_pages_are() -> None:
    set_ = [v for k, v in web(login()).get("/").headers.multi_items() if k == "set-cookie"]
    assert [v.lower().count("secure") for v in set_] == [1, 1]
    plain = login(login_redirect_uri="http://localhost:8501/oauth2callback")
    set_ = [v for k, v in web(plain).get("/").headers.multi_items() if k == "set-cookie"]
    assert "secure" not in set_[0].lower(), "a browser would not send it back"


def test_every_address_of_streamlit_was_thought_about() -> None:
    """A route that a new Streamlit brings is shut, and this test asks whether it should be."""
    runtime: Any = SimpleNamespace(
        media_file_mgr=SimpleNamespace(_storage=None), uploaded_file_mgr=None, component_registry=None,
        bidi_component_registry=None, stats_mgr=None, _main_script_path=None,
    )  # fmt: skip
    found: dict[str, str] = {}
    for route in create_streamlit_routes(runtime):
        path = str(route.path).replace("{path:path}", "x").replace("{file_id:path}", "x.json")  # type: ignore[attr-defined]
        found[path] = signed_in.action(path)
    shut = {path for path, what in found.items() if what != "open"}
    assert {path for path in shut if found[path] == "see lists"} == {"/media/x.json"}
    assert {path for path in shut if found[path] == "see metrics"} == {"/_stcore/metrics"}
    assert all(found[path] == "nothing" for path in shut - {"/media/x.json", "/_stcore/metrics"})
    assert {
        "/_stcore/health",
        "/_stcore/stream",
        "/oauth2callback",
        "/auth/login",
        "/auth/logout",
    } <= found.keys() - shut
    for page in PAGES:
        assert signed_in.action(f"/{page.path}") == "open"


def test_every_place_names_an_action_that_there_is() -> None:
    assert {what for _, what in signed_in.PLACES} <= {"open", *DOORS}
    assert set(DOORS.values()) <= set(ROLES)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"server.trustedUserHeaders": {"X-User": "email"}, "server.enableXsrfProtection": True}, "trustedUserHeaders"),
        ({"server.trustedUserHeaders": {}, "server.enableXsrfProtection": False}, "enableXsrfProtection"),
    ],
)
def test_streamlit_must_not_believe_others(monkeypatch: pytest.MonkeyPatch, options: Any, said: str) -> None:
    monkeypatch.setattr(signed_in.st, "get_option", options.get)
    with pytest.raises(InputError, match=said):
        signed_in.prepare(login())


def test_streamlit_answers_to_the_name_of_the_login(monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"server.enableXsrfProtection": True, "server.allowedHosts": ["localhost"]}
    monkeypatch.setattr(signed_in.st, "get_option", options.get)
    monkeypatch.setattr(signed_in.config, "set_option", options.__setitem__)
    signed_in.prepare(login())
    assert options["server.allowedHosts"] == ["localhost", "board.example"]
