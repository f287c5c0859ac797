"""Bodies that break servers: each is refused with a problem, at once, and the next good question is answered."""

from __future__ import annotations

import contextlib
import gzip
import json
import resource
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tests import rest
from tests.hostile import EXPLAINED, PAYLOADS, REFUSED, SURROGATES
from tests.rest import TEXT

GOOD = json.dumps({"inputs": TEXT})
JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def web(tiny_folder: Path) -> Iterator[TestClient]:
    """A client of an application that computes."""
    with rest.client(rest.application(tiny_folder)) as found:
        yield found


def canary(web: TestClient) -> None:
    """The next good question is answered right."""
    answer = web.post("/v1/predict", json={"inputs": TEXT})
    assert answer.status_code == 200
    assert answer.json()["labels"] == ["NEGATIVE", "POSITIVE"]


BODIES = {
    "nothing": (b"", 400, "invalid_json"),
    "no JSON": (b"inputs=a", 400, "invalid_json"),
    "half": (b'{"inputs": "a', 400, "invalid_json"),
    "two": (b'{"inputs": "a"} {"inputs": "b"}', 400, "invalid_json"),
    "not UTF-8": (b'{"inputs": "\xff"}', 400, "invalid_encoding"),
    "UTF-16": ('{"inputs": "a"}'.encode("utf-16"), 400, "invalid_encoding"),
    "byte order mark": (b'\xef\xbb\xbf{"inputs": "a"}', 400, "invalid_json"),
    "NaN": (b'{"inputs": "a", "parameters": {"seed": NaN}}', 400, "invalid_json"),
    "Infinity": (b'{"inputs": "a", "parameters": {"seed": -Infinity}}', 400, "invalid_json"),
    "1e999": (b'{"inputs": "a", "parameters": {"seed": 1e999}}', 400, "invalid_json"),
    "a number of 5,000 digits": (b'{"inputs": "a", "parameters": {"seed": ' + b"9" * 5000 + b"}}", 400, "invalid_json"),
    "a key twice": (b'{"inputs": "a", "inputs": "b"}', 400, "invalid_json"),
    "100,000 deep": (b'{"inputs": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400, "invalid_json"),
    "500 deep": (b'{"inputs": ' + b"[" * 500 + b"]" * 500 + b"}", 422, "bad_request"),
    "half of a character": (rb'{"inputs": "\ud800"}', 422, "invalid_unicode"),
    "half of one in a key": (rb'{"inputs": "a", "\ud800": 1}', 422, "invalid_unicode"),
    "a huge field": (json.dumps({"inputs": "a", "x" * 10**6: 1}).encode(), 422, "bad_request"),
    "a huge wrong value": (
        json.dumps({"inputs": "a", "parameters": {"quantity": "x" * 10**6}}).encode(), 422, "bad_request",
    ),
    "a list of lists": (b'{"inputs": [["a", "b", "c"]]}', 422, "bad_request"),
    "null": (b"null", 422, "bad_request"),
    "a string": (b'"inputs"', 422, "bad_request"),
}  # fmt: skip


@pytest.mark.parametrize("name", BODIES)
def test_bodies_that_are_no_question(web: TestClient, name: str) -> None:
    raw, status, code = BODIES[name]
    answer = web.post("/v1/explain", content=raw, headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert len(answer.content) < 1_000, "what came is not sent back"
    canary(web)


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "multipart/form-data; boundary=x"},
        {"content-type": "application/json; charset=utf-16"},
        {"content-type": "application/json", "content-encoding": "gzip"},
        {},
    ],
)
def test_only_plain_json_is_read(web: TestClient, headers: dict[str, str]) -> None:
    raw = gzip.compress(b" " * 10**7) if "content-encoding" in headers else GOOD.encode()
    answer = web.post("/v1/explain", content=raw, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (415, "not_json")
    canary(web)


@pytest.mark.parametrize("name", REFUSED)
def test_texts_that_are_refused(web: TestClient, name: str) -> None:
    text, (code, sentence) = REFUSED[name]
    answer = web.post("/v1/explain", content=json.dumps({"inputs": text}), headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert sentence in answer.json()["error"]


@pytest.mark.parametrize("text", SURROGATES)
def test_halves_of_characters(web: TestClient, text: str) -> None:
    answer = web.post("/v1/predict", content=json.dumps({"inputs": text}), headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_unicode")


@pytest.mark.parametrize("name", EXPLAINED)
def test_strange_texts_are_answered_untouched(web: TestClient, name: str) -> None:
    text, notices = EXPLAINED[name]
    body = {"inputs": text, "parameters": {"methods": ["saliency"], "checks": [], "truncate": True}}
    answer = web.post("/v1/explain", content=json.dumps(body), headers=JSON)
    assert answer.status_code == 200
    assert answer.json()["tokens"]["texts"] == [text]
    assert set(notices) <= {w["code"] for w in answer.json()["warnings"]}


def test_markup_is_data(web: TestClient) -> None:
    for text in PAYLOADS[::8]:
        answer = web.post("/v1/predict", json={"inputs": text})
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json"


def test_a_hundred_megabytes_are_not_kept(web: TestClient, tiny_folder: Path) -> None:
    """Neither announced nor in pieces of unknown number; the process stays as small as it was."""
    with rest.served(tiny_folder) as address:
        port = int(address.rsplit(":", 1)[1])
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        assert b" 413 " in refused(port, b"Content-Length: 100000000", b" " * 65536, 1600)
        piece = b"10000\r\n" + b" " * 65536 + b"\r\n"
        assert b" 413 " in refused(port, b"Transfer-Encoding: chunked", piece, 1600)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        assert grown <= 20_000, f"{grown} kB"


def test_a_slow_body_is_given_up(tiny_folder: Path) -> None:
    with rest.served(tiny_folder, body_seconds=0.3) as address:
        port = int(address.rsplit(":", 1)[1])
        assert b" 408 " in refused(port, b"Content-Length: 1000", b'{"inputs"', 1)


HEAD = b"POST /v1/explain HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n"
NEVER_READ = b"GET /v1/limits HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n"


@pytest.mark.parametrize(
    ("begin", "byte", "answer"),
    [
        (b"", b"", b""),
        (HEAD, b"X", b""),
        (HEAD + b"\r\n", b" ", b" 408 "),
        (NEVER_READ, b" ", b" 200 "),
    ],
    ids=["says nothing", "headers", "body", "a body that is not read"],
)
def test_a_client_that_dribbles_is_given_up(tiny_folder: Path, begin: bytes, byte: bytes, answer: bytes) -> None:
    """A byte now and then, which would keep a connection that is only timed while it is silent, is not enough."""
    with rest.served(tiny_folder, body_seconds=0.5) as address:
        said, pieces = dribbled(int(address.rsplit(":", 1)[1]), begin, byte)
        assert pieces < MOST, "it may go on for ever"
        assert answer in said
        assert bool(answer) == bool(said)
        canary = rest.sent(int(address.rsplit(":", 1)[1]), {"inputs": TEXT})
        assert b" 200 " in canary.recv(100)
        canary.close()


def test_who_keeps_a_connection_is_timed_anew_for_each_request(tiny_folder: Path) -> None:
    """The time for headers begins again with each answer, and none of it counts while an answer is computed."""
    with rest.served(tiny_folder, body_seconds=4.0) as address:
        port = int(address.rsplit(":", 1)[1])
        with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
            for _ in range(4):  # together longer than the limit
                connection.sendall(b"GET /v1/limits HTTP/1.1\r\nHost: localhost\r\n")
                time.sleep(1.2)
                connection.sendall(b"\r\n")
                said = b""
                while not said.endswith(b"}"):
                    said += (part := connection.recv(65536))
                    assert part, "it was given up"
                assert b" 200 " in said


MOST = 400
"""Bytes that are sent one by one before a server is said to wait for ever."""


def dribbled(port: int, begin: bytes, byte: bytes) -> tuple[bytes, int]:
    """What a server says to a client that sends `begin` and then a byte now and then, and after how many it closes."""
    said = b""
    with socket.create_connection(("127.0.0.1", port), timeout=0.05) as connection:
        try:
            connection.sendall(begin)
            for pieces in range(MOST):
                with contextlib.suppress(TimeoutError):
                    part = connection.recv(65536)
                    if not part:
                        return said, pieces
                    said += part
                connection.sendall(byte)
        except OSError:
            return said, pieces
    return said, MOST


def test_ten_thousand_headers(tiny_folder: Path) -> None:
    with rest.served(tiny_folder) as address:
        port = int(address.rsplit(":", 1)[1])
        many = b"\r\n".join(b"X-%d: %s" % (i, b"y" * 20) for i in range(10_000))
        assert b" 4" in refused(port, many + b"\r\nContent-Length: 0", b"", 0)[:20]
        canary_socket = rest.sent(port, {"inputs": TEXT})
        assert b" 200 " in canary_socket.recv(100)
        canary_socket.close()


def refused(port: int, headers: bytes, piece: bytes, times: int) -> bytes:
    """What a server answers to a body of many pieces; sending stops when the server closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        head = b"POST /v1/explain HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        try:
            connection.sendall(head + headers + b"\r\n\r\n")
            for _ in range(times):
                connection.sendall(piece)
        except OSError:
            pass
        until, said = time.monotonic() + 20, b""
        while b"\r\n\r\n" not in said and time.monotonic() < until:
            try:
                part = connection.recv(65536)
            except OSError:
                break
            if not part:
                break
            said += part
        return said
