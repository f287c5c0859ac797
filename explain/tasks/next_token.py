"""What comes next: the token after the last one of a text, out of a whole vocabulary.

The outcomes exclude each other, so the target is the log-odds of one token, log p − log(1 − p), unless another quantity
is asked for. Everything that the model read is the text; nothing stands behind the place that is predicted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32
from transformers import AutoModelForCausalLM
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from explain.catalog import TargetKind
from explain.errors import ModelError
from explain.records import Prediction, Target
from explain.tasks import _exclusive, _vocabulary

NEXT = "next-token"
KEPT = 16
"""Tokens that a prediction keeps, the most likely ones; a record of a whole vocabulary would be unreadable."""


class NextToken:
    """See the module's text. Raw output: logits (N, V) behind each row's last token."""

    name = "text-generation"
    summary = "Which token comes next: the likeliest one, any other, or one rather than another."
    problems = (NEXT,)
    open_ended = True
    pairs = False

    def architectures(self) -> Mapping[str, str]:
        return {k: v for k, v in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.items() if isinstance(v, str)}

    def auto_class(self) -> Any:
        return AutoModelForCausalLM

    def problem(self, config: Any, wish: str) -> str:
        return NEXT

    def labels(self, config: Any, problem: str) -> tuple[str, ...]:
        return ()

    def vocabulary(self, tokenizer: Any) -> tuple[str, ...]:
        return _vocabulary.names(tokenizer)

    def read(self, outputs: Any, lengths: torch.Tensor) -> torch.Tensor:
        logits = outputs.logits  # (N, T, V)
        if logits.ndim != 3:
            raise ModelError("This model does not answer with a logit for every token and place.", code="no_logits")
        return logits[torch.arange(len(logits), device=logits.device), lengths - 1]

    def prediction(self, raw: Float32[np.ndarray, "V"], labels: tuple[str, ...], problem: str) -> Prediction:
        best = np.argsort(-raw, kind="stable")[:KEPT]
        return Prediction(
            labels=tuple(labels[i] if i < len(labels) else f"#{i}" for i in best),
            logits=raw[best].astype(np.float32),
            probs=_exclusive.softmax(raw)[best].astype(np.float32),
            activation="softmax",
            rule="the token with the highest probability",
            decision=(0,),
            indices=tuple(int(i) for i in best),
            left_out=len(raw) - len(best),
        )

    def target(
        self,
        prediction: Prediction,
        labels: tuple[str, ...],
        problem: str,
        wish: str | int | None,
        contrast: str | int | None,
        quantity: TargetKind,
    ) -> Target:
        index = prediction.outcome(prediction.top) if wish is None else _vocabulary.find(labels, wish)
        name = labels[index] if index < len(labels) else f"#{index}"
        other = None if contrast is None else _vocabulary.find(labels, contrast)
        return _exclusive.target(index, name, None if other is None else (other, labels[other]), quantity)

    def score(self, raw: torch.Tensor, target: Target, problem: str) -> torch.Tensor:
        return _exclusive.score(raw, target)


TASK = NextToken()
