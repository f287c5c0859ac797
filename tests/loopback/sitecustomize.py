"""Writes down every socket that a process opens outside this machine, and every name that it looks up.

Python imports a module of this name when it starts, wherever it finds one: with this folder on PYTHONPATH each Python
process that a test starts is watched, whatever it runs. Nothing is forbidden, so that nothing behaves otherwise than
for a user. Only what every process has loaded anyway is imported until a socket is used.
"""

from __future__ import annotations

import os
import sys
from typing import Any

REPORT = "WHYBOARD_SOCKETS"
"""Environment variable that names the file to which each finding is appended, as one line."""
_ADDRESSED = ("socket.connect", "socket.sendto", "socket.sendmsg", "socket.bind")
_LOOKED_UP = ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr")


def outside(event: str, args: tuple[Any, ...]) -> str | None:
    """What an audit event does outside this machine, in words; None for nothing, or for another event.

    An address is outside unless it is loopback; a name unless it is `localhost`. To look up an address in figures asks
    nobody, so only its use counts. Sockets of the file system and of the kernel have no such addresses.
    """
    if event in _ADDRESSED:
        address = args[1]
        if not isinstance(address, tuple) or not address or not isinstance(address[0], (str, bytes)):
            return None  # AF_UNIX: a path; AF_NETLINK: numbers; sendmsg on what is connected: None
        if args[0].family.name not in ("AF_INET", "AF_INET6"):
            return None
        host = _text(address[0])
        return None if _figures(host, loopback=True) or host == "localhost" else f"{event} {host} {address[1]}"
    if event in _LOOKED_UP:
        host = _text(args[0])
        named = host not in ("", "localhost") and not _figures(host)
        return f"{event} {host}" if named else None
    return None


def watch() -> None:
    """Append what is found from now on to the file that `REPORT` names; nothing happens where it names none."""
    if getattr(sys, "_sockets_watched", False) or REPORT not in os.environ:
        return
    sys._sockets_watched = True  # type: ignore[attr-defined]
    file = os.environ[REPORT]

    def heard(event: str, args: tuple[Any, ...]) -> None:
        if event.startswith("socket.") and (found := outside(event, args)) is not None:
            test = os.environ.get("PYTEST_CURRENT_TEST", "no test")
            line = f"{found} by {' '.join(sys.orig_argv)[:200]!r} in {test}\n"
            number = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(number, line.encode("utf-8", "replace"))  # at once: other processes write there too
            finally:
                os.close(number)

    sys.addaudithook(heard)


def _text(host: Any) -> str:
    return host.decode("utf-8", "replace") if isinstance(host, bytes) else host or ""


def _figures(host: str, loopback: bool = False) -> bool:
    """Whether this is an address and not a name; with `loopback`, whether it is one of this machine's own."""
    import ipaddress

    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        return False
    return not loopback or (getattr(found, "ipv4_mapped", None) or found).is_loopback


def _next() -> None:
    """Run the `sitecustomize` that Python would have found without this one."""
    from importlib.machinery import PathFinder
    from importlib.util import module_from_spec

    here = __file__.rpartition(os.sep)[0]  # as it stands on sys.path
    spec = PathFinder.find_spec("sitecustomize", [p for p in sys.path if p != here])
    if spec is not None and spec.loader is not None:
        spec.loader.exec_module(module_from_spec(spec))


if __name__ == "sitecustomize":
    watch()
    _next()
