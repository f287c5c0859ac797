"""Who may ask what: generated from every route there is, and refused where no rule says otherwise."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.testclient import TestClient

from explain import bundled
from explain.catalog import Forecast
from explain.engine import Model
from explain.errors import BusyError, InputError
from explain.guard import DATA_POLICY, SEALED
from explain.keys import MAY, ROLES, Holder, Keys
from explain.rest import running
from explain.rest.face import ROUTES, Route
from explain.rest.limiter import Limiter
from explain.rest.served import Served
from explain.service.job import InfoRequest, Job
from tests import rest
from tests.rest import TEXT
from tests.unit.test_rest_jobs import Held

IDS = [f"{r.method} {r.path}" for r in ROUTES]


def address(route: Route) -> str:
    """The address of a route, with places that exist where they are needed."""
    return re.sub(r"{\w+}", "tiny0", route.path)


@pytest.fixture(scope="module")
def keyring(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A key file with one key of every role, and the keys."""
    path = tmp_path_factory.mktemp("keys") / "keys"
    return path, {role: Keys(path).add(role, role) for role in ROLES}


@pytest.fixture(scope="module")
def web(tiny_folder: Path, keyring: tuple[Path, dict[str, str]]) -> Iterator[TestClient]:
    """A client without a key, of an application with keys, in which nothing ends."""
    with rest.client(rest.application(tiny_folder, Held(), keys=keyring[0], rate=10_000)) as found:
        yield found


def ask(web: TestClient, route: Route, key: str | None) -> int:
    """The status that a route answers to an empty object."""
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    return web.request(route.method, address(route), json={}, headers=headers).status_code


@pytest.mark.parametrize("route", ROUTES, ids=IDS)
def test_every_route_asks_for_a_key(web: TestClient, route: Route) -> None:
    for key in (None, "wrong", "wb_" + "A" * 43, "", "\u00e9"):
        raw = {} if key is None else {"authorization": f"Bearer {key}".encode()}
        answer = web.request(route.method, address(route), json={}, headers=raw)
        if route.door == "open":
            assert answer.status_code == 200
        else:
            assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
            assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("route", ROUTES, ids=IDS)
@pytest.mark.parametrize("role", ROLES)
def test_every_role_at_every_route(
    web: TestClient, keyring: tuple[Path, dict[str, str]], role: str, route: Route
) -> None:
    allowed = route.door == "open" or route.door in MAY[role]  # type: ignore[index]
    assert (ask(web, route, keyring[1][role]) not in (401, 403)) == allowed


def test_only_these_are_open() -> None:
    assert {r.path for r in ROUTES if r.door == "open"} == {"/v2/health/live", "/v2/health/ready", "/openapi.json"}
    assert {r.path for r in ROUTES if r.door == "admin"} == {"/metrics"}


def test_a_route_without_a_rule_is_shut(tiny_folder: Path, keyring: tuple[Path, dict[str, str]]) -> None:
    app: FastAPI = rest.application(tiny_folder, Held(), keys=keyring[0])

    async def forgotten() -> str:
        return "secret"

    app.add_api_route("/forgotten", forgotten)
    with rest.client(app) as web:
        answer = web.get("/forgotten", headers={"authorization": f"Bearer {keyring[1]['admin']}"})
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert "secret" not in answer.text


def test_every_route_of_the_application_has_a_rule(web: TestClient) -> None:
    app: FastAPI = web.app  # type: ignore[assignment]
    known = {(r.method, r.path) for r in ROUTES}
    for found in app.routes:
        assert isinstance(found, APIRoute), f"{found} is not guarded by the application's dependency"
        assert {(m, found.path) for m in found.methods} <= known


def test_a_job_is_its_owners(tiny_folder: Path, tmp_path: Path) -> None:
    keys = Keys(tmp_path / "keys")
    one, two = ({"authorization": f"Bearer {keys.add(name, 'analyst')}"} for name in ("one", "two"))
    with rest.client(rest.application(tiny_folder, Held(), keys=keys.path)) as web:
        job = web.post("/v1/jobs", json={"inputs": TEXT}, headers={**one, "idempotency-key": "k"}).json()["id"]
        assert web.get(f"/v1/jobs/{job}", headers=one).status_code == 200
        for method, path in (("GET", ""), ("POST", ":cancel"), ("POST", ":resume")):
            answer = web.request(method, f"/v1/jobs/{job}{path}", headers=two)
            assert (answer.status_code, answer.json()["code"]) == (404, "job_not_found")
        assert web.get("/v1/jobs", headers=two).json() == {"jobs": []}
        same = web.post("/v1/jobs", json={"inputs": TEXT}, headers={**two, "idempotency-key": "k"})
        assert same.json()["id"] != job, "an idempotency key is its owner's too"
        assert web.get(f"/v1/jobs/{job}", headers=one).json()["state"] == "running"


def test_what_a_model_is_is_asked_by_the_key_and_ends_with_who_left(
    tiny_folder: Path, tmp_path: Path, tiny: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else one key's questions about the model were nobody's, and nobody's may fill the line."""
    asked: list[str] = []
    left: list[object] = []

    class Asking(Held):
        def info(self, model: str, *, client: str = "") -> Job:
            asked.append(client)
            job = Job(InfoRequest(), model, client=client)
            job.done(tiny.info)
            return job

        def forecasts(self, requests: Sequence[Any], model: str) -> list[Forecast]:
            return [Forecast()] * len(requests)

    def over(job: Job, gone: Any = None) -> Any:
        left.append(gone)
        return real(job, gone)

    keys, real = Keys(tmp_path / "keys"), running.over
    monkeypatch.setattr(running, "over", over)
    mine = {"authorization": f"Bearer {keys.add('one', 'analyst')}"}
    more = {"parameters": {"attention": True}}
    with rest.client(rest.application(tiny_folder, Asking(full=True), keys=keys.path)) as web:
        for path in ("/v1/explain", "/v1/forecast", "/v1/jobs"):
            web.post(path, json={"inputs": TEXT, **more}, headers=mine)
        web.post(f"/v1/models/{tiny_folder.name}:explain", json={"instances": [TEXT], **more}, headers=mine)
    assert asked == ["one"] * 4
    assert len(left) == 4
    assert None not in left


def test_who_may_read_records_is_told_of_the_machine(tiny_folder: Path, keyring: tuple[Path, dict[str, str]]) -> None:
    """Platform, processor and state of the code serve a replay; they are nobody else's business."""
    path, keys = keyring
    body = {"inputs": TEXT, "parameters": {"checks": []}}
    with rest.client(rest.application(tiny_folder, keys=path)) as web:
        for role, told in (("admin", True), ("analyst", False)):
            mine = {"authorization": f"Bearer {keys[role]}"}
            plain = web.post("/v1/explain", json=body, headers=mine).json()
            lines = web.post("/v1/explain", json=body, headers={**mine, "accept": "application/jsonl"}).text
            job = web.post("/v1/jobs", json=body, headers=mine).json()["id"]
            while (found := web.get(f"/v1/jobs/{job}", headers=mine).json())["state"] in ("queued", "running"):
                time.sleep(0.02)
            answers = (plain, json.loads(lines.splitlines()[-1])["result"], *found["results"])
            assert [a["provenance"]["machine"] is not None for a in answers] == [told] * 3
            assert all(a["provenance"]["versions"]["torch"] for a in answers), "what a replay needs most stays"


def test_keys_are_digests_and_go_at_once(tiny_folder: Path, tmp_path: Path) -> None:
    keys = Keys(tmp_path / "deep" / "keys")
    key = keys.add("ann", "viewer")
    assert key not in keys.path.read_text()
    assert keys.path.stat().st_mode & 0o777 == 0o600
    assert keys.holders() == [Holder("ann", "viewer")]
    with rest.client(rest.application(tiny_folder, Held(), keys=keys.path)) as web:
        headers = {"authorization": f"Bearer {key}"}
        assert web.get("/v1/models", headers=headers).status_code == 200
        other = Keys(keys.path).add("bob", "viewer")
        assert web.get("/v1/models", headers={"authorization": f"Bearer {other}"}).status_code == 200
        Keys(keys.path).remove("ann")
        assert web.get("/v1/models", headers=headers).status_code == 401
        keys.path.unlink()
        assert web.get("/v1/models", headers={"authorization": f"Bearer {other}"}).status_code == 401, "shut, not open"


@pytest.mark.parametrize(("name", "role"), [("a b", "viewer"), ("", "viewer"), ("x" * 65, "viewer"), ("ann", "king")])
def test_bad_keys_are_not_made(tmp_path: Path, name: str, role: str) -> None:
    with pytest.raises(InputError):
        Keys(tmp_path / "keys").add(name, role)
    keys = Keys(tmp_path / "keys")
    keys.add("ann", "viewer")
    with pytest.raises(InputError, match="already"):
        keys.add("ann", "admin")
    with pytest.raises(InputError, match="no key"):
        keys.remove("bob")
    keys.path.write_text("ann viewer not-a-digest\n")
    with pytest.raises(InputError, match="Line 1"):
        Keys(keys.path).holders()
    assert Keys(keys.path).holder("anything") is None


def test_one_flood_leaves_the_others_alone(tiny_folder: Path, tmp_path: Path) -> None:
    keys = Keys(tmp_path / "keys")
    loud, calm = ({"authorization": f"Bearer {keys.add(name, 'viewer')}"} for name in ("loud", "calm"))
    with rest.client(rest.application(tiny_folder, Held(), keys=keys.path, rate=0.5)) as web:
        statuses = [web.get("/v1/models", headers=loud).status_code for _ in range(20)]
        assert set(statuses) == {200, 429}
        answer = web.get("/v1/models", headers=loud)
        assert answer.json()["code"] == "rate_limited"
        assert int(answer.headers["retry-after"]) >= 1
        assert web.get("/v1/models", headers=calm).status_code == 200
        guesses = [web.get("/v1/models", headers={"authorization": "Bearer x"}).status_code for _ in range(20)]
        assert set(guesses) == {401, 429}
        assert web.get("/v2/health/live").status_code == 200


def test_a_bucket_fills_again() -> None:
    now = [0.0]
    found = Limiter(2.0, lambda: now[0])
    for _ in range(20):
        found.take("ann")
    with pytest.raises(BusyError) as error:
        found.take("ann")
    now[0] += error.value.retry_after
    found.take("ann")
    found.take("bob")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.example"}, 400),
        ({"host": "localhost:8600", "origin": "http://evil.example"}, 403),
        ({"host": "localhost:8600", "origin": "null"}, 403),
        ({"host": "explain.example"}, 200),
        ({"host": "localhost:8600", "origin": "http://localhost:8600"}, 200),
    ],
)
def test_foreign_pages_and_names_are_refused(tiny_folder: Path, headers: dict[str, str], status: int) -> None:
    app = rest.application(tiny_folder, Held(), allowed_hosts="explain.example, other.example")
    with rest.client(app) as web:
        answer = web.get("/v1/models", headers=headers)
    assert answer.status_code == status
    if status != 200:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["status"] == status
        assert answer.json()["request_id"] == answer.headers["x-request-id"]


@pytest.mark.parametrize("route", ROUTES, ids=IDS)
def test_every_answer_is_sealed(web: TestClient, keyring: tuple[Path, dict[str, str]], route: Route) -> None:
    key = {"authorization": f"Bearer {keyring[1]['admin']}"}
    answers = [
        web.request(route.method, address(route), json={}, headers=key),
        web.request(route.method, address(route), json={}),
        web.request("PATCH", address(route), headers=key),
        web.get("/nothing" + address(route), headers=key),
        web.get(address(route), headers={"host": "evil.example"}),
    ]
    for answer in answers:
        assert answer.headers["content-security-policy"] == DATA_POLICY
        assert {name: answer.headers[name.lower()] for name in SEALED} == SEALED
        assert "access-control-allow-origin" not in answer.headers
        assert answer.headers["x-request-id"]


def test_models_come_from_the_list_only(tiny_folder: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "inside").symlink_to(tiny_folder)  # leads out
    (root / "empty").mkdir()
    served = Served(rest.settings(tiny_folder, models_root=root, served="owner/model"))
    assert served.names() == [*bundled.names(), "owner/model"]
    assert served.find("owner/model").source == "owner/model"
    names = (
        "inside",
        "empty",
        "../root",
        "..",
        "/etc",
        str(tiny_folder),
        "~",
        "..%2f",
        "a\0b",
        "",
        "http://169.254.169.254/",
    )
    for name in names:
        with pytest.raises(Exception, match="no such model") as error:
            served.find(name)
        assert name not in str(error.value) or not name
    own = Served(rest.settings(tiny_folder))
    assert own.find(None).source == str(tiny_folder.resolve())


def test_a_default_that_was_set_as_a_path_is_served_by_its_name(tiny_folder: Path, tmp_path: Path) -> None:
    served = Served(rest.settings(tiny_folder, model=str(tiny_folder)))
    assert served.default == tiny_folder.name
    assert served.find(None).name == tiny_folder.name
    with pytest.raises(Exception, match="no such model"):
        served.find(str(tiny_folder))
    assert served.first == served.find(None).source, "it is loaded once, ahead of the first request"
    (tmp_path / "linked").symlink_to(tiny_folder.parent)
    linked = Served(rest.settings(tiny_folder, model=str(tmp_path / "linked" / tiny_folder.name)))
    assert linked.find(None).source == linked.first == str(tiny_folder.resolve())
    elsewhere = Served(rest.settings(tiny_folder, model=str(tmp_path)))
    with pytest.raises(Exception, match=r"no such model.*EXPLAIN_MODELS_ROOT.*EXPLAIN_SERVED"):
        elsewhere.find(None)


@pytest.mark.parametrize("name", ["..%2f..%2fetc", "%2e%2e", "etc%00", "CON", "x" * 300, "hf:%2f%2fa", "file:"])
def test_a_strange_model_in_an_address_is_not_found(tiny_folder: Path, name: str) -> None:
    with rest.client(rest.application(tiny_folder, Held())) as web:
        for method, path in (("GET", ""), ("POST", ":predict"), ("POST", ":explain"), ("POST", "")):
            answer = web.request(method, f"/v1/models/{name}{path}", json={"instances": ["a"], "inputs": "a"})
            assert answer.status_code == 404
            assert "passwd" not in answer.text
