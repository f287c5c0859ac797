"""Questions out of plain values, in the forms in which people write them; the same for every face."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from explain import checks as checking
from explain import spans
from explain.bounds import require_bounds
from explain.candidates import folded
from explain.catalog import Request
from explain.errors import InputError, MethodError
from explain.generation import GenerateRequest, Generation, TokensRequest
from explain.messages import Text, parted
from explain.methods import find

CHECKS = ("completeness",)
"""What is checked of every token of a generation; the other checks cost many times the explanation."""


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
    room: spans.Room | None = None,
    **rest: Any,
) -> Request:
    """The question about one text or pair, refused here where that is possible without a model.

    Args:
        texts: one text, or the two of a pair.
        params: parameters of all methods by name, or of one method under its name.
        phrases: words, (start, end) or (text, start, end); so is `rationale`.
        room: how many places these may still stand at, where several questions are asked at once.
        rest: further fields of `Request`; its candidates as `explain.candidates.candidates` takes them.

    Raises:
        InputError: a number, choice or part of the text that does not exist.
        MethodError: an unknown method, check or parameter.
    """
    rest, room = folded(rest), room or spans.Room()
    methods = tuple(rest.pop("methods", None) or Request.methods)
    found = Request(
        texts=texts,
        methods=methods,
        params=spread(params or {}, methods),
        phrases=spans.found(texts, phrases, room),
        rationale=spans.found(texts, rationale, room),
        **rest,
    )
    require_bounds(found)
    for name in found.methods:
        find(name).configured(found.params.get(name, {}))
    checking.chosen(found.checks)
    return found


def writing(prompt: Text, **settings: Any) -> GenerateRequest:
    """What a model should go on with or write about: a text, or a conversation; `settings` are further fields.

    Raises InputError for what is neither.
    """
    texts, roles = parted(prompt)
    if roles:
        return GenerateRequest("", texts=texts, roles=roles, **settings)
    if len(texts) != 1:
        raise InputError(
            f"A model goes on with one text or writes about one, and this is {len(texts)}. Give one, or the messages "
            "of a conversation.",
            code="bad_text",
        )
    return GenerateRequest(texts[0], **settings)


def tokens(found: Generation, places: Sequence[int] | None = None, **about: Any) -> TokensRequest:
    """Why each token of a generation was written, refused here where that is possible without a model.

    Args:
        found: what a model wrote.
        places: which of its tokens, from 0 on; None: all of `found.explainable`.
        about: as in `request`, but what the question about a token says itself; `checks` are those of CHECKS.

    Raises:
        InputError: a token cannot be explained by the text before it; or as `request`.
        MethodError: as `request`.
    """
    asked, room = [], spans.Room()
    for place in found.explainable if places is None else places:
        question = found.question(place) if place in range(len(found.ids)) else None
        if question is None:
            raise InputError(
                f"There is no token {place!r:.20} that can be explained: none was written there, or the text "
                "before it is read as other tokens than the model wrote. `found.explainable` lists those that can.",
                code="bad_place",
            )
        texts, roles = parted(question.pop("text"))
        rest: dict[str, Any] = {"checks": CHECKS, **question, **about}
        asked.append(request(texts, roles=roles, room=room, **rest))
    return TokensRequest(found.model, tuple(asked))
