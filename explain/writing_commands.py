"""Commands about what a model writes: `explain align`. torch is imported once there is something to compute."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from explain.alignment import Alignment
from explain.render import aligned
from explain.render.pieces import visible

_out, _err = Console(), Console(stderr=True)


def register(app: typer.Typer) -> None:
    """Put the commands into the command line."""
    app.command()(align)


def align(
    text: Annotated[str, typer.Argument(help="The text.", show_default=False)],
    model: Annotated[str, typer.Option(help="Hub id or folder of a model with an encoder and a decoder.")],
    written: Annotated[
        str | None, typer.Argument(help="What is written about it; else the model writes.", show_default=False)
    ] = None,
    tokens: Annotated[int, typer.Option(min=1, max=1000, help="Tokens to write at most.")] = 40,
    truncate: Annotated[bool, typer.Option("--truncate", help="Cut a text that is too long.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the record as canonical JSON.")] = False,
) -> None:
    """Measure which words of a text each token of its translation or summary hangs on."""
    import explain  # torch

    with _err.status("Taking out one word after the other…"):
        loaded = explain.load(model)
        if written is None:
            written = loaded.generate(text, tokens=tokens, truncate=truncate).text
        found = loaded.align(text, written, truncate=truncate)
    if as_json:
        sys.stdout.buffer.write(found.to_json().encode("utf-8") + b"\n")
    else:
        _out.print(_shown(found))


def _shown(found: Alignment) -> Group:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("token", "written", "log-odds", "words that speak for it"):
        table.add_column(name, justify="left" if name.startswith("w") else "right")
    for row in aligned.rows(found):
        table.add_row(*(Text(visible(cell)) for cell in row))
    said = f"{aligned.summary(found)} {aligned.meaning(found)}"
    return Group(Text(visible(found.tokens.texts[0]), style="dim"), Text(), table, Text(visible(said), style="dim"))
