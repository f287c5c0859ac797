"""What the heads of one layer compute: queries, keys, values, weights and outputs; and passes with a head taken out.

Architectures are not named: everything is read, or replaced, in a function that is registered with transformers'
attention interface. Weights are computed there from queries and keys in the open, so whoever asks can compare the
answer of such a pass with a plain one. All of it happens under the model's lock and leaves nothing behind.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float32
from torch import Tensor, nn
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

from explain.errors import ModelError
from explain.model.inside import kernel
from explain.model.rows import Row
from explain.model.runner import Meter, Runner
from explain.records import Kind

NAME = "whyboard_heads"
HIDDEN = -1e30
"""Logits below are a mask's: some write −inf, some the lowest number of their type."""
Summary = Callable[
    [Float32[np.ndarray, "H Q T"], Bool[np.ndarray, "Q T"] | None, Float32[np.ndarray, "H Q"] | None], Any
]


@dataclass(frozen=True, eq=False)
class Heads:
    """One layer's attention over one text: H heads, G ≤ H heads of keys and values, width d; Q tokens look at T tokens.

    The two are the same, but for a decoder's that look at those that an encoder has read.
    `weights` = softmax(`logits`); rows are queries, and sum to 1, or to 1 − `sink` where a learned logit without a
    token takes a share. `logits` is query · keyᵀ · `scaling`, capped with `cap` where there is one (then
    cap · tanh(· / cap)), plus biases; −inf where a mask forbids to look. `output` is weights · value.
    `mixed` (H, T, D) is what each token's value adds to the residual stream through each head, before weighting; None
    where no output projection was found.
    """

    query: Float32[np.ndarray, "H Q d"]
    key: Float32[np.ndarray, "G T d"]
    value: Float32[np.ndarray, "G T e"]
    weights: Float32[np.ndarray, "H Q T"]
    output: Float32[np.ndarray, "H Q e"]
    scaling: float
    mixed: Float32[np.ndarray, "H T D"] | None = None
    logits: Float32[np.ndarray, "H Q T"] | None = None
    sink: Float32[np.ndarray, "H Q"] | None = None
    cap: float | None = None


def observe(
    runner: Runner, rows: Sequence[Row], meter: Meter, layer: int, *, to_the_end: bool = False, kind: Kind | None = None
) -> tuple[Float32[np.ndarray, "N"], list[Heads]]:
    """The heads of block `layer` in each row, and the rows' values: 0 unless the pass is asked to go `to_the_end`.

    `kind` says of which stack, or between which, where two read the rows; layers count from 0 on in each.

    Raises:
        ModelError: the architecture does not use the attention interface, or has no such layer.
    """
    values, found = np.zeros(len(rows), dtype=np.float32), [None] * len(rows)

    def run(chunk: list[Row]) -> tuple[np.ndarray, list[Heads]]:
        value, tap = torch.zeros(len(chunk)), _Tap(kind, layer=layer, to_the_end=to_the_end)
        with (
            torch.no_grad(),
            _tapped(runner.module, tap),
            _projection(runner.module, tap),
            contextlib.suppress(_Seen),
        ):
            value = runner.score(runner.call(chunk), chunk)
        if tap.seen is None:
            raise ModelError(
                f"There is no attention layer {layer} with words looking at words: this model has {tap.calls}.",
                code="no_layer",
            )
        return value.cpu().numpy(), [_cut(tap.seen, i, *row.sides(kind)) for i, row in enumerate(chunk)]

    for group, (value, heads) in runner.chunked(rows, meter, run, whole=to_the_end):
        values[group] = value
        for i, one in zip(group, heads, strict=True):
            found[i] = one
    return values, found  # type: ignore[return-value]


def surveyed(
    runner: Runner, row: Row, meter: Meter, summary: Summary, kind: Kind | None = None
) -> tuple[float, list[Any]]:
    """Value of a row, and a summary of every layer's weights, in one pass that holds one layer's weights at a time.

    The summary is given the weights, what each query may look at (by the mask), and the sinks' shares (None: no sink).
    Without a `kind` (see `observe`) a decoder's own layers follow those of an encoder.

    Raises:
        ModelError: the architecture does not use the attention interface.
    """

    def run(chunk: list[Row]) -> tuple[np.ndarray, list[Any]]:
        found: list[Any] = []

        def keep(weights: Tensor, logits: Tensor, sink: Tensor | None) -> None:
            meter.check()  # a long text's summaries take longer than its pass
            away = None if sink is None else sink[0].float().cpu().numpy()
            seen = (logits[0] > HIDDEN).any(0).cpu().numpy()  # (Q, T)
            found.append(summary(weights[0].float().cpu().numpy(), seen, away))

        with torch.no_grad(), _tapped(runner.module, _Tap(kind, each=keep)):
            value = runner.score(runner.call(chunk), chunk)
        return value.cpu().numpy(), found

    ((_, (value, found)),) = runner.chunked([row], meter, run)
    return float(value[0]), found


def ablated(runner: Runner, rows: Sequence[Row], meter: Meter, kind: Kind | None = None) -> Float32[np.ndarray, "N"]:
    """Values of the rows, each with the head of its `ablation` replaced; `kind` as in `observe`."""
    values = np.zeros(len(rows), dtype=np.float32)

    def run(chunk: list[Row]) -> np.ndarray:
        replaced: dict[int, list[tuple[int, int, Tensor]]] = {}
        for i, row in enumerate(chunk):
            if row.ablation is not None:
                layer, head, output = row.ablation
                replaced.setdefault(layer, []).append((i, head, runner.tensor(output)))
        with torch.no_grad(), _tapped(runner.module, _Tap(kind, replaced=replaced)):
            return runner.score(runner.call(chunk), chunk).cpu().numpy()

    for group, value in runner.chunked(rows, meter, run):
        values[group] = value
    return values


@dataclass
class _Tap:
    """What to do in the passes of one chunk, and what was seen.

    `calls` counts those of the `kind` that is asked about; without one, of all self-attention.
    """

    kind: Kind | None = None
    layer: int | None = None
    to_the_end: bool = False
    replaced: dict[int, list[tuple[int, int, Tensor]]] = field(default_factory=dict)
    each: Callable[[Tensor, Tensor, Tensor | None], None] | None = None
    cross: set[int] = field(default_factory=set)  # modules that were given another stack's states
    decoder: set[int] = field(default_factory=set)  # those, and all that is in them
    calls: int = 0
    seen: dict[str, Any] | None = None

    def asks(self, module: nn.Module, query: Tensor, key: Tensor) -> bool:
        """Is this call of a module one of those that are asked about?"""
        crossing = query.shape[2] != key.shape[2] or id(module) in self.cross
        if self.kind is None or crossing:
            return crossing is (self.kind == "cross")
        return self.kind == ("causal" if id(module) in self.decoder else "encoder")


class _Seen(Exception):
    """All that is wanted of this pass was seen."""


_tap: ContextVar[_Tap | None] = ContextVar("whyboard_heads", default=None)


def _attend(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None = None, **options: Any
) -> Any:
    """Attention (N, H, T, d) → (N, T, H, e), with one layer's parts kept or some heads' output replaced."""
    tap = _tap.get()
    mine = tap is not None and tap.asks(module, query, key)
    layer = tap.calls if tap is not None and mine else -1
    seen = tap is not None and tap.layer == layer
    each = tap.each if tap is not None and mine else None
    if seen or each or options.get("softcap") is not None or options.get("s_aux") is not None:
        output, weights, logits, scaling, sink = _in_the_open(module, query, key, value, attention_mask, options)
    else:
        output = sdpa_attention_forward(module, query, key, value, attention_mask, **options)[0]
    if tap is not None and mine:
        tap.calls += 1
        if each is not None:
            each(weights.detach(), logits.detach(), sink)
        if seen:
            parts = {"query": query, "key": key, "value": value, "weights": weights, "output": output.transpose(1, 2)}
            tap.seen = {name: part.detach() for name, part in parts.items()} | {
                "scaling": scaling,
                "logits": logits,
                "sink": sink,
                "cap": options.get("softcap"),
            }
        if layer in tap.replaced:
            output = output.clone()
            for row, head, vector in tap.replaced[layer]:
                output[row, :, head] = vector.to(output.dtype)  # (Q, e) ← (e,)
    return output, None


def _in_the_open(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, options: dict[str, Any]
) -> tuple[Tensor, Tensor, Tensor, float, Tensor | None]:
    """Attention step by step: output (N, Q, H, e), weights and logits (N, H, Q, T), scaling, sinks (N, H, Q)."""
    groups = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)  # (N, H, T, d)
    given = options.get("scaling")
    scaling = float(query.shape[-1] ** -0.5 if given is None else given)
    logits = query @ key.transpose(2, 3) * scaling  # (N, H, Q, T)
    if (cap := options.get("softcap")) is not None:
        logits = torch.tanh(logits / cap) * cap
    if (bias := options.get("position_bias")) is not None:
        logits = logits + bias
    causal = options.get("is_causal")
    if mask is not None:
        mask = mask[..., : key.shape[2]]
        logits = logits.masked_fill(~mask, float("-inf")) if mask.dtype == torch.bool else logits + mask
    elif (getattr(module, "is_causal", True) if causal is None else causal) and query.shape[2] > 1:
        ahead = torch.ones(logits.shape[-2:], dtype=torch.bool, device=logits.device).triu(1)
        logits = logits.masked_fill(ahead, float("-inf"))
    if (sink := options.get("s_aux")) is not None:  # a logit that takes weight and gives nothing
        column = sink.reshape(1, -1, 1, 1).expand(len(query), -1, query.shape[2], 1)
        both = torch.softmax(torch.cat([logits, column.to(logits.dtype)], dim=-1), dim=-1)
        weights, share = both[..., :-1], both[..., -1]
    else:
        weights, share = torch.softmax(logits, dim=-1), None
    weights = torch.nan_to_num(weights)  # a padded query may look at nothing
    return (weights @ value).transpose(1, 2).contiguous(), weights, logits, scaling, share


AttentionInterface.register(NAME, _attend)
AttentionMaskInterface.register(NAME, sdpa_mask)  # a kernel without a mask function of its own gets no mask at all


@contextlib.contextmanager
def _tapped(module: nn.Module, tap: _Tap) -> Iterator[_Tap]:
    token = _tap.set(tap)
    try:
        with kernel(module, NAME), _crossing(module, tap):
            yield tap
    finally:
        _tap.reset(token)
    if not tap.calls:
        raise ModelError(
            f"{type(module).__name__} does not use transformers' attention interface, so its queries, keys and values "
            "cannot be read.",
            code="no_attention_interface",
        )


@contextlib.contextmanager
def _crossing(module: nn.Module, tap: _Tap) -> Iterator[None]:
    """Note the modules that are given the states of another stack to look at: a decoder, its layers, what looks."""

    def note(part: nn.Module, args: Any, kwargs: Any) -> None:
        if any(kwargs.get(name) is not None for name in ("key_value_states", "encoder_hidden_states")):
            if id(part) not in tap.decoder:  # then all that is in it is known too
                tap.decoder.update(id(inner) for inner in part.modules())
            tap.cross.add(id(part))

    handles = [m.register_forward_pre_hook(note, with_kwargs=True) for m in module.modules()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextlib.contextmanager
def _projection(module: nn.Module, tap: _Tap) -> Iterator[None]:
    """Find the projection after the observed layer: the first matrix whose input is that layer's output."""

    def look(part: nn.Module, args: Any) -> None:
        seen = tap.seen
        if seen is not None and seen.get("mixed") is not None and not tap.to_the_end:
            raise _Seen
        if seen is None or "mixed" in seen or not args or not isinstance(args[0], Tensor):
            return
        flat = seen["output"].transpose(1, 2).flatten(2)  # (N, Q, H·e)
        if args[0].numel() != flat.numel() or not torch.equal(args[0].reshape(flat.shape), flat):
            return
        seen["mixed"] = None  # the calls below come here too
        shape, value = args[0].shape, seen["value"]
        value = value.repeat_interleave(seen["output"].shape[1] // value.shape[1], dim=1)  # (N, H, T, e)
        count = value.shape[2]
        if count != flat.shape[1]:  # as many as there are keys: the matrix is given one row a token
            shape = torch.Size((len(flat) * count, shape[-1]))
        rest = part(args[0].new_zeros(shape))
        mixed = []
        for head in range(value.shape[1]):
            alone = torch.zeros_like(value)
            alone[:, head] = value[:, head]
            mixed.append(part(alone.transpose(1, 2).reshape(shape)) - rest)
        seen["mixed"] = torch.stack([m.reshape(len(flat), count, -1) for m in mixed], dim=1)  # (N, H, T, D)

    matrices = [m for m in module.modules() if getattr(getattr(m, "weight", None), "ndim", 0) == 2]
    handles = [m.register_forward_pre_hook(look) for m in matrices if not isinstance(m, nn.Embedding)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _cut(seen: dict[str, Any], i: int, queries: int, keys: int) -> Heads:
    """The parts of one row, without padding."""

    def part(name: str, count: int) -> Any:
        return None if seen.get(name) is None else seen[name][i, :, :count].float().cpu().numpy()

    weights, logits = (seen[name][i, :, :queries, :keys].float().cpu().numpy() for name in ("weights", "logits"))
    return Heads(
        part("query", queries), part("key", keys), part("value", keys), weights, part("output", queries),
        seen["scaling"], part("mixed", keys), logits, part("sink", queries), seen["cap"],
    )  # fmt: skip
