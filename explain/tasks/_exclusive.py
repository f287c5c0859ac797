"""Outcomes of which exactly one is true: a softmax over them, and the scalars that can be asked of it."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Float64

from explain.catalog import TargetKind
from explain.errors import InputError
from explain.records import Target

UNITS = {"log_odds": "log-odds", "logit": "logit", "margin": "logit difference", "probability": "probability"}


def softmax(logits: Float[np.ndarray, "C"]) -> Float64[np.ndarray, "C"]:
    """Probabilities, in double precision."""
    wide = logits.astype(np.float64)
    raised = np.exp(wide - wide.max())
    return raised / raised.sum()


def target(index: int, name: str, against: tuple[int, str] | None, quantity: TargetKind) -> Target:
    """The target for one outcome, or for it rather than another (`against`: index and name); raises InputError."""
    if against is None:
        return Target(kind=quantity, index=index, name=name, unit=UNITS[quantity])
    other, title = against
    if other == index:
        raise InputError(f"Target and contrast are both '{name}'. Choose two different labels.", code="bad_target")
    return Target(
        kind="contrast",
        index=index,
        contrast=other,
        name=f"{name} rather than {title}",
        unit="log-odds",
        against=title,
    )


def score(raw: torch.Tensor, target: Target) -> torch.Tensor:
    """The target's value for each row of logits: (N, C) → (N,), differentiable."""
    index = target.index or 0
    z = raw[:, index]
    if target.kind == "contrast":
        return z - raw[:, target.contrast or 0]
    if target.kind == "probability":
        return torch.softmax(raw, -1)[:, index]
    if target.kind == "logit":
        return z
    others = torch.cat([raw[:, :index], raw[:, index + 1 :]], dim=1)  # (N, C − 1)
    return z - (others.amax(1) if target.kind == "margin" else torch.logsumexp(others, 1))
