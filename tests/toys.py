"""Models whose attributions are known on paper: a linear sum of embeddings, and a curved function of it.

linear: z_c = Σ_t w_c · e_t + b_c          every score is w · (e − e')
curved: the same sum through a steep sigmoid, so a fixed number of steps misses the turn
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn
from transformers import BertConfig, BertForSequenceClassification

from explain.engine import Model
from explain.methods import find
from explain.model.rows import Row
from explain.records import ModelInfo
from explain.tasks import tasks
from explain.tasks.sequence_classification import SequenceClassification
from tests.tiny import word_piece

WIDTH = 8


class Sum(nn.Module):
    """Logits (N, C) from the sum of embeddings over real positions; special tokens count like all others."""

    def __init__(self, classes: int = 2, steep: float = 0.0, seed: int = 0, vocabulary: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.table = nn.Embedding(vocabulary or len(word_piece()), WIDTH)
        self.table.weight.data = torch.randn(self.table.weight.shape, generator=generator) * 0.5
        self.weight = nn.Parameter(torch.randn(classes, WIDTH, generator=generator))
        self.bias = nn.Parameter(torch.randn(classes, generator=generator) * 0.1)
        self.steep = steep
        self.config = SimpleNamespace(vocab_size=self.table.num_embeddings, num_labels=classes)

    def get_input_embeddings(self) -> nn.Embedding:
        """The word table."""
        return self.table

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None, **_: Any) -> Any:
        """Logits like a sequence classifier's."""
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        total = (self.table(input_ids) * mask[..., None]).sum(1)  # (N, D)
        logits = total @ self.weight.T + self.bias  # (N, C)
        if self.steep:
            logits = 3 * torch.sigmoid(self.steep * (logits - 0.3))
        return SimpleNamespace(logits=logits)


class Shifted(SequenceClassification):
    """Reads the same head, with one function of the text added to every logit: no probability changes."""

    def read(self, outputs: Any, rows: Sequence[Row]) -> torch.Tensor:
        logits = super().read(outputs, rows)
        return logits + torch.sin(3 * logits.sum(1, keepdim=True))  # type: ignore[no-any-return]


def fitting(name: str, *, problem: str = "single-label", labels: tuple[str, ...] = ("N", "P"), **rest: Any) -> Model:
    """A curved toy to which the method applies: the sum, or a tiny Transformer where layers are needed."""
    outputs = 1 if problem in ("binary", "regression") else len(labels)
    plain = toy(Sum(outputs, steep=2.0, vocabulary=len(rest.get("tokenizer") or word_piece())), problem, labels, **rest)
    if find(name).why_not(plain.info) is None:
        return plain
    torch.manual_seed(0)
    tokenizer = rest.get("tokenizer") or word_piece()
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        num_labels=outputs,
        max_position_embeddings=128,
    )
    module = BertForSequenceClassification(config)
    for parameter in module.parameters():
        if parameter.ndim == 2:
            torch.nn.init.normal_(parameter, std=0.4)
    info = dataclasses.replace(plain.info, n_layers=2, n_heads=2, d_model=16)
    return Model(module, tokenizer, rest.get("task") or tasks()["text-classification"], info)


def toy(
    module: nn.Module | None = None,
    problem: str = "single-label",
    labels: tuple[str, ...] = ("N", "P"),
    tokenizer: Any = None,
    task: Any = None,
) -> Model:
    """A Model around a toy module, with the tiny WordPiece tokenizer unless another is given."""
    tokenizer = tokenizer or word_piece()
    outputs = 1 if problem in ("binary", "regression") else len(labels)
    module = module or Sum(outputs, vocabulary=len(tokenizer))
    info = ModelInfo(
        id="toy",
        revision="0",
        task="text-classification",
        problem=problem,
        labels=labels,
        architecture=type(module).__name__,
        n_layers=0,
        n_heads=0,
        d_model=WIDTH,
        max_tokens=128,
        dtype="float32",
        device="cpu",
        kernel="none",
        weights_sha256="0" * 64,
        tokenizer_sha256="0" * 64,
        licence="",
        source="test",
    )
    return Model(module, tokenizer, task or tasks()["text-classification"], info)
