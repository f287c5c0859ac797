"""The base of all records: frozen data with read-only arrays, compared by what it holds."""

from __future__ import annotations

import dataclasses
from functools import cached_property
from typing import Any

import numpy as np

from explain import canonical


class Record:
    """Base of all records: arrays become read-only copies, lists become tuples, equality is by digest."""

    def __post_init__(self) -> None:
        for name in (f.name for f in dataclasses.fields(self)):  # type: ignore[arg-type]
            value = getattr(self, name)
            if isinstance(value, np.ndarray) and value.flags.writeable:
                value = value.copy()
                value.flags.writeable = False
                object.__setattr__(self, name, value)
            elif isinstance(value, list):
                object.__setattr__(self, name, tuple(value))

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Unpickling and copying make writeable arrays; a record's are not."""
        self.__dict__.update(state)
        for value in state.values():
            if isinstance(value, np.ndarray):
                value.flags.writeable = False

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the record's canonical JSON."""
        return canonical.digest(self)

    def to_json(self) -> str:
        """Canonical JSON (RFC 8785); `explain.read` turns an Explanation's back into an equal one."""
        return canonical.encode(self).decode("utf-8")

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and canonical.encode(self) == canonical.encode(other)

    def __hash__(self) -> int:
        return hash(canonical.encode(self))
