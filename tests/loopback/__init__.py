"""Pytest's side of the watch on sockets: one file for a whole run, and a run that fails if anything is in it.

The watch begins with the import; `tests/conftest.py` takes the two hooks below from here before it imports anything
big. Under pytest-xdist the workers inherit the file from the controller, whose session ends last and fails; processes
that tests start inherit it too, with the folder from which Python takes `sitecustomize`. Only Python is watched here:
Chromium is by `tests/browser/conftest.py`.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.loopback import sitecustomize

_owned: Path | None = None
_found: list[str] = []


def search_path(more: str) -> str:
    """A PYTHONPATH under which a process is watched: the folder of `sitecustomize`, then `more`."""
    folder = str(Path(__file__).resolve().parent)
    return os.pathsep.join([folder, *(p for p in more.split(os.pathsep) if p not in ("", folder))])


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: Any) -> None:
    """Fail the run of whoever owns the file, if anything is in it."""
    global _owned
    if _owned is not None:
        _found.extend(sorted(set(_owned.read_text("utf-8").splitlines())))
        with contextlib.suppress(OSError):
            _owned.unlink()
        _owned = None
        if _found:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say what was found: which process asked for what, and during which test."""
    if _found:
        terminalreporter.section("sockets outside loopback", red=True, bold=True)
        for line in _found:
            terminalreporter.line(line)


def _begin() -> None:
    """Watch this process, and all Python processes that it starts from now on."""
    global _owned
    if sitecustomize.REPORT not in os.environ:
        number, name = tempfile.mkstemp(prefix="sockets-")
        os.close(number)
        os.environ[sitecustomize.REPORT], _owned = name, Path(name)
    os.environ["PYTHONPATH"] = search_path(os.environ.get("PYTHONPATH", ""))
    sitecustomize.watch()


_begin()
