"""Multipliers of DeepLIFT's rescale rule: gradients in which every activation counts with its whole step.

    m = (σ(a) − σ(a')) / (a − a')     in place of σ'(a), for every activation that works element by element

Shrikumar, Greenside & Kundaje 2017, in the gradient form of Ancona et al. 2018. The row's `start` is run first and
each activation remembers its a' and σ(a'); then the row's point is run and differentiated with m. What a model computes
outside such modules (normalisation, attention, functions) keeps its plain gradient, so that the scores need not add up
there. The way from the raw output to the target counts with its mean slope on the straight line between both outputs.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections import deque
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor, nn
from transformers.activations import ACT2CLS

from explain.model.rows import Row
from explain.model.runner import Meter, Runner

SMALLEST = 1e-6
"""A smaller step of an activation's input is mostly rounding; the slope in its middle stands for it."""
NODES, WEIGHTS = np.polynomial.legendre.leggauss(50)
_ACTIVATIONS = {c[0] if isinstance(c, tuple) else c for c in ACT2CLS.values()}
_OF_TORCH = (nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.Softplus, nn.Softsign, nn.LogSigmoid, nn.Mish, nn.Hardtanh)
ELEMENTWISE = (*_ACTIVATIONS, *_OF_TORCH)
_LINEAR = (nn.Linear, nn.Embedding, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.AvgPool2d, nn.Dropout, nn.Identity)
_LINEAR_NAMES = ("Conv1D", "Embedding", "Dropout")  # what architectures call their own; rotations are linear too
_Seen = dict[nn.Module, deque[Tensor]]


def multipliers(
    runner: Runner, rows: Sequence[Row], meter: Meter
) -> tuple[Float32[np.ndarray, "N"], list[Float32[np.ndarray, "T D"]]]:
    """The target's value for every row, and the multipliers of its embeddings against those at the row's `start`."""
    values = np.zeros(len(rows), dtype=np.float32)
    found: list[Any] = [None] * len(rows)
    for group, (value, slopes) in runner.chunked(rows, meter, partial(_chunk, runner), backward=True):
        values[group] = value
        for i, at in enumerate(group):
            found[at] = slopes[i, : len(rows[at])]
    return values, found


def without_rule(module: nn.Module) -> list[str]:
    """Kinds of innermost modules that are neither linear nor covered by the rule, most frequent first."""
    kinds: dict[str, int] = {}
    for part in module.modules():
        kind, leaf = type(part).__name__, next(part.children(), None) is None
        if leaf and not _covered(part) and not isinstance(part, _LINEAR) and not kind.endswith(_LINEAR_NAMES):
            kinds[kind] = kinds.get(kind, 0) + 1
    return sorted(kinds, key=lambda kind: -kinds[kind])


def _chunk(runner: Runner, rows: list[Row]) -> tuple[np.ndarray, np.ndarray]:
    seen: _Seen = {}
    with torch.no_grad():
        starts = runner.embeddings([dataclasses.replace(row, alpha=0.0) for row in rows])
        points = runner.embeddings(rows)
        with _hooked(runner.module, partial(_remember, seen)):
            before = runner.raw(runner.call(rows, starts), rows)  # (N, …)
    with torch.enable_grad():
        points = points.detach().requires_grad_(True)  # (N, T, D)
        with _hooked(runner.module, partial(_rescale, seen)):
            after = runner.raw(runner.call(rows, points), rows)
        slope = _mean_slope(runner, rows, before, after.detach())
        (found,) = torch.autograd.grad((slope * after).sum(), points)
        values = runner.valued(after.detach(), rows)
    return values.cpu().numpy(), found.float().cpu().numpy()


@contextlib.contextmanager
def _hooked(module: nn.Module, hook: Any) -> Iterator[None]:
    """Inside, every covered activation calls `hook`; afterwards none does, also after an error."""
    with contextlib.ExitStack() as hooks:
        for part in module.modules():
            if _covered(part):
                hooks.callback(part.register_forward_hook(hook).remove)
        yield


def _covered(part: nn.Module) -> bool:
    return isinstance(part, ELEMENTWISE) and not getattr(part, "inplace", False) and not part.state_dict()


def _remember(seen: _Seen, part: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
    seen.setdefault(part, deque()).append(args[0])  # a module may be used more than once: first in, first out


def _rescale(seen: _Seen, part: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
    """The same output, with a straight line of slope m through it in place of the curve."""
    here, there = args[0], seen[part].popleft()
    if not here.requires_grad or here.shape != there.shape:  # an expert may be given other words than at the start
        return output
    start, end = _wide(there), _wide(here)
    step = end - start
    middle = (start + step / 2).requires_grad_(True)
    (slope,) = torch.autograd.grad(part.forward(middle).sum(), middle)
    with torch.no_grad():
        far = step.abs() > SMALLEST
        m = torch.where(far, (part.forward(end) - part.forward(start)) / torch.where(far, step, 1), slope)
    return output.detach() + m.to(output) * (here - here.detach())


def _wide(tensor: Tensor) -> Tensor:
    """In float64: the difference of two nearly equal outputs is what counts."""
    device = "cpu" if tensor.device.type == "mps" else tensor.device
    return tensor.detach().to(device, torch.float64)


def _mean_slope(runner: Runner, rows: list[Row], before: Tensor, after: Tensor) -> Tensor:
    """∫ d target / d raw output on the line from `before` to `after`; exact where the target is linear in it."""
    total = torch.zeros_like(after)
    for node, weight in zip(NODES, WEIGHTS, strict=True):
        point = (before + (node + 1) / 2 * (after - before)).requires_grad_(True)
        total += weight / 2 * torch.autograd.grad(runner.valued(point, rows).sum(), point)[0]
    return total
