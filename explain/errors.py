"""Every error that Whyboard raises on purpose, in one tree.

    ExplainError
    ├── ModelError      the model cannot be loaded or run
    ├── InputError      the text or the target cannot be explained
    ├── MethodError     the method is unknown, misconfigured or not applicable
    ├── AuditError      a stored record does not verify
    ├── AccessError     who asks may not do this, or is not known
    ├── BusyError       the queue is full, or the service is about to stop
    ├── WorkerError     the worker ended before it answered
    ├── TimeLimitError  the answer took longer than it may
    └── Cancelled       the person stopped the work

Catch `ExplainError` to catch them all. `code` is stable and meant for programs; the message is one
or two sentences for people: what was expected, what came, what to do next. `outcome` says what a
command line and an HTTP server answer with.
"""

from __future__ import annotations

from typing import NamedTuple


class ExplainError(Exception):
    """Base of all errors below.

    `code` names the exact cause in snake_case; REST, command line and page show the same message.
    """

    code = "error"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code


class ModelError(ExplainError):
    """The model is not found, unsupported, without a trained head, corrupt, or in an unsafe format."""

    code = "model_error"


class InputError(ExplainError):
    """The text is empty or too large, or the target does not exist."""

    code = "input_error"


class MethodError(ExplainError):
    """The method is unknown, one of its parameters is out of range, or it does not apply."""

    code = "method_error"


class AuditError(ExplainError):
    """A record's hash, chain or signature does not hold."""

    code = "audit_error"


class AccessError(ExplainError):
    """Nobody is known by this key (code `unauthorized`), or this role may not do this (code `forbidden`)."""

    code = "forbidden"


class BusyError(ExplainError):
    """The queue is full (code `busy`) or closed (code `stopping`); come back in `retry_after` seconds."""

    code = "busy"

    def __init__(self, message: str, *, retry_after: int, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.retry_after = retry_after


class WorkerError(ExplainError):
    """The process that computes ended before it answered; nothing was kept, and asking again is safe."""

    code = "worker_lost"


class TimeLimitError(ExplainError):
    """The answer took longer than one question may; the work was ended."""

    code = "timeout"


class Cancelled(ExplainError):
    """The work was stopped on request; nothing was kept."""

    code = "cancelled"


class Outcome(NamedTuple):
    """How an error ends a request: the HTTP status, and the exit code of the command line."""

    status: int
    exit_code: int


OUTCOMES: dict[type[ExplainError], Outcome] = {
    ModelError: Outcome(422, 2),
    InputError: Outcome(422, 2),
    MethodError: Outcome(422, 2),
    AuditError: Outcome(422, 3),
    AccessError: Outcome(403, 2),
    BusyError: Outcome(429, 2),
    WorkerError: Outcome(503, 2),
    TimeLimitError: Outcome(504, 2),
    Cancelled: Outcome(499, 130),
    ExplainError: Outcome(500, 2),
}
"""The outcome of each class; a subclass without a line of its own takes its parent's."""
TYPE = "urn:whyboard:"
"""Before the name of an error's class, the `type` of its problem document: so a client raises the same class."""
BY_CODE: dict[str, Outcome] = {
    "unauthorized": Outcome(401, 2),
    "stopping": Outcome(503, 2),
    "model_not_found": Outcome(404, 2),
    "model_unavailable": Outcome(503, 2),
    "invalid_json": Outcome(400, 2),
    "invalid_encoding": Outcome(400, 2),
    "client_gone": Outcome(499, 2),
    "slow_body": Outcome(408, 2),
    "body_too_large": Outcome(413, 2),
    "not_json": Outcome(415, 2),
    "not_found": Outcome(404, 2),
    "job_not_found": Outcome(404, 2),
    "method_not_allowed": Outcome(405, 2),
    "bad_host": Outcome(400, 2),
    "key_used_before": Outcome(409, 2),
    "job_not_over": Outcome(409, 2),
    "not_evidence": Outcome(422, 2),
    "no_record": Outcome(404, 2),
    "erased": Outcome(410, 2),
    "on_hold": Outcome(409, 2),
    "storage": Outcome(507, 2),
    "not_enough_memory": Outcome(507, 2),
    "other_model": Outcome(409, 6),
    "bad_key": Outcome(422, 2),
    "bad_store": Outcome(500, 2),
}
"""Codes whose outcome differs from their class's."""


def outcome(error: ExplainError) -> Outcome:
    """The HTTP status and exit code of an error."""
    return BY_CODE.get(error.code) or next(OUTCOMES[kind] for kind in type(error).__mro__ if kind in OUTCOMES)
