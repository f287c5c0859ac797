"""The watch on sockets finds what it must, in every process, and a run in which it finds something fails (L21)."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.loopback import search_path, sitecustomize
from tests.loopback.sitecustomize import REPORT, outside

ROOT = Path(__file__).resolve().parents[2]
OPEN = """
import contextlib, socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s, contextlib.suppress(OSError):
    s.connect(("198.51.100.1", 9))  # an address for documentation; to connect a datagram socket sends nothing
"""
HOOKS = """
from tests.loopback import pytest_sessionfinish, pytest_terminal_summary
"""
TESTS = f"""
import socket, subprocess, sys, tempfile
OPEN = {OPEN!r}

def test_here():
    exec(OPEN)

def test_in_a_process_of_a_process():
    code = "import subprocess, sys; subprocess.run([sys.executable, '-P', '-c', sys.argv[1]], check=True)"
    subprocess.run([sys.executable, "-c", code, OPEN], check=True)

def test_within():
    with socket.create_server(("127.0.0.1", 0)) as here:
        socket.create_connection(("localhost", here.getsockname()[1])).close()
    with socket.socket(socket.AF_UNIX) as path:
        path.bind(tempfile.mktemp())
"""


@pytest.mark.parametrize(
    ("event", "host", "found"),
    [
        ("socket.connect", "127.0.0.1", False),
        ("socket.connect", "127.8.8.8", False),
        ("socket.connect", "::1", False),
        ("socket.connect", "::ffff:127.0.0.1", False),
        ("socket.connect", "localhost", False),
        ("socket.connect", "0.0.0.0", True),
        ("socket.connect", "8.8.8.8", True),
        ("socket.connect", "::ffff:8.8.8.8", True),
        ("socket.connect", "fe80::1%eth0", True),
        ("socket.connect", "localhost.example.org", True),
        ("socket.connect", b"example.org", True),
        ("socket.sendto", "192.168.0.1", True),
        ("socket.sendmsg", "192.168.0.1", True),
        ("socket.bind", "", True),
        ("socket.bind", "127.0.0.1", False),
        ("socket.getaddrinfo", "example.org", True),
        ("socket.getaddrinfo", b"example.org", True),
        ("socket.gethostbyname", "example.org", True),
        ("socket.getaddrinfo", None, False),
        ("socket.getaddrinfo", "localhost", False),
        ("socket.getaddrinfo", "8.8.8.8", False),
        ("socket.listen", "example.org", False),
    ],
)
def test_what_is_outside(event: str, host: str | bytes | None, found: bool) -> None:
    with socket.socket() as opened:
        looked_up = event.startswith("socket.get")
        args = (host, 80) if looked_up else (opened, (host, 80))
        assert (outside(event, args) is not None) == found


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="there are no such sockets here")
def test_sockets_without_such_addresses_are_not_outside() -> None:
    with socket.socket(socket.AF_UNIX) as path, socket.socket() as connected:
        assert outside("socket.connect", (path, "/tmp/x")) is None
        assert outside("socket.connect", (path, b"\0abstract")) is None
        assert outside("socket.sendmsg", (connected, None)) is None


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three tests under our hooks: one opens a socket outside, a grandchild of the second does, the third is good."""
    folder = tmp_path_factory.mktemp("suite")
    (folder / "conftest.py").write_text(HOOKS)
    (folder / "test_sockets.py").write_text(TESTS)
    return folder


@pytest.mark.parametrize(
    ("spread", "chosen", "where"),
    [
        ((), "within", None),
        ((), "here", "test_here"),
        ((), "process", "test_in_a_process_of_a_process"),
        (("-p", "xdist", "-n", "2"), "here", "test_here"),
    ],
    ids=["nothing", "here", "process", "xdist"],
)
def test_a_run_fails_where_a_socket_was_opened_outside(
    suite: Path, spread: tuple[str, ...], chosen: str, where: str | None
) -> None:
    env = {k: v for k, v in os.environ.items() if k not in (REPORT, "PYTEST_CURRENT_TEST") and "XDIST" not in k}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *spread, "-k", chosen, str(suite)],
        cwd=suite,
        env={**env, "PYTHONPATH": search_path(str(ROOT)), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
    )
    assert "1 passed" in done.stdout, "the test itself is good" + done.stdout + done.stderr
    assert done.returncode == (0 if where is None else 1), done.stdout
    assert ("sockets outside loopback" in done.stdout) == (where is not None)
    if where is not None:
        (line,) = [line for line in done.stdout.splitlines() if line.startswith("socket.connect")]
        assert "198.51.100.1" in line
        assert where in line


def test_this_run_is_watched_and_so_are_its_processes(tmp_path: Path) -> None:
    """Not only the suite above: the hook is in this process, and in one that is started as the worker is."""
    assert getattr(sys, "_sockets_watched", False)
    env = {**os.environ, REPORT: str(tmp_path / "report")}
    subprocess.run([sys.executable, "-P", "-c", OPEN], check=True, env=env)
    assert "198.51.100.1" in (tmp_path / "report").read_text()
    assert "198.51.100.1" not in Path(os.environ[REPORT]).read_text(), "what was meant to happen is not counted"


def test_another_sitecustomize_still_runs(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.other = 'ran'")
    env = {**os.environ, "PYTHONPATH": search_path(str(tmp_path))}
    said = subprocess.run(
        [sys.executable, "-c", "import sys; print(sys.other, sys._sockets_watched)"],
        env=env,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert said == ["ran", "True"]
    assert sitecustomize.__file__.startswith(env["PYTHONPATH"].split(os.pathsep)[0])
