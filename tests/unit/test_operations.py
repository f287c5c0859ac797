"""Running Whyboard: keys, settings, doctor, the log, and a server that starts, answers, drains and stops."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import uvicorn

import explain
from explain import bundled, camera, doctor, operations
from explain.errors import InputError
from explain.journal import JsonLines
from explain.keys import Keys
from explain.rest import serving
from explain.settings import Settings, settings


@pytest.fixture
def set_keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """EXPLAIN_KEYS names a file that is not there yet."""
    monkeypatch.setenv("EXPLAIN_KEYS", str(tmp_path / "keys"))
    settings.cache_clear()
    yield tmp_path / "keys"  # type: ignore[misc]
    monkeypatch.undo()
    settings.cache_clear()


def test_keys_are_made_listed_and_removed(run: Any, set_keys: Path) -> None:
    code, key, said = run("keys", "add", "ann", "--role", "viewer")
    assert code == 0
    assert "EXPLAIN_KEYS=" in said
    holder = Keys(set_keys).holder(key.strip())
    assert holder is not None
    assert (holder.name, holder.role) == ("ann", "viewer")
    assert run("keys", "list")[1] == "ann viewer\n"
    assert run("keys", "add", "ann")[0] == 2
    assert run("keys", "add", "bob", "--role", "king")[0] == 2
    assert run("keys", "remove", "ann")[0] == 0
    assert run("keys", "remove", "ann")[0] == 2
    assert Keys(set_keys).holder(key.strip()) is None


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.1", "example.org"])
def test_beyond_loopback_only_with_keys(run: Any, host: str, set_keys: Path) -> None:
    code, _, error = run("serve", "--host", host)
    assert code == 2
    assert "this machine only" in error
    code, _, error = run("serve")
    assert code == 2
    assert "without keys" in error, "keys that nobody has would shut out everybody"


def test_a_taken_port_is_one_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(InputError, match="Cannot listen"):
            operations._free("127.0.0.1", taken.getsockname()[1])


def test_every_setting_is_printed(run: Any) -> None:
    code, out, _ = run("settings", "--json")
    assert code == 0
    assert set(json.loads(out)) == set(Settings.model_fields)
    table = run("settings")[1]
    assert all(f"EXPLAIN_{name.upper()}" in table for name in Settings.model_fields)


@pytest.mark.parametrize(("name", "value"), [("QUEUE", "many"), ("SECONDS", "-1"), ("LOGIN_ROLES", "{oops")])
def test_a_setting_that_cannot_be_used_is_one_sentence(
    run: Any, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"EXPLAIN_{name}", value)
    settings.cache_clear()
    try:
        for command in (("settings",), ("keys", "list"), ("serve",)):
            code, _, said = run(*command)
            assert (code, said.startswith(f"EXPLAIN_{name} cannot be used: ")) == (2, True)
            assert "Traceback" not in said
    finally:
        monkeypatch.undo()
        settings.cache_clear()


def test_names_are_read_between_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPLAIN_ALLOWED_HOSTS", "one.example, two.example,")
    assert Settings().allowed_hosts == ("one.example", "two.example")  # type: ignore[call-arg]


def test_doctor_says_what_is_wrong_and_what_to_do(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, _ = run("doctor", "--json")
    found = {one["about"]: one for one in json.loads(out)}
    assert {"Python", "packages", "device", "bundled models", "API keys"} <= set(found)
    assert code == int(any(one["state"] == "wrong" for one in found.values()))
    assert all(one["todo"] for one in found.values() if one["state"] == "wrong")
    broken = doctor.Finding("device", "wrong", "no torch", "Run `pip install torch`.")
    monkeypatch.setattr(doctor, "findings", lambda: [broken])
    code, out, _ = run("doctor")
    assert code == 1
    assert "pip install torch" in out


def test_a_missing_package_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "requires", lambda _: ["no-such-thing>=1", "torch>=999", "pytest>=999; extra == 'dev'"])
    found = doctor.packages()
    assert found.state == "wrong"
    assert "no-such-thing (missing)" in found.found
    assert "torch" in found.found
    assert "pytest" not in found.found


def test_an_extra_comes_from_the_checkout_or_by_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert bundled.installing("login") == "pip install -e '.[login]'"
    monkeypatch.setattr(bundled, "_PACKAGE", tmp_path / "explain")
    assert bundled.installing("login") == "pip install 'whyboard[login]'"


@pytest.mark.parametrize("name", ["chromium", "chromium-browser", "google-chrome"])
def test_a_browser_is_found_by_each_of_its_names(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert camera.browser() is None
    (tmp_path / name).touch(0o755)
    assert camera.browser() == str(tmp_path / name)


def test_a_log_line_cannot_be_forged() -> None:
    record = logging.makeLogRecord({"name": "x", "msg": "a\nb\x1b[31m", "fields": {"client": "c\r\nd\u2028"}})
    line = JsonLines().format(record)
    assert line.isprintable()
    assert json.loads(line)["client"] == "c\r\nd\u2028"
    try:
        raise ValueError("the secret text")
    except ValueError:
        record.exc_info = sys.exc_info()
    said = json.loads(JsonLines().format(record))
    assert said["exception"] == "ValueError"
    assert "secret" not in json.dumps(said)
    assert "test_operations.py" in said["where"][0]


def _ready(address: str, name: str = "ready") -> tuple[int, bool]:
    """The status of a question about health, and what it says."""
    try:
        with urllib.request.urlopen(f"{address}/v2/health/{name}", timeout=30) as answer:
            return answer.status, json.load(answer)[name]
    except urllib.error.HTTPError as answer:
        return answer.code, json.load(answer)[name]


def test_a_server_leaves_time_after_the_first_sigterm_alone() -> None:
    told: list[str] = []

    def server() -> serving.Server:
        return serving.Server(uvicorn.Config("nobody:app"), lambda: told.append("leave"), 600)

    def ends(one: serving.Server) -> bool:
        with ThreadPoolExecutor(1) as beside:  # in this one a browser's loop may be running
            return beside.submit(asyncio.run, one.on_tick(1)).result()

    asked = server()
    assert not ends(asked)
    assert told == []
    asked.handle_exit(signal.SIGTERM, None)
    assert [ends(asked), ends(asked)] == [False, False]
    assert told == ["leave"], "said once, and at once"
    asked.handle_exit(signal.SIGTERM, None)
    assert ends(asked)
    person = server()
    person.handle_exit(signal.SIGINT, None)
    assert ends(person)
    assert told == ["leave", "leave"]


def test_the_readme_says_for_how_long() -> None:
    text = " ".join((Path(__file__).resolve().parents[2] / "README.md").read_text("utf-8").split())
    known = Settings.model_fields
    assert f"{known['leave_seconds'].default:g} seconds (`EXPLAIN_LEAVE_SECONDS`)" in text
    assert f"up to {known['drain_seconds'].default:g} seconds (`EXPLAIN_DRAIN_SECONDS`)" in text


def test_a_server_starts_answers_logs_and_stops(tmp_path: Path) -> None:
    """As an operator starts it: keys in the environment, a signal at the end, a log without the text."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    key = Keys(tmp_path / "keys").add("ann", "analyst")
    env = {**os.environ, "EXPLAIN_KEYS": str(tmp_path / "keys"), "EXPLAIN_DRAIN_SECONDS": "10"}
    env["EXPLAIN_LEAVE_SECONDS"] = "600"  # ended by a second signal
    command = [sys.executable, "-m", "explain", "serve", "--port", str(port)]
    process = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    address = f"http://127.0.0.1:{port}"
    try:
        until = time.monotonic() + 120
        while True:
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < until
            try:
                with urllib.request.urlopen(f"{address}/v2/health/ready", timeout=5) as answer:
                    assert json.load(answer) == {"ready": True}
                break
            except OSError:
                time.sleep(0.1)
        assert explain.Client(address, key).predict("A secret, stirring film.").labels == ("NEGATIVE", "POSITIVE")
        with pytest.raises(explain.errors.AccessError):
            explain.Client(address).models()
        process.send_signal(signal.SIGTERM)
        while (found := _ready(address)) == (200, True):
            time.sleep(0.05)
        assert found == (503, False), "said while it still listens"
        assert _ready(address, "live") == (200, True)
        assert explain.Client(address, key).predict("A late, stirring film.").labels == ("NEGATIVE", "POSITIVE")
    finally:
        process.send_signal(signal.SIGTERM)
        log = process.communicate(timeout=60)[1]
    assert process.returncode in (0, -signal.SIGTERM)
    lines = [json.loads(line) for line in log.splitlines()]
    asked = next(line for line in lines if line.get("route") == "/v1/predict")
    assert (asked["status"], asked["client"], asked["method"]) == (200, "ann", "POST")
    assert "secret" not in log
    assert key not in log
