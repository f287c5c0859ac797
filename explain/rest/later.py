"""`/v1/jobs`: submit, list, look, follow, cancel and resume work that outlives its request."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Iterator

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from explain import canonical, journal
from explain.errors import ExplainError, InputError
from explain.rest import answers, asks, bodies, running, stream, works
from explain.rest.board import Entry
from explain.rest.face import Face, face, holder, route, told_of_machine

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
    "explain",
    tag="Jobs",
    status=202,
    takes=works.Work,
    answers=JOB,
    headers=(("Idempotency-Key", "Sent again with the same body, it answers with the job that began then."),),
    examples={
        "explain later": {"inputs": ["A stirring, funny film."], "parameters": {"checks": []}},
        "predict later": {"task": "predict", "inputs": "A stirring, funny film."},
    },
    others={
        "write later": ("text-generation", {"task": "generate", "inputs": ["It was", "They were"]}),
        "align later": ("text2text-generation", {"task": "align", "inputs": [["It was dull.", "a dull story"]]}),
    },
)
async def submit(request: Request) -> Response:
    """Begin a job, and answer at once with its status; its address is in `Location`.

    An input that is refused has a problem for its result, and the others go on; a job of which every input is refused
    is refused itself.
    """
    here, who = face(request), holder(request)
    raw = await bodies.body(request, here.settings)
    ask = bodies.parsed(works.Work, raw).root
    key = request.headers.get("idempotency-key")
    if key is not None and not _KEY.fullmatch(key):
        raise InputError("An Idempotency-Key has 1 to 255 printable characters.", code="bad_request")
    model, layers = here.served.find(ask.parameters.model), 0
    if isinstance(ask.parameters, asks.How) and ask.task != "predict":
        layers = await running.layers(here, model, ask.parameters.attention, who.name, request.is_disconnected)
    questions = await asyncio.to_thread(works.questions, ask, here.settings, layers)  # there may be many
    entry = Entry(who.name, ask.task, model, questions, answers.request_id(request), told_of_machine(who))
    asked = {"layers": layers, "body": raw.decode()}
    entry, fresh = here.board.start(here, entry, key, hashlib.sha256(raw).hexdigest(), asked)
    where = f"{request.scope.get('root_path', '')}/v1/jobs/{entry.id}"
    return answers.json(entry.status(), 202 if fresh else 200, {"Location": where})


@route(
    "GET",
    "/v1/jobs",
    "explain",
    tag="Jobs",
    answers={"type": "object", "required": ["jobs"], "properties": {"jobs": {"type": "array", "items": JOB}}},
)
async def listed(request: Request) -> Response:
    """The jobs of this API key, oldest first."""
    return answers.json({"jobs": [entry.status() for entry in face(request).board.of(holder(request).name)]})


@route("GET", "/v1/jobs/{job}", "explain", tag="Jobs", answers=JOB, media=("application/json", stream.MEDIA))
async def status(request: Request) -> Response:
    """A job's status, and its results once it is over.

    `Accept: application/jsonl` follows it: a line whenever its status changes, the last one with the results.
    """
    entry = _entry(request)
    if stream.wanted(request):
        return StreamingResponse(_followed(entry), media_type=stream.MEDIA)
    return _whole(entry)


@route("DELETE", "/v1/jobs/{job}", "explain", tag="Jobs", answers=JOB)
async def forget(request: Request) -> Response:
    """End a job, and keep nothing of it: its texts and answers are gone from memory, and from the disk."""
    entry = _entry(request)
    face(request).board.forget(entry)
    return answers.json(entry.status())


@route("POST", "/v1/jobs/{job}:cancel", "explain", tag="Jobs", answers=JOB)
async def cancel(request: Request) -> Response:
    """End an open job; what it found so far stays. Nothing happens to a job that is over."""
    entry = _entry(request)
    face(request).board.cancel(entry)
    return _whole(entry)


@route("POST", "/v1/jobs/{job}:resume", "explain", tag="Jobs", answers=JOB)
async def resume(request: Request) -> Response:
    """Go on with the inputs of a cancelled, failed or interrupted job that have no answer yet."""
    entry = _entry(request)
    face(request).board.resume(face(request), entry)
    return answers.json(entry.status())


def earlier(here: Face) -> Iterator[tuple[Entry, str | None, str]]:
    """Jobs that an earlier service wrote down; one that this service would refuse is left where it lies, and noted."""
    for asked, rows, since in here.board.shelf.all() if here.board.shelf is not None else ():
        try:
            ask = bodies.parsed(works.Work, asked["body"].encode()).root
            # the model that answered first, whatever the default is now
            model = here.served.find(asked.get("model", ask.parameters.model))
            questions = works.questions(ask, here.settings, asked["layers"])
            about = {name: asked[name] for name in ("id", "owner", "created", "request_id")}
            entry = Entry(
                task=ask.task, model=model, questions=questions, machine=asked.get("machine") is True, **about
            )
            entry.found = rows
            entry.interrupt(since)
            yield entry, asked["key"], asked["digest"]
        except (ExplainError, KeyError, TypeError, AttributeError) as error:
            journal.note("job_refused", job=str(asked.get("id"))[:32], code=getattr(error, "code", "bad_file"))


def _entry(request: Request) -> Entry:
    return face(request).board.find(holder(request).name, request.path_params["job"])


def _whole(entry: Entry) -> Response:
    return StreamingResponse(entry.whole(), media_type="application/json")


async def _followed(entry: Entry) -> AsyncIterator[bytes]:
    said = b""
    while entry.open:
        if (now := canonical.encode(entry.status())) != said:
            said = now
            yield now + b"\n"
        await asyncio.sleep(0.05)
    for part in entry.whole():
        yield part
    yield b"\n"
