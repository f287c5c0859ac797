"""Every error that Whyboard raises on purpose, in one tree.

    ExplainError
    ├── ModelError      the model cannot be loaded or run
    ├── InputError      the text or the target cannot be explained
    ├── MethodError     the method is unknown, misconfigured or not applicable
    ├── AuditError      a stored record does not verify
    ├── BusyError       the queue is full
    └── Cancelled       the person stopped the work

Catch `ExplainError` to catch them all. `code` is stable and meant for programs; the message is one
or two sentences for people: what was expected, what came, what to do next.
"""

from __future__ import annotations


class ExplainError(Exception):
    """Base of all errors below.

    `code` names the exact cause in snake_case; REST, command line and page show the same message.
    """

    code = "error"
    exit_code = 2

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


class BusyError(ExplainError):
    """The queue is full; `retry_after` says in how many seconds to come back."""

    code = "busy"

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Cancelled(ExplainError):
    """The work was stopped on request; nothing was kept."""

    code = "cancelled"
    exit_code = 130
