"""KServe's V1 protocol, and at a model's own address the call that the Hub's clients send to an endpoint."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from explain.errors import InputError
from explain.rest import answers, asks, bodies, running
from explain.rest.answering import EXPLANATION, OPTIONS, OTHERS, PREDICTION, TEXT, explained, several
from explain.rest.face import face, holder, route
from explain.rest.served import Named

READY = {
    "type": "object",
    "required": ["name", "ready"],
    "properties": {"name": {"type": "string"}, "ready": {"type": "boolean"}},
}
SCORE = {
    "type": "object",
    "required": ["label", "score"],
    "properties": {"label": {"type": "string"}, "score": {"type": "number"}},
}
SCORES = {"type": "array", "items": {"anyOf": [SCORE, {"type": "array", "items": SCORE}]}}
ENTITIES = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["entity_group", "score", "word", "start", "end"],
        "properties": {
            "entity_group": {"type": "string"},
            "score": {"type": "number"},
            "word": {"type": "string"},
            "start": {"type": "integer"},
            "end": {"type": "integer"},
        },
    },
}
ANSWER = {
    "type": "object",
    "required": ["answer", "score", "start", "end"],
    "properties": {
        "answer": {"type": "string"},
        "score": {"type": "number"},
        "start": {"type": "integer"},
        "end": {"type": "integer"},
    },
}


WRITTEN = {
    "type": "object",
    "required": ["generated_text", "translation_text", "summary_text"],
    "properties": {name: {"type": "string"} for name in ("generated_text", "translation_text", "summary_text")},
}


def _each(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


ANSWERS = {"anyOf": [ANSWER, _each(ANSWER)]}


def _list(name: str, items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": [name], "properties": {name: _each(items)}}


@route("GET", "/v1/models", "see lists", answers=_list("models", {"type": "string"}))
async def models(request: Request) -> Response:
    """Names of the models that may be asked, as KServe lists them; `/v1/catalog` says more."""
    return answers.json({"models": face(request).served.names()})


@route("GET", "/v1/models/{name}", "see lists", answers=READY)
async def ready(request: Request) -> Response:
    """Whether a model may be asked; it is loaded at the first question."""
    return answers.json({"name": _model(request).name, "ready": True})


@route(
    "POST",
    "/v1/models/{name}:predict",
    "explain",
    tag="KServe",
    takes=asks.PredictInstances,
    answers=_list("predictions", PREDICTION),
    examples={"instances": {"instances": [TEXT]}},
)
async def predict(request: Request) -> Response:
    """KServe V1: a prediction for every instance."""
    here = face(request)
    model = _model(request)
    ask = bodies.parsed(asks.PredictInstances, await bodies.body(request, here.settings))
    _agrees(ask.parameters.model, model)
    questions = asks.predictions(ask.instances, ask.parameters, here.settings)
    return _wrapped("predictions", await several(request, questions, model))


@route(
    "POST",
    "/v1/models/{name}:explain",
    "explain",
    tag="KServe",
    takes=asks.ExplainInstances,
    answers=_list("explanations", EXPLANATION),
    examples={"instances": {"instances": [TEXT], "parameters": OPTIONS}},
)
async def explain(request: Request) -> Response:
    """KServe V1: an explanation for every instance."""
    here = face(request)
    model = _model(request)
    ask = bodies.parsed(asks.ExplainInstances, await bodies.body(request, here.settings))
    _agrees(ask.parameters.model, model)
    layers = await running.layers(here, model, ask.parameters.attention, holder(request).name, request.is_disconnected)
    questions = await explained(ask.instances, ask.parameters, here.settings, layers)
    return _wrapped("explanations", await several(request, questions, model))


@route(
    "POST",
    "/v1/models/{name}",
    "explain",
    tag="Hub",
    takes=asks.Hub,
    answers={"anyOf": [SCORES, ENTITIES, _each(ENTITIES), ANSWERS, _each(ANSWERS), _each(WRITTEN)]},
    examples={"as the Hub's clients": {"inputs": TEXT, "parameters": {"top_k": 1}}},
    others=OTHERS,
)
async def classify(request: Request) -> Response:
    """Text classification as the Hub's inference endpoints answer it: labels with scores, best first, for every input.

    Token classification too: the entities of a text, or a list of them for a list, joined by the strategy 'first'.
    With `candidate_labels` it is the Hub's zero-shot classification, whose answer to one text is no list of lists.
    Question answering: the likeliest answer in a context, or a list of the `top_k` likeliest; one that is longer than
    the model reads is seen through windows (up to 8,192 tokens). Models that translate or summarise answer with what
    they write, under the names that the Hub has for it: the same text under each.

    `huggingface_hub.InferenceClient(model="http://localhost:8600/v1/models/sentiment")` asks here.
    """
    here = face(request)
    model = _model(request)
    ask = bodies.parsed(asks.Hub, await bodies.body(request, here.settings))
    _agrees(ask.parameters.model, model)
    inputs = ask.inputs if isinstance(ask.inputs, tuple) else (ask.inputs,)
    info = partial(running.info, here, model, holder(request).name, request.is_disconnected)
    plain = asks.predictions(inputs, ask.parameters, here.settings)
    seen = [  # a long context is read in windows, as on the Hub
        replace(asked, windows=not asked.truncate) if isinstance(one, asks.Question) else asked
        for one, asked in zip(inputs, plain, strict=True)
    ]
    try:
        said = await several(request, seen, model)
    except InputError as error:
        if error.code != "no_windows" or (await info()).task == "question-answering":
            raise
        said = await several(request, plain, model)  # nobody asked for windows: what is wrong is something else
    found = [json.loads(one) for one in said]
    if found[0]["left_out"] and (await info()).writes:
        return answers.json(await _written(request, ask, model))
    if given := [*ask.parameters.given(), *(["generate_parameters"] if ask.parameters.generate_parameters else [])]:
        raise InputError(f"This model does not write about a text, so {given[0]} is not for it.", code="bad_task")
    if found[0]["answering"] is not None:
        answered = [_answers(one, ask.parameters) for one in found]
        return answers.json(answered if isinstance(ask.inputs, tuple) else answered[0])
    if found[0]["tagging"] is None:
        scores = [_scores(one, ask.parameters) for one in found]
        alone = ask.parameters.candidate_labels is not None and not isinstance(ask.inputs, tuple)
        return answers.json(scores[0] if alone else scores)
    listed = [_entities(one, ask.parameters) for one in found]
    return answers.json(listed if isinstance(ask.inputs, tuple) else listed[0])


async def _written(request: Request, ask: asks.Hub, model: Named) -> list[dict[str, str]]:
    questions = asks.writings(ask.inputs, ask.parameters, face(request).settings)
    texts = ["".join(json.loads(one)["pieces"]) for one in await several(request, questions, model)]
    return [dict.fromkeys(WRITTEN["required"], text) for text in texts]


def _entities(prediction: dict[str, Any], wish: asks.HubParameters) -> list[dict[str, Any]]:
    if wish.top_k is not None or wish.function_to_apply not in (None, prediction["activation"]):
        raise InputError("This model tags words: top_k and other functions are not for its entities.", code="bad_task")
    return [
        {"entity_group": e["label"], "score": e["prob"], "word": e["words"], "start": e["start"], "end": e["end"]}
        for e in prediction["tagging"]["entities"]
    ]


def _answers(prediction: dict[str, Any], wish: asks.HubParameters) -> Any:
    if wish.aggregation_strategy is not None or wish.function_to_apply not in (None, prediction["activation"]):
        raise InputError("This model finds answers: tags and other functions are not for it.", code="bad_task")
    found = [
        {"answer": a["words"], "score": a["prob"], "start": a["start"], "end": a["end"]}
        for a in prediction["answering"]["answers"]
    ]
    return found[0] if wish.top_k in (None, 1) else found[: wish.top_k]


def _scores(prediction: dict[str, Any], wish: asks.HubParameters) -> list[dict[str, Any]]:
    if wish.aggregation_strategy is not None:
        raise InputError("This model tags no words, so nothing is aggregated.", code="bad_task")
    wanted = wish.function_to_apply or prediction["activation"]
    if wanted not in ("none", prediction["activation"]):
        raise InputError(
            f"This model's outputs are made for {prediction['activation']}; ask for that, or for none.",
            code="bad_function",
        )
    values = prediction["logits"] if wanted == "none" else prediction["probs"]
    pairs = zip(prediction["labels"], values, strict=True)
    return sorted(({"label": name, "score": v} for name, v in pairs), key=lambda s: -s["score"])[: wish.top_k]


def _model(request: Request) -> Named:
    return face(request).served.find(request.path_params["name"])


def _agrees(name: str | None, model: Named) -> None:
    if name not in (None, model.name):
        raise InputError("The address names one model, and the parameters another.", code="bad_request")


def _wrapped(name: str, found: list[bytes]) -> Response:
    return answers.raw(b'{"' + name.encode() + b'":[' + b",".join(found) + b"]}")
