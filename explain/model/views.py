"""The same model under another question: about labels of a person's own, a whole continuation, or a conversation.

A view shares the network, its lock and its tokenizer. What checks find out about a model depends on the question, so it
is remembered by the view.
"""

from __future__ import annotations

import copy
from collections.abc import Hashable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from explain.candidates import Candidates, require, sides
from explain.errors import InputError
from explain.model import chat, contexts, continuations, hypotheses, written
from explain.model import windows as seeing
from explain.model.encoding import Encoding, encode
from explain.model.meter import Meter
from explain.model.rates import Rates
from explain.records import Tokens
from explain.tasks import Task
from explain.tasks._continuation import CONTINUED, Continuation
from explain.tasks.zero_shot import ZeroShot

if TYPE_CHECKING:
    from explain.model.runner import Runner

R = TypeVar("R", bound="Runner")
VIEWS = 8
"""Questions of a model that are remembered."""


def encoded(
    runner: Runner,
    texts: tuple[str, ...],
    *,
    truncate: bool = False,
    place: int | None = None,
    windows: bool = False,
    before: Tokens | None = None,
    meter: Meter | None = None,
) -> Encoding:
    """The texts as the question reads them; under the model's lock, since truncation is state of the tokenizer.

    `before` is how they, or others that differ in what is read first, were read before (`written.encode`). `meter`
    says whether to stop waiting for a chat template; None for never.
    """
    tokenizer, limit = runner.tokenizer, runner.info.max_tokens
    if windows:
        seeing.require(runner.task)
    if runner.candidates is not None:
        found = hypotheses.encode(tokenizer, texts, runner.candidates, limit, truncate)
    elif runner.continuations and runner.begin:
        both = limit, runner.room
        found = written.followed(tokenizer, texts, runner.begin, runner.continuations, both, truncate, before)
    elif runner.continuations:
        found = continuations.encode(tokenizer, texts, runner.continuations, limit)
    elif runner.roles:  # other texts that a check asks about are a message each
        roles = runner.roles if len(texts) == len(runner.roles) else ("user",)
        found = chat.encode(tokenizer, texts[: len(roles)], roles, limit, meter)
    elif runner.begin:
        return written.encode(tokenizer, texts, runner.begin, (limit, runner.room), truncate, place, before)
    else:
        most = max(limit, seeing.MOST) if windows else limit
        found = encode(tokenizer, texts, most, truncate, pairs=runner.task.pairs)
        if len(found.tokens.ids) > limit:
            one = runner.task.windows == "one" and len(texts) > 1
            found = contexts.through(found, limit) if one else seeing.through(found, limit)
    return runner.task.asked(found, tokenizer, place)


def among(runner: R, asked: Candidates | None) -> R:
    """The model, asked which of somebody's labels fits; itself where nobody gave any.

    Raises:
        InputError: nobody can choose among these labels, or the model has no label for entailment.
    """
    if asked is None:
        return runner
    require(asked)
    found = sides(runner.info.labels)
    if found is None or runner.info.problem in ("binary", "regression", "word-tags"):
        raise InputError(
            "This model cannot choose among candidate labels: none of its own labels says that a text entails "
            "another. Use a model of natural language inference.",
            code="no_entailment",
        )
    problem = "multi-label" if asked.apart else "single-label"
    claims = runner.kept.setdefault("claims among labels", {}) if runner.task.by_itself else runner.claims
    return _view(runner, asked, ZeroShot(asked, *found), problem, candidates=asked, claims=claims)


def following(runner: R, continuation: str, contrast: object) -> R:
    """The model, asked how likely a continuation is, or that one rather than the text `contrast`.

    Raises:
        InputError: the model has no next token, or what was given is no text.
    """
    if not runner.task.goes_on:
        raise InputError(
            f"This model does {runner.info.task}, so it cannot say how likely a continuation is. Use a causal language "
            "model such as the bundled 'tales', or one that translates or summarises.",
            code="bad_task",
        )
    texts = (continuation,) if contrast is None else (continuation, contrast)
    if not all(isinstance(text, str) for text in texts):
        raise InputError("Expected continuation, and contrast beside it, as texts.", code="bad_continuation")
    ends: tuple[str, ...] = tuple(map(str, texts))
    task = Continuation(ends, runner.task.name)
    return _view(runner, ("ends", *ends), task, CONTINUED, continuations=ends)


def talks(runner: Runner) -> bool:
    """Whether the model reads conversations: it says what comes next, and its tokenizer brings a chat template."""
    return runner.task.goes_on and not runner.begin and bool(getattr(runner.tokenizer, "chat_template", None))


def talking(runner: R, roles: tuple[str, ...]) -> R:
    """The model, asked about a conversation whose messages are of these roles; itself where there are none.

    Raises:
        InputError: the model has no next token.
    """
    if not roles:
        return runner
    if not runner.task.goes_on or runner.begin:
        raise InputError(
            f"This model does {runner.info.task} and reads no conversations. Use a causal language model with a chat "
            "template, or give one text.",
            code="bad_task",
        )
    return _view(runner, ("roles", *roles), runner.task, runner.info.problem, roles=roles)


def in_bfloat16(runner: R) -> R:
    """The same question to the same weights, in torch's autocast to bfloat16; forecasts do not learn from it."""
    other = copy.copy(runner)
    other.autocast, other.rates = torch.bfloat16, Rates()
    return other


def _view(runner: R, key: Hashable, task: Task, problem: str, **own: Any) -> R:
    with runner.lock:
        views: dict[Hashable, R] = runner.kept.setdefault("questions", {})
        if key not in views:
            other = copy.copy(runner)
            vars(other).pop("labels", None)
            other.task, other.info = task, replace(runner.info, task=task.name, problem=problem)
            vars(other).update({"kept": {}, **own})
            while len(views) >= VIEWS:
                del views[next(iter(views))]
            views[key] = other
        return views[key]
