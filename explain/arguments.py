"""What a person writes on the command line, as values."""

from __future__ import annotations

import json
import sys
from typing import Any

from explain.errors import InputError, MethodError

LONGEST = 16 * 2**20
"""Bytes that are read from standard input; more is refused by length anyway."""


def standard_input() -> str:
    """What stands on standard input, without its last line's end; raises InputError where it is not UTF-8."""
    try:
        return sys.stdin.buffer.read(LONGEST).decode("utf-8").removesuffix("\n")
    except UnicodeDecodeError as error:
        raise InputError(f"Standard input is not UTF-8 (byte {error.start}). Convert it first.") from None


def parameters(given: list[str]) -> dict[str, Any]:
    """Parameters from `name=value` or `method.name=value`; numbers and true/false are read as such."""
    found: dict[str, Any] = {}
    for item in given:
        name, equals, value = item.partition("=")
        if not equals or not name:
            raise MethodError(f"Expected a parameter as name=value, got '{item[:80]}'.", code="bad_parameter")
        owner, dot, inner = name.partition(".")
        if dot:
            mine = found.setdefault(owner, {})
            if not isinstance(mine, dict):
                raise MethodError(f"'{owner[:80]}' is given both as a value and as a method.", code="bad_parameter")
            mine[inner] = _value(value)
        else:
            found[name] = _value(value)
    return found


def _value(text: str) -> Any:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value if isinstance(value, (int, float, bool)) else text
