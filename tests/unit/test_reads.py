"""Which positions a head reads is measured, and methods that follow attention start from there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    GPT2Config,
    GPT2ForSequenceClassification,
    ModernBertConfig,
    ModernBertForSequenceClassification,
    PreTrainedModel,
)

from explain.engine import Model, load
from explain.errors import MethodError
from explain.model.reads import reads
from tests.cases import case_of, run
from tests.tiny import word_piece

TEXT = "the film was not good"
SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
TOKENIZER = word_piece()
SIZES = {"vocab_size": len(TOKENIZER), "max_position_embeddings": 64, "pad_token_id": 0}


def made(module: PreTrainedModel, folder: Path) -> Model:
    """A random model with weights wide enough that words matter, through the disk."""
    for parameter in module.parameters():
        if parameter.ndim == 2:
            torch.nn.init.normal_(parameter, std=0.3, generator=torch.Generator().manual_seed(0))
    module.save_pretrained(folder)
    TOKENIZER.save_pretrained(folder)
    return load(str(folder))


def gpt(folder: Path) -> Model:
    config = GPT2Config(vocab_size=len(TOKENIZER), n_positions=64, n_embd=16, n_layer=2, n_head=2, pad_token_id=0)
    return made(GPT2ForSequenceClassification(config), folder)


def modern(folder: Path, pooling: str) -> Model:
    config = ModernBertConfig(classifier_pooling=pooling, **SMALL, **SIZES)  # type: ignore[arg-type]
    return made(ModernBertForSequenceClassification(config), folder)


def test_each_kind_of_head_reads_where_it_reads(tmp_path: Path) -> None:
    bert = made(BertForSequenceClassification(BertConfig(**SMALL, **SIZES)), tmp_path / "bert")
    first, last = (run(m, reads(case_of(m, TEXT))) for m in (bert, gpt(tmp_path / "gpt")))
    assert first.tolist() == [1.0, *[0.0] * (len(first) - 1)]
    assert last.tolist() == [*[0.0] * (len(last) - 1), 1.0]
    shares = {p: run(m, reads(case_of(m, TEXT))) for p in ("cls", "mean") for m in [modern(tmp_path / p, p)]}
    assert shares["cls"][0] == pytest.approx(1)
    assert (shares["mean"] > 0.01).all()
    assert shares["mean"].sum() == pytest.approx(1)


@pytest.mark.parametrize("quantity", ["log_odds", "probability"])
@pytest.mark.parametrize("name", ["value_zeroing", "attention_gradient"])
def test_scores_are_of_the_positions_that_are_read(name: str, quantity: str, tmp_path: Path) -> None:
    ask = {"methods": [name], "checks": (), "quantity": quantity}
    causal = gpt(tmp_path / "gpt").explain(TEXT, **ask).attributions[0].scores  # type: ignore[arg-type]
    assert (causal > 0).sum() >= 4, "the first row of a causal model sees the first word alone"
    cls, mean = (
        modern(tmp_path / p, p).explain(TEXT, **ask).attributions[0].scores  # type: ignore[arg-type]
        for p in ("cls", "mean")
    )
    assert np.abs(cls - mean).max() > 0.01 * np.abs(cls).max()


def test_a_head_that_reads_nothing_says_so(tmp_path: Path) -> None:
    module = BertForSequenceClassification(BertConfig(**SMALL, **SIZES))
    module.classifier.weight.data.zero_()
    module.save_pretrained(tmp_path)
    TOKENIZER.save_pretrained(tmp_path)
    with pytest.raises(MethodError, match="nothing says which of them it reads"):
        load(str(tmp_path)).explain(TEXT, methods=["value_zeroing"], checks=())
