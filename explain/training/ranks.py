"""Several processes with one model, each with a part of the work; started by `torchrun --nproc-per-node N`."""

from __future__ import annotations

import os
from collections.abc import Sequence

import torch
import torch.distributed as dist


def join() -> tuple[int, int]:
    """This process's number and how many there are; the first one, alone, without torchrun."""
    ranks = int(os.environ.get("WORLD_SIZE", "1"))
    if ranks > 1 and not dist.is_initialized():
        dist.init_process_group("gloo")
    return (dist.get_rank(), ranks) if ranks > 1 else (0, 1)


def wait() -> None:
    """Go on when all processes have come here."""
    if dist.is_initialized():
        dist.barrier()


def add_up(tensors: Sequence[torch.Tensor]) -> None:
    """Replace each tensor by its sum over all processes, in one exchange."""
    if not dist.is_initialized():
        return
    flat = torch.cat([t.flatten() for t in tensors])
    dist.all_reduce(flat)
    for tensor, total in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
        tensor.copy_(total.view_as(tensor))
