"""Fit a causal language model: Muon for matrices, AdamW for the rest, and halves of a batch side by side."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from explain.training import checkpoint
from explain.training.corpus import IGNORED, Corpus
from explain.training.fitting import Plan, Progress
from explain.training.muon import Muon


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


def fit(
    model: Any, corpus: Corpus, plan: Plan, folder: Path, progress: Progress, news: Callable[[], str]
) -> float:
    """Train from the last checkpoint in `folder` to the last step; the seconds spent in all runs.

    Each of `workers` threads takes a part of every batch: threads that meet once a step lose less on a busy machine
    than threads that share every product. `news` tells what else to report.
    """
    steps, found = plan["steps"], optimizers(model, plan)
    step, spent = checkpoint.resume(folder / "state.safetensors", model, found)
    began, losses = time.monotonic() - spent, list[float]()
    weights = list(model.parameters())
    model.train()
    with ThreadPoolExecutor(plan["workers"], initializer=torch.set_num_threads, initargs=(1,)) as pool:
        for inputs, targets in corpus.batches(plan["rows"], plan["seed"], first=step):
            if step >= steps:
                break
            factor = min((step + 1) / plan["warmup"], (steps - step) / (steps * plan["cooling"]), 1.0)
            for optimizer in found:
                for group in optimizer.param_groups:
                    group["lr"] = plan["learning_rate"] * factor
            parts = np.array_split(np.arange(len(inputs)), plan["workers"])
            sums = pool.map(lambda part, x=inputs, y=targets: _slopes(model, weights, x[part], y[part]), parts)
            counted, total = int((targets != IGNORED).sum()), 0.0
            for weight in weights:
                weight.grad = torch.zeros_like(weight)
            for loss, slopes in sums:  # in the order of the parts, whoever is ready first
                total += loss / counted
                for weight, slope in zip(weights, slopes, strict=True):
                    weight.grad += slope / counted
            torch.nn.utils.clip_grad_norm_(weights, 1.0)
            for optimizer in found:
                optimizer.step()
            step += 1
            losses.append(total)
            if step % plan["report"] == 0 or step == steps:
                checkpoint.save(folder / "state.safetensors", step, time.monotonic() - began, model, found)
                minutes = (time.monotonic() - began) / 60
                progress(f"  step {step} of {steps}: loss {np.mean(losses):.3f}, {minutes:.1f} minutes, {news()}")
                losses.clear()
                model.train()
    return time.monotonic() - began


def _slopes(
    model: Any, weights: list[Tensor], inputs: np.ndarray, targets: np.ndarray
) -> tuple[float, tuple[Tensor, ...]]:
    """Summed loss of some rows and its gradients, which are returned and not left on the weights."""
    logits = model(input_ids=torch.from_numpy(inputs)).logits
    loss = cross_entropy(
        logits.flatten(0, 1), torch.from_numpy(targets).flatten(), ignore_index=IGNORED, reduction="sum"
    )
    return loss.item(), torch.autograd.grad(loss, weights)
