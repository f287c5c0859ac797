"""The gate: a method that claims that its scores add up, and cannot tell by itself, must first do so on this model.

Measured once for a model, method and parameters, on a few short fixed texts. Where the median misses completeness'
threshold the method is refused; `forced` shows it all the same, and the explanation carries the number and the reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from explain.candidates import Candidates
from explain.case import Case
from explain.catalog import Claim, Request
from explain.checks.completeness import FAIL
from explain.drive import drive
from explain.errors import MethodError
from explain.methods import Method
from explain.model.runner import Meter, Runner
from explain.records import Notice

PROBES = (
    "A good film with a great story.",
    "The food was cold and the service slow.",
    "I would not call it boring.",
    "The meeting is on Monday at ten.",
    "Nobody expected the second half to be this funny!",
    "It costs too much, but it works.",
    "Read this before you buy anything from them.",
)
"""Plain sentences of several kinds; an odd number, so that the median is one of them."""
LABELS = Candidates(("good", "bad"))


def probes(runner: Runner) -> list[Request]:
    """The sentences as questions that nobody wrote; among fixed labels where a model cannot be asked without any."""
    about: dict[str, Any] = {} if runner.task.by_itself else {"candidates": LABELS, "quantity": "logit"}
    return [Request(runner.task.posed((p,), runner.tokenizer), truncate=True, **about) for p in PROBES]


def measure(runner: Runner, method: Method, params: Any, cases: Sequence[Case], meter: Meter) -> Claim:
    """How far the method's scores are from adding up, over the probes."""
    assert method.gated is not None
    found = drive(runner, [method.fn(case, params) for case in cases], meter)
    missed = [a.relative_residual for a, _ in found if a.relative_residual is not None]
    middle = float(np.median(missed)) if missed else float("inf")
    kept = middle <= FAIL
    return Claim(
        residual=min(middle, 1e6),
        threshold=FAIL,
        texts=len(missed),
        kept=kept,
        reason="" if kept else method.gated(runner.module),
    )


def sentence(title: str, claim: Claim) -> str:
    """What was measured, in words."""
    return (
        f"{title} claims that its scores add up, and on this model they do not: over {claim.texts} short texts they "
        f"miss the change they should explain by {claim.residual:.1%} (median; {claim.threshold:.0%} is allowed). "
        f"{claim.reason}"
    )


def refusal(title: str, claim: Claim) -> MethodError:
    """The error for a request whose first method is gated."""
    how = "Use integrated gradients, or show it anyway with forced=True (--force)."
    return MethodError(f"{sentence(title, claim)} {how}", code="gated")


def notice(title: str, claim: Claim, *, forced: bool) -> Notice:
    """What the explanation carries where a gated method was forced, or was left out beside another."""
    how = "It is shown because it was forced." if forced else "It was left out; forced=True (--force) shows it."
    return Notice("forced_method" if forced else "gated_method", f"{sentence(title, claim)} {how}")
