"""How likely a whole continuation is: the sum of its tokens' log-probabilities, or that of one less that of another.

    F = Σ_k log p(c_k | prompt, c_1 … c_k−1)

Every token is read after those before it as they are written (teacher-forced), in one plain pass that keeps nothing.
The words of the prompt are scored; the continuation is the question: nothing takes its tokens out, moves their vectors,
or scores them. Where a decoder writes about a text that an encoder reads, that text is the prompt, with what is written
about it so far, and the continuation is what is written then.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64

from explain.catalog import TargetKind
from explain.errors import InputError, MethodError, ModelError
from explain.model.encoding import Encoding
from explain.model.rows import Row
from explain.records import Prediction, Target
from explain.tasks.next_token import NextToken

CONTINUED = "continuation"
UNIT = "log-probability"


class Continuation(NextToken):
    """See the module's text. Raw output: log-probabilities (N, 1) of the rows' own ends, (L, 1) of one text's.

    Args:
        texts: the continuation, and what it is held against where that is asked.
        name: the task of the model that is asked.
    """

    problems = (CONTINUED,)

    def __init__(self, texts: tuple[str, ...], name: str = NextToken.name) -> None:
        self.texts, self.name = texts, name

    def vocabulary(self, tokenizer: Any) -> tuple[str, ...]:
        return self.texts

    def read(self, outputs: Any, rows: Sequence[Row]) -> torch.Tensor:
        """Of rows, each of which ends with its continuation."""
        logits = outputs.logits  # (N, T, V)
        if logits.ndim != 3:
            raise ModelError("This model does not answer with a logit for every token and place.", code="no_logits")
        sums = []
        for each, row in zip(logits, rows, strict=True):
            ids = torch.tensor(row.tails[row.own]["input_ids"], device=logits.device)  # (K,)
            last = len(row) - row.source - 1  # nothing is read there: it is the last token of the continuation
            said = torch.log_softmax(each[last - len(ids) : last].float(), -1)  # (K, V)
            sums.append(said.gather(1, ids[:, None]).sum())
        return torch.stack(sums)[:, None]

    def prediction(
        self, raw: Float32[np.ndarray, "L 1"], labels: tuple[str, ...], problem: str, encoding: Encoding
    ) -> Prediction:
        return Prediction(
            labels=labels,
            logits=raw[:, 0].astype(np.float32),
            probs=None,
            activation="none",
            rule="nothing is decided; the log-probability of what was written",
            decision=(),
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
        if wish is not None or quantity != "log_odds":
            raise InputError(
                "A continuation is explained by its log-probability; target and quantity are for the next token.",
                code="bad_target",
            )
        if contrast is None:
            return Target(kind="value", index=0, name=_short(labels[0]), unit=UNIT)
        name, against = _short(labels[0]), _short(labels[1])
        return Target(
            kind="contrast", index=0, contrast=1, name=f"{name} rather than {against}", unit=UNIT, against=against
        )

    def score(self, raw: torch.Tensor, target: Target, problem: str) -> torch.Tensor:
        """Of rows that end with one continuation."""
        if target.contrast is not None:
            raise MethodError(
                "This looks inside the model at one continuation, and what is explained compares two. Explain one of "
                "them alone.",
                code="several_continuations",
            )
        return raw[:, 0]

    def needed(self, target: Target) -> tuple[int, ...]:
        return (0,) if target.contrast is None else (0, 1)

    def part(self, target: Target, index: int) -> Target:
        return target if target.contrast is None else Target(kind="value", index=index, name=target.name, unit=UNIT)

    def joined(self, z: Float[np.ndarray, "K"], target: Target) -> tuple[float, Float64[np.ndarray, "K"]]:
        weights = np.array([1.0, -1.0])[: len(z)]
        return float(weights @ z.astype(np.float64)), weights


def _short(text: str) -> str:
    text = " ".join(text.split())
    return f"“{text if len(text) <= 60 else f'{text[:59]}…'}”"
