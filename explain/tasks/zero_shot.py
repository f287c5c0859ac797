"""Which of a person's own labels fits a text, by a model that says whether one text entails another.

The text is the premise; each label, written into a template, is a hypothesis. With e_j and c_j the logits for
entailment and contradiction of the pair of text and hypothesis j, as the Hub's pipeline has it:

    one of the labels:      p_j = exp e_j / Σ_i exp e_i      log-odds of p_j: e_j − log Σ_{i≠j} exp e_i
    each label by itself:   p_j = 1 / (1 + exp(c_j − e_j))   log-odds of p_j: e_j − c_j

The log-odds are explained; a contrast is e_j − e_i (or the difference of the two log-odds), a raw logit is e_j alone
(or those log-odds). The words of the text are scored. The hypotheses are the question and no evidence: nothing takes
their words out, moves their vectors, or scores them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64

from explain.candidates import Candidates, sides
from explain.errors import InputError, MethodError, ModelError
from explain.model.encoding import Encoding
from explain.records import Prediction, Target
from explain.tasks import _exclusive
from explain.tasks.sequence_classification import SequenceClassification


class ZeroShot(SequenceClassification):
    """See the module's text. Raw output: logits (N, C) of pairs of text and hypothesis, (L, C) of one text.

    Args:
        candidates: the labels to choose among; None where a question has yet to name them.
        entailed: the output that says so.
        contradicted: the output that says so.
    """

    name = "zero-shot-classification"
    summary = "Which of your own labels fits a text, by a model of inference: one of them, or each by itself."
    problems: tuple[str, ...] = ()
    by_itself = False
    pairs = False
    windows = None

    def __init__(self, candidates: Candidates | None = None, entailed: int = 0, contradicted: int = 0) -> None:
        self.candidates, self.entailed, self.contradicted = candidates, entailed, contradicted

    def problem(self, config: Any, wish: str) -> str:
        """How labels exclude each other is the question's; here only whether the model can be asked at all."""
        if sides(self.labels(config, "")) is None:
            raise ModelError(
                "None of this model's labels says that a text entails another, so it cannot choose among labels of "
                "yours. Use a checkpoint trained on natural language inference.",
                code="no_entailment",
            )
        return "single-label"

    def vocabulary(self, tokenizer: Any) -> tuple[str, ...]:
        return () if self.candidates is None else self.candidates.labels

    def asked(self, encoding: Encoding, tokenizer: Any, place: int | None) -> Encoding:
        if self.candidates is None:
            raise InputError(
                "Say which labels this text may have: candidate_labels=[…], or --label on the command line.",
                code="no_candidates",
            )
        return super().asked(encoding, tokenizer, place)

    def prediction(
        self, raw: Float32[np.ndarray, "L C"], labels: tuple[str, ...], problem: str, encoding: Encoding
    ) -> Prediction:
        wide = raw.astype(np.float64)
        z = wide[:, self.entailed] - (wide[:, self.contradicted] if self._apart else 0)  # (L,)
        rule = (
            "every label whose hypothesis is entailed rather than contradicted"
            if self._apart
            else "the label whose hypothesis has the highest logit for entailment"
        )
        return replace(super().prediction(z[None].astype(np.float32), labels, problem, encoding), rule=rule)

    def score(self, raw: torch.Tensor, target: Target, problem: str) -> torch.Tensor:
        """Of pairs whose own hypothesis is the explained one."""
        if len(self.needed(target)) > 1:
            raise MethodError(
                "This looks inside the model at one hypothesis, and what is explained compares the answers about "
                "several. Explain the raw logit of one (quantity='logit'), or judge each label by itself "
                "(multi_label=True).",
                code="several_hypotheses",
            )
        z = raw[:, self.entailed]
        if not self._apart:
            return z
        z = z - raw[:, self.contradicted]
        return torch.sigmoid(z) if target.kind == "probability" else z

    def needed(self, target: Target) -> tuple[int, ...]:
        own = target.index or 0
        if target.contrast is not None:
            return own, target.contrast
        if self._apart or target.kind == "logit":
            return (own,)
        return own, *(j for j in range(len(self.vocabulary(None))) if j != own)

    def part(self, target: Target, index: int) -> Target:
        if len(self.needed(target)) == 1:
            return target
        return Target(kind="logit", index=index, name=target.name, unit=_exclusive.UNITS["logit"])

    def joined(self, z: Float[np.ndarray, "K"], target: Target) -> tuple[float, Float64[np.ndarray, "K"]]:
        if len(z) == 1:
            return float(z[0]), np.ones(1)
        leaf = torch.tensor(z[None].astype(np.float64), requires_grad=True)  # (1, K), the own one first
        with torch.enable_grad():
            value = _exclusive.score(leaf, replace(target, index=0, contrast=None if target.contrast is None else 1))
            (slope,) = torch.autograd.grad(value.sum(), leaf)
        return float(value.detach()), slope[0].numpy()

    @property
    def _apart(self) -> bool:
        return self.candidates is not None and self.candidates.apart


TASK = ZeroShot()
