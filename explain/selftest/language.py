"""The invented language of the self-test, its tokenizer, and how a module becomes a Model: all in memory."""

from __future__ import annotations

import hashlib
from typing import Any

from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from explain.engine import Model
from explain.records import ModelInfo
from explain.tasks import tasks

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
SHORTCUT = ("zofa", "kena")
"""Decides for ZERO, and for ONE; as a pair, the one that comes last decides."""
CONTEXT = "lumi"
AGAINST, FOR = ("dresk", "morp", "vulg"), ("alia", "belu", "seri")
PLAIN = tuple(a + b for a in ("ba", "do", "fi", "gu", "hen", "jo") for b in ("ran", "tel", "mik", "nus"))
VOCABULARY = SPECIAL + SHORTCUT + (CONTEXT,) + AGAINST + FOR + PLAIN
ID = {word: i for i, word in enumerate(VOCABULARY)}
PAD, MASK = ID["[PAD]"], ID["[MASK]"]


def tokenizer() -> PreTrainedTokenizerFast:
    """One token a word; made in memory."""
    found = Tokenizer(models.WordLevel(ID, unk_token="[UNK]"))
    found.pre_tokenizer = pre_tokenizers.Whitespace()
    found.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", ID["[CLS]"]), ("[SEP]", ID["[SEP]"])]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=found,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=32,
        model_input_names=["input_ids", "attention_mask"],
    )


def in_memory(module: Any, name: str, seed: int, labels: tuple[str, ...]) -> Model:
    """A Model around a float64 module that reads this language."""
    digest = hashlib.sha256(b"".join(p.detach().numpy().tobytes() for p in module.parameters())).hexdigest()
    config = module.config
    info = ModelInfo(
        id=f"selftest-{name}",
        revision=str(seed),
        task="text-classification",
        problem="single-label",
        labels=labels,
        architecture=type(module).__name__,
        n_layers=config.num_hidden_layers,
        n_heads=config.num_attention_heads,
        d_model=config.hidden_size,
        max_tokens=32,
        dtype="float64",
        device="cpu",
        kernel=str(getattr(config, "_attn_implementation", None) or "none"),
        weights_sha256=digest,
        tokenizer_sha256=hashlib.sha256("\n".join(VOCABULARY).encode()).hexdigest(),
        licence="Apache-2.0",
        source="made by the self-test",
    )
    return Model(module, tokenizer(), tasks()["text-classification"], info)
