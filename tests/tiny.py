"""Tiny models that cost nothing: a word-piece tokenizer over a handful of words, and random networks."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    BertConfig,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
    BertPreTrainedModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from explain.training.corpus import train_tokenizer

WORDS = [
    "a",
    "an",
    "the",
    "film",
    "movie",
    "story",
    "plot",
    "actor",
    "is",
    "was",
    "not",
    "never",
    "very",
    "so",
    "and",
    "but",
    "good",
    "bad",
    "great",
    "awful",
    "funny",
    "dull",
    "brilliant",
    "boring",
    "love",
    "hate",
    "moving",
    "stirring",
    "charming",
    "tedious",
    "witty",
    "slow",
    "fast",
    "clever",
    "stupid",
    "warm",
    "cold",
    "ending",
    "start",
    ".",
    ",",
    "!",
    "?",
    "##s",
    "##ed",
    "##ing",
    "##ly",
]
SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def word_piece() -> PreTrainedTokenizerFast:
    """An uncased WordPiece tokenizer; letters are in the vocabulary, so Latin words are never unknown."""
    letters = list("abcdefghijklmnopqrstuvwxyz0123456789'-")
    pieces = SPECIALS + list(dict.fromkeys(WORDS + letters + [f"##{c}" for c in letters]))
    tokenizer = Tokenizer(models.WordPiece({p: i for i, p in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=64,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )


def bert_folder(
    folder: Path,
    seed: int = 0,
    spread: float = 0.3,
    head: type[BertPreTrainedModel] = BertForSequenceClassification,
    tokenizer: PreTrainedTokenizerFast | None = None,
    **config: object,
) -> Path:
    """Save a random 2-layer BERT (a classifier, or another `head`), with weights wide enough that texts differ."""
    tokenizer = tokenizer or word_piece()
    settings: dict[str, object] = {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "max_position_embeddings": 64,
        "id2label": {0: "NEGATIVE", 1: "POSITIVE"},
        "label2id": {"NEGATIVE": 0, "POSITIVE": 1},
    }
    settings.update(config)
    torch.manual_seed(seed)
    model = head(BertConfig(**settings))
    for parameter in model.parameters():
        if parameter.ndim == 2:
            torch.nn.init.normal_(parameter, std=spread)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


KINDS = {0: "O", 1: "B-PER", 2: "I-PER", 3: "B-LOC", 4: "I-LOC"}
"""What `tags_folder` tags words as."""


def tags_folder(folder: Path, tokenizer: PreTrainedTokenizerFast | None = None, **config: object) -> Path:
    """Save a random 2-layer BERT that tags words."""
    labels = {"id2label": KINDS, "label2id": {name: i for i, name in KINDS.items()}}
    return bert_folder(folder, head=BertForTokenClassification, tokenizer=tokenizer, **{**labels, **config})  # type: ignore[arg-type]


def answers_folder(folder: Path, tokenizer: PreTrainedTokenizerFast | None = None, **config: object) -> Path:
    """Save a random 2-layer BERT that finds answers in a context."""
    return bert_folder(folder, head=BertForQuestionAnswering, tokenizer=tokenizer, **config)  # type: ignore[arg-type]


def inference_folder(folder: Path, labels: tuple[str, ...] = ("contradiction", "neutral", "entailment")) -> Path:
    """Save a random 2-layer BERT for natural language inference."""
    named = dict(enumerate(labels))
    return bert_folder(folder, id2label=named, label2id={name: i for i, name in named.items()})


def writer_folder(folder: Path, *, seed: int = 4, **config: object) -> Path:
    """Save a random model with an encoder and a decoder of 2 layers each, which writes words and ends now and then."""
    tokenizer = word_piece()
    tokenizer.backend_tokenizer.decoder = decoders.WordPiece(cleanup=False)
    settings: dict[str, object] = {
        "vocab_size": len(tokenizer), "d_model": 32, "encoder_layers": 2, "decoder_layers": 2,
        "encoder_attention_heads": 4, "decoder_attention_heads": 4, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64,
        "max_position_embeddings": 64, "init_std": 0.3, "pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3,
        "decoder_start_token_id": 2, "forced_eos_token_id": None,
    }  # fmt: skip
    torch.manual_seed(seed)
    model = BartForConditionalGeneration(BartConfig(**{**settings, **config}))
    written = [tokenizer.convert_tokens_to_ids(word) for word in WORDS if not word.startswith("##")]
    model.final_logits_bias.fill_(-20.0)
    model.final_logits_bias[0, [*written, 3]] = 0.0
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def settled(folder: Path, **settings: object) -> Path:
    """Change what a checkpoint's generation_config.json says."""
    path = folder / "generation_config.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | settings), "utf-8")
    return folder


STORIES = [
    "Once upon a time there was a king who had three sons.",
    "The king said to the youngest son: go and look for the water of life.",
    "Once upon a time there was a poor woman who had one little daughter.",
    "The little daughter went into the wood and met a wolf, and the wolf said: where are you going?",
]


def story_tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level tokenizer that has seen four sentences; every text begins with its one special token."""
    return train_tokenizer("\n".join(STORIES), 320, 64)


def llama_folder(path: Path, *, seed: int = 0) -> Path:
    """Write a random causal language model and its tokenizer to a folder."""
    tokenizer = story_tokenizer()
    torch.manual_seed(seed)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
            max_position_embeddings=64, initializer_range=0.4, pad_token_id=None, bos_token_id=0, eos_token_id=0,
        )
    )  # fmt: skip
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path
