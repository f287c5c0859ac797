"""Errors: each has an outcome of its own, and codes that decide differently exist."""

from __future__ import annotations

import pytest

from explain import errors
from explain.errors import BY_CODE, OUTCOMES, AuditError, BusyError, Cancelled, ExplainError, InputError, outcome

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, ExplainError)]


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_has_an_outcome(kind: type[ExplainError]) -> None:
    assert kind in OUTCOMES
    status, exit_code = OUTCOMES[kind]
    assert 400 <= status < 600
    assert exit_code != 0


def test_a_subclass_takes_its_parents_outcome() -> None:
    class Mine(InputError):
        code = "mine"

    assert outcome(Mine("no")) == OUTCOMES[InputError]


def test_a_code_may_decide() -> None:
    assert outcome(BusyError("full", retry_after=1)).status == 429
    assert outcome(BusyError("closing", retry_after=1, code="stopping")) == BY_CODE["stopping"]
    assert outcome(AuditError("broken")).exit_code == 3
    assert outcome(Cancelled("stopped")).exit_code == 130
