"""What there is: methods, checks, models and limits."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

import explain
from explain import spans, wire
from explain.bounds import BEAMS, BOUNDS, TEMPLATE, TEMPLATE_WRITES, TOKENS, WINDOWS, WORDS
from explain.candidates import LONGEST, MOST
from explain.catalog import MethodInfo, ModelCard
from explain.messages import MOST as MESSAGES
from explain.rest import answers, asks
from explain.rest.face import face, route
from explain.settings import Settings

LIMITS = (
    "max_body", "max_answer", "max_inputs", "max_characters", "max_budget", "max_orders", "max_jobs", "max_rows",
    "rate", "body_seconds", "keep_seconds", "jobs_hours", "token_budget", "queue", "seconds", "job_seconds",
    "load_seconds",
)  # fmt: skip
"""Settings that bound a client; those that name places on this machine are not told."""
METHODS = {"type": "array", "items": wire.json_schema(MethodInfo)}
MODELS = {"type": "array", "items": wire.json_schema(ModelCard)}
CHECKS = {"type": "array", "items": {"type": "string"}}


def limits_of(settings: Settings) -> dict[str, Any]:
    """Every limit of a client, with its value; a range as [least, most]."""
    found = {name: getattr(settings, name) for name in LIMITS} | {name: list(ends) for name, ends in BOUNDS.items()}
    found |= {"candidate_labels": [1, MOST], "label_characters": LONGEST, "word_characters": WORDS}
    found |= TEMPLATE | {"template_written": TEMPLATE_WRITES * settings.max_characters}
    found |= {
        "messages": [1, MESSAGES],
        "window_tokens": WINDOWS,
        "max_new_tokens": [1, TOKENS],
        "tokens": [1, TOKENS],
        "num_beams": [1, BEAMS],
    }
    return found | {"phrases": asks.PARTS, "named_places": spans.MOST, "attention": asks.LAYERS}


@route("GET", "/v1/methods", "see lists", answers=METHODS)
async def methods(request: Request) -> Response:
    """Every attribution method with its parameters, as `explain methods --json` prints them."""
    return answers.json(explain.list_methods())


@route(
    "GET",
    "/v1/catalog",
    "see lists",
    answers={
        "type": "object",
        "required": ["models", "methods", "checks"],
        "properties": {"models": MODELS, "methods": METHODS, "checks": CHECKS},
    },
)
async def catalog(request: Request) -> Response:
    """Bundled models with their cards, methods, and the names of checks."""
    found = {"models": explain.list_models(), "methods": explain.list_methods(), "checks": explain.list_checks()}
    return answers.json(found)


@route("GET", "/v1/limits", "see lists")
async def limits(request: Request) -> Response:
    """Every limit of a client, with its value."""
    return answers.json(limits_of(face(request).settings))
