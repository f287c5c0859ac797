"""Request bodies: bytes counted while they arrive, JSON read strictly, so that no body can cost more than it may."""

from __future__ import annotations

import asyncio
import json
import re
from functools import cache
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request

from explain import canonical
from explain.errors import Cancelled, ExplainError, InputError
from explain.settings import Settings

B = TypeVar("B", bound=BaseModel)
_SURROGATE = re.compile("[\ud800-\udfff]")


async def body(request: Request, limits: Settings) -> bytes:
    """The whole body of a request, which is kept in its state: a refusal must not repeat it.

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
    request.state.body = b"".join(parts)
    return request.state.body  # type: ignore[no-any-return]


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
        data = canonical.parse(text)
    except (ValueError, RecursionError) as error:
        ours = isinstance(error, (canonical.Loose, json.JSONDecodeError))
        told = str(error)[:80] if ours else "a number or nesting too large"
        raise InputError(f"The body is not JSON: {told}.", code="invalid_json") from None
    if "\\u" in text and _SURROGATE.search(json.dumps(data, ensure_ascii=False)):
        raise InputError(
            "The text holds half of a character (a lone surrogate). Send it as valid Unicode.", code="invalid_unicode"
        )
    try:
        return kind.model_validate_json(raw)
    except ValidationError as error:
        raise _fault(error, _names(kind)) from None


def _fault(error: ValidationError, names: frozenset[str]) -> ExplainError:
    """The first fault as a sentence: where, and what was expected; never what came, nor a name that is none of ours."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    known = [str(part) for part in first["loc"] if isinstance(part, int) or part in names]
    where = ".".join(known[:4]) or "the body"
    unknown = first["type"] == "extra_forbidden"
    said = "there is a field that is not known here" if unknown else first["msg"][:120].lower()
    return InputError(f"At '{where}': {said}.", code="bad_request")


@cache
def _names(kind: type[BaseModel]) -> frozenset[str]:
    """The names of all fields of a body, and of what is in it."""
    schema = kind.model_json_schema()
    return frozenset(
        name for part in (schema, *schema.get("$defs", {}).values()) for name in part.get("properties", ())
    )


def _large(limits: Settings) -> InputError:
    return InputError(f"The body is larger than {limits.max_body:,} bytes. Send less at a time.", code="body_too_large")
