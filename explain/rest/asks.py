"""What may be asked, as pydantic models: the Hub's bodies and KServe's, and how they become requests.

Every field is strict and bounded on both sides. The parameters are the fields of `catalog.Request`, in the forms in
which Python takes them.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from explain import asking
from explain.bounds import BOUNDS, TOKENS, WORDS
from explain.candidates import LONGEST, MOST, candidates
from explain.catalog import Grain, PredictRequest, Request, TargetKind
from explain.errors import InputError
from explain.generation import GenerateRequest
from explain.messages import MOST as MESSAGES
from explain.messages import require
from explain.model.encoding import check_characters, check_texts
from explain.settings import Settings

PARTS, LAYERS = 100, 1_000
"""Parts of a text, and layers, that one question may name."""
Named = Annotated[str, Field(max_length=200)]
Label = Annotated[str, Field(max_length=WORDS)] | Annotated[int, Field(ge=0, le=10**6)]
Place = Annotated[int, Field(ge=0, le=10**7)]
Part = Annotated[str, Field(min_length=1, max_length=WORDS)] | tuple[Place, Place] | tuple[Place, Place, Place]
Parts = Annotated[tuple[Part, ...], Field(max_length=PARTS)]
Candidate = Annotated[str, Field(min_length=1, max_length=LONGEST)]
Value = bool | int | float | Annotated[str, Field(max_length=WORDS)]


class Strict(BaseModel):
    """Nothing is converted, nothing unknown is passed over."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Pair(Strict):
    """A sentence pair, as the Hub sends it."""

    text: str
    text_pair: str


class Question(Strict):
    """A question and the context that it is about, as the Hub sends them."""

    question: str
    context: str


class Message(Strict):
    """One message of a conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Annotated[str, Field(min_length=1)]


class Chat(Strict):
    """A conversation, as the Hub's and OpenAI's clients send it."""

    messages: Annotated[tuple[Message, ...], Field(min_length=1, max_length=MESSAGES)]


One = str | Pair | Question | Chat
Several = Annotated[tuple[One | tuple[str, str], ...], Field(min_length=1, max_length=1_000)]


class PredictParameters(Strict):
    """How to predict."""

    model: Named | None = None
    truncate: bool = False
    windows: bool = False
    place: Place | None = None
    candidate_labels: Annotated[tuple[Candidate, ...], Field(min_length=1, max_length=MOST)] | None = None
    multi_label: bool = False
    hypothesis_template: Candidate | None = None


class How(Strict):
    """How to explain, whatever is asked about."""

    methods: Annotated[tuple[Named, ...], Field(min_length=1, max_length=32)] = Request.methods
    params: dict[Named, Value | dict[Named, Value]] = {}
    contrast: Label | None = None
    quantity: TargetKind = "log_odds"
    granularity: Grain = "word"
    attention: bool | Annotated[tuple[Annotated[int, Field(ge=0, le=1_000)], ...], Field(max_length=LAYERS)] = False
    checks: Annotated[tuple[Named, ...], Field(max_length=100)] | None = None
    checked: Annotated[int, Field(ge=0, le=100)] | None = None
    budget: Annotated[int, Field(ge=BOUNDS["budget"][0], le=BOUNDS["budget"][1])] = Request.budget
    orders: Annotated[int, Field(ge=BOUNDS["orders"][0], le=BOUNDS["orders"][1])] = Request.orders
    seed: Annotated[int, Field(ge=BOUNDS["seed"][0], le=BOUNDS["seed"][1])] = 0
    phrases: Parts = ()
    rationale: Parts = ()
    forced: bool = False
    interactions: bool = False

    def wanted(self, limits: Settings, layers: int = 0) -> dict[str, Any]:
        """All of it but the model, as `asking` takes it; `layers` are those of the model.

        Raises InputError for a number that this service does not take.
        """
        for name, most in (("budget", limits.max_budget), ("orders", limits.max_orders)):
            if getattr(self, name) > most:
                raise InputError(f"{name} may be at most {most:,} in a request to this service.", code=f"bad_{name}")
        found = {name: getattr(self, name) for name in type(self).model_fields if name != "model"}
        return found | {"attention": tuple(range(layers)) if self.attention is True else self.attention or None}


class ExplainParameters(PredictParameters, How):
    """How to explain: the arguments of Python's `model.explain`."""

    target: Label | None = None
    continuation: Annotated[str, Field(min_length=1, max_length=WORDS)] | None = None


class Writing(Strict):
    """How a translation or a summary is written: the likeliest token each time, or drawn with a seed (0 by itself)."""

    max_new_tokens: Annotated[int, Field(ge=1, le=TOKENS)] | None = None
    do_sample: bool | None = None
    seed: Annotated[int, Field(ge=BOUNDS["seed"][0], le=BOUNDS["seed"][1])] | None = None
    temperature: Annotated[float, Field(ge=0.01, le=100)] | None = None

    def given(self) -> dict[str, Any]:
        """What was said of it."""
        found = ((name, getattr(self, name)) for name in Writing.model_fields)
        return {name: value for name, value in found if value is not None}


class HubParameters(PredictParameters, Writing):
    """What the Hub's clients send: for text, zero-shot and token classification, answers, translations, summaries."""

    generate_parameters: Writing | None = None
    top_k: Annotated[int, Field(ge=1, le=100_000)] | None = None
    function_to_apply: Literal["sigmoid", "softmax", "none"] | None = None
    aggregation_strategy: Literal["first"] | None = None


class About(Strict):
    """What is asked about: `inputs`, or one conversation as `messages`, in the form of the Hub's chat clients."""

    inputs: One | Several | None = None
    messages: Annotated[tuple[Message, ...], Field(min_length=1, max_length=MESSAGES)] | None = None

    @model_validator(mode="after")
    def one_of_them(self) -> Self:
        if (self.inputs is None) == (self.messages is None):
            raise ValueError("expected either inputs or messages")
        return self

    @property
    def subject(self) -> Any:
        """The inputs, or the conversation as one of them."""
        return self.inputs if self.messages is None else Chat(messages=self.messages)


class Predict(About):
    """What does the model decide about a text, a pair, a conversation, or several of them?"""

    parameters: PredictParameters = PredictParameters()


class Explain(About):
    """Why does the model decide so about a text, a pair, a conversation, or several of them?"""

    parameters: ExplainParameters = ExplainParameters()


class Hub(Strict):
    """The body of the Hub's text, zero-shot and token classification, question answering, translation and summary."""

    inputs: One | Several
    parameters: HubParameters = HubParameters()


class PredictInstances(Strict):
    """KServe's V1 prediction."""

    instances: Several
    parameters: PredictParameters = PredictParameters()


class ExplainInstances(Strict):
    """KServe's V1 explanation."""

    instances: Several
    parameters: ExplainParameters = ExplainParameters()


def texts_of(inputs: Any, limits: Settings) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    """The texts of every input and who wrote each, () where it is no conversation.

    Raises InputError for too many inputs, and for what no tokenizer should see.
    """
    several = inputs if isinstance(inputs, tuple) else (inputs,)
    if len(several) > limits.max_inputs:
        raise InputError(
            f"Expected at most {limits.max_inputs} texts in one request, got {len(several):,}. Send the others in "
            "another one.",
            code="too_many",
        )
    found = [_texts(one) for one in several]
    for texts, roles in found:
        if roles:
            require(texts, roles)
            check_characters(texts)
        else:
            check_texts(texts)
    return found


def _texts(one: One | tuple[str, str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if isinstance(one, Chat):
        return tuple(m.content for m in one.messages), tuple(m.role for m in one.messages)
    return _pair(one), ()


def _pair(one: str | Pair | Question | tuple[str, str]) -> tuple[str, ...]:
    if isinstance(one, Pair):
        return one.text, one.text_pair
    if isinstance(one, Question):
        return one.question, one.context
    return (one,) if isinstance(one, str) else one


def explanations(inputs: Any, parameters: ExplainParameters, limits: Settings, layers: int = 0) -> list[Request]:
    """A question for every input; raises InputError or MethodError where that is known without the model.

    `layers` is how many the model has; it matters only where the attention of all of them is wanted.
    """
    wanted = parameters.wanted(limits, layers)
    return [asking.request(texts, roles=roles, **wanted) for texts, roles in texts_of(inputs, limits)]


def writings(inputs: Any, parameters: HubParameters, limits: Settings) -> list[GenerateRequest]:
    """What is to be written about every text; raises InputError for what is no plain text, and for half a setting."""
    found = texts_of(inputs, limits)
    if any(roles or len(texts) != 1 for texts, roles in found):
        raise InputError("This model writes about one text. Send inputs as a text, or a list of them.", code="bad_text")
    wish = parameters.given() | (parameters.generate_parameters or Writing()).given()
    if not wish.get("do_sample") and wish.keys() & {"seed", "temperature"}:
        raise InputError("seed and temperature are for drawing tokens: send do_sample=true too.", code="bad_request")
    seed = wish.get("seed", 0) if wish.get("do_sample") else None
    tokens, heat = wish.get("max_new_tokens", GenerateRequest.tokens), float(wish.get("temperature", 1.0))
    about = tokens, seed, heat, parameters.truncate
    return [GenerateRequest(text, *about) for (text,), _ in found]


def predictions(inputs: Any, parameters: PredictParameters, limits: Settings) -> list[PredictRequest]:
    """A question for every input, without why; raises InputError."""
    asked = candidates(parameters.candidate_labels, parameters.multi_label, parameters.hypothesis_template)
    about = parameters.truncate, parameters.place, asked
    return [PredictRequest(texts, *about, roles, parameters.windows) for texts, roles in texts_of(inputs, limits)]
