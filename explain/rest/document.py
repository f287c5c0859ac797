"""The OpenAPI document, made from the routes: schemas of what is taken and answered, and examples that tests send."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from explain import canonical
from explain.rest.face import ROUTES, Route

PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "code", "detail", "error", "request_id"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "description": "Stable, for programs."},
        "detail": {"type": "string", "description": "What was expected, what came, what to do next."},
        "error": {"type": "string", "description": "The same sentence, where the Hub's clients look for it."},
        "request_id": {"type": "string"},
    },
}
REFUSALS = {
    400: "Not JSON, or a Host that is not ours.",
    401: "No key that is known here.",
    403: "The key's role may not do this.",
    404: "There is no such model, job or address.",
    405: "Not with this HTTP method.",
    408: "The body came too slowly.",
    409: "The Idempotency-Key came before with another body.",
    413: "The body is too large.",
    415: "Not application/json.",
    422: "The question cannot be answered; the sentence says why.",
    429: "The queue is full, or too many requests; Retry-After says when to come back.",
    499: "Cancelled.",
    500: "A failure that nobody foresaw.",
    503: "The worker was lost, or the service is stopping; Retry-After says when to come back.",
    504: "The answer took too long.",
    507: "There is no room: of memory for the run, or of disk for a job.",
}
PLACES = {"name": "A model's name.", "job": "A job's id."}


def extra(route: Route) -> dict[str, Any]:
    """What FastAPI cannot see in a handler that takes the raw request."""
    found: dict[str, Any] = {
        "parameters": [
            {"name": n, "in": "path", "required": True, "description": PLACES[n], "schema": {"type": "string"}}
            for n in re.findall(r"{(\w+)}", route.path)
        ]
        + [
            {"name": n, "in": "header", "required": False, "description": d,
             "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"}}
            for n, d in route.headers
        ],
        "security": [] if route.door == "open" else [{"key": []}, {}],
        "x-role": route.door,
    }  # fmt: skip
    if route.takes is not None:
        content: dict[str, Any] = {"schema": {"$ref": f"#/components/schemas/{route.takes.__name__}"}}
        some = [(name, name, v) for name, v in route.examples.items()]
        some += [(name, f"{name} (a model for {task})", v) for name, (task, v) in route.others.items()]
        content["examples"] = {n.replace(" ", "-"): {"summary": said, "value": v} for n, said, v in some}
        found["requestBody"] = {"required": True, "content": {"application/json": content}}
    return found


def responses(route: Route) -> dict[int | str, dict[str, Any]]:
    """Every status that an address may answer with."""
    text = {"type": "string"}
    content = {media: {"schema": route.answers if media == "application/json" else text} for media in route.media}
    good = {"description": "Done.", "content": content}
    bad = {"content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}}
    found: dict[int | str, dict[str, Any]] = {route.status: good}
    if route.status == 202:
        found[200] = good
    return found | {status: {"description": said, **bad} for status, said in REFUSALS.items()}


@cache
def written(app: FastAPI, root: str) -> bytes:
    """The document as canonical JSON, made once: it takes a second in which nobody else would be answered."""
    return canonical.encode(document(app, root))


def document(app: FastAPI, root: str = "") -> dict[str, Any]:
    """The OpenAPI document of an application that is served below `root`."""
    found = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes,
        servers=[{"url": root}] if root else None,
    )  # fmt: skip
    components = found.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    schemas["Problem"] = PROBLEM
    for route in ROUTES:
        if route.takes is not None:
            schema = route.takes.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas.update(schema.pop("$defs", {}))
            schemas[route.takes.__name__] = schema
    components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    return found
