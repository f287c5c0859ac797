"""Pages of the list: filtered, searched, newest first. Only what is not encrypted can be searched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from explain.audit.bounds import NAME, bounded
from explain.audit.database import entries, reading
from explain.audit.entry import Entry
from explain.audit.records import FILED
from explain.audit.store import Store


@dataclass(frozen=True)
class Wish:
    """What to list: None leaves a filter out. `search` looks into id, case, actor, intended use, model and label."""

    search: str | None = None
    label: str | None = None
    review: str | None = None
    erased: bool | None = None
    held: bool | None = None


@dataclass(frozen=True)
class Page:
    """Rows of the list, and how many there are in all."""

    rows: tuple[Mapping[str, Any], ...]
    total: int


def corrections(store: Store, record: str) -> list[Entry]:
    """The records that stand in the place of one, oldest first; raises AuditError where one is damaged."""
    wish = sa.select(entries.c.id).where(entries.c.kind == "correction").order_by(entries.c.sequence)
    with reading(store.engine) as connection:
        found = [store.read(one) for one in connection.execute(wish).scalars().all()]
    return [entry for entry in found if entry.header.detail.get("corrects") == record]


def page(store: Store, wish: Wish | None = None, *, offset: int = 0, limit: int = 50) -> Page:
    """The filed records that a wish lets through, newest first; raises InputError for a search that is no text."""
    wish = wish or Wish()
    where: list[Any] = [entries.c.kind.in_(FILED)]
    if search := bounded("search", wish.search, NAME):
        escaped = search.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        columns = ("id", "case_id", "actor", "intended_use", "model", "label")
        exact = store.engine.dialect.name == "sqlite"  # whose LIKE ignores case by itself, and faster
        likes = ((entries.c[c].like if exact else entries.c[c].ilike)(f"%{escaped}%", escape="\\") for c in columns)
        where.append(sa.or_(*likes))
    if wish.label is not None:
        where.append(entries.c.label == wish.label)
    if wish.review is not None:
        where.append(entries.c.review == wish.review if wish.review != "none" else entries.c.review.is_(None))
    for name in ("erased", "held"):
        if getattr(wish, name) is not None:
            where.append(entries.c[name] == getattr(wish, name))
    chosen = sa.select(entries).where(*where).order_by(entries.c.sequence.desc()).offset(offset).limit(limit)
    with reading(store.engine) as connection:
        total = connection.execute(sa.select(sa.func.count()).select_from(entries).where(*where)).scalar_one()
        return Page(tuple(dict(row) for row in connection.execute(chosen).mappings()), int(total))
