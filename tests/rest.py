"""A REST application on the tiny model, in this process, for the tests."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI
from starlette.testclient import TestClient

from explain import rest
from explain.journal import JsonLines
from explain.rest import serving
from explain.service import Service
from explain.settings import Settings
from tests.engines import Inline

TEXT = "a good movie, but never very funny"


def settings(folder: Path, **more: Any) -> Settings:
    """Settings under which the model in `folder` is the default, and all that stands beside it is offered."""
    return Settings(**{"model": folder.name, "models_root": folder.parent, **more})


def application(folder: Path, engine: Any = None, **more: Any) -> FastAPI:
    """The application, with a service of its own unless one is given."""
    own = engine or Service(Inline())
    return rest.create(settings(folder, **more), lambda: own)


def client(app: FastAPI, **headers: str) -> TestClient:
    """A client that speaks to this machine's own name."""
    return TestClient(app, base_url="http://localhost", headers=headers, raise_server_exceptions=True)


@contextlib.contextmanager
def served(folder: Path, engine: Any = None, **more: Any) -> Iterator[str]:
    """The application behind a real server on a free port of this machine; yields its address, and stops it."""
    app, limits = application(folder, engine, **more), settings(folder, **more)
    server = uvicorn.Server(serving.config(app, limits, host="127.0.0.1", port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            time.sleep(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)


def logged(record: logging.LogRecord) -> str:
    """A log record as `explain serve` writes it."""
    return JsonLines().format(record)


def sent(port: int, body: Any, accept: str = "application/json") -> socket.socket:
    """A connection on which an explanation was asked for, and nothing read yet."""
    raw = json.dumps(body).encode()
    head = f"POST /v1/explain HTTP/1.1\r\nHost: localhost:{port}\r\nAccept: {accept}\r\nContent-Type: application/json"
    found = socket.create_connection(("127.0.0.1", port), timeout=30)
    found.sendall(f"{head}\r\nContent-Length: {len(raw)}\r\n\r\n".encode() + raw)
    return found
