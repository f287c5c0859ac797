"""Fit a classifier to wanted probabilities: batches, one training loop, logit gaps, and a temperature."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

HEAD = ["pooler", "classifier"]  # trained in full
Progress = Callable[[str], None]
Ids = list[int]
Plan = Mapping[str, Any]  # a recipe, or one of its tables


class MeanPooled(nn.Module):
    """The same classifier on the mean of the last layer: what the base was trained for, so it learns faster."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Any:
        """Classify like the wrapped model, but read every position instead of the first."""
        hidden = self.model.bert(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        mask = attention_mask[..., None].to(hidden.dtype)
        pooled = self.model.dropout((hidden * mask).sum(1) / mask.sum(1))
        return SimpleNamespace(logits=self.model.classifier(pooled))


@dataclass
class Material:
    """Texts as token ids, each in its spellings; the wanted probability of POSITIVE; which texts each source holds."""

    views: list[tuple[Ids, ...]]
    goals: Tensor
    pools: dict[str, list[int]]

    def batches(self, stage: Plan, rng: random.Random) -> list[list[int]]:
        """One epoch: the share `stage["mix"]` of each source, texts of similar length together."""
        chosen: list[int] = []
        for name, share in stage["mix"].items():
            chosen += rng.sample(self.pools[name], int(share * len(self.pools[name])))
        rng.shuffle(chosen)
        size, found = stage["batch"], []
        for start in range(0, len(chosen), 50 * size):
            near = sorted(chosen[start : start + 50 * size], key=lambda i: len(self.views[i][0]))
            found += [near[i : i + size] for i in range(0, len(near), size)]
        rng.shuffle(found)
        return found


@torch.no_grad()
def gaps(model: nn.Module, inputs: Sequence[Ids], *, exact: bool = False) -> Tensor:
    """The logit of POSITIVE minus the logit of NEGATIVE for every input; `exact` computes in float32."""
    model.eval()
    found = torch.zeros(len(inputs))
    for rows in torch.tensor([len(x) for x in inputs]).argsort(stable=True).split(64):
        found[rows] = _gap(model, [inputs[i] for i in rows], exact=exact)
    return found


def _gap(model: nn.Module, inputs: Sequence[Ids], *, exact: bool = False) -> Tensor:
    ids = nn.utils.rnn.pad_sequence([torch.tensor(x) for x in inputs], batch_first=True)
    mask = nn.utils.rnn.pad_sequence([torch.ones(len(x), dtype=torch.long) for x in inputs], batch_first=True)
    with torch.autocast("cpu", torch.bfloat16, enabled=not exact):
        logits: Tensor = model(input_ids=ids, attention_mask=mask).logits.float()
    return logits[:, 1] - logits[:, 0]


def fit(model: nn.Module, material: Material, stage: Plan, seed: int, progress: Progress) -> list[float]:
    """Train `model` as `stage` says, a random spelling of a text at every visit; the mean loss of each epoch."""
    torch.manual_seed(seed)
    rng = random.Random(seed)
    named = [(any(part in name for part in HEAD), p) for name, p in model.named_parameters() if p.requires_grad]
    head, body = [p for is_head, p in named if is_head], [p for is_head, p in named if not is_head]
    groups = [{"params": body, "lr": stage["learning_rate"]}, {"params": head, "lr": stage["head_learning_rate"]}]
    optimizer = torch.optim.AdamW(groups, weight_decay=stage["weight_decay"], betas=(0.9, 0.98), fused=True)
    epochs = [material.batches(stage, rng) for _ in range(stage["epochs"])]
    total = sum(map(len, epochs))
    warmup, rest = max(1, int(stage["warmup"] * total)), max(1, total - max(1, int(stage["warmup"] * total)))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda n: min(n / warmup, (total - n) / rest))
    losses: list[float] = []
    model.train()
    for number, epoch in enumerate(epochs, start=1):
        losses.append(0.0)
        for batch in epoch:
            gap = _gap(model, [rng.choice(material.views[i]) for i in batch])
            loss = F.binary_cross_entropy_with_logits(gap, material.goals[batch])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(body + head, 1.0)
            optimizer.step()
            schedule.step()
            losses[-1] += loss.item() / len(epoch)
        progress(f"  epoch {number} of {len(epochs)}: loss {losses[-1]:.4f}")
    return losses


def fit_temperature(gap: Tensor, positive: Tensor) -> float:
    """The temperature with the least cross entropy on a fixed grid: a gap divided by it is calibrated."""
    grid = torch.linspace(-1.5, 1.5, 301).exp()
    losses = [F.binary_cross_entropy_with_logits(gap / t, positive.float()) for t in grid]
    return float(grid[int(torch.stack(losses).argmin())])


def accuracy(gap: Tensor, positive: Tensor) -> float:
    """The share of texts whose predicted class is the true one."""
    return float(((gap > 0) == positive).float().mean())


def calibration_error(gap: Tensor, positive: Tensor, bins: int = 15) -> float:
    """Expected calibration error of the predicted class's probability, in equally wide bins."""
    confidence = torch.sigmoid(gap.abs())
    right = ((gap > 0) == positive).float()
    bin_of = (confidence * bins).long().clamp(max=bins - 1)
    parts = [(right[bin_of == b].sum() - confidence[bin_of == b].sum()).abs() for b in range(bins)]
    return float(torch.stack(parts).sum() / len(gap))
