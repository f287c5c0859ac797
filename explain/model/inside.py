"""Look inside a pass: the output of a block or the attention weights, and the gradients with respect to them.

Architectures are not named. Blocks are the first module list as long as the configuration has layers; attention
comes from transformers' eager kernel; a token is muted through transformers' attention interface. All of it
happens under the model's lock and leaves nothing behind, also after an error.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor, nn
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

from explain.errors import ModelError
from explain.model.rows import Row
from explain.model.runner import Meter, Runner
from explain.model.substitution import named_table
from explain.records import Kind

MUTING = "whyboard_muting"
Found = tuple[
    Float32[np.ndarray, "N"],
    list[Float32[np.ndarray, "..."]],
    list[Float32[np.ndarray, "T D"]],
    list[Float32[np.ndarray, "L H Q T"]],
]
GIVEN = {"encoder": "encoder_attentions", "causal": "decoder_attentions", "cross": "cross_attentions"}
"""By kind: what transformers calls the weights of a model with two stacks."""


def look(
    runner: Runner,
    rows: Sequence[Row],
    meter: Meter,
    *,
    gradients: bool = False,
    layer: int | None = None,
    kind: Kind | None = None,
) -> Found:
    """Values of rows, gradients, states of block `layer`, attention of all layers (if there is no `layer`).

    `kind` says whose attention of rows that two stacks read.

    Raises:
        ModelError: the architecture hides what is asked for.
    """
    values = np.zeros(len(rows), dtype=np.float32)
    slopes: list[Any] = [None] * len(rows)
    seen: list[Any] = [None] * len(rows)

    def run(chunk: list[Row]) -> tuple[Any, Any, Any]:
        if layer is not None:
            return _states(runner, chunk, gradients, layer)
        return _attention(runner, chunk, gradients, kind)

    for group, (value, slope, view) in runner.chunked(rows, meter, run, backward=gradients):
        values[group] = value
        wide = max(rows[at].sides(kind)[0] for at in group)
        if layer is None and kind in ("causal", "cross") and view.shape[-2] != wide:
            raise ModelError(
                f"{runner.info.architecture} gives attention weights of {view.shape[-2]} rows for {wide} tokens, as "
                "models do that read in several streams, so they are no map of the tokens.",
                code="no_attention",
            )
        for i, at in enumerate(group):
            queries, keys = rows[at].sides(kind)
            cut = np.s_[:, :, :queries, :keys] if layer is None else np.s_[: len(rows[at])]
            seen[at] = view[i][cut]
            slopes[at] = slope[i][cut] if gradients else None
    return values, slopes if gradients else [], seen if layer is not None else [], seen if layer is None else []


def blocks(module: nn.Module, count: int) -> list[nn.Module]:
    """The stacked layers of a model, `count` of them; raises ModelError where they are not a plain list.

    Of several lists as long, those of an encoder, which come first; of text and pictures, those beside the table where
    tokens are looked up.
    """
    lists = {name: m for name, m in module.named_modules() if isinstance(m, nn.ModuleList) and len(m) == count}
    sizes = {name: sum(p.numel() for p in m.parameters()) for name, m in lists.items()}
    large = [name for name, size in sizes.items() if count and size >= max(sizes.values()) / 2]
    table = named_table(module)
    place = next((name for name, part in module.named_modules() if part is table), "")

    def near(name: str) -> int:  # how many parts of the model hold both
        both = zip(name.split("."), place.split("."), strict=False)
        return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], both))

    if large:
        return list(lists[max(large, key=near)])
    raise ModelError(
        f"{type(module).__name__} does not keep its layers in a list that can be looked into.", code="no_blocks"
    )


def has_decoder(module: Any) -> bool:
    """Is it a decoder that reads the blocks' states, before the head does?"""
    return bool(getattr(getattr(module, "config", None), "is_encoder_decoder", False))


@contextlib.contextmanager
def kernel(module: Any, name: str) -> Iterator[None]:
    """Inside, attention runs with the named kernel; all is put back afterwards, also after an error.

    transformers hangs hooks of its own on a model when outputs are captured for the first time; they go too.
    """
    before = getattr(module.config, "_attn_implementation", None)
    found = [(part, set(part._forward_hooks), set(vars(part))) for part in module.modules()]
    try:
        if before != name:
            module.set_attn_implementation(name)
        yield
    finally:
        if before not in (name, None):
            module.set_attn_implementation(before)
        for part, hooks, attributes in found:
            for key in set(part._forward_hooks) - hooks:
                del part._forward_hooks[key]
            for attribute in set(vars(part)) - attributes:
                delattr(part, attribute)


def _states(runner: Runner, rows: list[Row], gradients: bool, layer: int) -> tuple[np.ndarray, Any, np.ndarray]:
    stack = blocks(runner.module, runner.info.n_layers)
    if not 0 <= layer < len(stack):
        raise ModelError(f"There is no layer {layer}: this model has layers 0 to {len(stack) - 1}.", code="no_layer")
    leaf: list[Tensor] = []

    def exchange(_: nn.Module, args: Any, output: Any) -> Any:
        hidden, rest = (output[0], tuple(output[1:])) if isinstance(output, tuple) else (output, None)
        if not isinstance(hidden, Tensor) or hidden.ndim != 3 or len(hidden) != len(rows):
            raise ModelError(
                f"{type(runner.module).__name__} does not hand one vector a token from layer to layer, so what "
                "needs its layers cannot be computed. Use another method, such as integrated gradients.",
                code="no_blocks",
            )
        states = hidden.detach().clone()  # (N, T, D)
        for i, row in enumerate(rows):
            if row.layer == layer and row.start is not None and row.end is not None:
                start, end = runner.tensor(row.start), runner.tensor(row.end)
                states[i, : len(row)] = (start + row.alpha * (end - start)).to(states.dtype)
        leaf.append(states.requires_grad_(gradients))
        return leaf[-1] if rest is None else (leaf[-1], *rest)

    muted = [row.muted for row in rows]
    silence = _muting(runner.module, layer, muted) if any(m is not None for m in muted) else contextlib.nullcontext()
    embedded = any(row.start is not None and row.layer is None for row in rows)
    with torch.set_grad_enabled(gradients), silence:
        handle = stack[layer].register_forward_hook(exchange)
        try:
            values = runner.score(runner.call(rows, runner.embeddings(rows) if embedded else None), rows)
        finally:
            handle.remove()
        if not leaf:
            raise ModelError(
                f"{type(runner.module).__name__} does not read a text through the layers that it lists, so what needs "
                "its layers cannot be computed. Use another method, such as integrated gradients.",
                code="no_blocks",
            )
        slopes = torch.autograd.grad(values.sum(), leaf[-1])[0].float().cpu().numpy() if gradients else None
    return values.detach().cpu().numpy(), slopes, leaf[-1].detach().float().cpu().numpy()


def maps_of(outputs: Any, kind: Kind | None) -> tuple[Tensor, ...]:
    """The weights (N, H, Q, T) of every layer in what a module gave; () where it gave none of this kind.

    Without a kind those of the only stack, or of the encoder where a decoder reads the same text.
    """
    if kind is not None:
        return getattr(outputs, GIVEN[kind], None) or ()
    return getattr(outputs, "attentions", None) or getattr(outputs, "encoder_attentions", None) or ()


def _attention(
    runner: Runner, rows: list[Row], gradients: bool, kind: Kind | None
) -> tuple[np.ndarray, Any, np.ndarray]:
    with torch.set_grad_enabled(gradients), kernel(runner.module, "eager"):
        embeds = runner.embeddings(rows).detach().requires_grad_(gradients) if gradients else None
        outputs = runner.call(rows, embeds, output_attentions=True)
        found = maps_of(outputs, kind)
        if not found or any(not isinstance(a, Tensor) or a.ndim != 4 for a in found):
            raise ModelError(f"{runner.info.architecture} gives no attention weights.", code="no_attention")
        values = runner.score(outputs, rows)
        slopes = torch.autograd.grad(values.sum(), found, allow_unused=True) if gradients else ()
    weights = torch.stack([a.detach().float() for a in found], dim=1).cpu().numpy()  # (N, L, H, Q, T)
    filled = [torch.zeros_like(a) if s is None else s for s, a in zip(slopes, found, strict=True)] if gradients else []
    return (
        values.detach().cpu().numpy(),
        torch.stack([s.float() for s in filled], dim=1).cpu().numpy() if gradients else None,
        weights,
    )


@dataclass
class _Mute:
    layer: int
    tokens: list[int | None]
    calls: int = 0


_mute: ContextVar[_Mute | None] = ContextVar("whyboard_mute", default=None)


def _muted_attention(module: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: Any, **options: Any) -> Any:
    """Scaled-dot-product attention in which some tokens' value vectors (N, H, T, d) are zero in one layer."""
    mute = _mute.get()
    if mute is not None:
        index = getattr(module, "layer_idx", None)
        if (mute.calls if index is None else index) == mute.layer:
            value = value.clone()
            for row, token in enumerate(mute.tokens):
                if token is not None:
                    value[row, :, token] = 0
        mute.calls += 1
    return sdpa_attention_forward(module, query, key, value, mask, **options)


AttentionInterface.register(MUTING, _muted_attention)
AttentionMaskInterface.register(MUTING, sdpa_mask)  # a kernel without a mask function of its own gets no mask at all


@contextlib.contextmanager
def _muting(module: nn.Module, layer: int, tokens: list[int | None]) -> Iterator[None]:
    mute = _Mute(layer, tokens)
    token = _mute.set(mute)
    try:
        with kernel(module, MUTING):
            yield
    finally:
        _mute.reset(token)
    if not mute.calls:
        raise ModelError(
            f"{type(module).__name__} does not use transformers' attention interface, so no token can be muted.",
            code="no_attention_interface",
        )
