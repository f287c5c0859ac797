"""The Hub, played by a server on this machine: what is fetched, what is refused, and that nothing waits for ever.

The Hub's client reads its address when it is imported, so two other processes ask: one while the server
answers, one after it is gone. A model's name says how the server behaves.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from explain.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
MAIN, OLD = "1" * 40, "2" * 40
TOKEN = "hf_of_a_friend"
UNWANTED = ["pytorch_model.bin", "modeling_own.py", "training_args.bin", "onnx/model.onnx", "onnx/config.json"]

CLIENT = """
import json, os, sys, time
from explain.engine import load
from explain.errors import ExplainError
from explain.settings import settings

REACHING = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto")
opened = []
sys.addaudithook(lambda event, _: opened.append(event) if event in REACHING else None)
for label, name, timeout, options in json.load(sys.stdin):
    os.environ["EXPLAIN_HUB_TIMEOUT"] = str(timeout)
    settings.cache_clear()
    opened.clear()
    asked = time.perf_counter()
    try:
        info = load(name, **options).info
        answer = {"id": info.id, "source": info.source, "revision": info.revision, "weights": info.weights_sha256}
    except ExplainError as error:
        answer = {"error": type(error).__name__, "code": error.code, "message": str(error)}
    print(json.dumps([label, answer | {"seconds": time.perf_counter() - asked, "sockets": len(opened)}]))
"""

# label, name, seconds to wait, options of load(); the silent ones are last, so that what they leave behind is there
# when the process ends.
ASKED: list[tuple[str, str, float, dict[str, Any]]] = [
    ("good", "owner/good", 60, {}),
    ("old", "owner/good", 60, {"revision": "v1"}),
    ("no revision", "owner/good", 60, {"revision": "v7"}),
    ("friend", "owner/private", 60, {"token": TOKEN}),
    ("stranger", "owner/private", 60, {}),
    ("gated", "owner/gated", 60, {}),
    ("missing", "owner/missing", 60, {}),
    ("forbidden", "owner/forbidden", 60, {}),
    ("pickle", "owner/pickle", 60, {}),
    ("unsafe", "owner/unsafe", 60, {}),
    ("bare", "owner/bare", 60, {}),
    ("down", "owner/down", 60, {}),
    ("silent", "owner/silent", 0.5, {}),
    ("silent files", "owner/silent-files", 0.5, {}),
    ("stalled", "owner/stalled", 0.5, {}),
]
ASKED_LATER: list[tuple[str, str, float, dict[str, Any]]] = [
    ("not allowed", "owner/good", 60, {"allow_download": False}),
    ("not allowed, not here", "owner/other", 60, {"allow_download": False}),
    ("good again", "owner/good", 60, {}),
    ("by commit", "owner/good", 60, {"revision": OLD}),
    ("by tag", "owner/good", 60, {"revision": "v1"}),
    ("refused", "owner/other", 60, {}),
    ("half", "owner/stalled", 60, {}),
]


@dataclass
class Hub:
    """The server's files and what was asked of it."""

    files: dict[str, bytes]
    asked: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def of(self, model: str) -> dict[str, bytes]:
        """The files of a model, by name."""
        if model == "pickle":
            return {k: v for k, v in self.files.items() if not k.endswith(".safetensors")}
        if model == "bare":
            return {k: v for k, v in self.files.items() if k != "config.json"}
        if model == "unsafe":
            config = json.loads(self.files["config.json"]) | {"_attn_implementation_internal": "evil/kernel"}
            return self.files | {"config.json": json.dumps(config).encode()}
        return self.files

    def fetched(self, model: str) -> list[str]:
        """Names of the files of which bytes were asked for, sorted."""
        paths = [re.fullmatch(rf"GET /owner/{model}/resolve/\w+/(.*)", line) for line in self.asked]
        return sorted(found[1] for found in paths if found)


def handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    """A request handler that answers as the Hub does, as far as its client asks."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            hub.asked.append(f"{self.command} {self.path}")
            found = re.fullmatch(
                r"/(?:api/models/)?owner/([\w-]+)(?:/re(?:vision|solve)/(\w+)(?:/(.+))?)?", self.path.split("?")[0]
            )
            if found is None:
                return self.say(404, {"X-Error-Code": "RepoNotFound"})
            model, revision, file = found.groups()
            mine = self.headers.get("Authorization") == f"Bearer {TOKEN}"
            commit = {None: MAIN, "main": MAIN, MAIN: MAIN, "v1": OLD, OLD: OLD}.get(revision)
            if model == "missing" or (model == "private" and not mine):
                return self.say(404 if model == "missing" else 401, {"X-Error-Code": "RepoNotFound"})
            if model == "forbidden":
                return self.say(403, {})
            if model == "gated" and file:
                return self.say(403, {"X-Error-Code": "GatedRepo"})
            if model == "down":
                return self.say(503, {})
            if commit is None:
                return self.say(404, {"X-Error-Code": "RevisionNotFound"})
            if model == "silent" or (model == "silent-files" and file):
                hub.over.wait()
                return None
            if not file:
                listing = {"id": f"owner/{model}", "sha": commit, "siblings": [{"rfilename": n} for n in hub.of(model)]}
                return self.say(200, {"Content-Type": "application/json"}, json.dumps(listing).encode())
            body = hub.of(model).get(file)
            if body is None:
                return self.say(404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit})
            etag = hashlib.sha256(body).hexdigest()
            return self.say(200, {"ETag": f'"{etag}"', "X-Repo-Commit": commit}, body, stall=model == "stalled")

        def say(self, status: int, headers: dict[str, str], body: bytes = b"", stall: bool = False) -> None:
            self.send_response(status)
            for key, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(key, value)
            self.end_headers()
            if self.command == "GET" and stall and len(body) > 10_000:  # the weights
                self.wfile.write(body[: len(body) // 2])
                self.wfile.flush()
                hub.over.wait()
            elif self.command == "GET":
                self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    return Handler


def ask(asked: list[tuple[str, str, float, dict[str, Any]]], port: int, home: Path) -> dict[str, dict[str, Any]]:
    """What another process is told, by label."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "EXPLAIN_", "HUGGING"))}
    env = {
        **clean,
        "HF_ENDPOINT": f"http://127.0.0.1:{port}",
        "HF_HUB_OFFLINE": "0",
        "HF_HOME": str(home),
        "EXPLAIN_ALLOW_DOWNLOAD": "true",
        "OMP_NUM_THREADS": "1",
        "NO_PROXY": "127.0.0.1",
    }
    done = subprocess.run(
        [sys.executable, "-c", CLIENT],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=env,
        timeout=200,  # a download thread that outlives the program would keep it from ending
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(line) for line in done.stdout.splitlines())


@pytest.fixture(scope="module")
def hub(tiny_folder: Path) -> Hub:
    """A Hub that has the tiny model, and beside it files that nobody needs."""
    files = {p.name: p.read_bytes() for p in tiny_folder.iterdir()}
    return Hub({**files, "README.md": b"---\nlicense: mit\n---\n", **dict.fromkeys(UNWANTED, b"x")})


@pytest.fixture(scope="module")
def answers(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, dict[str, Any]]]:
    """Every answer, by label: first with the server, then without it."""
    home = tmp_path_factory.mktemp("hf")
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(hub))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        found = ask(ASKED, server.server_port, home)
    finally:
        server.shutdown()
        server.server_close()
        hub.over.set()
    yield found | ask(ASKED_LATER, server.server_port, home)


def test_a_model_is_fetched_by_name_and_recorded_with_its_commit(answers: dict[str, dict[str, Any]]) -> None:
    assert answers["good"]["id"] == "owner/good"
    assert answers["good"]["source"] == "hub"
    assert answers["good"]["revision"] == MAIN
    assert answers["old"]["revision"] == OLD


def test_only_what_is_needed_is_fetched(hub: Hub, answers: dict[str, dict[str, Any]]) -> None:
    assert "error" not in answers["good"]
    wanted = sorted(set(hub.files) - set(UNWANTED))
    assert sorted(set(hub.fetched("good"))) == wanted
    assert len(hub.fetched("good")) == len(wanted)  # the second revision has the same bytes
    assert not [line for line in hub.asked if any(f.rpartition("/")[2] in line for f in UNWANTED[:4])]


@pytest.mark.parametrize("label", ["not allowed", "good again", "by commit", "by tag"])
def test_what_was_fetched_works_without_the_server(answers: dict[str, dict[str, Any]], label: str) -> None:
    first = answers["good"] if label in ("not allowed", "good again") else answers["old"]
    assert {k: answers[label].get(k) for k in ("revision", "weights")} == {k: first[k] for k in ("revision", "weights")}


@pytest.mark.parametrize("label", ["not allowed", "not allowed, not here"])
def test_no_socket_is_opened_when_downloads_are_not_allowed(answers: dict[str, dict[str, Any]], label: str) -> None:
    assert answers[label]["sockets"] == 0
    assert answers["refused"]["sockets"] > 0  # so it would have been seen


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("missing", "owner/missing"),
        ("stranger", "owner/private"),
        ("forbidden", "owner/forbidden"),
        ("gated", "owner/gated"),
        ("no revision", "'owner/good' at revision 'v7'"),
    ],
)
def test_what_may_not_be_read_is_not_found(answers: dict[str, dict[str, Any]], label: str, name: str) -> None:
    assert answers[label].get("code") == "model_not_found", answers[label]
    assert name in answers[label]["message"]


def test_a_token_opens_what_is_private(answers: dict[str, dict[str, Any]]) -> None:
    assert answers["friend"].get("revision") == MAIN, answers["friend"]


@pytest.mark.parametrize(
    ("label", "code", "fetched"),
    [
        ("pickle", "unsafe_format", []),
        ("bare", "no_config", []),
        ("unsafe", "unsafe_config", ["config.json"]),
    ],
)
def test_a_model_that_is_refused_is_not_fetched(
    hub: Hub, answers: dict[str, dict[str, Any]], label: str, code: str, fetched: list[str]
) -> None:
    assert answers[label].get("code") == code, answers[label]
    assert hub.fetched(label) == fetched


@pytest.mark.parametrize("label", ["silent", "silent files", "stalled"])
def test_a_server_that_says_nothing_is_given_up(answers: dict[str, dict[str, Any]], label: str) -> None:
    assert answers[label].get("code") == "model_unavailable", answers[label]
    assert "nothing came from the Hub for 0.5 s (EXPLAIN_HUB_TIMEOUT)" in answers[label]["message"]
    assert answers[label]["seconds"] < 30  # the Hub's own client would try again for minutes, or wait for ever


def test_the_hub_is_given_five_seconds() -> None:
    assert Settings.model_fields["hub_timeout"].default <= 5


@pytest.mark.parametrize(
    ("label", "reason"),
    [
        ("down", "the Hub cannot be reached (503)"),
        ("refused", "the Hub cannot be reached (ConnectError)"),
        ("half", "the Hub cannot be reached (ConnectError)"),
        ("not allowed, not here", "downloads are switched off"),
    ],
)
def test_what_cannot_be_had_says_why(answers: dict[str, dict[str, Any]], label: str, reason: str) -> None:
    assert answers[label].get("code") == "model_unavailable", answers[label]
    assert reason in answers[label]["message"]


def test_errors_are_one_kind_and_give_nothing_away(answers: dict[str, dict[str, Any]]) -> None:
    failed = [answer for answer in answers.values() if "error" in answer]
    assert {answer["error"] for answer in failed} == {"ModelError"}
    for answer in failed:
        assert "\n" not in answer["message"]
        assert not re.search(rf"{TOKEN}|127\.0\.0\.1|\s/\w", answer["message"])
