"""What a person writes on the command line, as values."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from explain import canonical
from explain.errors import InputError, MethodError
from explain.messages import Text, parted

LONGEST = 16 * 2**20
"""Bytes that are read from standard input; more is refused by length anyway."""


def standard_input() -> str:
    """What stands on standard input, without its last line's end; raises InputError where it is not UTF-8."""
    try:
        return sys.stdin.buffer.read(LONGEST).decode("utf-8").removesuffix("\n")
    except UnicodeDecodeError as error:
        raise InputError(f"Standard input is not UTF-8 (byte {error.start}). Convert it first.") from None


def what_is_asked(text: str | None, pair: str | None, messages: Path | None) -> Text:
    """What `run` explains: a text, a pair, or the conversation in a file.

    Raises:
        InputError: none of them was given or several, or the file holds no conversation.
    """
    if messages is not None and pair is not None:
        raise InputError("Give a text (and --pair, where the model reads two), or --messages FILE.", code="no_text")
    first = text_or_messages(text, messages)
    return first if pair is None else (str(first), pair)


def text_or_messages(text: str | None, messages: Path | None) -> Text:
    """A text, from standard input for -, or the conversation in a file; raises InputError for neither or both."""
    if (text is None) == (messages is None):
        raise InputError("Give a text or --messages FILE, and not both.", code="no_text")
    if messages is not None:
        return conversation(messages)
    return standard_input() if text == "-" else str(text)


def conversation(path: Path) -> Text:
    """The messages in a JSON file, or on standard input for -: a list of them, or an object that holds `messages`."""
    try:
        if str(path) != "-" and path.stat().st_size > LONGEST:
            raise InputError(f"The file of --messages has more than {LONGEST:,} bytes.", code="too_large")
        data = canonical.parse(standard_input() if str(path) == "-" else path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        said = error.strerror if isinstance(error, OSError) else "it is not JSON in UTF-8"
        raise InputError(f"Expected --messages to name a file of messages: {said}.", code="unreadable") from None
    found = data.get("messages") if isinstance(data, dict) else data
    if not isinstance(found, list) or not found or not all(isinstance(message, dict) for message in found):
        raise InputError(
            'Expected the file of --messages to hold [{"role": "user", "content": "…"}, …].', code="bad_messages"
        )
    parted(found)
    return found


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
