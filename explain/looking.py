"""From a case to a report about its attention, which never holds more than one layer's weights whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float32

from explain.attention.ablation import head_effects
from explain.attention.capture import require_rows
from explain.attention.flow import LONGEST, flow
from explain.attention.norms import head_norms, layer_norms
from explain.attention.rollout import rollout
from explain.attention.statistics import crossing, statistics
from explain.bounds import require_layer
from explain.case import Answer, Ask, Case
from explain.errors import InputError, ModelError
from explain.heads import HeadMap, HeadRequest, HeadsReport, HeadsRequest, StackReport, StackRequest, sides
from explain.model.encoding import Encoding
from explain.model.heads import HIDDEN, Heads
from explain.model.reads import listened, question
from explain.model.rows import Row
from explain.model.runner import NOTHING
from explain.records import Kind, ModelInfo, Provenance

SAME = 1e-3
"""How far two passes over the same text may differ, in weights or as a share of the answer: kernels round otherwise."""


def heads_report(case: Case, request: HeadsRequest, provenance: Provenance) -> HeadsReport:
    """Every head's statistics and measured effect, rollout and flow.

    Raises:
        ModelError: the model gives no attention weights, or ones that are no distribution.
    """
    value, found = _surveyed(case)
    count = max(1, case.info.n_layers)
    means, numbers, both = zip(*found[:count], strict=True)  # a decoder's layers come later
    kind: Literal["encoder", "causal"] = "encoder" if any(both) else "causal"
    mixed = np.stack(means)  # (L, 1, T, T): rollout and flow only use the mean over heads
    read = _read(case)
    position = read[0] if len(read) == 1 else None
    short = position is not None and len(case.tokens.ids) <= LONGEST
    return HeadsReport(
        **_glance(case, request, value, numbers),
        kind=kind,
        rollout=rollout(mixed).astype(np.float32),
        flow=flow(mixed, position).astype(np.float32) if short and position is not None else None,
        position=position,
        read=read,
        decoder_layers=max(0, len(found) - count),
        provenance=provenance,
    )


def stack_report(case: Case, request: StackRequest, provenance: Provenance) -> StackReport:
    """Statistics and measured effect of every head of one kind, where an encoder reads and a decoder writes.

    Raises:
        InputError: one stack reads the text.
        ModelError: as `heads_report`, and as `require_same`.
    """
    value, found = _surveyed(case, request.kind)
    glance = _glance(case, request, value, [n for _, n, _ in found], request.kind)
    require_same(glance["difference"] / max(1.0, abs(value)))
    return StackReport(**glance, kind=request.kind, provenance=provenance)


def _glance(
    case: Case, request: HeadsRequest, value: float, numbers: Sequence[dict[str, Any]], kind: Kind | None = None
) -> dict[str, Any]:
    """What a report says of all heads: `numbers` has the statistics of each layer, `value` is their pass's."""
    plain = float(case.evaluate(Ask([case.row()])).values[0])
    shared = [name for name in numbers[0] if all(name in n for n in numbers)]
    effects, unmeasured = None, ""
    if request.ablation is not None:
        try:
            effects = head_effects(case, request.ablation, len(numbers), kind).astype(np.float32)
        except ModelError as error:
            if error.code != "no_attention_interface":
                raise
            unmeasured = str(error)
    return {
        "model": case.info,
        "tokens": case.tokens,
        "prediction": case.prediction,
        "target": case.target,
        "statistics": {name: np.stack([n[name] for n in numbers]).astype(np.float32) for name in shared},
        "effects": effects,
        "ablation": request.ablation,
        "unmeasured": unmeasured,
        "difference": abs(value - plain),
    }


def require_same(off: float) -> None:
    """Raise ModelError where the pass that records heads is not the one that answers: `off` by so much of one.

    Some decoders (transformers 5: BigBirdPegasus, NLLB-MoE) are given no mask in it, and would look ahead.
    """
    if not off <= SAME:  # also where it is NaN
        raise ModelError(
            f"The pass that records what heads do differs from the model's own by {off:.2g} here, so it would show "
            "what the model does not do. Ask for the attention maps (attention=True), which are the model's own.",
            code="other_pass",
        )


def head_map(encoding: Encoding, info: ModelInfo, evaluate: Callable[[Ask], Answer], request: HeadRequest) -> HeadMap:
    """One head's weights and, where the architecture shows them, its queries, keys and norms.

    Raises:
        InputError: there is no such layer or head.
        ModelError: the model gives no attention weights, or as `require_same`.
    """
    layer, head, tokens, kind = request.layer, request.head, encoding.tokens, request.kind
    require_layer(layer, info.n_layers)
    row = encoding.row(NOTHING)
    weights, parts = _layer(evaluate, row, layer, kind)
    sink = None if parts is None else parts.sink
    require_rows(weights, row.sides(kind), sink)
    if kind is not None and parts is not None:
        own = evaluate(Ask([row], attention=True, kind=kind)).attention[0][layer]
        require_same(float(np.abs(own - weights).max()))
    mixed = None if parts is None else parts.mixed
    if head is None:
        norms = None if mixed is None else layer_norms(weights, mixed).astype(np.float32)
        mean = None if sink is None else sink.mean(0)
        return HeadMap(layer, None, tokens, weights.mean(0), norms, sink=mean, kind=kind)
    if not 0 <= head < len(weights):
        raise InputError(f"There is no head {head}: layer {layer} has 0 to {len(weights) - 1}.", code="bad_head")
    if parts is None:
        return HeadMap(layer, head, tokens, weights[head], kind=kind)
    return HeadMap(
        layer,
        head,
        tokens,
        weights[head],
        None if mixed is None else head_norms(weights[[head]], mixed[[head]])[0].astype(np.float32),
        parts.query[head],
        parts.key[head * len(parts.key) // len(weights)],  # grouped-query heads share a key
        parts.scaling,
        None if parts.logits is None else _totals(parts.logits[head], weights[head]),
        None if parts.logits is None else parts.logits[head] > HIDDEN,
        parts.cap,
        None if sink is None else sink[head],
        kind,
    )


def _totals(logits: Float32[np.ndarray, "Q T"], weights: Float32[np.ndarray, "Q T"]) -> Float32[np.ndarray, "Q"]:
    """log Σ exp of each row, a sink included, from the largest weight: weight = exp(logit − total)."""
    best = weights.argmax(-1)[:, None]
    found = np.take_along_axis(logits, best, -1) - np.log(np.take_along_axis(weights, best, -1))
    return found[:, 0].astype(np.float32)


def _read(case: Case) -> tuple[int, ...]:
    """The positions of the last block that move the answer; all of them where that cannot be asked."""
    everything = tuple(range(len(case.tokens.ids)))
    try:
        answer = case.evaluate(question(case))
    except ModelError as error:
        if error.code not in ("no_blocks", "no_layer"):
            raise
        return everything
    share = listened(answer.gradients[0])  # (T,)
    return tuple(np.flatnonzero(share > 1e-6 * share.max()).tolist()) or everything


def _surveyed(case: Case, kind: Kind | None = None) -> tuple[float, list[tuple[Any, dict[str, Any], bool]]]:
    """Value of the pass, and for every layer: mean over heads (1, Q, T), statistics, does anything look ahead?"""
    shape = case.row().sides(kind)
    rows, columns = sides(case.tokens, kind, shape)

    def summary(
        weights: Float32[np.ndarray, "H Q T"],
        seen: Bool[np.ndarray, "Q T"] | None = None,
        sink: Float32[np.ndarray, "H Q"] | None = None,
    ) -> tuple[Any, dict[str, Any], bool]:
        require_rows(weights, shape, sink)
        ahead = bool(np.triu((weights > 0).any(0) if seen is None else seen, 1).any())
        if kind == "cross":
            numbers = crossing(weights, rows.special, columns.special, seen)
        else:
            numbers = statistics(weights, rows.special, rows.ids, seen)
        return weights.mean(0, keepdims=True), numbers, ahead or len(weights[0]) == 1

    try:
        answer = case.evaluate(Ask([case.row()], survey=summary, kind=kind))
        if answer.heads:
            return float(answer.values[0]), list(answer.heads)
    except ModelError as error:
        if error.code != "no_attention_interface":
            raise
    answer = case.evaluate(Ask([case.row()], attention=True, kind=kind))
    return float(answer.values[0]), [summary(weights) for weights in answer.attention[0]]


def _layer(
    evaluate: Callable[[Ask], Answer], row: Row, layer: int, kind: Kind | None
) -> tuple[Float32[np.ndarray, "H Q T"], Heads | None]:
    """Weights, and all parts where the architecture shows them (else from the eager kernel)."""
    try:
        answer = evaluate(Ask([row], heads=layer, kind=kind))
        return answer.heads[0].weights, answer.heads[0]
    except ModelError as error:
        if error.code != "no_attention_interface":
            raise
    found = evaluate(Ask([row], attention=True, kind=kind)).attention[0]
    if layer >= len(found):
        raise InputError(f"There is no attention layer {layer}: there are {len(found)}.", code="bad_layer")
    return found[layer], None
