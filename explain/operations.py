"""Running Whyboard as a service, on the command line: `serve`, `settings`, `keys`, `doctor`."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from explain.errors import InputError
from explain.keys import ROLES, Keys

PORT = 8600
keys_app = typer.Typer(help="API keys: who may ask the service for what.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    for command in (serve, settings, doctor):
        app.command()(command)
    app.add_typer(keys_app, name="keys")


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on; beyond this machine only with EXPLAIN_KEYS.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=1, max=65535)] = PORT,
) -> None:
    """Serve the REST API, until it is told to stop; the work that runs then is finished first."""
    os.environ.setdefault("EXPLAIN_ALLOW_DOWNLOAD", "false")  # a service is offline unless it is told otherwise
    import uvicorn  # only for this command

    from explain import journal, rest
    from explain.guard import LOCAL
    from explain.rest import serving
    from explain.service import service
    from explain.settings import settings as found

    limits = found()
    if host not in LOCAL and not (limits.keys and Keys(limits.keys).holders()):
        raise InputError(
            f"Without API keys the service listens on this machine only, and --host is {host}. Make one with "
            "`explain keys add NAME --role analyst`, and set EXPLAIN_KEYS to the file it names.",
            code="no_keys",
        )
    if limits.keys and not Keys(limits.keys).holders():
        raise InputError(
            "EXPLAIN_KEYS names a file without keys, so that nobody could ask. `explain keys add NAME` makes one.",
            code="no_keys",
        )
    _free(host, port)
    journal.leave_no_dump()
    app = rest.create(limits)
    service().warm(app.state.face.served.first)
    config = serving.config(app, limits, host=host, port=port, log_config=journal.config())
    uvicorn.Server(config).run()
    service().stop(limits.drain_seconds)


def _free(host: str, port: int) -> None:
    """Raise InputError where the port is taken, or the address is none of this machine's."""
    kind = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(kind, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise InputError(f"Cannot listen on {host}:{port} ({error.strerror}). Try another --port.") from None


def settings(as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """Print every setting: its value, what it means, and the variable that sets it."""
    import json

    from explain.settings import Settings
    from explain.settings import settings as found

    values = found().model_dump(mode="json")
    if as_json:
        print(json.dumps(values, indent=2))  # noqa: T201
        return
    for name, info in Settings.model_fields.items():
        variable = f"EXPLAIN_{name.upper()}"
        said = Text(f"{variable}={_said(values[name])}", style="bold" if variable in os.environ else "")
        Console().print(said, Text(f"  {info.description or ''}", "dim"), soft_wrap=True)


def _said(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{name}={said}" for name, said in value.items()) or "none"
    return "not set" if value is None else str(value)


@keys_app.command("add")
def add_key(
    name: Annotated[str, typer.Argument(help="Whose key it is; logs and limits show this name.")],
    role: Annotated[str, typer.Option(help=f"{', '.join(ROLES)}.")] = "analyst",
) -> None:
    """Make a key and print it; it is shown this once."""
    keys = _keys()
    key = keys.add(name, role)
    print(key)  # noqa: T201
    Console(stderr=True).print(Text(f"Set EXPLAIN_KEYS={keys.path}; only a digest of the key is in that file."))


@keys_app.command("list")
def list_keys() -> None:
    """List names and roles; keys themselves are stored nowhere."""
    for who in _keys().holders():
        print(f"{who.name} {who.role}")  # noqa: T201


@keys_app.command("remove")
def remove_key(name: Annotated[str, typer.Argument(help="Whose key shall be worth nothing from now on.")]) -> None:
    """Forget a key, at once and also in a service that runs."""
    _keys().remove(name)


def _keys() -> Keys:
    from explain.settings import settings as found

    return Keys(found().keys or Path(found().home) / "keys")


def doctor(as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """Say what device and versions there are, what is missing, and what to do about it."""
    import json

    from explain.doctor import findings

    found = findings()
    if as_json:
        print(json.dumps([f._asdict() for f in found], indent=2))  # noqa: T201
    else:
        out = Console()
        for one in found:
            mark, style = {"ok": ("✓", "green"), "note": ("·", "yellow"), "wrong": ("✗", "red")}[one.state]
            out.print(Text(f"{mark} {one.about}: {one.found}", style=style), soft_wrap=True)
            if one.todo:
                out.print(Text(f"  {one.todo}"), soft_wrap=True)
    if any(one.state == "wrong" for one in found):
        raise SystemExit(1)
