"""Request bodies: bytes counted while they arrive, JSON read strictly, so that no body can cost more than it may."""

from __future__ import annotations

import asyncio
import json
import math
import re
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request

from explain.errors import Cancelled, ExplainError, InputError
from explain.settings import Settings

B = TypeVar("B", bound=BaseModel)
_SURROGATE = re.compile("[\ud800-\udfff]")


async def body(request: Request, limits: Settings) -> bytes:
    """The whole body of a request.

    Raises:
        InputError: not JSON by its header, compressed, larger than `max_body`, or slower than `body_seconds`.
        Cancelled: the client has left.
    """
    kind, _, charset = request.headers.get("content-type", "").partition(";")
    if kind.strip().lower() != "application/json" or ("charset" in charset.lower() and "utf-8" not in charset.lower()):
        raise InputError("Expected the header 'Content-Type: application/json'.", code="not_json")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise InputError("Expected a body that is not compressed.", code="not_json")
    announced = request.headers.get("content-length", "0")
    if announced.isdecimal() and int(announced[:20]) > limits.max_body:
        raise _large(limits)
    parts, size = [], 0
    try:
        async with asyncio.timeout(limits.body_seconds):
            async for part in request.stream():
                size += len(part)
                if size > limits.max_body:
                    raise _large(limits)
                parts.append(part)
    except TimeoutError:
        raise InputError(f"The body did not arrive within {limits.body_seconds:g} s.", code="slow_body") from None
    except ClientDisconnect:
        raise Cancelled("The client left before its request was complete.", code="client_gone") from None
    return b"".join(parts)


def parsed(kind: type[B], raw: bytes) -> B:
    """A body as its model.

    Raises:
        InputError: not UTF-8, not JSON (RFC 8259), half a character, a key twice, or not what this address takes.
    """
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"The body is not UTF-8 (byte {error.start}).", code="invalid_encoding") from None
    try:
        json.loads(text, parse_constant=_refuse, parse_float=_finite, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        told = str(error)[:80] if isinstance(error, (_Told, json.JSONDecodeError)) else "a number or nesting too large"
        raise InputError(f"The body is not JSON: {told}.", code="invalid_json") from None
    if "\\u" in text and _SURROGATE.search(json.dumps(json.loads(text), ensure_ascii=False)):
        raise InputError(
            "The text holds half of a character (a lone surrogate). Send it as valid Unicode.", code="invalid_unicode"
        )
    try:
        return kind.model_validate_json(raw)
    except ValidationError as error:
        raise _fault(error) from None


def _fault(error: ValidationError) -> ExplainError:
    """The first fault as a sentence: where, and what was expected; never what came."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    known = [str(part) for part in first["loc"] if isinstance(part, int) or re.fullmatch(r"\w{1,20}", part)]
    where = ".".join(known[:4]) or "the body"
    said = "there is no such field" if first["type"] == "extra_forbidden" else first["msg"][:120].lower()
    return InputError(f"At '{where}': {said}.", code="bad_request")


class _Told(ValueError):
    """A fault of our own finding, whose sentence may be shown."""


def _large(limits: Settings) -> InputError:
    return InputError(f"The body is larger than {limits.max_body:,} bytes. Send less at a time.", code="body_too_large")


def _refuse(name: str) -> NoReturn:
    raise _Told(f"{name} is not a number in JSON")


def _finite(digits: str) -> float:
    if not math.isfinite(value := float(digits)):
        raise _Told("a number is too large")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Told("a key stands twice in one object")
    return found
