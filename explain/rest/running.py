"""A question on its way through the service, seen from an event loop: nothing blocks, and who leaves is noticed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from explain import canonical
from explain.alignment import Alignment
from explain.errors import BusyError, Cancelled, ExplainError, InputError
from explain.generation import Explanations, Generation
from explain.records import Explanation, ModelInfo
from explain.rest.served import Named
from explain.service import Job, Question
from explain.settings import Settings

if TYPE_CHECKING:
    from explain.rest.face import Face

FIRST, LONGEST = 0.003, 0.05
"""Seconds between two looks at a job, at the start and later."""
LOOK = 0.2
"""Seconds between two questions whether the client is still there."""


async def submit(
    here: Face,
    question: Question,
    model: Named,
    client: str,
    *,
    patient: bool,
    later: bool = False,
    gone: Callable[[], Awaitable[bool]] | None = None,
) -> Job:
    """Queue a question. `patient` waits for a place in the line, unless the client is `gone`; else BusyError is raised.
    A job for `later` may work longer than one that somebody waits for.
    """
    seconds = here.settings.job_seconds if later else here.settings.seconds
    while True:
        try:
            return here.engine().submit(question, model.source, client=client, seconds=seconds)
        except BusyError as error:
            if not patient or error.code == "stopping":
                raise
        await asyncio.sleep(0.5)
        if gone is not None and await gone():
            raise Cancelled("The client left.", code="client_gone")


async def over(job: Job, gone: Callable[[], Awaitable[bool]] | None = None) -> AsyncGenerator[Job, None]:
    """Yield a job again and again until it has ended; the last time it is over. Cancels it if nobody is left to see.

    Args:
        job: the job.
        gone: whether the client has left; None if that ends nothing.
    """
    pause, asked = FIRST, time.monotonic()
    try:
        while not job.over:
            yield job
            await asyncio.sleep(pause)
            pause = min(LONGEST, pause * 1.3)
            if gone is not None and time.monotonic() - asked > LOOK:
                asked = time.monotonic()
                if await gone():
                    raise Cancelled("The client left.", code="client_gone")
        yield job
    finally:
        if not job.over:
            job.cancel()


async def layers(
    here: Face, model: Named, attention: Any, client: str, gone: Callable[[], Awaitable[bool]] | None = None
) -> int:
    """How many layers the model has, asked only where the attention of all of them is wanted; else 0."""
    return (await info(here, model, client, gone)).n_layers if attention is True else 0


async def info(here: Face, model: Named, client: str, gone: Callable[[], Awaitable[bool]] | None = None) -> ModelInfo:
    """What the model is, once it is loaded; a question of its `client` like any other, which ends when that is `gone`.

    Raises what the service raises, or Cancelled.
    """
    job = here.engine().info(model.source, client=client)
    async for _ in over(job, gone):
        pass
    if isinstance(job.seen, ModelInfo):
        return job.seen
    raise outward(job.error or Cancelled("The question was cancelled."), model)


async def answer(job: Job, model: Named, *, machine: bool) -> bytes:
    """What a job found, as canonical JSON; raises its error, which never names a place on this machine.

    Written beside the event loop: the answer to a long text takes seconds, in which nobody else would be heard.
    Without `machine` it does not say on which machine it was computed, and with which state of the code.
    """
    if job.state != "done":
        raise outward(job.error or Cancelled("The explanation was cancelled."), model)
    found = job.result if job.seen is None else job.seen
    if isinstance(found, Explanations):
        told: Any = [one if machine else _elsewhere(one) for one in found.found]
    else:
        told = found if machine else _elsewhere(found)
    return await asyncio.to_thread(canonical.encode, told)


def _elsewhere(found: Any) -> Any:
    """An answer that does not say on which machine it was computed."""
    if not isinstance(found, Explanation | Generation | Alignment):
        return found
    return replace(found, provenance=replace(found.provenance, machine=None))


def require_room(size: int, limits: Settings) -> None:
    """Raise InputError, code answer_too_large, where answers take more bytes together than may be kept."""
    if size > limits.max_answer:
        raise InputError(
            f"The answers take more than the {limits.max_answer:,} bytes that are kept at once. Ask about fewer texts "
            "at a time, or about the attention of fewer layers.",
            code="answer_too_large",
        )


def outward(error: ExplainError, model: Named) -> ExplainError:
    """An error of the service without the model's place on this machine."""
    if model.name != model.source and model.source in str(error):
        error.args = (str(error).replace(model.source, model.name),)
    return error


async def answered(
    here: Face,
    question: Question,
    model: Named,
    client: str,
    *,
    machine: bool,
    patient: bool = False,
    gone: Callable[[], Awaitable[bool]] | None = None,
) -> bytes:
    """Submit a question and wait for its answer as canonical JSON; raises what the service raises, or Cancelled."""
    job = await submit(here, question, model, client, patient=patient, gone=gone)
    async for _ in over(job, gone):
        pass
    return await answer(job, model, machine=machine)
