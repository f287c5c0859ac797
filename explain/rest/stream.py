"""Progress as JSON Lines: the prediction first, then words, then checks, then the whole answer as one last line.

A line is an object with `event`: progress (stage, done, total), prediction, attributions, effects, interactions,
checks (each under its own name, as in the explanation), and at the end either `result` or `error` (a problem).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

from starlette.requests import Request
from starlette.responses import StreamingResponse

from explain import canonical
from explain.errors import ExplainError
from explain.keys import Holder
from explain.records import Explanation
from explain.rest import answers, running
from explain.rest.face import Face, face, holder, told_of_machine
from explain.rest.served import Named
from explain.service import Job, Question

MEDIA = "application/jsonl"
PARTS = ("prediction", "attributions", "effects", "interactions", "checks")
STILL = 5.0
"""Seconds after which an unchanged progress is said again, so that whoever reads knows that the line lives."""


def wanted(request: Request) -> bool:
    """Whether the client asks for progress."""
    return MEDIA in request.headers.get("accept", "")


async def stream(request: Request, questions: Sequence[Question], model: Named) -> StreamingResponse:
    """Answer with progress. The first question is queued before anything is sent, so that BusyError has its status."""
    here, who = face(request), holder(request)
    first = await running.submit(here, questions[0], model, who.name, patient=False)
    lines = _lines(here, first, questions, model, who, answers.request_id(request))
    return StreamingResponse(lines, media_type=MEDIA)


async def _lines(
    here: Face, job: Job, questions: Sequence[Question], model: Named, who: Holder, request_id: str
) -> AsyncGenerator[bytes, None]:
    """Lines of all questions, one after the other; `input` says which one, where there are several."""
    try:
        for i, question in enumerate(questions):
            number = {"input": i} if len(questions) > 1 else {}
            if i:
                job = await running.submit(here, question, model, who.name, patient=True)
            async with aclosing(_job(job, number)) as lines:
                async for line in lines:
                    yield line
            try:
                last = canonical.encode({"event": "result", **number})
                found = await running.answer(job, model, machine=told_of_machine(who))
                yield last[:-1] + b',"result":' + found + b"}\n"
            except ExplainError as error:
                yield _line("error", number, error=answers.problem(error, request_id, question))
    except ExplainError as error:  # the line is closed
        yield _line("error", {}, error=answers.problem(error, request_id))
    finally:
        if not job.over:  # the client has left
            job.cancel()


async def _job(job: Job, number: dict[str, Any]) -> AsyncGenerator[bytes, None]:
    said: dict[str, Any] = {}
    silent = asyncio.get_running_loop().time()
    async with aclosing(running.over(job)) as looks:
        async for now in looks:
            time = asyncio.get_running_loop().time()
            progress, partial = now.progress, now.partial
            if said.get("progress") != (progress.stage, progress.done) or time - silent > STILL:
                said["progress"], silent = (progress.stage, progress.done), time
                yield _line("progress", number, progress=progress)
            if isinstance(partial, Explanation) and said.get("partial") is not partial:
                said["partial"], silent = partial, time
                for line in await asyncio.to_thread(_news, said, partial, number):  # see running.answer
                    yield line


def _news(said: dict[str, Any], partial: Explanation, number: dict[str, Any]) -> list[bytes]:
    """A line for each part that is not what was said of it: a worker may send an equal part again with every step."""
    lines = []
    for name in PARTS:
        if value := getattr(partial, name):
            line = _line(name, number, **{name: value})
            if line != said.get(name):
                said[name] = line
                lines.append(line)
    return lines


def _line(event: str, number: dict[str, Any], **more: Any) -> bytes:
    return canonical.encode({"event": event, **number, **more}) + b"\n"
