"""`/v1/jobs`: submit, list, look, follow, cancel and resume work that outlives its request."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Sequence

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from explain import canonical
from explain.errors import InputError
from explain.rest import answers, asks, bodies, running, stream
from explain.rest.board import Entry
from explain.rest.face import face, holder, route
from explain.service import Question

_KEY = re.compile(r"[\x21-\x7e]{1,255}")
JOB = {
    "type": "object",
    "required": ["id", "state", "task", "model", "created", "inputs", "answered", "progress", "error"],
    "properties": {
        "id": {"type": "string"},
        "state": {"enum": ["queued", "running", "done", "failed", "cancelled"]},
        "inputs": {"type": "integer"},
        "answered": {"type": "integer"},
        "results": {"type": "array"},
    },
}


@route(
    "POST",
    "/v1/jobs",
    "analyst",
    tag="Jobs",
    status=202,
    takes=asks.Work,
    answers=JOB,
    headers=(("Idempotency-Key", "Sent again with the same body, it answers with the job that began then."),),
    examples={
        "explain later": {"inputs": ["A stirring, funny film."], "parameters": {"checks": []}},
        "predict later": {"task": "predict", "inputs": "A stirring, funny film."},
    },
)
async def submit(request: Request) -> Response:
    """Begin a job, and answer at once with its status; its address is in `Location`."""
    here, who = face(request), holder(request)
    raw = await bodies.body(request, here.settings)
    ask = bodies.parsed(asks.Work, raw)
    key = request.headers.get("idempotency-key")
    if key is not None and not _KEY.fullmatch(key):
        raise InputError("An Idempotency-Key has 1 to 255 printable characters.", code="bad_request")
    model = here.served.find(ask.parameters.model)
    questions: Sequence[Question] = asks.predictions(ask.inputs, ask.parameters, here.settings)
    if ask.task == "explain":
        layers = await running.layers(here, model, ask.parameters.attention)
        questions = asks.explanations(ask.inputs, ask.parameters, here.settings, layers)
    entry = Entry(who.name, ask.task, model, questions, answers.request_id(request))
    entry, fresh = here.board.start(here, entry, key, hashlib.sha256(raw).hexdigest())
    where = f"{request.scope.get('root_path', '')}/v1/jobs/{entry.id}"
    return answers.json(entry.status(), 202 if fresh else 200, {"Location": where})


@route(
    "GET",
    "/v1/jobs",
    "analyst",
    tag="Jobs",
    answers={"type": "object", "required": ["jobs"], "properties": {"jobs": {"type": "array", "items": JOB}}},
)
async def listed(request: Request) -> Response:
    """The jobs of this API key, oldest first."""
    return answers.json({"jobs": [entry.status() for entry in face(request).board.of(holder(request).name)]})


@route("GET", "/v1/jobs/{job}", "analyst", tag="Jobs", answers=JOB, media=("application/json", stream.MEDIA))
async def status(request: Request) -> Response:
    """A job's status, and its results once it is over.

    `Accept: application/jsonl` follows it: a line whenever its status changes, the last one with the results.
    """
    entry = _entry(request)
    if stream.wanted(request):
        return StreamingResponse(_followed(entry), media_type=stream.MEDIA)
    return answers.raw(entry.whole())


@route("POST", "/v1/jobs/{job}:cancel", "analyst", tag="Jobs", answers=JOB)
async def cancel(request: Request) -> Response:
    """End an open job; what it found so far stays. Nothing happens to a job that is over."""
    entry = _entry(request)
    face(request).board.cancel(entry)
    return answers.raw(entry.whole())


@route("POST", "/v1/jobs/{job}:resume", "analyst", tag="Jobs", answers=JOB)
async def resume(request: Request) -> Response:
    """Go on with the inputs of a cancelled or failed job that have no answer yet."""
    entry = _entry(request)
    face(request).board.resume(face(request), entry)
    return answers.json(entry.status())


def _entry(request: Request) -> Entry:
    return face(request).board.find(holder(request).name, request.path_params["job"])


async def _followed(entry: Entry) -> AsyncIterator[bytes]:
    said = b""
    while entry.open:
        if (now := canonical.encode(entry.status())) != said:
            said = now
            yield now + b"\n"
        await asyncio.sleep(0.05)
    yield entry.whole() + b"\n"
