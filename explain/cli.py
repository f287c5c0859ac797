"""The command line: `explain run`, `heads`, `inside`, `models`, `methods`, `selftest`, `train`, `dashboard`; others are
in `explain.operations`, `writing_commands`, `evidence_commands` and `proof_commands`.

It imports torch only once there is something to compute, so that `--help` is quick. Exit codes: 0 done; 1 the
self-test or `doctor` found something wrong, or what failed is not known; 2 refused (one sentence on standard error);
3 to 7 evidence that does not hold (`explain.audit.verdict.EXITS`); 130 stopped.
"""

from __future__ import annotations

import os
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from rich.console import Console
from rich.text import Text

import explain
from explain import evidence_commands, operations, proof_commands, writing_commands
from explain.arguments import parameters, standard_input, what_is_asked
from explain.bounds import BOUNDS
from explain.catalog import Grain, TargetKind
from explain.errors import ExplainError, InputError, outcome
from explain.heads import Ablation
from explain.profiling import profiled
from explain.records import Explanation
from explain.render import terminal, terminal_inside
from explain.render.pieces import visible

app = typer.Typer(
    help="See what a Transformer decided and why.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
evidence_commands.register(app)
proof_commands.register(app)
operations.register(app)
writing_commands.register(app)
_out, _err = Console(), Console(stderr=True)
VERDICT = 200
"""Random orders from which on the removal checks give a verdict."""
ORDERS, BUDGET, SEED = (BOUNDS[name][1] for name in ("orders", "budget", "seed"))
QUANTITIES, GRANULARITIES, ABLATIONS = get_args(TargetKind), get_args(Grain), get_args(Ablation)


@app.command()
def run(
    text: Annotated[
        str | None, typer.Argument(help="The text, or - to read it from standard input.", show_default=False)
    ] = None,
    pair: Annotated[str | None, typer.Option("--pair", "--context", help="Second text; text written so far.")] = None,
    messages: Annotated[
        Path | None, typer.Option(help="A conversation instead: JSON file of [{role, content}, …], or - to read it.")
    ] = None,
    model: Annotated[str, typer.Option(help="Bundled model, Hub id or folder.")] = "sentiment",
    method: Annotated[
        list[str] | None, typer.Option("--method", "-m", help="Attribution method; repeat for more.")
    ] = None,
    param: Annotated[
        list[str] | None, typer.Option("--param", "-p", help="Method parameter as name=value; repeat for more.")
    ] = None,
    target: Annotated[str | None, typer.Option(help="Label or index to explain; else the decision.")] = None,
    contrast: Annotated[str | None, typer.Option(help="Explain the target rather than this label.")] = None,
    place: Annotated[int | None, typer.Option(min=0, help="Which mask, tagged word or written token.")] = None,
    label: Annotated[
        list[str] | None, typer.Option(help="Label of your own to choose among (zero-shot); repeat for more.")
    ] = None,
    multi_label: Annotated[bool, typer.Option("--multi-label", help="Judge each --label by itself.")] = False,
    template: Annotated[str | None, typer.Option(help="Sentence that a --label is written into at {}.")] = None,
    continuation: Annotated[
        str | None,
        typer.Option(help="What may follow, or be written about it: its log-probability, less that of --contrast."),
    ] = None,
    quantity: Annotated[str, typer.Option(help=f"{', '.join(QUANTITIES)}.")] = "log_odds",
    granularity: Annotated[str, typer.Option(help=f"Score by {', '.join(GRANULARITIES)}.")] = "word",
    attention: Annotated[str | None, typer.Option(help="Keep attention of layers: all, or 0,3,5.")] = None,
    interactions: Annotated[
        bool, typer.Option("--interactions", help="Also measure what pairs of words do together.")
    ] = False,
    checks: Annotated[bool, typer.Option(help="Check whether the picture can be believed.")] = True,
    thorough: Annotated[
        bool, typer.Option("--thorough", help="Every check there is, and at least 200 random orders.")
    ] = False,
    rationale: Annotated[
        list[str] | None, typer.Option(help="Words that a person takes for the reason; repeat for more.")
    ] = None,
    orders: Annotated[int, typer.Option(min=2, max=ORDERS, help="Random orders for the removal checks.")] = 20,
    budget: Annotated[int, typer.Option(min=1, max=BUDGET, help="Gradient evaluations that a method may spend.")] = 512,
    phrase: Annotated[list[str] | None, typer.Option(help="Part of the text scored as one; repeat for more.")] = None,
    seed: Annotated[int, typer.Option(min=0, max=SEED, help="For everything drawn at random.")] = 0,
    truncate: Annotated[bool, typer.Option("--truncate", help="Cut a text that is too long.")] = False,
    windows: Annotated[bool, typer.Option("--windows", help="See it through windows that overlap.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, mps.")] = "auto",
    dtype: Annotated[str, typer.Option(help="auto (float32), float64, bfloat16, float16.")] = "auto",
    fast: Annotated[
        bool, typer.Option("--fast", help="Occlusion, LIME, Shapley values in bfloat16, if as good and faster here.")
    ] = False,
    revision: Annotated[str | None, typer.Option(help="Hub branch, tag or commit.")] = None,
    task: Annotated[str, typer.Option(help="auto, a task or the variant of its head.")] = "auto",
    force: Annotated[bool, typer.Option("--force", help="Run a method that misses its own claim here.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the record as canonical JSON.")] = False,
    profile: Annotated[
        Path | None, typer.Option(help="Write a flame graph of the run to this HTML file, and print seconds by stage.")
    ] = None,
) -> None:
    """Explain one decision."""
    asked = what_is_asked(text, pair, messages)
    names = tuple(method or ["integrated_gradients"])
    wanted: dict[str, Any] = {
        "methods": names,
        "params": parameters(param or []),
        "target": target,
        "contrast": contrast,
        "place": place,
        "continuation": continuation,
        "candidate_labels": label or None,
        "multi_label": multi_label,
        "hypothesis_template": template,
        "quantity": one_of("quantity", quantity, QUANTITIES),
        "granularity": one_of("granularity", granularity, GRANULARITIES),
        "checks": () if not checks else explain.list_checks() if thorough else None,
        "interactions": interactions,
        "orders": max(orders, VERDICT) if thorough else orders,
        "rationale": rationale or (),
        "budget": budget,
        "phrases": tuple(phrase or ()),
        "seed": seed,
        "truncate": truncate,
        "windows": windows,
        "forced": force,
    }
    watched = nullcontext() if profile is None else profiled(profile)
    with watched as spent, _err.status("Loading the model…") as status:
        where: dict[str, Any] = {"revision": revision, "device": device, "dtype": dtype, "fast": fast or None}
        loaded = explain.load(model, task=task, **where)
        result: Explanation = loaded.explain(
            asked,
            attention=_layers(attention, loaded.info.n_layers),
            progress=lambda now, _: status.update(f"{now.stage}… {now.done or ''}"),
            **wanted,
        )
    _say(result, as_json, terminal.explanation)
    if spent is not None:
        _err.print(terminal.profile(spent.seconds))


@app.command()
def heads(
    text: Annotated[str, typer.Argument(help="The text, or - to read it from standard input.", show_default=False)],
    pair: Annotated[str | None, typer.Option(help="Second text, for models that compare two.")] = None,
    model: Annotated[str, typer.Option(help="Bundled model, Hub id or folder.")] = "sentiment",
    at: Annotated[
        str | None, typer.Option(help="One head as LAYER,HEAD, a layer's mean as LAYER; else all heads.")
    ] = None,
    ablation: Annotated[str, typer.Option(help="What replaces a head: mean, resample, zero.")] = "mean",
    target: Annotated[str | None, typer.Option(help="Label or index to explain; else the decision.")] = None,
    seed: Annotated[int, typer.Option(min=0, max=SEED, help="For everything drawn at random.")] = 0,
    truncate: Annotated[bool, typer.Option("--truncate", help="Cut a text that is too long.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the record as canonical JSON.")] = False,
) -> None:
    """Show where attention heads look, and what replacing each one does to the decision."""
    first = standard_input() if text == "-" else text
    whole: str | tuple[str, str] = first if pair is None else (first, pair)
    about: dict[str, Any] = {"target": target, "seed": seed, "truncate": truncate}
    with _err.status("Looking at the heads…"):
        loaded = explain.load(model)
        if at is None:
            found: Any = loaded.heads(whole, ablation=one_of("ablation", ablation, ABLATIONS), **about)  # type: ignore[arg-type]
        else:
            found = loaded.head(whole, *_head(at), **about)
    _say(found, as_json, terminal.head if at else terminal.heads)


def _say(found: Any, as_json: bool, drawn: Callable[[Any], Any]) -> None:
    """Print a record as JSON, or as what is `drawn` of it."""
    if as_json:
        sys.stdout.buffer.write(found.to_json().encode("utf-8") + b"\n")  # UTF-8, whatever the terminal speaks
    else:
        _out.print(drawn(found), soft_wrap=False)


def _head(wish: str) -> tuple[int, int | None]:
    parts = wish.split(",")
    if len(parts) > 2 or not all(p.strip().isdecimal() and len(p) < 9 for p in parts):
        raise InputError(f"Expected one head as LAYER,HEAD, such as 3,9, or a layer; got '{wish[:40]}'.")
    return int(parts[0]), int(parts[1]) if len(parts) == 2 else None


@app.command()
def inside(
    text: Annotated[str, typer.Argument(help="The text, or - to read it from standard input.", show_default=False)],
    model: Annotated[str, typer.Option(help="Bundled model, Hub id or folder.")] = "sentiment",
    at: Annotated[str | None, typer.Option(help="Follow one token: LAYER,HEAD,TOKEN.")] = None,
    other: Annotated[str | None, typer.Option(help="A text of as many tokens, to exchange states with.")] = None,
    direct: Annotated[bool, typer.Option("--direct", help="What each head and feed-forward adds.")] = False,
    target: Annotated[str | None, typer.Option(help="Label or index to explain; else the decision.")] = None,
    truncate: Annotated[bool, typer.Option("--truncate", help="Cut a text that is too long.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the record as canonical JSON.")] = False,
) -> None:
    """Show the prediction layer by layer, or one token's road, direct contributions, or exchanged states."""
    whole = standard_input() if text == "-" else text
    about: dict[str, Any] = {"target": target, "truncate": truncate}
    with _err.status("Looking inside…"):
        loaded = explain.load(model)
        if at is not None:
            parts = at.split(",")
            if len(parts) != 3 or not all(p.strip().isdecimal() and len(p) < 9 for p in parts):
                raise InputError(f"Expected LAYER,HEAD,TOKEN, such as 3,9,1; got '{at[:40]}'.")
            found: Any = loaded.road(whole, int(parts[0]), int(parts[1]), int(parts[2]), **about)
        elif other is not None:
            found = loaded.patch(whole, other, **about)
        else:
            found = loaded.direct(whole, **about) if direct else loaded.lens(whole, **about)
    _say(found, as_json, terminal_inside.inside)


@app.command()
def models(as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """List the models that come with Whyboard."""
    found = explain.list_models()
    _print_records(found) if as_json else _out.print(terminal.models(found))


@app.command()
def methods(
    model: Annotated[str | None, typer.Option(help="Say too which methods this model refuses.")] = None,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """List attribution methods, what they say, when they mislead, and their parameters."""
    found = explain.list_methods() if model is None else explain.load(model).methods()
    _print_records(found) if as_json else _out.print(terminal.methods(found))


@app.command()
def selftest(
    quick: Annotated[bool, typer.Option("--quick", help="Fewer texts and runs.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as canonical JSON.")] = False,
) -> None:
    """Hold every method on this install against models and games whose answers are known; takes minutes."""
    from explain import canonical
    from explain import selftest as truth  # torch
    from explain.selftest.table import table

    with _err.status("Starting…") as status:
        report = truth.run(truth.QUICK if quick else truth.FULL, progress=lambda stage: status.update(f"{stage}…"))
    if as_json:
        sys.stdout.buffer.write(canonical.encode(report) + b"\n")
    else:
        _out.print(table(report))
    for promise in report.broken:
        _err.print(Text(f"Not kept: {promise.claim} ({promise.seen}).", style="red"), soft_wrap=True)
    if report.broken:
        raise SystemExit(1)


@app.command()
def train(
    recipe: Annotated[Path, typer.Argument(help="A recipe.toml.", exists=True, dir_okay=False)],
    data: Annotated[Path | None, typer.Option(help="Folder with train.tsv and dev.tsv.")] = None,
    out: Annotated[Path | None, typer.Option(help="Where to save; else beside the recipe.")] = None,
) -> None:
    """Train a bundled model from its recipe."""
    from explain.training import train as run_recipe  # torch

    run_recipe(recipe, data=data, out=out, progress=lambda line: _out.print(Text(line)))


@app.command()
def dashboard(port: Annotated[int, typer.Option(min=1, max=65535)] = 8501) -> None:
    """Serve the dashboard on this machine."""
    from streamlit.web import cli as streamlit  # only for this command

    from explain import bundled

    config = tomllib.loads((bundled.shipped(".streamlit") / "config.toml").read_text("utf-8"))
    flags = [f"--{name}={value}" for name, value in _flat(config) if name != "server.port"]
    sys.argv = ["streamlit", "run", str(bundled.shipped("app.py")), f"--server.port={port}", *flags]
    streamlit.main()


def one_of(name: str, value: str, allowed: tuple[str, ...]) -> str:
    """`value`, or an InputError that lists what is allowed."""
    if value not in allowed:
        raise InputError(f"Expected --{name} to be one of {', '.join(allowed)}, got '{value[:40]}'.")
    return value


def _flat(table: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Options of nested TOML tables by their dotted names: Streamlit takes each as a flag, in any folder."""
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            for item in value if isinstance(value, list) else [value]:
                yield f"{prefix}{name}", str(item).lower() if isinstance(item, bool) else item


def _layers(wish: str | None, n_layers: int) -> bool | list[int]:
    if wish is None or wish == "all":
        return wish is not None
    parts = wish.split(",")
    if not all(len(p) < 9 and p.strip().isdecimal() and int(p) < n_layers for p in parts):
        raise InputError(f"Expected layers from 0 to {n_layers - 1}, such as 0,2 or all; got '{wish[:40]}'.")
    return [int(p) for p in parts]


def _print_records(found: list[Any]) -> None:
    from explain import canonical

    print("[" + ",".join(canonical.encode(record).decode("utf-8") for record in found) + "]")  # noqa: T201


def main() -> None:
    """Run the command line, with one sentence instead of a traceback for everything that can be helped."""
    try:
        app(standalone_mode=True)
    except ExplainError as error:
        _err.print(Text(visible(str(error)), style="red"), soft_wrap=True)
        raise SystemExit(outcome(error).exit_code) from None
    except Exception as error:
        if "EXPLAIN_DEBUG" in os.environ:
            raise
        said = f"Whyboard failed in a way it does not know ({type(error).__name__}). EXPLAIN_DEBUG=1 shows where."
        _err.print(Text(said, style="red"), soft_wrap=True)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        _err.print(Text("Stopped."))
        raise SystemExit(130) from None
