"""One decision about a whole text or a pair of texts.

Four kinds of head share the class: one label of many (softmax), a single sigmoid logit (binary),
several labels at once (a sigmoid each), and regression (the number itself).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32
from transformers import AutoModelForSequenceClassification
from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES

from explain.catalog import TargetKind
from explain.errors import InputError
from explain.model.encoding import Encoding
from explain.model.rows import Row, Slope
from explain.records import Prediction, Target
from explain.tasks import Task, Windows, _exclusive, _labels

SINGLE, BINARY, MULTI, REGRESSION = "single-label", "binary", "multi-label", "regression"
_RULES = {
    SINGLE: "the label with the highest probability",
    BINARY: "positive above a probability of 0.5",
    MULTI: "every label with a probability above 0.5",
    REGRESSION: "the number itself; nothing is decided",
}


class SequenceClassification(Task):
    """See the module's text. Raw output: logits (N, C), C = 1 for binary and regression."""

    name = "text-classification"
    summary = "One decision about a text or a pair of texts: a label of several, labels at once, or a number."
    problems: tuple[str, ...] = (SINGLE, BINARY, MULTI, REGRESSION)
    auto_class = AutoModelForSequenceClassification
    classes = MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES
    pairs = True
    windows: Windows | None = "mean"

    def problem(self, config: Any, wish: str) -> str:
        if wish in self.problems:
            if (wish == BINARY and config.num_labels > 2) or (wish == SINGLE and config.num_labels == 1):
                raise InputError(
                    f"This head has {config.num_labels} output(s), so it cannot be read as {wish}.", code="bad_task"
                )
            return wish
        declared = getattr(config, "problem_type", None)
        if config.num_labels == 1:
            return REGRESSION if declared in (None, "regression") else BINARY
        return {"multi_label_classification": MULTI, "regression": REGRESSION}.get(str(declared), SINGLE)

    def labels(self, config: Any, problem: str) -> tuple[str, ...]:
        named = config.id2label or {}
        names = tuple(str(named.get(i, f"LABEL_{i}")) for i in range(max(config.num_labels, len(named))))
        if problem == BINARY:
            return names[:2] if len(names) > 1 else (f"not {names[0]}", names[0])
        return names[: config.num_labels]

    def read(self, outputs: Any, rows: Sequence[Row]) -> torch.Tensor:
        return outputs.logits  # type: ignore[no-any-return]  # (N, C)

    def prediction(
        self, raw: Float32[np.ndarray, "1 C"], labels: tuple[str, ...], problem: str, encoding: Encoding
    ) -> Prediction:
        (raw,) = raw
        logits = np.concatenate([-raw, raw]) if problem == BINARY else raw  # (C,)
        wide = logits.astype(np.float64)
        probs: np.ndarray | None
        if problem == SINGLE:
            probs = _exclusive.softmax(wide).astype(np.float32)
            decision: tuple[int, ...] = (int(np.argmax(wide)),)
        elif problem == REGRESSION:
            probs, decision = None, ()
        else:
            probs = (0.5 * (1 + np.tanh(wide / 2))).astype(np.float32)  # the sigmoid, without overflow
            above = tuple(int(i) for i in np.flatnonzero(wide > 0))
            decision = above if problem == MULTI else (int(np.argmax(wide)),)
        return Prediction(
            labels=labels,
            logits=logits.astype(np.float32),
            probs=probs,
            activation={SINGLE: "softmax", REGRESSION: "none"}.get(problem, "sigmoid"),  # type: ignore[arg-type]
            rule=_RULES[problem],
            decision=decision,
        )

    def target(
        self,
        prediction: Prediction,
        labels: tuple[str, ...],
        problem: str,
        wish: str | int | None,
        contrast: str | int | None,
        quantity: TargetKind,
        encoding: Encoding,
    ) -> Target:
        default = 0 if problem == REGRESSION else prediction.top  # several numbers have no largest that means something
        index = default if wish is None else _labels.find(labels, wish)
        if quantity == "margin" and problem in (BINARY, MULTI):
            raise InputError(
                f"A margin needs labels that exclude each other; these are {problem}. Use log_odds.",
                code="bad_target",
            )
        if problem == REGRESSION:
            if contrast is not None:
                raise InputError(
                    "A regression has one output, so there is nothing to contrast it with. Ask without a contrast.",
                    code="bad_target",
                )
            return Target(kind="value", index=index, name=labels[index], unit="output")
        other = None if contrast is None else _labels.find(labels, contrast)
        against = None if other is None else (other, _labels.named(labels, other))
        return _exclusive.target(index, _labels.named(labels, index), against, quantity)

    def score(self, raw: torch.Tensor, target: Target, problem: str) -> torch.Tensor:
        index = target.index or 0
        if isinstance(target, Slope):
            return raw @ raw.new_tensor(target.weights)
        if problem == REGRESSION:
            return raw[:, index]
        if problem == BINARY:
            z = raw[:, 0] if index == 1 else -raw[:, 0]
            return torch.sigmoid(z) if target.kind == "probability" else z
        if problem == SINGLE or target.kind == "contrast":
            return _exclusive.score(raw, target)
        z = raw[:, index]
        return torch.sigmoid(z) if target.kind == "probability" else z


TASK = SequenceClassification()
