"""Commands that prove or show a record: `verify`, `replay`, `check`, `report`, `screenshot`.

`replay` and `check` compute, and only they import torch.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from explain import canonical
from explain.audit.verdict import EXITS
from explain.errors import AuditError, InputError
from explain.evidence_tools import (
    Actor,
    Place,
    Record,
    find_entry,
    is_file,
    is_folder,
    named,
    open_store,
    write_file,
    written,
)
from explain.render.pieces import visible, visible_line

if TYPE_CHECKING:
    from explain.audit.verdict import Verdict

_out = Console()
BROKEN_NUMBERS = EXITS["V5"]
"""Exit code where computing again gives other numbers."""


def register(app: typer.Typer) -> None:
    """Put the commands into the command line."""
    for command in (verify, replay, check, report, screenshot):
        app.command()(command)


def verify(
    what: Annotated[
        str | None, typer.Argument(help="A record, a bundle (zip), a store, or a report or picture; else our store.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Name or folder of the model, for level V4.")] = None,
    key: Annotated[Path | None, typer.Option(help="Believe only this public key (PEM).")] = None,
    store_id: Annotated[str | None, typer.Option(help="The id that the store must have, as you wrote it down.")] = None,
    store: Place = None,
    packed: Annotated[
        Path | None, typer.Option("--bundle", help="Hold a report or picture against this bundle, not a store.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Has anything been changed since it was filed? Exit code 0; 3 bytes, 4 order, 6 model; 2 if it is no evidence.

    A report or picture (.html, .pdf, .png, .svg) is held against the record that it names: 0 if its bytes are that
    record's, 3 if not, 2 if there is nothing to compare it with.
    """
    from explain import copies
    from explain.audit import verify

    trusted = verify.pinned(key)
    path = Path(what) if what is not None else None
    data = None if path is None or not is_file(path) else _small(path)
    copy = None if data is None else copies.kind(data)
    kind = "store" if path is None or is_folder(path) else "copy" if copy else "record" if data is None else "bundle"
    for option, value, of in (
        ("--model", model, ("record", "copy")),
        ("--store-id", store_id, ("store",)),
        ("--bundle", packed, ("copy",)),
    ):
        if value is not None and kind not in of:
            raise InputError(f"{option} is for a {' or a '.join(of)}, and this is a {kind}.", code="bad_option")
    if data is not None and copy:
        assert path is not None
        record = copies.named(data)
        held = (
            copies.in_bundle(_small(packed), record, trusted, model)
            if packed is not None
            else copies.in_store(open_store(store, there=True, only_read=True), record, trusted, model)
        )
        verdict = copies.compare(data, path.name, held)
    elif data is not None:
        from explain.audit import bundle

        verdict = bundle.verify(data, trusted)
    elif kind == "store":
        verdict = verify.store(open_store(path or store, there=True, only_read=True), trusted, store_id)
    else:
        found = open_store(store, there=True, only_read=True)
        verdict = verify.record(found, named(str(what)), trusted, model=model)
    if as_json:
        print(verdict.to_json())  # noqa: T201
    else:
        print_verdict(verdict)
    if verdict.exit_code:
        raise SystemExit(verdict.exit_code)


def _small(path: Path) -> bytes:
    """The bytes of a file that may be a bundle or a report; raises AuditError for what is larger than any."""
    from explain.audit import bundle

    try:
        if path.stat().st_size > bundle.LARGEST:
            raise AuditError(f"The file is larger than {bundle.LARGEST:,} bytes.", code="not_evidence")
        return path.read_bytes()
    except OSError:
        raise InputError(f"There is no file '{path.name[:80]}' to read.", code="no_file") from None


def replay(
    record: Record,
    model: Annotated[str | None, typer.Option(help="Name or folder of the model; else the recorded name.")] = None,
    decide: Annotated[bool, typer.Option("--decide", help="Decide anew where to refine.")] = False,
    threads: Annotated[int | None, typer.Option(min=1, max=1024, help="Compute with so many threads.")] = None,
    store: Place = None,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Compute a record again along its stored path. Exit code 0, 7 if numbers differ, 6 if the model is another one."""
    found = open_store(store, there=True, only_read=True)
    entry = find_entry(found, record)
    content = found.content(entry.header.id)

    import torch

    import explain
    from explain import replay as again
    from explain.calibration import WRITTEN

    then, made = content.explanation.model, content.explanation.provenance
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        revision = then.revision if then.source == "hub" and model is None else None
        how = {"device": then.device, "dtype": then.dtype, "fast": made is not None and WRITTEN in made.dtype}
        loaded = explain.load(model or then.id, revision=revision, **how)
        result = again.replay(loaded, entry.header, content, decide=decide)
    finally:
        torch.set_num_threads(before)
    if as_json:
        print(result.to_json())  # noqa: T201
    else:
        for part in result.parts:
            said = "equal to the bit" if part.bitwise else f"differs by {part.difference:.2e}"
            _out.print(Text(visible(f"{part.name:<44} {said}")), soft_wrap=True)
        style = "green" if result.holds else "red"
        _out.print(Text(f"V5 {result.mode}: {visible(result.sentence)}", style), soft_wrap=True)
    if not result.holds:
        raise SystemExit(BROKEN_NUMBERS)


def check(
    golden: Annotated[Path, typer.Argument(help="JSON lines: text, label, words as [word, score] pairs.")],
    tolerance: Annotated[float, typer.Option(min=0.0, max=1.0, help="Drift allowed, of the largest score.")] = 0.02,
    model: Annotated[str, typer.Option(help="Bundled model, Hub id or folder.")] = "sentiment",
    target: Annotated[str | None, typer.Option(help="Label that lines without a target explain.")] = None,
    update: Annotated[bool, typer.Option("--update", help="Write today's answers into the file.")] = False,
) -> None:
    """Hold a model's explanations against golden ones: exit code 7 if any drifted, so that a build fails."""
    lines = _golden_lines(golden)

    import explain
    from explain import replay as again

    loaded = explain.load(model)
    asked = [{**line, **({"target": target} if target is not None and "target" not in line else {})} for line in lines]
    if update:
        new = [
            {**again.golden(loaded, q["text"], q.get("target")), **_target(line)}
            for q, line in zip(asked, lines, strict=True)
        ]
        golden.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in new), "utf-8")
        _out.print(Text(f"{len(new)} answers written."))
        return
    found = list(again.drift(loaded, asked, tolerance))
    for number, one in enumerate(found, 1):
        if not one.holds:
            why = "another label" if not one.label else "other words" if not one.words else f"{one.difference:.1%} off"
            _out.print(Text(visible(f"line {number}: {why}: {one.text[:60]}"), "red"), soft_wrap=True)
    drifted = sum(not one.holds for one in found)
    largest = max((one.difference for one in found if one.difference is not None), default=0.0)
    _out.print(Text(f"{len(found)} golden answers, {drifted} drifted; largest difference {largest:.2%}."))
    if drifted:
        raise SystemExit(BROKEN_NUMBERS)


def report(
    what: Annotated[str, typer.Argument(help="A record, or an explanation as JSON.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write: .html, .pdf, .png or .svg.")],
    store: Place = None,
) -> None:
    """Write a report: one file that opens offline, with everything an auditor asks for."""
    import explain
    from explain import camera, filing
    from explain.render.picture import picture
    from explain.render.report import report as draw

    path = Path(what)
    if path.suffix == ".json" or is_file(path):
        explanation, found = explain.read(path), None
        footer: tuple[str, ...] = ()
    else:
        opened = open_store(store, there=True, only_read=True)
        found = filing.filing(opened, find_entry(opened, what).header.id)
        explanation, footer = found.content.explanation, filing.footer(found)
    document = draw(explanation, found)
    if out.suffix == ".pdf":
        filed = found.header.recorded if found is not None and found.header is not None else None
        data = camera.pdf(document, filed or explanation.provenance.created).data  # as `screenshot` has it
    elif out.suffix == ".png":
        data = camera.png(document).data
    elif out.suffix == ".svg":
        data = picture(explanation, *footer).encode("utf-8")
    elif out.suffix == ".html":
        data = document.encode("utf-8")
    else:
        raise InputError(
            f"Expected a file ending in .html, .pdf, .png or .svg, got '{out.name[:80]}'.", code="bad_file"
        )
    write_file(out, data)
    written(out)


def screenshot(
    record: Record,
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write: .png or .pdf.")],
    attach: Annotated[bool, typer.Option("--attach", help="File the picture as evidence too.")] = False,
    actor: Actor = None,
    store: Place = None,
) -> None:
    """Take the whole page of a record in headless Chromium: the same record and browser give the same bytes."""
    from explain import camera, filing
    from explain.audit.records import Who

    if out.suffix not in (".png", ".pdf"):
        raise InputError(f"Expected a file ending in .png or .pdf, got '{out.name[:80]}'.", code="bad_file")
    opened = open_store(store, there=True, only_read=not attach)
    header = find_entry(opened, record).header
    page = filing.page(opened, header.id)
    shot = camera.png(page) if out.suffix == ".png" else camera.pdf(page, header.recorded)
    write_file(out, shot.data)
    if attach:
        detail = {"browser": shot.browser, "width": camera.VIEWPORT["width"]}
        pictures = {f"page{out.suffix}": shot.data}
        opened.add("screenshot", header.id, Who(actor, client="command line"), detail=detail, attached=pictures)
    _out.print(Text(f"{shot.browser}, SHA-256 {hashlib.sha256(shot.data).hexdigest()}"), soft_wrap=True)


def _target(line: dict[str, Any]) -> dict[str, Any]:
    return {"target": line["target"]} if "target" in line else {}


def _golden_lines(path: Path) -> list[dict[str, Any]]:
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        raise InputError(f"There is no file of UTF-8 text '{path.name[:80]}'.", code="no_file") from None
    found = []
    for number, line in enumerate(text.removesuffix("\n").split("\n") if text else (), 1):  # as JSON Lines has it
        try:
            item = canonical.parse(line)
            words = [[str(word), float(score)] for word, score in item["words"]]
            value = {"log_odds": float(item["log_odds"])} if "log_odds" in item else {}
            found.append({**item, **value, "text": str(item["text"]), "label": str(item["label"]), "words": words})
        except (ValueError, KeyError, TypeError, RecursionError):
            raise InputError(
                f"Line {number} of {path.name[:80]} is no golden answer: expected an object with text, label and "
                "words as [word, score] pairs.",
                code="bad_golden",
            ) from None
    if not found:
        raise InputError(f"{path.name[:80]} holds no golden answers.", code="bad_golden")
    return found


def print_verdict(verdict: Verdict) -> None:
    """Print what a verification found, level by level."""
    from explain.audit.verdict import words

    style = {"holds": "green", "broken": "red", "not checked": "dim"}
    for level, state in verdict.levels.items():
        _out.print(Text(f"{level}  {state:<11}", style[state]), Text(f"{words(level, state)}."), soft_wrap=True)
    for fault in verdict.faults[:100]:
        _out.print(Text(visible_line(f"{fault.level}  {fault.where}: {fault.what}"), "red"), soft_wrap=True)
    if len(verdict.faults) > 100:
        _out.print(Text(f"and {len(verdict.faults) - 100:,} more; --json lists all.", "red"))
    _out.print(Text(verdict.summary), soft_wrap=True)
    for note in verdict.notes:
        _out.print(Text(visible_line(note), "dim"), soft_wrap=True)
