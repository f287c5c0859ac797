"""Commands that keep evidence: `explain evidence …` and `erase`. Nothing here computes, so nothing imports torch."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from explain.errors import AuditError, InputError
from explain.render.pieces import visible, visible_line
from explain.settings import settings

if TYPE_CHECKING:
    from explain.audit.entry import Entry
    from explain.audit.store import Store

evidence = typer.Typer(no_args_is_help=True, help="Records of evidence: file, list, review, keep, export.")
_out = Console()
Record = Annotated[str, typer.Argument(help="A record's id or sequence number.", show_default=False)]
Place = Annotated[Path | None, typer.Option("--store", help="The store's folder; else below EXPLAIN_HOME.")]
Actor = Annotated[str | None, typer.Option(help="Your name or pseudonym, for the record.")]
Note = Annotated[str | None, typer.Option(help="What you want to say; encrypted with the record.")]


def register(app: typer.Typer) -> None:
    """Put the commands into the command line."""
    app.add_typer(evidence, name="evidence")
    app.command()(erase)
    app.command()(mask)


@evidence.command("file")
def file_(
    explanation: Annotated[str, typer.Argument(help="An explanation as JSON, or - for standard input.")],
    case: Annotated[str | None, typer.Option(help="The case that the decision belongs to.")] = None,
    use: Annotated[str | None, typer.Option(help="What the model is used for.")] = None,
    actor: Actor = None,
    note: Note = None,
    decision: Annotated[str | None, typer.Option(help="The label that production decided.")] = None,
    score: Annotated[float | None, typer.Option(help="The score that production gave.")] = None,
    threshold: Annotated[float | None, typer.Option(help="The threshold that production used.")] = None,
    model_sha256: Annotated[str | None, typer.Option(help="SHA-256 of the weights that decided.")] = None,
    system: Annotated[str | None, typer.Option(help="The system that decided.")] = None,
    time: Annotated[str | None, typer.Option(help="When it decided: ISO 8601 with its offset.")] = None,
    retention: Annotated[str, typer.Option(help="short, standard, long, permanent.")] = "standard",
    masked: Annotated[Path | None, typer.Option(help="What `explain mask --spans` wrote about the text.")] = None,
    dataset: Annotated[str | None, typer.Option(help="The data set that the text is of.")] = None,
    row: Annotated[str | None, typer.Option(help="Its row there.")] = None,
    row_sha256: Annotated[str | None, typer.Option(help="SHA-256 of that row.")] = None,
    corrects: Annotated[str | None, typer.Option(help="The record in whose place this one stands.")] = None,
    store: Place = None,
) -> None:
    """File an explanation and print its record's id."""
    import explain
    from explain import filing
    from explain.audit.records import Decision, Masking, Purpose, Who
    from explain.wire import decode

    data = sys.stdin.buffer.read() if explanation == "-" else None
    found = explain.read(data if data is not None else Path(explanation))
    decided = Decision(decision, score, threshold, model_sha256, system, time)
    opened = open_store(store)
    entry = opened.file(
        found,
        who=Who(actor, client="command line"),
        purpose=Purpose(case, use, dataset, row, retention),
        decision=decided if any(x is not None for x in vars(decided).values()) else None,
        note=note,
        masking=None if masked is None else decode(Masking, _read(masked)),
        corrects=None if corrects is None else find_entry(opened, corrects).header.id,
        row_sha256=row_sha256,
        pictures=filing.pictures,
    )
    _print(entry)
    matches = opened.content(entry.header.id).matches
    Console(stderr=True).print(Text(visible(f"Decision in production: {matches}")), soft_wrap=True)


@evidence.command("list")
def list_(
    search: Annotated[str | None, typer.Option(help="Part of an id, case, actor, model or label.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 20,
    store: Place = None,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """List the newest records."""
    from explain.audit import listing

    page = listing.page(open_store(store), listing.Wish(search=search), limit=limit)
    if as_json:
        print(json.dumps([dict(row) for row in page.rows]))  # noqa: T201
        return
    for row in page.rows:
        said = f"{row['sequence']:>6}  {row['id']}  {row['recorded'][:19]}  {row['label'] or '(erased)'}"
        _out.print(Text(visible_line(f"{said}  {row['case_id'] or ''}  {row['actor'] or ''}")), soft_wrap=True)
    _out.print(Text(f"{page.total:,} records", "dim"))


@evidence.command("show")
def show(record: Record, store: Place = None) -> None:
    """Print a record's header and, unless it is erased, its content as JSON."""
    from explain import canonical

    found = open_store(store)
    entry = find_entry(found, record)
    content = None if entry.state.erased else found.content(entry.header.id)
    whole = {"header": canonical.plain(entry.header), "state": vars(entry.state), "content": canonical.plain(content)}
    print(json.dumps(whole))  # noqa: T201


@evidence.command("review")
def review(
    record: Record,
    agree: Annotated[bool, typer.Option("--agree/--disagree", help="Is the decision right, in your eyes?")],
    actor: Annotated[str, typer.Option(help="Your name or pseudonym.")],
    sign_off: Annotated[bool, typer.Option("--sign-off", help="Sign this verdict off.")] = False,
    note: Note = None,
    store: Place = None,
) -> None:
    """Agree or disagree with what was decided."""
    from explain.audit.records import Who

    found = open_store(store)
    who = Who(actor, client="command line")
    _print(found.review(find_entry(found, record).header.id, who, agree=agree, sign_off=sign_off, note=note))


@evidence.command("note")
def note_(record: Record, text: str, actor: Actor = None, store: Place = None) -> None:
    """Add a note to a record."""
    _event("note", record, actor, store, note=text)


@evidence.command("hold")
def hold(record: Record, actor: Actor = None, store: Place = None) -> None:
    """Put a legal hold on a record: it cannot be erased."""
    _event("hold", record, actor, store)


@evidence.command("release")
def release(record: Record, actor: Actor = None, store: Place = None) -> None:
    """Take a legal hold off a record."""
    _event("release", record, actor, store)


@evidence.command("keep")
def keep(record: Record, retention: str, actor: Actor = None, store: Place = None) -> None:
    """Change how long a record's content is kept: short, standard, long, permanent."""
    from datetime import UTC, datetime

    from explain.audit.retention import due

    due(datetime.now(UTC).isoformat(), retention)
    _event("retention", record, actor, store, detail={"retention": retention})


@evidence.command("expire")
def expire(actor: Actor = None, store: Place = None) -> None:
    """Erase every record whose retention time is over; run it daily."""
    from explain.audit.records import Who

    found = open_store(store)
    erased = found.expire(Who(actor or "retention job", client="command line"))
    found.sweep()
    _out.print(Text(f"{len(erased)} records erased."))


@evidence.command("export")
def export(
    out: Annotated[Path, typer.Option("--out", "-o", help="The zip file to write.")],
    record: Annotated[str | None, typer.Argument(help="A record; else the whole store.")] = None,
    store: Place = None,
) -> None:
    """Write a bundle that somebody else can verify. It holds the text, decrypted."""
    from explain.audit import bundle

    found = open_store(store)
    write_file(out, bundle.write(found, None if record is None else find_entry(found, record).header.id))


@evidence.command("checkpoint")
def checkpoint(store: Place = None) -> None:
    """Write a signed checkpoint now."""
    path = open_store(store).checkpoint()
    _out.print(Text("The store is empty." if path is None else f"Checkpoint {path.stem.lstrip('0')} written."))


@evidence.command("summary")
def summary(
    items: Annotated[list[str], typer.Argument(help="Ids or numbers of the records that the batch filed.")],
    failed: Annotated[int, typer.Option(min=0, help="Texts that gave no record.")] = 0,
    use: Annotated[str | None, typer.Option(help="What the batch was for.")] = None,
    actor: Actor = None,
    store: Place = None,
) -> None:
    """File what a batch came to; the records in it are bound by their digests."""
    from explain.audit.records import Purpose, Who

    found = open_store(store)
    records = [find_entry(found, one).header.id for one in items]
    who = Who(actor, client="command line")
    _print(found.summarise(records, who, Purpose(intended_use=use), failed=failed))


@evidence.command("rotate")
def rotate(actor: Actor = None, store: Place = None) -> None:
    """Change the signing key; the old one and the new one both sign the change."""
    from explain.audit.records import Who

    _print(open_store(store).rotate(Who(actor, client="command line")))


def erase(
    record: Record,
    reason: Annotated[str, typer.Option(help="Why; it stays in the chain, so name no person.")],
    actor: Actor = None,
    store: Place = None,
) -> None:
    """Destroy a record's content for good; the chain still verifies."""
    from explain.audit.records import Who

    found = open_store(store)
    _print(found.erase(find_entry(found, record).header.id, Who(actor, client="command line"), reason))
    if settings().jobs is not None:
        from explain.audit.entry import JOBS

        Console(stderr=True).print(Text(JOBS), soft_wrap=True)


def mask(
    text: Annotated[str, typer.Argument(help="The text, or - to read it from standard input.", show_default=False)],
    spans: Annotated[Path | None, typer.Option(help="File for what was masked where, to be filed with it.")] = None,
) -> None:
    """Mask e-mail, phone, card, IBAN, IP and identity numbers: the text is reduced by them, not anonymous."""
    from explain import masking

    whole = sys.stdin.buffer.read().decode("utf-8", "replace") if text == "-" else text
    found = masking.mask(whole.removesuffix("\n"))
    if spans is not None:
        write_file(spans, masking.as_record([found]).to_json().encode("utf-8"))
    sys.stdout.buffer.write(found.text.encode("utf-8") + b"\n")
    kinds = ", ".join(sorted({s.kind for s in found.spans})) or "nothing"
    Console(stderr=True).print(Text(f"Masked: {kinds}. {masking.STATEMENT}"), soft_wrap=True)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        raise InputError(f"There is no file '{path.name[:80]}'.", code="no_file") from None


def open_store(folder: Path | None, *, there: bool = False, only_read: bool = False) -> Store:
    """The store in a folder, or below EXPLAIN_HOME; raises AuditError if it should be `there` and is not."""
    from explain.audit.store import Store

    home = folder or settings().home / "evidence"
    listed = bool(settings().evidence_url.get_secret_value()) or (home / "evidence.db").is_file()
    if there and not (listed and (home / "files").is_dir()):
        what = f"'{str(folder)[:80]}' is" if folder is not None else "Below EXPLAIN_HOME is"
        raise AuditError(f"{what} no store of evidence.", code="not_evidence")
    return Store(folder, only_read=only_read)


def find_entry(store: Store, wish: str) -> Entry:
    """A record by id or by sequence number; raises InputError for what is neither, AuditError where it is not there."""
    return store.read(named(wish))


def named(wish: str) -> str | int:
    """What a person typed as a record's sequence number or id; raises InputError."""
    from explain.audit import ids

    if wish.isdecimal() and len(wish) < 10:
        return int(wish)
    if not ids.valid(wish):
        raise InputError(
            f"Expected a record's id or number, a bundle or a store's folder, got '{wish[:80]}'.", code="no_record"
        )
    return wish


def _event(kind: Any, record: str, actor: str | None, store: Path | None, **rest: Any) -> None:
    from explain.audit.records import Who

    found = open_store(store)
    _print(found.add(kind, find_entry(found, record).header.id, Who(actor, client="command line"), **rest))


def _print(entry: Entry) -> None:
    header = entry.header
    print(header.id)  # noqa: T201
    state = f"signed by {next(iter(_keys(entry)), '')[:16]}…" if header.signed else "UNSIGNED"
    Console(stderr=True).print(Text(f"Record {header.sequence}, {header.kind}, {state}"), soft_wrap=True)


def _keys(entry: Entry) -> list[str]:
    from explain.audit import envelope

    return list(envelope.unwrap(entry.bytes, envelope.PAYLOAD).signatures)


def write_file(path: Path, data: bytes) -> None:
    """Write what a person asked for, which may be a text, for their eyes; raises InputError when that cannot be."""
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(data)
    except OSError as error:
        raise InputError(f"Cannot write {path.name[:80]}: {(error.strerror or '').lower()}.", code="no_file") from None
