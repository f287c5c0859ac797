"""A REST application on the tiny model, in this process, for the tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.testclient import TestClient

from explain import rest
from explain.service import Service
from explain.settings import Settings

TEXT = "a good movie, but never very funny"


def settings(folder: Path, **more: Any) -> Settings:
    """Settings under which the model in `folder` is the default, and all that stands beside it is offered."""
    return Settings(**{"model": folder.name, "models_root": folder.parent, **more})


def application(folder: Path, engine: Any = None, **more: Any) -> FastAPI:
    """The application, with a service of its own unless one is given."""
    own = engine or Service()
    return rest.create(settings(folder, **more), lambda: own)


def client(app: FastAPI, **headers: str) -> TestClient:
    """A client that speaks to this machine's own name."""
    return TestClient(app, base_url="http://localhost", headers=headers, raise_server_exceptions=True)
