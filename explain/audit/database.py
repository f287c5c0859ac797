"""Where records are listed: any database that SQLAlchemy speaks to, SQLite beside the files by default.

SQLite writes ahead (WAL) and waits for the disk (synchronous FULL); a writer takes the lock before it reads, so that
two processes never give one number twice. Elsewhere the row of the store is locked to the same end.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, OperationalError

from explain.errors import AuditError

PATIENCE = 10_000
"""Milliseconds that an erasure waits for readers before it says that freed pages are not overwritten."""
tables = sa.MetaData()
store = sa.Table(
    "store",
    tables,
    sa.Column("name", sa.String(40), primary_key=True),
    sa.Column("value", sa.String(200), nullable=False),
)
entries = sa.Table(
    "entries",
    tables,
    sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("id", sa.String(36), nullable=False, unique=True),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("about", sa.String(36), index=True),
    sa.Column("recorded", sa.String(40), nullable=False),
    sa.Column("actor", sa.String(200)),
    sa.Column("case_id", sa.String(200)),
    sa.Column("intended_use", sa.String(400)),
    sa.Column("model", sa.String(200)),
    sa.Column("label", sa.String(200)),
    sa.Column("retention", sa.String(20), nullable=False),
    sa.Column("due", sa.String(40), index=True),
    sa.Column("held", sa.Boolean, nullable=False),
    sa.Column("erased", sa.Boolean, nullable=False),
    sa.Column("review", sa.String(20)),
    sa.Column("signed_off", sa.Boolean, nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
)
"""What lists and filters need. All of it follows from the envelopes, and `verify` compares."""
envelopes = sa.Table(
    "envelopes",
    tables,
    sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("bytes", sa.LargeBinary, nullable=False),
)
keys = sa.Table(
    "keys",
    tables,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("wrapped", sa.LargeBinary, nullable=False),
)
"""Keys of records, wrapped by the master key. A key that is gone is an erased record."""


def connect(url: str, *, only_read: bool = False) -> sa.Engine:
    """An engine for a database, its tables made if they are missing; with `only_read` nothing of it is written.

    Raises:
        AuditError: it cannot be opened, is no store, or acts when it is read (views, triggers, virtual tables).
    """
    try:
        address = sa.make_url(url)
        sqlite = address.get_backend_name() == "sqlite"
        if sqlite and only_read and address.database:
            path = quote(str(Path(address.database).absolute()))
            address = sa.make_url(f"sqlite:///file:{path}?mode=ro&uri=true")
        else:
            _make_private(address)
        engine = sa.create_engine(address, **({"connect_args": {"timeout": 30}} if sqlite else {}))
        if sqlite:
            sa.event.listen(engine, "connect", _pragmas_to_read if only_read else _pragmas)
            sa.event.listen(engine, "begin", _immediately)
            _require_plain(engine)
        elif only_read and engine.dialect.name == "postgresql":  # elsewhere the account's own rights decide
            _read_only(engine)
        if not only_read:
            with _in_our_words(), engine.begin() as connection:
                tables.create_all(connection)
    except (sa.exc.ArgumentError, sa.exc.NoSuchModuleError, ImportError) as error:
        raise AuditError(
            f"EXPLAIN_EVIDENCE_URL is no address that SQLAlchemy can open: {str(error)[:160]}.", code="bad_store"
        ) from None
    except ValueError:  # its words would quote what may be a part of the password
        raise AuditError("EXPLAIN_EVIDENCE_URL is no address: its port is no number.", code="bad_store") from None
    return engine


@contextmanager
def reading(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A connection that only reads: in SQLite it waits for nobody."""
    with _in_our_words(), engine.connect().execution_options(readonly=True) as connection:
        yield connection


@contextmanager
def writing(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A transaction that holds the store's lock from its beginning."""
    with _in_our_words(), engine.begin() as connection:
        if engine.dialect.name != "sqlite":
            connection.execute(sa.update(store).where(store.c.name == "id").values(value=store.c.value))
        yield connection


def overdue(connection: sa.Connection, at: datetime, kinds: Sequence[str]) -> dict[int, str]:
    """Sequence number → id of records of these kinds whose time was over at an instant, and that no hold keeps."""
    near = (at.astimezone(UTC) + timedelta(days=2)).isoformat()  # text narrows the search; instants decide
    wish = sa.select(entries.c.sequence, entries.c.id, entries.c.due).where(
        entries.c.due <= near, ~entries.c.held, ~entries.c.erased, entries.c.kind.in_(kinds)
    )
    rows = connection.execute(wish.order_by(entries.c.sequence))
    return {row.sequence: row.id for row in rows if datetime.fromisoformat(row.due) <= at}


def overwrite(engine: sa.Engine) -> None:
    """Leave nothing in SQLite's free pages or its write-ahead log; another database does that in its own way.

    Raises:
        AuditError: with the code `not_overwritten`, somebody went on reading for as long as `PATIENCE`.
    """
    if engine.dialect.name != "sqlite":
        return
    raw = engine.raw_connection()
    try:
        cursor = raw.cursor()
        cursor.execute(f"PRAGMA busy_timeout={PATIENCE}")
        cursor.execute("VACUUM")
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        busy = any(row[0] for row in cursor.fetchall())  # it says so in a row, and raises nothing
        cursor.close()
    except sqlite3.Error:
        busy = True
    finally:
        raw.invalidate()  # the next one waits as long as any other
    if busy:
        raise AuditError(
            "It is erased, but its key may still be in freed pages of the database, which somebody is reading or which "
            "has no room. Run `explain evidence expire` to overwrite them.",
            code="not_overwritten",
        )


@contextmanager
def _in_our_words() -> Iterator[None]:
    try:
        yield
    except OperationalError as error:
        raise AuditError(
            f"The store cannot be used: {str(error.orig)[:160]}. Nothing was changed; mend it, then try again.",
            code="storage",
        ) from None
    except DBAPIError as error:
        raise AuditError(f"The store is damaged: {str(error.orig)[:160]}.", code="damaged") from None


def _require_plain(engine: sa.Engine) -> None:
    """Refuse a file of SQLite that holds anything but tables: a view or a trigger runs what somebody else wrote."""
    wish = "SELECT count(*) FROM sqlite_master WHERE type IN ('view', 'trigger') OR sql LIKE 'CREATE VIRTUAL%'"
    with reading(engine) as connection:
        if connection.exec_driver_sql(wish).scalar_one():
            raise AuditError("The store's database holds views or triggers; ours never do.", code="not_evidence")


def _read_only(engine: sa.Engine) -> None:
    """Have PostgreSQL refuse to write for us, and refuse a database in which reading runs what somebody else wrote.

    Raises:
        AuditError: what bears a table's name acts when it is read (a view, a rule, a policy of rows, a table that lies
            elsewhere).
    """
    sa.event.listen(engine, "connect", _reading_session)
    wish = sa.text(
        "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AND c.relname = ANY(:names) "
        "AND (c.relkind <> 'r' OR c.relhasrules OR c.relrowsecurity OR c.relhassubclass)"
    )
    with reading(engine) as connection:
        if connection.execute(wish, {"names": list(tables.tables)}).scalar_one():
            raise AuditError("The store's database holds views, rules or policies; ours never do.", code="not_evidence")


def _reading_session(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
    cursor.close()
    connection.commit()


def _make_private(url: sa.URL) -> None:
    """Make SQLite's file before SQLite does, for its owner's eyes; the files beside it take its mode."""
    if url.get_backend_name() == "sqlite" and url.database and not url.database.startswith((":", "file:")):
        with suppress(OSError):  # SQLite says it in its own words
            os.close(os.open(url.database, os.O_RDWR | os.O_CREAT, 0o600))


def _pragmas(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver would begin on its own, and later than we want
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON", "trusted_schema=OFF"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _pragmas_to_read(connection: Any, _record: Any) -> None:
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA trusted_schema=OFF")
    cursor.close()


def _immediately(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN" if connection.get_execution_options().get("readonly") else "BEGIN IMMEDIATE")
