"""Outcomes of which exactly one is true: a softmax over them, and the scalars that can be asked of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float64

from explain.catalog import TargetKind
from explain.errors import InputError, ModelError
from explain.model.rows import Row
from explain.records import Target

UNITS = {"log_odds": "log-odds", "logit": "logit", "margin": "logit difference", "probability": "probability"}


def softmax(logits: Float[np.ndarray, "... C"]) -> Float64[np.ndarray, "... C"]:
    """Probabilities, in double precision."""
    wide = logits.astype(np.float64)
    raised = np.exp(wide - wide.max(-1, keepdims=True))
    return raised / raised.sum(-1, keepdims=True)


def at(outputs: Any, rows: Sequence[Row]) -> torch.Tensor:
    """The logits (M, C) at each place of each row; raises ModelError where tokens have none."""
    logits: torch.Tensor = outputs.logits  # (N, T, C)
    if logits.ndim != 3 or logits.shape[1] <= max(max(row.read) - row.source for row in rows):
        raise ModelError("This model does not answer with logits for every token.", code="no_logits")
    which = [(i, place - row.source) for i, row in enumerate(rows) for place in row.read]
    there = torch.tensor(which, device=logits.device)
    return logits[there[:, 0], there[:, 1]]


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
    mine = target.joined or (target.index or 0,)
    z = _together(raw, mine)
    if target.kind == "contrast":
        return z - _together(raw, target.joined_against or (target.contrast or 0,))
    if target.kind == "probability":
        return torch.softmax(raw, -1)[:, list(mine)].sum(1)
    if target.kind == "logit":
        return z
    keep = torch.ones(raw.shape[1], dtype=torch.bool, device=raw.device)
    keep[list(mine)] = False
    others = raw[:, keep]  # (N, C − 1), or fewer where several count as one
    return z - (others.amax(1) if target.kind == "margin" else torch.logsumexp(others, 1))


def _together(raw: torch.Tensor, indices: tuple[int, ...]) -> torch.Tensor:
    """The logit (N,) of one outcome, or of several that count as one."""
    return raw[:, indices[0]] if len(indices) == 1 else torch.logsumexp(raw[:, list(indices)], 1)
