"""Records as canonical JSON: the one form in which they are compared, hashed, stored and sent; and JSON read strictly.

RFC 8785 (JSON Canonicalization Scheme) fixes key order and number format, so that equal records
are equal bytes. A float32 is written as the double of the same value, hence read back exactly.
Arrays above 64 kB travel as base64 of their little-endian bytes, with dtype and shape.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any, NoReturn

import numpy as np
import rfc8785

LARGE_ARRAY = 64 * 1024
"""Bytes above which an array is written as base64 instead of nested lists."""


class Loose(ValueError):
    """Text that Python would read as JSON, though RFC 8259 does not define what it means; says why."""


def parse(text: str | bytes) -> Any:
    """Read JSON as RFC 8259 has it: no NaN, no number beyond float64, no key twice in one object.

    Raises:
        ValueError: as `json.loads`, or `Loose`.
        RecursionError: it is nested too deeply.
    """
    return json.loads(text, parse_constant=_constant, parse_float=_finite, object_pairs_hook=_once)


def plain(value: Any) -> Any:
    """Return `value` as dictionaries, lists, strings, numbers, booleans and None.

    Raises:
        ValueError: a number is NaN or infinite, or the type has no JSON form.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, np.ndarray):
        return _plain_array(value)
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [plain(item) for item in value]
    if isinstance(value, float) and not np.isfinite(value):
        raise ValueError(f"Expected a finite number, got {value}: records hold no NaN or infinity.")
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    raise ValueError(f"Expected a record, array or JSON value, got {type(value).__name__}.")


def encode(value: Any) -> bytes:
    """Return the RFC 8785 bytes of a record."""
    return rfc8785.dumps(plain(value))


def digest(value: Any) -> str:
    """Return the SHA-256 of the canonical bytes, as 64 hexadecimal digits."""
    return hashlib.sha256(encode(value)).hexdigest()


def _constant(name: str) -> NoReturn:
    raise Loose(f"{name} is not a JSON number")


def _finite(digits: str) -> float:
    if not math.isfinite(value := float(digits)):
        raise Loose("a number is too large")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Loose("a key stands twice in one object")
    return found


def _plain_array(array: np.ndarray) -> Any:
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError("Expected finite numbers, got an array with NaN or infinity.")
    if array.nbytes <= LARGE_ARRAY:
        return array.tolist()
    little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    return {
        "dtype": array.dtype.name,
        "shape": list(array.shape),
        "base64": base64.b64encode(little.tobytes()).decode("ascii"),
    }
