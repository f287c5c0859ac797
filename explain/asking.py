"""A `Request` out of plain values, in the forms in which people write them; the same for every face."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from explain import checks as checking
from explain import spans
from explain.bounds import require_bounds
from explain.candidates import folded
from explain.catalog import Request
from explain.errors import MethodError
from explain.methods import find


def spread(params: Mapping[str, Any], methods: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Parameters by method; those not nested under a method's name go to every method."""
    common = {k: v for k, v in params.items() if not isinstance(v, Mapping)}
    for name in params.keys() - common.keys():
        find(name)
    for name in common.keys() & set(methods):
        given = str(common[name])[:40]
        raise MethodError(f"Expected the parameters of '{name[:40]}' as names and values, got {given!r}.")
    return {m: {**common, **params.get(m, {})} for m in methods if common or m in params}


def request(
    texts: tuple[str, ...],
    *,
    params: Mapping[str, Any] | None = None,
    phrases: Sequence[Any] = (),
    rationale: Sequence[Any] = (),
    **rest: Any,
) -> Request:
    """The question about one text or pair, refused here where that is possible without a model.

    Args:
        texts: one text, or the two of a pair.
        params: parameters of all methods by name, or of one method under its name.
        phrases: words, (start, end) or (text, start, end); so is `rationale`.
        rest: further fields of `Request`; its candidates as `explain.candidates.candidates` takes them.

    Raises:
        InputError: a number, choice or part of the text that does not exist.
        MethodError: an unknown method, check or parameter.
    """
    rest = folded(rest)
    methods = tuple(rest.pop("methods", None) or Request.methods)
    found = Request(
        texts=texts,
        methods=methods,
        params=spread(params or {}, methods),
        phrases=spans.found(texts, phrases),
        rationale=spans.found(texts, rationale),
        **rest,
    )
    require_bounds(found)
    for name in found.methods:
        find(name).configured(found.params.get(name, {}))
    checking.chosen(found.checks)
    return found
