"""`/v1/explain`, `/v1/predict` and `/v1/forecast`: the Hub's bodies, answered with the records that Python returns."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from explain import catalog, wire
from explain.records import Explanation, Prediction
from explain.rest import answers, asks, bodies, running, stream
from explain.rest.face import face, holder, route, told_of_machine
from explain.rest.served import Named
from explain.service import Question

TEXT = "A stirring, funny film."
OPTIONS = {"methods": ["occlusion"], "target": "NEGATIVE", "checks": []}
LABELS = {"candidate_labels": ["funny", "very dull", "a moving story"], "hypothesis_template": "This film is {}."}
ASKED = {"question": "Who was funny?", "context": "The actor was funny. The director was not."}
OTHERS = {
    "own labels": ("zero-shot-classification", {"inputs": TEXT, "parameters": LABELS}),
    "a tag of every word": ("token-classification", {"inputs": TEXT}),
    "a question and its context": ("question-answering", {"inputs": ASKED}),
    "a word left out": ("fill-mask", {"inputs": "A stirring, [MASK] film."}),
}
FOLLOWED = {"continuation": "a good film", "contrast": "a dull film"}
FORECAST = {
    "type": "object",
    "required": ["seconds", "memory"],
    "properties": {
        "seconds": {"type": "array", "items": {"type": ["number", "null"]}},
        "memory": {"type": "array", "items": {"type": ["integer", "null"]}},
    },
}
EXPLANATION, PREDICTION = wire.json_schema(Explanation), wire.json_schema(Prediction)


def one_or_list(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of an answer to one input, or to a list of them."""
    return {"anyOf": [schema, {"type": "array", "items": schema}]}


@route(
    "POST",
    "/v1/explain",
    "explain",
    tag="Explain",
    takes=asks.Explain,
    answers=one_or_list(EXPLANATION),
    media=("application/json", stream.MEDIA),
    examples={
        "one text": {"inputs": TEXT},
        "with parameters": {"inputs": TEXT, "parameters": OPTIONS},
        "several texts": {"inputs": [TEXT, "Never once funny."], "parameters": {"checks": []}},
        "through windows": {"inputs": f"{TEXT} " * 40, "parameters": {"windows": True, "checks": []}},
    },
    others=OTHERS | {"what may follow": ("text-generation", {"inputs": "It was", "parameters": FOLLOWED})},
)
async def explain(request: Request) -> Response:
    """Explain decisions: one explanation for one input, a list for a list.

    `Accept: application/jsonl` answers with progress, one JSON object a line: the prediction first, then words, then
    checks, then the result.
    """
    here = face(request)
    ask = bodies.parsed(asks.Explain, await bodies.body(request, here.settings))
    model = here.served.find(ask.parameters.model)
    layers = await running.layers(here, model, ask.parameters.attention, holder(request).name, request.is_disconnected)
    questions = await explained(ask.subject, ask.parameters, here.settings, layers)
    return await answered(request, questions, model, ask.subject)


@route(
    "POST",
    "/v1/predict",
    "explain",
    tag="Explain",
    takes=asks.Predict,
    answers=one_or_list(PREDICTION),
    examples={"one text": {"inputs": TEXT}, "several texts": {"inputs": [TEXT, "Never once funny."]}},
    others=OTHERS,
)
async def predict(request: Request) -> Response:
    """What the model decides, without why: one prediction for one input, a list for a list."""
    here = face(request)
    ask = bodies.parsed(asks.Predict, await bodies.body(request, here.settings))
    model = here.served.find(ask.parameters.model)
    questions = asks.predictions(ask.subject, ask.parameters, here.settings)
    return _one_or_list(await several(request, questions, model), ask.subject)


@route(
    "POST",
    "/v1/forecast",
    "explain",
    tag="Explain",
    takes=asks.Explain,
    answers=FORECAST,
    examples={"one text": {"inputs": TEXT}, "several texts": {"inputs": [TEXT, "Never once funny."]}},
)
async def forecast(request: Request) -> Response:
    """How many seconds and bytes each explanation would take on this machine; the body is that of an explanation.

    Bytes are the most that is held at once, the model's weights included; a run that needs more than is free will be
    refused (code `not_enough_memory`). null where that is not known now, because the model is not loaded yet or is
    busy, and where the method cannot take a text so long.
    """
    here = face(request)
    ask = bodies.parsed(asks.Explain, await bodies.body(request, here.settings))
    model = here.served.find(ask.parameters.model)
    layers = await running.layers(here, model, ask.parameters.attention, holder(request).name, request.is_disconnected)
    seconds, memory = [], []
    for question in await explained(ask.subject, ask.parameters, here.settings, layers):
        (found,) = await asyncio.to_thread(here.engine().forecasts, [question], model.source)
        seconds.append(None if found.seconds == math.inf else found.seconds)
        memory.append(found.memory)
    return answers.json({"seconds": seconds, "memory": memory})


async def explained(*about: Any) -> list[catalog.Request]:
    """`asks.explanations`, beside the event loop: parts are looked for in long texts."""
    return await asyncio.to_thread(asks.explanations, *about)


async def answered(request: Request, questions: Sequence[Question], model: Named, inputs: Any) -> Response:
    """The answers to questions about `inputs`, with progress where the client asks for it."""
    if stream.wanted(request):
        return await stream.stream(request, questions, model)
    return _one_or_list(await several(request, questions, model), inputs)


async def several(request: Request, questions: Sequence[Question], model: Named) -> list[bytes]:
    """Canonical answers, one question after the other; the first refusal ends them all, and so does who leaves."""
    here, who, found = face(request), holder(request), []
    about: dict[str, Any] = {"machine": told_of_machine(who), "gone": request.is_disconnected}
    for i, question in enumerate(questions):
        found.append(await running.answered(here, question, model, who.name, patient=i > 0, **about))
        running.require_room(sum(map(len, found)), here.settings)
    return found


def _one_or_list(found: list[bytes], inputs: Any) -> Response:
    return answers.raw(b"[" + b",".join(found) + b"]" if isinstance(inputs, tuple) else found[0])
