"""Work for later: the bodies of `/v1/jobs`, one for each task, and the questions that each is made of."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, RootModel, Tag, model_validator

from explain.errors import ExplainError, InputError
from explain.rest import asks, quotes, writing
from explain.service import Question
from explain.settings import Settings

Rows = asks.One | Annotated[tuple[asks.One | tuple[str, str], ...], Field(min_length=1, max_length=100_000)]


class Explained(asks.About):
    """The body of an explanation, or of a prediction with the task 'predict'."""

    task: Literal["explain", "predict"] = "explain"
    inputs: Rows | None = None
    parameters: asks.ExplainParameters = asks.ExplainParameters()

    def questions(self, rows: tuple[Any, ...], limits: Settings, layers: int) -> list[Question]:
        """What is asked about some of the inputs; raises ExplainError."""
        if self.task == "explain":
            return [*asks.explanations(rows, self.parameters, limits, layers)]
        return [*asks.predictions(rows, self.parameters, limits)]


class Generated(writing.Generate):
    """The body of `/v1/generate`."""

    task: Literal["generate"]
    inputs: Rows | None = None

    def questions(self, rows: tuple[Any, ...], limits: Settings, layers: int) -> list[Question]:
        """What is asked about some of the inputs; raises ExplainError."""
        return [*writing.generations(rows, self.parameters, limits)]


class Aligned(writing.Align):
    """The body of `/v1/align`."""

    task: Literal["align"]
    inputs: Rows

    @property
    def subject(self) -> Any:
        """What is asked about."""
        return self.inputs

    def questions(self, rows: tuple[Any, ...], limits: Settings, layers: int) -> list[Question]:
        """What is asked about some of the inputs; raises ExplainError."""
        return [*writing.alignments(rows, self.parameters, limits)]


class Tokens(writing.ExplainGeneration):
    """The body of `/v1/explain_generation`, of what is written already; its one result is a list."""

    task: Literal["explain_generation"]

    @model_validator(mode="after")
    def written(self) -> Self:
        if self.generation is None:
            raise ValueError("expected what /v1/generate answered, under generation")
        return self

    @property
    def subject(self) -> Any:
        """What is asked about."""
        return self.generation

    def questions(self, rows: tuple[Any, ...], limits: Settings, layers: int) -> list[Question]:
        """What is asked about some of the inputs; raises ExplainError."""
        return [writing.tokens(writing.read(one), self.parameters, limits, layers) for one in rows]


OTHERS = {"generate", "align", "explain_generation"}


def _task(body: Any) -> str:
    """Whose body it is; one of no task that is known is refused as an explanation's."""
    named = body.get("task") if isinstance(body, dict) else None
    return named if isinstance(named, str) and named in OTHERS else "explain"


class Work(
    RootModel[
        Annotated[
            Annotated[Explained, Tag("explain")]
            | Annotated[Generated, Tag("generate")]
            | Annotated[Aligned, Tag("align")]
            | Annotated[Tokens, Tag("explain_generation")],
            Discriminator(_task),
        ]
    ]
):
    """Work for later: what the task's own address takes, and the task: explain (also without it), predict, generate,
    align or explain_generation.
    """


def questions(ask: Any, limits: Settings, layers: int) -> list[Question | ExplainError]:
    """A question for every input, or why it is refused; raises the first refusal where nothing else is left.

    `ask` is the body of a task, `layers` how many the model has where the attention of all is wanted.
    """
    inputs = ask.subject if isinstance(ask.subject, tuple) else (ask.subject,)
    most = limits.max_inputs if limits.jobs is None else limits.max_rows
    if len(inputs) > most:
        raise InputError(f"Expected at most {most:,} texts in one job, got {len(inputs):,}.", code="too_many")
    found: list[Question | ExplainError] = []
    unquoted = quotes.leaving_out(ask.parameters.model_dump(mode="json"))  # whose words no refusal repeats
    for one in inputs:
        try:
            found += ask.questions((one,), limits, layers)
        except ExplainError as error:
            error.args = (unquoted(str(error)),)
            found.append(error)
    if all(isinstance(one, ExplainError) for one in found):
        raise found[0]  # type: ignore[misc]
    return found
