"""Records as bytes between two processes of ours: a line of JSON with the shape, then the arrays as they are.

No pickle: a worker that a broken model file took over can say wrong things, but cannot make the process that serves
pages run anything. Every float keeps its bits, which canonical JSON would not do for -0 and infinity.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, BinaryIO, cast

import numpy as np

from explain import alignment, catalog, generation, heads, lens, prediction, records, road
from explain.errors import InputError
from explain.record import Record
from explain.service import job

MARK = b"WHY1"
LARGEST = 2**30
"""Bytes of the longest message; 2,048 tokens of one head's weights and norms take 32 MB."""
_FRAME = struct.Struct(">4sQ")
_HEAD = struct.Struct(">Q")
_ALIGN = 16
"""Arrays begin at multiples of as many bytes, so that they are used where they lie."""
MODULES = (prediction, records, catalog, generation, alignment, heads, road, lens, job)
RECORDS = {
    kind.__name__: kind
    for module in MODULES
    for kind in vars(module).values()
    if isinstance(kind, type) and issubclass(kind, Record)
}
"""What may be sent, by name."""


class Garbled(ValueError):
    """What came is no message."""


def pack(value: Any) -> bytes:
    """Bytes of records, arrays, mappings with text as keys, sequences and JSON scalars.

    Raises:
        TypeError: something has no such form.
        InputError: these are more bytes than the other side takes (code answer_too_large).
    """
    arrays: list[np.ndarray] = []
    head = json.dumps(_plain(value, arrays), separators=(",", ":")).encode("ascii")
    parts: list[bytes | memoryview] = [_HEAD.pack(len(head)), head, b" " * (-(_HEAD.size + len(head)) % _ALIGN)]
    for array in arrays:
        parts += [np.ascontiguousarray(array).reshape(-1).view(np.uint8).data, b"\0" * (-array.nbytes % _ALIGN)]
    if (size := sum(map(len, parts))) > LARGEST:
        raise InputError(
            f"The answer takes {size:,} bytes, and at most {LARGEST:,} are passed on. Ask about a shorter text, or "
            "about the attention of fewer layers.",
            code="answer_too_large",
        )
    return b"".join(parts)


def unpack(data: bytes | memoryview) -> Any:
    """The value again, with read-only arrays, which are parts of `data`; raises Garbled."""
    try:
        (length,) = _HEAD.unpack_from(data)
        end = _HEAD.size + length
        return _value(json.loads(bytes(data[_HEAD.size : end])), memoryview(data).toreadonly()[end + -end % _ALIGN :])
    except (ValueError, TypeError, KeyError, LookupError, RecursionError, struct.error) as error:
        raise Garbled(f"not a message: {type(error).__name__}") from error


def write(stream: BinaryIO, packed: bytes) -> None:
    """Put one message on a pipe; raises OSError or ValueError if nobody can read it any more."""
    stream.write(_FRAME.pack(MARK, len(packed)))
    stream.write(packed)
    stream.flush()


def read(stream: BinaryIO) -> Any:
    """Wait for the next message.

    Raises:
        EOFError: the other side is gone.
        Garbled: what came is no message; nothing after it can be trusted.
    """
    mark, length = _FRAME.unpack(_exactly(stream, _FRAME.size))
    if mark != MARK or length > LARGEST:
        raise Garbled("not a message: no frame")
    return unpack(_exactly(stream, length))


def _exactly(stream: BinaryIO, length: int) -> memoryview:
    found = np.empty(length, np.uint8).data  # not zeroed: a length that was a lie costs nothing
    here = 0
    while here < length:
        came = stream.readinto(found[here:])  # type: ignore[attr-defined]  # every binary stream of ours has it
        if not came:
            raise EOFError
        here += came
    return found


def _plain(value: Any, arrays: list[np.ndarray]) -> Any:
    if isinstance(value, Record):
        name = type(value).__name__
        if RECORDS.get(name) is not type(value):
            raise TypeError(f"Expected a record of Whyboard, got {name}.")
        return {
            "record": name,
            "fields": {f.name: _plain(getattr(value, f.name), arrays) for f in fields(cast(Any, value))},
        }
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in "biuf":
            raise TypeError(f"Expected an array of numbers, got {value.dtype}.")
        start = sum(array.nbytes + -array.nbytes % _ALIGN for array in arrays)
        arrays.append(value)
        return {"array": value.dtype.str, "shape": value.shape, "start": start}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return {"map": {str(k): _plain(v, arrays) for k, v in value.items()}}
    if isinstance(value, tuple):
        return {"tuple": [_plain(item, arrays) for item in value]}
    if isinstance(value, list):
        return [_plain(item, arrays) for item in value]
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    raise TypeError(f"Expected a record, array or JSON value, got {type(value).__name__}.")


def _value(data: Any, body: memoryview) -> Any:
    if isinstance(data, list):
        return [_value(item, body) for item in data]
    if not isinstance(data, dict):
        return data
    if "tuple" in data:
        return tuple(_value(item, body) for item in data["tuple"])
    if "record" in data:
        return RECORDS[data["record"]](**{k: _value(v, body) for k, v in data["fields"].items()})
    if "map" in data:
        return {k: _value(v, body) for k, v in data["map"].items()}
    kind, shape = np.dtype(data["array"]), tuple(data["shape"])
    if kind.kind not in "biuf":
        raise ValueError("not an array of numbers")
    count = int(np.prod(shape))
    found = np.frombuffer(body, kind, count, data["start"]) if count else np.empty(0, kind)
    found = found.reshape(shape)
    found.flags.writeable = False
    return found
