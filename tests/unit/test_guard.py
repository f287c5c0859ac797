"""Only pages that this machine served, under a name of this machine, reach the dashboard."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
import streamlit
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from explain.dashboard.policy import page_policy
from explain.guard import LOCAL, AllowedHosts

ROOT = Path(__file__).resolve().parents[2]


async def page(request: object) -> PlainTextResponse:
    return PlainTextResponse("hello")


async def stream(socket: WebSocket) -> None:
    await socket.accept()
    await socket.close()


APP = Starlette(routes=[Route("/", page), WebSocketRoute("/stream", stream)], middleware=[Middleware(AllowedHosts)])
GOOD = [
    {"host": "localhost:8501"},
    {"host": "127.0.0.1:8501", "origin": "http://127.0.0.1:8501"},
    {"host": "[::1]:8501", "origin": "http://[::1]:8501"},
]
BAD = [
    {"host": "evil.example:8501"},
    {"host": "evil.example:8501", "origin": "http://evil.example:8501"},
    {"host": "localhost:8501", "origin": "http://evil.example"},
    {"host": "localhost:8501", "origin": "http://localhost:9999"},
    {"host": "localhost:8501", "origin": "null"},
    {"host": "localhost.evil.example"},
    {"host": "[oops"},
    {"host": ""},
]


@pytest.mark.parametrize("headers", GOOD)
def test_this_machine_is_let_in(headers: dict[str, str]) -> None:
    client = TestClient(APP)
    assert client.get("/", headers=headers).text == "hello"
    with client.websocket_connect("/stream", headers=headers):
        pass


@pytest.mark.parametrize("headers", BAD)
def test_others_are_not(headers: dict[str, str]) -> None:
    client = TestClient(APP)
    foreign = "localhost:" not in headers["host"]
    assert client.get("/", headers=headers).status_code == (400 if foreign else 403)
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/stream", headers=headers):
        pass


def test_pages_run_no_script_but_ours() -> None:
    rules = dict(rule.split(" ", 1) for rule in page_policy().split("; "))
    assert "'unsafe-eval'" not in rules["script-src"]
    assert "'unsafe-inline'" not in rules["script-src"]
    assert "http" not in page_policy(), "nothing from another machine"
    assert rules["object-src"] == rules["base-uri"] == "'none'"
    assert rules["frame-src"] == rules["frame-ancestors"] == "'self'"
    page = (Path(str(streamlit.__file__)).parent / "static" / "index.html").read_text("utf-8")
    assert rules["script-src"].count("'sha256-") == page.count("<script>")


def test_the_agent_interface_is_off() -> None:
    config = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text("utf-8"))
    assert config["server"]["enableAgentApi"] is False
    assert config["server"]["address"] in LOCAL
    assert config["client"]["showErrorDetails"] == "none"
