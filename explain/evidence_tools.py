"""What the commands of evidence share: which store, which record, a question before what cannot be undone, files."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from explain.errors import AuditError, InputError
from explain.render.pieces import visible_line
from explain.settings import settings

if TYPE_CHECKING:
    from explain.audit.entry import Entry
    from explain.audit.store import Store

Record = Annotated[str, typer.Argument(help="A record's id or sequence number.", show_default=False)]
Place = Annotated[Path | None, typer.Option("--store", help="The store's folder; else below EXPLAIN_HOME.")]
Actor = Annotated[str | None, typer.Option(help="Your name or pseudonym, for the record.")]
Answerable = Annotated[str, typer.Option("--actor", help="Your name or pseudonym; it stays in the chain.")]
Reason = Annotated[str, typer.Option(help="Why; it stays in the chain, so name no person.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask first.")]


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


def ask(question: str, *, yes: bool) -> None:
    """Ask a person at a terminal before what cannot be undone; a job that runs by itself said so by running.

    Raises InputError where the answer is no.
    """
    if not yes and sys.stdin.isatty() and not typer.confirm(visible_line(question), err=True):
        raise InputError("Nothing was changed.", code="not_confirmed")


def counted(records: int) -> str:
    """A number of records in words."""
    return "1 record" if records == 1 else f"{records:,} records"


def written(path: Path) -> None:
    """Say what was written, where a person reads it and no pipe does."""
    Console(stderr=True).print(Text(visible_line(f"Written: {path}")), soft_wrap=True)


def is_file(path: Path) -> bool:
    """Is there such a file? What cannot be the name of one is none."""
    return os.path.isfile(path)  # noqa: PTH113 - Path's own raises for a name that is too long


def is_folder(path: Path) -> bool:
    """Is there such a folder?"""
    return os.path.isdir(path)  # noqa: PTH112


def write_file(path: Path, data: bytes) -> None:
    """Write what a person asked for, which may be a text, for their eyes; raises InputError when that cannot be."""
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(data)
    except OSError as error:
        raise InputError(f"Cannot write {path.name[:80]}: {(error.strerror or '').lower()}.", code="no_file") from None
