"""`/v1/generate`, `/v1/explain_generation` and `/v1/align`: what a model writes, why, and what it hangs on.

The answers are the records of Python's `Model.generate`, `explain_generation` and `align`; the bodies name the same
arguments.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Self

from pydantic import Field, model_validator
from starlette.requests import Request
from starlette.responses import Response

from explain import asking, canonical, wire
from explain.alignment import Alignment, AlignRequest
from explain.bounds import BEAMS, BOUNDS, TOKENS
from explain.errors import InputError
from explain.generation import GenerateRequest, Generation, TokensRequest
from explain.messages import MOST, require, whole
from explain.records import Explanation
from explain.rest import bodies, running, stream
from explain.rest.answering import answered, one_or_list
from explain.rest.asks import About, Chat, How, Message, Named, One, Several, Strict, texts_of
from explain.rest.face import face, holder, route, told_of_machine
from explain.settings import Settings

BEGINNING = "It was"
ANSWERED = {"inputs": BEGINNING, "parameters": {"generate": {"tokens": 2}, "methods": ["saliency"]}}
BOTH = {"text": "the film was never boring.", "text_pair": "a moving story"}


class Written(Strict):
    """How a model writes: the arguments of Python's `model.generate`."""

    tokens: Annotated[int, Field(ge=1, le=TOKENS)] = GenerateRequest.tokens
    seed: Annotated[int, Field(ge=BOUNDS["seed"][0], le=BOUNDS["seed"][1])] | None = None
    temperature: Annotated[float, Field(ge=0.01, le=100)] = GenerateRequest.temperature
    num_beams: Annotated[int, Field(ge=1, le=BEAMS)] = GenerateRequest.num_beams
    truncate: bool = False

    def about(self, texts: tuple[str, ...], roles: tuple[str, ...]) -> GenerateRequest:
        """The question about a text or a conversation; raises InputError."""
        wish = {name: getattr(self, name) for name in Written.model_fields}
        return asking.writing(whole(texts, roles), **wish | {"temperature": float(self.temperature)})


class GenerateParameters(Written):
    """How to write, and which model."""

    model: Named | None = None


class TokenParameters(How):
    """How to explain tokens: the arguments of Python's `model.explain_generation`; `generate` is how they are written,
    where they are not yet.
    """

    model: Named | None = None
    places: Annotated[tuple[Annotated[int, Field(ge=0, lt=TOKENS)], ...], Field(max_length=TOKENS)] | None = None
    checks: Annotated[tuple[Named, ...], Field(max_length=100)] | None = asking.CHECKS
    generate: Written | None = None


class AlignParameters(Strict):
    """Which model, and whether a text that is too long is cut."""

    model: Named | None = None
    truncate: bool = False


class Generate(About):
    """How does a text or a conversation go on, or what is written about a text? Several of them are asked in order."""

    parameters: GenerateParameters = GenerateParameters()


class ExplainGeneration(Strict):
    """Why was each token written? Of a `generation` that `/v1/generate` answered, or of what is written about `inputs`
    or `messages` now.
    """

    generation: dict[str, Any] | None = None
    inputs: str | None = None
    messages: Annotated[tuple[Message, ...], Field(min_length=1, max_length=MOST)] | None = None
    parameters: TokenParameters = TokenParameters()

    @model_validator(mode="after")
    def one_of_them(self) -> Self:
        if (self.generation is not None) + (self.inputs is not None) + (self.messages is not None) != 1:
            raise ValueError("expected one of generation, inputs and messages")
        if self.generation is not None and self.parameters.generate is not None:
            raise ValueError("expected no parameters of writing beside a generation, which is written")
        return self

    def unwritten(self, limits: Settings) -> GenerateRequest:
        """What is to be written first, where there is no generation; raises InputError."""
        subject = self.inputs if self.messages is None else Chat(messages=self.messages)
        ((texts, roles),) = texts_of(subject, limits)
        return (self.parameters.generate or Written()).about(texts, roles)


class Align(Strict):
    """What does each token of a second text, which a model writes about the first, hang on?"""

    inputs: One | Several
    parameters: AlignParameters = AlignParameters()


def generations(subject: Any, parameters: Written, limits: Settings) -> list[GenerateRequest]:
    """What is to be written about every input; raises InputError."""
    return [parameters.about(texts, roles) for texts, roles in texts_of(subject, limits)]


def alignments(inputs: Any, parameters: AlignParameters, limits: Settings) -> list[AlignRequest]:
    """A question for every pair; raises InputError for what is no pair."""
    found = []
    for texts, roles in texts_of(inputs, limits):
        if roles or len(texts) != 2:
            raise InputError("Send a text and what is written about it: {text, text_pair}.", code="bad_text")
        found.append(AlignRequest((texts[0], texts[1]), parameters.truncate))
    return found


def tokens(found: Generation, parameters: TokenParameters, limits: Settings, layers: int) -> TokensRequest:
    """Why each token was written.

    Raises:
        InputError: a token cannot be asked about, or twice; texts are too long together, since each stands before its
            token anew; or attention of several tokens is wanted.
        MethodError: as `asking.request`.
    """
    places = range(len(found.ids)) if parameters.places is None else parameters.places
    count = len(places)
    if len(set(places)) < count:
        raise InputError("Expected each token once in places.", code="bad_place")
    size = count * (len(found.prompt) + sum(map(len, (*found.texts, *found.pieces))))
    if size > limits.max_body:
        raise InputError(
            f"Each token is explained with the text before it: {size:,} characters together, and at most "
            f"{limits.max_body:,} are read in one request. Name some of the tokens in places, and the others in "
            "another request.",
            code="too_large",
        )
    wanted = parameters.wanted(limits, layers)
    if wanted["attention"] and count > 1:  # all maps would be held together
        raise InputError(
            "Attention is recorded of one token at a time here. Name one in places, or leave attention out.",
            code="too_large",
        )
    return asking.tokens(found, **{name: value for name, value in wanted.items() if name != "generate"})


def read(generation: dict[str, Any]) -> Generation:
    """What somebody sent back of what a model wrote; raises InputError in words that repeat nothing of it."""
    try:
        found = wire.decoded(Generation, generation)
        canonical.encode(found)
        if found.roles:
            require(found.texts, found.roles)
    except (InputError, ValueError, TypeError, OverflowError):
        raise InputError(
            "Expected under generation what /v1/generate answered, whole and as it was.", code="bad_generation"
        ) from None
    if len(found.ids) > TOKENS:
        raise InputError(f"Expected a generation of at most {TOKENS:,} tokens.", code="bad_generation")
    return found


@route(
    "POST",
    "/v1/generate",
    "explain",
    tag="Writing",
    takes=Generate,
    answers=one_or_list(wire.json_schema(Generation)),
    media=("application/json", stream.MEDIA),
    others={
        "go on": ("text-generation", {"inputs": BEGINNING, "parameters": {"tokens": 3, "seed": 1}}),
        "several texts": ("text-generation", {"inputs": [BEGINNING, "They were"], "parameters": {"tokens": 2}}),
        "write about": ("text2text-generation", {"inputs": BOTH["text"], "parameters": {"tokens": 4, "num_beams": 2}}),
    },
)
async def generate(request: Request) -> Response:
    """Go on with a text or a conversation, or write about a text: each token with its log-probability and its rank.

    `Accept: application/jsonl` answers with progress, as `/v1/explain` does.
    """
    here = face(request)
    ask = bodies.parsed(Generate, await bodies.body(request, here.settings))
    model = here.served.find(ask.parameters.model)
    return await answered(request, generations(ask.subject, ask.parameters, here.settings), model, ask.subject)


@route(
    "POST",
    "/v1/explain_generation",
    "explain",
    tag="Writing",
    takes=ExplainGeneration,
    answers={"type": "array", "items": wire.json_schema(Explanation)},
    media=("application/json", stream.MEDIA),
    others={
        "write and explain": ("text-generation", ANSWERED),
        "explain what is written about": ("text2text-generation", ANSWERED),
    },
)
async def explain_generation(request: Request) -> Response:
    """Why each token was written: an explanation for each, as what is written next, in the order of the tokens.

    What `/v1/generate` answered is sent back under `generation`; or the text or the conversation, and it is written
    first. Tokens that cannot be asked about have none: what stands before them is read as other tokens than the model
    wrote. `Accept: application/jsonl` answers with progress.
    """
    here, who = face(request), holder(request).name
    ask = bodies.parsed(ExplainGeneration, await bodies.body(request, here.settings))
    model = here.served.find(ask.parameters.model)
    gone = request.is_disconnected
    if ask.generation is None:
        question = ask.unwritten(here.settings)
        raw = await running.answered(here, question, model, who, machine=told_of_machine(holder(request)), gone=gone)
        found = await asyncio.to_thread(wire.decode, Generation, raw)
    else:
        found = await asyncio.to_thread(read, ask.generation)
    layers = await running.layers(here, model, ask.parameters.attention, who, gone)
    asked = await asyncio.to_thread(tokens, found, ask.parameters, here.settings, layers)
    return await answered(request, [asked], model, None)


@route(
    "POST",
    "/v1/align",
    "explain",
    tag="Writing",
    takes=Align,
    answers=one_or_list(wire.json_schema(Alignment)),
    media=("application/json", stream.MEDIA),
    others={
        "a text and what is written": ("text2text-generation", {"inputs": BOTH}),
        "several of them": ("text2text-generation", {"inputs": [BOTH, list(BOTH.values())]}),
    },
)
async def align(request: Request) -> Response:
    """Which words each token of a translation or summary hangs on: rows of written tokens, columns of words of both.

    Measured: the fall of each token's log-odds when one word is replaced. `Accept: application/jsonl` answers with
    progress.
    """
    here = face(request)
    ask = bodies.parsed(Align, await bodies.body(request, here.settings))
    model = here.served.find(ask.parameters.model)
    return await answered(request, alignments(ask.inputs, ask.parameters, here.settings), model, ask.inputs)
