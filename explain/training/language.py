"""Train a small causal language model from nothing: tokenizer, weights, and what both are worth on held-out text.

Matrices are fitted with Muon (Jordan 2024), embeddings and norms with AdamW. The run goes on from its last checkpoint
when it was interrupted; `checkpoint/` in the folder of the model is deleted at the end.
"""

from __future__ import annotations

import json
import math
import shutil
import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch.nn.functional import cross_entropy
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from explain.attention.statistics import statistics
from explain.training.causal import fit
from explain.training.corpus import Corpus, encode, read_text, train_tokenizer
from explain.training.files import sha256, write_checksums
from explain.training.fitting import Plan, Progress
from explain.training.ranks import join, wait


@dataclass(frozen=True)
class Report:
    """What one training run measured, with the half-precision weights that are stored.

    `dev_perplexity` is a token's, in rows without overlap that each begin anew; `dev_bits_per_byte` does not depend on
    the tokenizer. `induction` is the best head's score on random sequences that stand twice, `(layer, head)` its place.
    """

    parameters: int
    steps: int
    tokens_seen: int
    dev_tokens: int
    dev_perplexity: float
    dev_bits_per_byte: float
    induction: float
    induction_head: tuple[int, int]
    copied: float
    minutes: float
    weights_sha256: str


def train(recipe: Path, *, data: Path | None = None, out: Path | None = None, progress: Progress = print) -> Report:
    """Train what `recipe` says on `train.txt`, measure it on `dev.txt`, and save model, tokenizer and checksums.

    `data` is the folder with both files, if it is not where the recipe says; `out` defaults to the recipe's folder.
    """
    plan = tomllib.loads(recipe.read_text(encoding="utf-8"))
    data, out = data or recipe.parent / plan["data"]["folder"], out or recipe.parent
    rank, _ = join()
    text, held_out = read_text(data / "train.txt"), read_text(data / "dev.txt")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        tokenizer = train_tokenizer(text, plan["model"]["vocabulary"], plan["model"]["context"])
        model = fresh(plan, tokenizer)
        corpus = Corpus.of(encode(tokenizer, text), tokenizer.eos_token_id, plan)

        def news() -> str:
            score, head, copied = induction(model, corpus, plan["seed"], texts=2)
            return f"head {head} copies with {score:.2f}, {copied:.0%} of repeated tokens foretold"

        seconds = fit(model, corpus, plan, out / "checkpoint", progress, news)
        halve(model)
        if rank == 0:
            save(model, tokenizer, out)
        wait()
        dev = encode(tokenizer, held_out)
        loss, tokens = dev_loss(model, dev, corpus)
        score, head, copied = induction(model, corpus, plan["seed"])
    finally:
        torch.set_num_threads(threads)
    report = Report(
        parameters=sum(p.numel() for p in model.parameters()),
        steps=plan["steps"],
        tokens_seen=plan["steps"] * plan["rows"] * plan["model"]["context"],
        dev_tokens=tokens,
        dev_perplexity=math.exp(loss / tokens),
        dev_bits_per_byte=loss / math.log(2) / len(held_out.encode()),
        induction=score,
        induction_head=head,
        copied=copied,
        minutes=seconds / 60,
        weights_sha256=sha256(out / "model.safetensors"),
    )
    shutil.rmtree(out / "checkpoint", ignore_errors=True)
    progress(json.dumps(asdict(report), indent=2))
    return report


def fresh(plan: Plan, tokenizer: PreTrainedTokenizerFast) -> Any:
    """A model of the recipe's size with random weights; equal seeds give equal weights."""
    torch.manual_seed(plan["seed"])
    size = plan["model"]
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=size["width"],
            intermediate_size=size["inner"],
            num_hidden_layers=size["layers"],
            num_attention_heads=size["heads"],
            max_position_embeddings=size["context"],
            tie_word_embeddings=True,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=None,
            use_cache=False,
        )
    )


@torch.no_grad()
def dev_loss(model: Any, ids: np.ndarray, corpus: Corpus) -> tuple[float, int]:
    """Summed loss in nats over a text in rows without overlap, and the number of its tokens."""
    model.eval()
    total, size = 0.0, corpus.length
    for start in range(0, len(ids), size):
        piece = torch.from_numpy(ids[start : start + size])
        inputs = torch.cat([torch.tensor([corpus.end]), piece[:-1]])[None]
        total += float(cross_entropy(model(input_ids=inputs).logits[0].float(), piece, reduction="sum"))
    return total, len(ids)


@torch.no_grad()
def induction(
    model: Any, corpus: Corpus, seed: int, *, texts: int = 8, size: int = 50
) -> tuple[float, tuple[int, int], float]:
    """The best head's induction score on random tokens that stand twice, its (layer, head), and the share foretold."""
    model.eval()
    kernel = model.config._attn_implementation
    model.set_attn_implementation("eager")
    rng, scores, right = np.random.default_rng([seed, 3]), [], []
    for _ in range(texts):
        drawn = rng.choice(corpus.unigram().size, size, p=corpus.unigram(), replace=False)
        ids = np.array([corpus.end, *drawn, *drawn])
        seen = model(input_ids=torch.from_numpy(ids)[None], output_attentions=True)
        special = np.arange(len(ids)) == 0
        scores.append([statistics(a[0].numpy(), special, ids)["induction"] for a in seen.attentions])
        said = seen.logits[0].argmax(-1).numpy()
        right.append(np.mean(said[size + 1 : -1] == ids[size + 2 :]))
    model.set_attn_implementation(kernel)
    mean = np.mean(scores, axis=0)  # (L, H)
    layer, head = np.unravel_index(int(mean.argmax()), mean.shape)
    return float(mean.max()), (int(layer), int(head)), float(np.mean(right))


@torch.no_grad()
def halve(model: Any) -> None:
    """Round the weights to the half precision that they are stored in."""
    for weight in model.parameters():
        weight.copy_(weight.half().float())


def save(model: Any, tokenizer: PreTrainedTokenizerFast, out: Path) -> None:
    """Write model, tokenizer and checksums."""
    out.mkdir(parents=True, exist_ok=True)
    state = {name: p.detach().half().contiguous() for name, p in model.named_parameters()}
    save_file(state, out / "model.safetensors", metadata={"format": "pt"})
    (out / "model.safetensors").chmod(0o644)
    model.config.architectures = ["LlamaForCausalLM"]
    model.config.dtype = torch.float16
    model.config.save_pretrained(out)
    tokenizer.save_pretrained(out)
    write_checksums(out)
