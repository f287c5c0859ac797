"""Commands about what a model writes: `explain generate` and `explain align`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

import explain
from explain import canonical
from explain.alignment import Alignment
from explain.arguments import text_or_messages
from explain.bounds import BOUNDS
from explain.render import aligned, terminal
from explain.render.pieces import visible

_out, _err = Console(), Console(stderr=True)


def register(app: typer.Typer) -> None:
    """Put the commands into the command line."""
    app.command()(generate)
    app.command()(align)


def generate(
    prompt: Annotated[
        str | None, typer.Argument(help="What stands before, or - to read it.", show_default=False)
    ] = None,
    messages: Annotated[
        Path | None, typer.Option(help="A conversation instead: a JSON file of messages, - for standard input.")
    ] = None,
    model: Annotated[str, typer.Option(help="Bundled model, Hub id or folder of a model that writes.")] = "tales",
    tokens: Annotated[int, typer.Option(min=1, max=1000, help="Tokens to write at most.")] = 40,
    seed: Annotated[
        int | None,
        typer.Option(min=0, max=BOUNDS["seed"][1], help="Draw with this seed; else the likeliest each time."),
    ] = None,
    temperature: Annotated[float, typer.Option(min=0.01, max=100, help="Divides the logits before drawing.")] = 1.0,
    beams: Annotated[int, typer.Option(min=1, max=32, help="Beginnings kept at a time in a beam search.")] = 1,
    explaining: Annotated[
        bool, typer.Option("--explain", help="Explain each token too, and check that its scores add up.")
    ] = False,
    method: Annotated[str, typer.Option("--method", "-m", help="Attribution method of --explain.")] = (
        "integrated_gradients"
    ),
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the record, with --explain a list of one explanation a token.")
    ] = False,
) -> None:
    """Go on with a text or a conversation, or translate or summarise: token by token, with probabilities or reasons."""
    whole = text_or_messages(prompt, messages)
    with _err.status("Writing…") as status:
        loaded = explain.load(model)
        found = loaded.generate(whole, tokens=tokens, seed=seed, temperature=temperature, num_beams=beams)
        reasons = (
            loaded.explain_generation(
                found, methods=(method,), progress=lambda now, _: status.update(f"{now.stage}… {now.done or ''}")
            )
            if explaining
            else None
        )
    if as_json:
        sys.stdout.buffer.write(canonical.encode(found if reasons is None else reasons) + b"\n")
    else:
        _out.print(terminal.generation(found, reasons), soft_wrap=False)


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
