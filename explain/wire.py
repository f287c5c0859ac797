"""JSON → records. The other direction is `explain.canonical`, which needs no schema.

pydantic validates against types that are derived from the records themselves: a record becomes a
typed dictionary that forbids unknown keys, an array becomes a list (or base64) that must have the
dtype and number of dimensions its annotation names. Nothing is written twice.
"""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Callable, Hashable, Mapping
from functools import cache
from json import JSONDecodeError
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired, TypeVar, cast, get_args, get_origin, get_type_hints

import numpy as np
from jaxtyping import AbstractArray
from pydantic import AfterValidator, ConfigDict, PlainValidator, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from explain import canonical
from explain.errors import InputError
from explain.generation import Generation
from explain.prediction import Prediction, Tagging
from explain.record import Record
from explain.records import Explanation, Interactions, Tokens

R = TypeVar("R", bound=Record)
LARGEST = 256 * 2**20
"""Bytes of the largest file that is read."""


def read(source: str | bytes | Path) -> Explanation:
    """Read an explanation from JSON text or from a file.

    Raises:
        InputError: not JSON, not an explanation, or written by a newer version.
    """
    return decode(Explanation, _text(source))


def decode(record: type[R], text: str | bytes) -> R:
    """Turn JSON text into a record of the given type; raises InputError with the first fault found."""
    try:
        data = canonical.parse(text)
    except (ValueError, RecursionError) as error:
        place = f" at line {error.lineno}, column {error.colno}" if isinstance(error, JSONDecodeError) else None
        at = place or f": {str(error)[:200]}"
        raise InputError(f"Expected JSON, got something else{at}.", code="invalid_json") from None
    try:
        found = decoded(record, data)
        canonical.encode(found)  # what cannot be written again was no record
        return found
    except (ValueError, TypeError, OverflowError, RecursionError, MemoryError) as error:
        raise InputError(f"Not a valid {record.__name__}: {str(error)[:200]}.", code="invalid_record") from None


def decoded(record: type[R], data: Any) -> R:
    """Turn dictionaries and lists, as they come from JSON, into a record; raises InputError with the first fault."""
    known: tuple[str, ...] = getattr(record, "READ", ())
    if known and isinstance(data, dict) and data.get("schema") not in known:
        got = str(data.get("schema"))[:40]
        raise InputError(
            f"Expected a record of schema '{known[-1]}', got '{got}'. Newer records need a newer Whyboard.",
            code="unknown_schema",
        )
    try:
        found: R = _adapter(cast(Hashable, record)).validate_python(data)
        if isinstance(found, Explanation):
            _fits(found)
        if isinstance(found, Generation):
            _written_fits(found)
        return found
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        fault = f"at '{where[:80]}', {first['msg'][:200].lower()}"
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError, MemoryError) as error:
        fault = str(error)[:200] or type(error).__name__
    raise InputError(f"Not a valid {record.__name__}: {fault}.", code="invalid_record")


def _fits(found: Explanation) -> None:
    """Do the parts belong together? Raises ValueError."""
    tokens, t, c = found.tokens, len(found.tokens.ids), len(found.prediction.labels)
    arrays: tuple[Any, ...] = (tokens.segment, tokens.strings, tokens.offsets, tokens.special, tokens.words)
    if any(len(a) != t for a in arrays) or len(found.prediction.logits) != c or not c:
        raise ValueError("tokens or labels of different lengths")
    if found.prediction.indices is not None and len(found.prediction.indices) != c:
        raise ValueError("outcomes without an index")
    if tokens.roles and len(tokens.roles) != len(tokens.texts):
        raise ValueError("messages without a role")
    known = set(range(-1, max(2, len(tokens.texts))))
    if not set(found.prediction.decision) <= set(range(c)) or not set(tokens.segment.tolist()) <= known:
        raise ValueError("a decision or a segment that does not exist")
    if found.prediction.tagging is not None:
        _tags_fit(found.prediction.tagging, found.prediction.position, t)
    if found.prediction.answering is not None:
        _answers_fit(found.prediction, tokens)
    for a in found.attributions:
        u = len(a.scores)
        parallel: tuple[Any, ...] = (a.units, a.unit_segment, a.gross, a.numeric_error, a.error)
        if any(x is not None and len(x) != u for x in parallel) or len(a.unit_of) != t:
            raise ValueError("an attribution whose arrays differ in length")
        if not set(a.unit_segment.tolist()) <= set(range(len(tokens.texts))):
            raise ValueError("a unit in a text that does not exist")
    for maps in found.attention or ():
        rows, columns = maps.weights.shape[1:]
        sides = {"encoder": rows == columns, "causal": rows == columns, "cross": rows + columns == t}
        if len(maps.heads) != len(maps.weights) or max(rows, columns) > t or not sides[maps.kind]:
            raise ValueError("attention between tokens that do not exist")
    if found.interactions is not None:
        _pairs_fit(found.interactions, len(tokens.texts))


def _written_fits(found: Generation) -> None:
    """Is there one piece, one probability and one place for each token? Raises ValueError."""
    if len({len(a) for a in (found.ids, found.pieces, found.log_probs, found.ranks, found.readable)}) > 1:
        raise ValueError("written tokens whose parts differ in number")
    if len(found.roles) != len(found.texts):
        raise ValueError("messages without a role")


def _tags_fit(found: Tagging, position: int | None, tokens: int) -> None:
    """Are the tags at tokens, the entities made of tags, and is the prediction about one of them? Raises ValueError."""
    n = len(found.tags)
    if not all(0 <= tag.token < tokens for tag in found.tags) or not 0 <= found.asked < n:
        raise ValueError("a tag that does not exist")
    if position != found.tags[found.asked].token or not all(0 <= e.first <= e.last < n for e in found.entities):
        raise ValueError("a prediction or an entity without a tag")


def _answers_fit(prediction: Prediction, tokens: Tokens) -> None:
    """Is there one answer for each outcome, in the context and at its tokens? Raises ValueError."""
    found, mine = prediction.answering.answers if prediction.answering else (), tokens.segment == 1
    if len(found) != len(prediction.labels) or len(tokens.texts) < 2:
        raise ValueError("answers that are no outcomes")
    for a in found:
        if not 0 <= a.first <= a.last < len(mine) or not mine[[a.first, a.last]].all():
            raise ValueError("an answer at tokens that are not the context's")
        if tokens.texts[1][a.start : a.end] != a.words:
            raise ValueError("an answer that does not stand in the context")


def _pairs_fit(found: Interactions, texts: int) -> None:
    """Are the pairs two different units, each pair once, in texts that exist? Raises ValueError."""
    u, pairs = len(found.units), [tuple(pair) for pair in found.pairs.tolist()]
    if found.pairs.shape != (len(found.scores), 2) or (found.error is not None and len(found.error) != len(pairs)):
        raise ValueError("interactions whose arrays differ in length")
    if len(found.unit_segment) != u or not set(found.unit_segment.tolist()) <= set(range(texts)):
        raise ValueError("interactions of a unit in a text that does not exist")
    if len(set(pairs)) != len(pairs) or not all(0 <= i < j < u for i, j in pairs):
        raise ValueError("a pair of units that does not exist, or stands twice")


def json_schema(record: type[Record]) -> dict[str, Any]:
    """JSON Schema of a record, for OpenAPI and for readers in other languages."""
    return _adapter(cast(Hashable, record)).json_schema()


def _text(source: str | bytes | Path) -> str | bytes:
    if isinstance(source, Path) or (isinstance(source, str) and not source.lstrip().startswith("{")):
        path = Path(source)
        try:
            if not path.is_file() or path.stat().st_size > LARGEST:
                raise OSError
            return path.read_bytes()
        except (OSError, ValueError):
            raise InputError(
                f"Expected JSON text or a readable file, got '{str(source)[:80]}'.", code="unreadable"
            ) from None
    return source


@cache
def _adapter(record: Hashable) -> TypeAdapter[Any]:
    return TypeAdapter(_wire_type(record))


@cache
def _wire_type(hint: Any) -> Any:
    """The pydantic type that accepts the JSON form of `hint` and returns a value of `hint`."""
    if isinstance(hint, type) and issubclass(hint, AbstractArray):
        return Annotated[Any, PlainValidator(_array_reader(hint), json_schema_input_type=list[Any])]
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return _record_type(hint)
    origin, args = get_origin(hint), get_args(hint)
    if origin is None or origin is Literal:
        return hint
    if origin in (tuple, Mapping, dict) or origin.__module__ == "collections.abc":
        container = dict if origin not in (tuple,) else tuple
        inner = tuple(a if a is Ellipsis else _wire_type(a) for a in args)
        return container[inner]  # type: ignore[index]
    union = _wire_type(args[0])
    for arg in args[1:]:  # X | Y
        union = union | _wire_type(arg) if arg is not type(None) else union | None
    return union


def _record_type(record: type) -> Any:
    hints = get_type_hints(record, include_extras=True)
    fields: dict[str, Any] = {}
    for f in dataclasses.fields(record):
        required = f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
        kind = _wire_type(hints[f.name])
        fields[f.name] = kind if required else NotRequired[kind]
    shape = with_config(ConfigDict(extra="forbid", strict=False))(TypedDict(record.__name__, fields))  # type: ignore[operator]
    return Annotated[shape, AfterValidator(lambda values: record(**values))]


def _array_reader(hint: Any) -> Callable[[Any], np.ndarray]:
    dtype = np.dtype(next(iter(hint.dtypes)) if hint.dtypes else "float64")
    dims = len(hint.dim_str.split())

    def reader(data: Any) -> np.ndarray:
        if isinstance(data, dict):
            if data.get("dtype") != dtype.name:
                raise ValueError(f"expected an array of {dtype.name}, got {data.get('dtype')}")
            shape = data.get("shape")
            if not isinstance(shape, list) or not all(type(n) is int and n >= 0 for n in shape):
                raise ValueError("expected a shape of whole numbers")
            raw = np.frombuffer(base64.b64decode(str(data.get("base64")), validate=True), dtype.newbyteorder("<"))
            array = raw.astype(dtype).reshape(shape)
        else:
            loose = np.asarray(data)
            kinds = {"b": "b", "i": "iu", "f": "iuf"}[dtype.kind]
            if loose.size and loose.dtype.kind not in kinds:
                raise ValueError(f"expected numbers of {dtype.name}")
            array = loose.astype(dtype)
            if dtype.kind == "i" and not np.array_equal(array, loose):
                raise ValueError(f"expected numbers that fit {dtype.name}")
            if array.size == 0 and array.ndim < dims:
                array = array.reshape((0,) * (dims - 1) + ((2,) if hint.dim_str.endswith("2") else (0,)))
        if array.ndim != dims:
            raise ValueError(f"expected {dims} dimensions, got {array.ndim}")
        if dtype.kind == "f" and not np.isfinite(array).all():
            raise ValueError("expected finite numbers")
        return array

    return reader
