"""The service's log: one JSON object a line, with ids, sizes and places in the code; never a text, a token or a key."""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

LOG = logging.getLogger("explain.access")
_FIELDS = "fields"


class JsonLines(logging.Formatter):
    """One line of JSON a record. An exception is its type and where it came from; its words may hold a text."""

    def format(self, record: logging.LogRecord) -> str:
        """The line; control characters in it are escaped, so that nobody can forge a second one."""
        said: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **getattr(record, _FIELDS, {}),
        }
        if record.exc_info and record.exc_info[0] is not None:
            said["exception"], said["where"] = record.exc_info[0].__name__, places(record.exc_info[2])
        return json.dumps(said, ensure_ascii=True, default=str)


def places(trace: Any) -> list[str]:
    """Where an exception passed: file (its last two parts), line and function; no source, which may hold literals."""
    return ["{}:{} {}".format("/".join(Path(f.filename).parts[-2:]), f.lineno, f.name)
            for f in traceback.extract_tb(trace)]  # fmt: skip


def note(event: str, **fields: Any) -> None:
    """Log one event with its fields."""
    LOG.info(event, extra={_FIELDS: fields})


def fault(**fields: str) -> None:
    """Log the exception being handled: its type and where it came from, whatever prints it; `fields` say of what."""
    kind, _, trace = sys.exc_info()
    what = {"exception": getattr(kind, "__name__", None), "where": places(trace)}
    LOG.error("fault", extra={_FIELDS: {**fields, **what}})


def leave_no_dump() -> None:
    """Have the system write no image of this process's memory, which holds texts, when it crashes."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource  # not everywhere

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def config(level: str = "INFO") -> dict[str, Any]:
    """The logging configuration of `explain serve`: everything as JSON lines on standard error."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": JsonLines}},
        "handlers": {"err": {"class": "logging.StreamHandler", "formatter": "json", "stream": "ext://sys.stderr"}},
        "root": {"handlers": ["err"], "level": "WARNING"},
        "loggers": {
            "explain": {"level": level, "handlers": ["err"], "propagate": False},
            "uvicorn": {"level": level, "handlers": ["err"], "propagate": False},
            "uvicorn.access": {"level": "CRITICAL", "handlers": [], "propagate": False},
        },
    }
