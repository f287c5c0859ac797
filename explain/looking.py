"""From a case to a report about its attention, which never holds more than one layer's weights whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float, Float32

from explain.attention.ablation import head_effects
from explain.attention.flow import LONGEST, flow
from explain.attention.norms import head_norms, layer_norms
from explain.attention.rollout import rollout
from explain.attention.statistics import statistics
from explain.bounds import require_layer
from explain.case import Answer, Ask, Case
from explain.errors import InputError, ModelError
from explain.heads import HeadMap, HeadRequest, HeadsReport, HeadsRequest
from explain.model.encoding import Encoding
from explain.model.heads import HIDDEN, Heads
from explain.model.reads import listened, question
from explain.model.rows import Row
from explain.model.runner import NOTHING
from explain.records import ModelInfo, Provenance, Tokens

ROW_SUM_TOLERANCE = 1e-3


def heads_report(case: Case, request: HeadsRequest, provenance: Provenance) -> HeadsReport:
    """Every head's statistics and measured effect, rollout and flow.

    Raises:
        ModelError: the model gives no attention weights, or ones that are no distribution.
    """
    plain = float(case.evaluate(Ask([case.row()])).values[0])
    value, found = _surveyed(case)
    count = max(1, case.info.n_layers)
    means, numbers, both = zip(*found[:count], strict=True)  # a decoder's layers come later
    kind: Literal["encoder", "causal"] = "encoder" if any(both) else "causal"
    mixed = np.stack(means)  # (L, 1, T, T): rollout and flow only use the mean over heads
    read = _read(case)
    position = read[0] if len(read) == 1 else None
    short = position is not None and len(case.tokens.ids) <= LONGEST
    shared = [name for name in numbers[0] if all(name in n for n in numbers)]
    effects, unmeasured = None, ""
    if request.ablation is not None:
        try:
            effects = head_effects(case, request.ablation, len(numbers)).astype(np.float32)
        except ModelError as error:
            if error.code != "no_attention_interface":
                raise
            unmeasured = str(error)
    return HeadsReport(
        model=case.info,
        tokens=case.tokens,
        prediction=case.prediction,
        target=case.target,
        kind=kind,
        statistics={name: np.stack([n[name] for n in numbers]).astype(np.float32) for name in shared},
        effects=effects,
        ablation=request.ablation,
        unmeasured=unmeasured,
        rollout=rollout(mixed).astype(np.float32),
        flow=flow(mixed, position).astype(np.float32) if short and position is not None else None,
        position=position,
        difference=abs(value - plain),
        read=read,
        decoder_layers=max(0, len(found) - count),
        provenance=provenance,
    )


def head_map(encoding: Encoding, info: ModelInfo, evaluate: Callable[[Ask], Answer], request: HeadRequest) -> HeadMap:
    """One head's weights and, where the architecture shows them, its queries, keys and norms.

    Raises:
        InputError: there is no such layer or head.
        ModelError: the model gives no attention weights.
    """
    layer, head, tokens = request.layer, request.head, encoding.tokens
    require_layer(layer, info.n_layers)
    weights, parts = _layer(evaluate, encoding.row(NOTHING), layer)
    sink = None if parts is None else parts.sink
    _require_rows(tokens, weights, sink)
    mixed = None if parts is None else parts.mixed
    if head is None:
        norms = None if mixed is None else layer_norms(weights, mixed).astype(np.float32)
        return HeadMap(layer, None, tokens, weights.mean(0), norms, sink=None if sink is None else sink.mean(0))
    if not 0 <= head < len(weights):
        raise InputError(f"There is no head {head}: layer {layer} has 0 to {len(weights) - 1}.", code="bad_head")
    if parts is None:
        return HeadMap(layer, head, tokens, weights[head])
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
    )


def _totals(logits: Float32[np.ndarray, "T T"], weights: Float32[np.ndarray, "T T"]) -> Float32[np.ndarray, "T"]:
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


def _surveyed(case: Case) -> tuple[float, list[tuple[Any, dict[str, Any], bool]]]:
    """Value of the pass, and for every layer: mean over heads (1, T, T), statistics, does anything look ahead?"""

    def summary(
        weights: Float32[np.ndarray, "H T T"],
        seen: Bool[np.ndarray, "T T"] | None = None,
        sink: Float32[np.ndarray, "H T"] | None = None,
    ) -> tuple[Any, dict[str, Any], bool]:
        _require_rows(case.tokens, weights, sink)
        ahead = bool(np.triu((weights > 0).any(0) if seen is None else seen, 1).any())
        numbers = statistics(weights, case.tokens.special, case.tokens.ids, seen)
        return weights.mean(0, keepdims=True), numbers, ahead or len(weights[0]) == 1

    try:
        answer = case.evaluate(Ask([case.row()], survey=summary))
        if answer.heads:
            return float(answer.values[0]), list(answer.heads)
    except ModelError as error:
        if error.code != "no_attention_interface":
            raise
    answer = case.evaluate(Ask([case.row()], attention=True))
    return float(answer.values[0]), [summary(weights) for weights in answer.attention[0]]


def _layer(
    evaluate: Callable[[Ask], Answer], row: Row, layer: int
) -> tuple[Float32[np.ndarray, "H T T"], Heads | None]:
    """Weights, and all parts where the architecture shows them (else from the eager kernel)."""
    try:
        answer = evaluate(Ask([row], heads=layer))
        return answer.heads[0].weights, answer.heads[0]
    except ModelError as error:
        if error.code != "no_attention_interface":
            raise
    found = evaluate(Ask([row], attention=True)).attention[0]
    if layer >= len(found):
        raise InputError(f"There is no attention layer {layer}: there are {len(found)}.", code="bad_layer")
    return found[layer], None


def _require_rows(
    tokens: Tokens, weights: Float[np.ndarray, "H T T"], sink: Float[np.ndarray, "H T"] | None = None
) -> None:
    if weights.shape[1:] != 2 * (len(tokens.ids),):
        raise ModelError(
            f"Attention is not between the {len(tokens.ids)} tokens of the text, but between "
            f"{' and '.join(map(str, weights.shape[1:]))} positions of the model's own.",
            code="other_positions",
        )
    off = float(np.abs(weights.sum(-1) + (0 if sink is None else sink) - 1).max())
    if not off <= ROW_SUM_TOLERANCE:  # also where it is NaN
        raise ModelError(f"Attention is no distribution: a row sums to 1 ± {off:.2g}.", code="bad_attention")
