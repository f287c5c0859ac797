"""Fit a causal language model: Muon for matrices, AdamW for the rest.

Of several processes each takes a part of every batch, and the first one writes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from explain.training import checkpoint
from explain.training.corpus import IGNORED, Corpus
from explain.training.fitting import Plan, Progress
from explain.training.muon import Muon
from explain.training.ranks import add_up, join


def optimizers(model: Any, plan: Plan) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the blocks, AdamW for embeddings and norms."""
    named = list(model.model.named_parameters())
    matrices = [p for name, p in named if p.ndim == 2 and name.startswith("layers.")]
    rest = [p for name, p in named if not (p.ndim == 2 and name.startswith("layers."))]
    rate = plan["learning_rate"]
    return [
        Muon(matrices, lr=rate, weight_decay=plan["weight_decay"]),
        torch.optim.AdamW(rest, lr=rate, weight_decay=0.0, betas=(0.9, 0.95)),
    ]


def fit(model: Any, corpus: Corpus, plan: Plan, folder: Path, progress: Progress, news: Callable[[], str]) -> float:
    """Train from the last checkpoint in `folder` to the last step; the seconds spent in all runs.

    `news` tells what else to report.
    """
    steps, found = plan["steps"], optimizers(model, plan)
    step, spent = checkpoint.resume(folder / "state.safetensors", model, found)
    began, losses = time.monotonic() - spent, list[float]()
    weights = list(model.parameters())
    rank, ranks = join()
    model.train()
    for inputs, targets in corpus.batches(plan["rows"], plan["seed"], first=step):
        if step >= steps:
            break
        factor = min((step + 1) / plan["warmup"], (steps - step) / (steps * plan["cooling"]), 1.0)
        for optimizer in found:
            for group in optimizer.param_groups:
                group["lr"] = plan["learning_rate"] * factor
            optimizer.zero_grad()
        part = np.array_split(np.arange(len(inputs)), ranks)[rank]
        logits = model(input_ids=torch.from_numpy(inputs[part])).logits.flatten(0, 1)
        loss = cross_entropy(logits, torch.from_numpy(targets[part]).flatten(), ignore_index=IGNORED, reduction="sum")
        loss = loss / int((targets != IGNORED).sum())
        loss.backward()
        add_up([loss.detach(), *(weight.grad for weight in weights)])
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        for optimizer in found:
            optimizer.step()
        step += 1
        losses.append(loss.item())
        if (step % plan["report"] == 0 or step == steps) and rank == 0:
            checkpoint.save(folder / "state.safetensors", step, time.monotonic() - began, model, found)
            minutes = (time.monotonic() - began) / 60
            progress(f"  step {step} of {steps}: loss {np.mean(losses):.3f}, {minutes:.1f} minutes, {news()}")
            losses.clear()
            model.train()
    return time.monotonic() - began
