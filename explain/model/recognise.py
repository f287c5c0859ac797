"""Recognise what a module does from what it was given and what it made, never from its name."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor, nn, ones_like, zeros_like
from torch.nn.functional import linear

from explain.model.tape import Call
from explain.road import NormStep

TOLERANCE = 1e-4
"""How far apart two vectors may be, relative to the larger one's largest number, to count as the same."""


def as_norm(call: Call, before: Tensor, after: Tensor) -> NormStep | None:
    """The call as a normalisation, if that is what it does to these numbers."""
    if before.shape != after.shape or before.numel() < 2 or same(before, after):
        return None
    weight, shift = (getattr(call.module, n, None) for n in ("weight", "bias"))
    if weight is not None and (weight.ndim != 1 or weight.shape != before.shape):
        return None
    gains = [ones_like(before)] if weight is None else [weight.detach().float(), 1 + weight.detach().float()]
    moved = zeros_like(before) if shift is None else shift.detach().float()
    given = next((float(e) for n in ("eps", "variance_epsilon", "epsilon") if (e := _number(call.module, n))), None)
    mean, deviation = float(before.mean()), float(before.std(unbiased=False))
    root = float(before.square().mean().sqrt())
    for eps in [given] if given is not None else [1e-12, 1e-6, 1e-5]:
        for gain in gains:
            if same((before - mean) / (deviation**2 + eps) ** 0.5 * gain + moved, after):
                kind, centre, spread = "layer norm", mean, deviation
            elif same(before / (root**2 + eps) ** 0.5 * gain + moved, after):
                kind, centre, spread = "RMS norm", mean, root
            else:
                continue
            return NormStep(
                name=call.name,
                kind=kind,  # type: ignore[arg-type]
                before=plain(before),
                mean=centre,
                deviation=spread,
                eps=eps,
                gain=plain(gain),
                shift=plain(moved),
                after=plain(after),
            )
    return None


def as_matrix(call: Call) -> Tensor | None:
    """The call's matrix as (out, in), if its output is that matrix times its input plus its bias."""
    weight: Any = call.module.weight
    bias: Any = getattr(call.module, "bias", None)
    weight = weight.detach().float()
    given, made = (x.reshape(-1, x.shape[-1])[0].float() for x in (call.given, call.made))
    for matrix in (weight, weight.T):
        if matrix.shape == (made.numel(), given.numel()):
            product = linear(given, matrix, None if bias is None else bias.detach().float())
            if same(product, made):
                return matrix
    return None


def _number(module: nn.Module, name: str) -> float | None:
    value: Any = getattr(module, name, None)
    return float(value) if isinstance(value, (int, float)) else None


def is_leaf(call: Call) -> bool:
    """Is the module made of no others?"""
    return not any(True for _ in call.module.children())


def same(a: Any, b: Tensor) -> bool:
    """Are two vectors the same, up to rounding?"""
    scale = max(1e-6, float(a.abs().max()), float(b.abs().max())) if a.shape == b.shape else 0
    return a.shape == b.shape and float((a - b).abs().max()) <= TOLERANCE * scale


def plain(tensor: Tensor) -> np.ndarray:
    """A tensor as a float32 array."""
    return tensor.float().cpu().numpy()
