"""Writing, on the command line: `generate`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.console import Console

import explain
from explain import canonical
from explain.arguments import standard_input
from explain.render import terminal

_out, _err = Console(), Console(stderr=True)


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command()(generate)


def generate(
    prompt: Annotated[str, typer.Argument(help="What stands before, or - to read it.", show_default=False)],
    model: Annotated[str, typer.Option(help="Bundled model, Hub id or folder of a model that writes.")] = "tales",
    tokens: Annotated[int, typer.Option(min=1, max=1000, help="Tokens to write at most.")] = 40,
    seed: Annotated[
        int | None, typer.Option(min=0, max=2**53 - 1, help="Draw with this seed; else the likeliest each time.")
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
    """Go on with a text, or translate or summarise it: token by token, each with its log-probability, or reasons."""
    whole = standard_input() if prompt == "-" else prompt
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
