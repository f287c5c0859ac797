"""The direct path from what each part of each block writes to the answer, without the detour through later parts.

All attentions and feed-forwards are held at the output that they have for this text, and norms at their scale, so that
only sums, norms and the head are left between a part and the answer; the slope of the answer there is the direct one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor, nn

from explain.errors import ModelError
from explain.model.heads import Heads
from explain.model.inside import blocks, has_decoder
from explain.model.recognise import as_norm, is_leaf
from explain.model.road import parts, walk
from explain.model.rows import Row
from explain.model.runner import Meter, Runner
from explain.road import NormStep


@dataclass(frozen=True, eq=False)
class Slopes:
    """What each part writes for one text, and the slope of the answer there; lists have one entry a block.

    `start` is what enters the first block, with its slope `start_slope`; `heads` is written · slope of every head.
    """

    value: float
    start: Float32[np.ndarray, "T D"]
    start_slope: Float32[np.ndarray, "T D"]
    attention: list[Float32[np.ndarray, "T D"]]
    attention_slope: list[Float32[np.ndarray, "T D"]]
    feed_forward: list[Float32[np.ndarray, "T D"]]
    feed_forward_slope: list[Float32[np.ndarray, "T D"]]
    heads: list[Float32[np.ndarray, "H"]]


def slopes(runner: Runner, row: Row, meter: Meter) -> Slopes:
    """Run one row: once a block to find its parts, once with slopes.

    Raises:
        ModelError: a block's attention or feed-forward does not end in one matrix, or a decoder follows the blocks.
    """
    with runner.lock:
        writers, norms, heads = _found(runner, row, meter)

        def run(chunk: list[Row]) -> Any:
            everyone = [w for pair in writers for w in pair]
            with torch.enable_grad(), _direct(runner, everyone, norms) as (leaves, seen):
                value = runner.score(runner.call(chunk), chunk)
                order = [None, *everyone]
                found = torch.autograd.grad(value.sum(), [leaves[w] for w in order], allow_unused=True)
            got = [torch.zeros_like(seen[w]) if g is None else g for g, w in zip(found, order, strict=True)]
            return float(value[0].detach()), [_rows(seen[w]) for w in order], [_rows(g) for g in got]

        ((_, (value, outs, grads)),) = runner.chunked([row], meter, run, backward=True)
    by_head = [_by_head(h, g) for h, g in zip(heads, grads[1::2], strict=True)]
    return Slopes(value, outs[0], grads[0], outs[1::2], grads[1::2], outs[2::2], grads[2::2], by_head)


def _by_head(heads: Heads, slope: Float32[np.ndarray, "T D"]) -> Float32[np.ndarray, "H"]:
    """Σ over tokens of (Σ_j weight_j · what j gives through the head) · slope."""
    mixed = heads.mixed if heads.mixed is not None else np.zeros((len(heads.weights), *slope.shape), np.float32)
    given = (float(((w @ m) * slope).sum()) for w, m in zip(heads.weights, mixed, strict=True))
    return np.array(list(given), dtype=np.float32)


def _found(
    runner: Runner, row: Row, meter: Meter
) -> tuple[list[tuple[nn.Module, nn.Module]], dict[nn.Module, NormStep], list[Heads]]:
    """The matrices that write into the stream, block by block; the norms on the way; the heads."""
    if has_decoder(runner.module):
        raise ModelError(
            f"{runner.info.architecture} reads its encoder through a decoder, whose parts would count as the detour of "
            "others, so direct contributions cannot be told apart.",
            code="no_direct",
        )
    writers, norms, heads = [], {}, []
    for layer in range(runner.info.n_layers):
        found = walk(runner, row, meter, layer, 0)
        named, seen = parts(found), found.heads
        wanted = [named.get(n) for n in ("attention output", "feed-forward output")]
        if seen is None or seen.mixed is None or wanted[0] is None or wanted[1] is None:
            raise ModelError(
                f"Layer {layer} of {runner.info.architecture} does not show an attention and a feed-forward that each "
                "end in one matrix, so direct contributions cannot be told apart.",
                code="no_direct",
            )
        writers.append((wanted[0].module, wanted[1].module))
        heads.append(seen)
        for call in [*found.block, *(c for c in found.tape.calls if c.where == "after")]:
            if is_leaf(call) and not call.matrix and call.given.ndim == 3:
                step = as_norm(call, found.row(call.given), found.row(call.made))
                if step is not None:
                    norms[call.module] = step
    return writers, norms, heads


@contextlib.contextmanager
def _direct(
    runner: Runner, writers: list[nn.Module], norms: dict[nn.Module, NormStep]
) -> Iterator[tuple[dict[nn.Module | None, Tensor], dict[nn.Module | None, Tensor]]]:
    """Inside, what each writer writes is constant plus a leaf, and norms are linear; None is what enters."""
    leaves: dict[nn.Module | None, Tensor] = {}
    seen: dict[nn.Module | None, Tensor] = {}

    def held(who: nn.Module | None, state: Tensor) -> Tensor:
        leaves[who] = torch.zeros_like(state).requires_grad_(True)
        seen[who] = state.detach()
        return seen[who] + leaves[who]

    def enter(part: nn.Module, args: Any, kwargs: Any) -> Any:
        if args and isinstance(args[0], Tensor):
            return (held(None, args[0]), *args[1:]), kwargs
        return args, {**kwargs, "hidden_states": held(None, kwargs["hidden_states"])}

    def write(part: nn.Module, args: Any, output: Tensor) -> Tensor:
        return held(part, output)

    def straight(part: nn.Module, args: Any, output: Tensor) -> Tensor:
        step, x = norms[part], args[0]
        gain, shift = (runner.tensor(v).to(x.dtype) for v in (step.gain, step.shift))
        if step.kind == "layer norm":
            x = x - x.mean(-1, keepdim=True)
        scale = (x.square().mean(-1, keepdim=True) + step.eps).sqrt().detach()
        return x / scale * gain + shift

    first = blocks(runner.module, runner.info.n_layers)[0]
    handles = [first.register_forward_pre_hook(enter, with_kwargs=True)]
    try:
        handles += [w.register_forward_hook(write) for w in writers]
        handles += [n.register_forward_hook(straight) for n in norms]
        yield leaves, seen
    finally:
        for handle in handles:
            handle.remove()


def _rows(tensor: Tensor) -> Float32[np.ndarray, "T D"]:
    return tensor.reshape(-1, tensor.shape[-1]).detach().float().cpu().numpy()
