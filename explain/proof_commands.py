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
from explain.errors import AuditError, InputError
from explain.evidence_commands import Actor, Place, Record, find_entry, named, open_store, write_file
from explain.render.pieces import visible, visible_line

if TYPE_CHECKING:
    from explain.audit.verdict import Verdict

_out = Console()
BROKEN_NUMBERS = 7
"""Exit code where computing again gives other numbers."""


def register(app: typer.Typer) -> None:
    """Put the commands into the command line."""
    for command in (verify, replay, check, report, screenshot):
        app.command()(command)


def verify(
    what: Annotated[str | None, typer.Argument(help="A record, a bundle (zip) or a store; else ours.")] = None,
    model: Annotated[str | None, typer.Option(help="Name or folder of the model, for level V4.")] = None,
    key: Annotated[Path | None, typer.Option(help="Believe only this public key (PEM).")] = None,
    store_id: Annotated[str | None, typer.Option(help="The id that the store must have, as you wrote it down.")] = None,
    store: Place = None,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Has anything been changed since it was filed? Exit code 0; 3 bytes, 4 order, 6 model; 2 if it is no evidence."""
    from explain.audit import bundle, verify

    trusted = verify.pinned(key)
    path = Path(what) if what is not None else None
    kind = "store" if path is None or path.is_dir() else "bundle" if path.is_file() else "record"
    for option, value, of in (("--model", model, "record"), ("--store-id", store_id, "store")):
        if value is not None and kind != of:
            raise InputError(f"{option} is for a {of}, and this is a {kind}: name a {of}.", code="bad_option")
    if path is not None and path.is_file():
        if path.stat().st_size > bundle.LARGEST:
            raise AuditError(f"The bundle is larger than {bundle.LARGEST:,} bytes.", code="not_evidence")
        verdict = bundle.verify(path.read_bytes(), trusted)
    elif path is None or path.is_dir():
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

    then = content.explanation.model
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        revision = then.revision if then.source == "hub" and model is None else None
        loaded = explain.load(model or then.id, device=then.device, dtype=then.dtype, revision=revision)
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
    if path.suffix == ".json" or path.is_file():
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
    from explain.audit.verdict import WORDS

    style = {"holds": "green", "broken": "red", "not checked": "dim"}
    for level, state in verdict.levels.items():
        _out.print(Text(f"{level}  {state:<11}", style[state]), Text(f"{WORDS[level]}."), soft_wrap=True)
    for fault in verdict.faults[:100]:
        _out.print(Text(visible_line(f"{fault.level}  {fault.where}: {fault.what}"), "red"), soft_wrap=True)
    if len(verdict.faults) > 100:
        _out.print(Text(f"and {len(verdict.faults) - 100:,} more; --json lists all.", "red"))
    keys = ", ".join(f"{k[:16]}…" for k in verdict.signed_by) or "nobody"
    unsigned = f" {verdict.unsigned:,} UNSIGNED." if verdict.unsigned else ""
    _out.print(
        Text(f"{verdict.checked:,} records, {verdict.erased:,} erased, signed by {keys}.{unsigned}"), soft_wrap=True
    )
    if verdict.uncovered:
        _out.print(Text(f"{verdict.uncovered:,} stand behind the newest checkpoint: a cut of these would not show."))
    for note in verdict.notes:
        _out.print(Text(visible_line(note), "dim"), soft_wrap=True)
