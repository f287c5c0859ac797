"""Where a long training run stands, in one file, so that it goes on after an interruption as if there had been none."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from explain.errors import ModelError


def save(
    file: Path, step: int, seconds: float, model: torch.nn.Module, optimizers: Sequence[torch.optim.Optimizer]
) -> None:
    """Write weights, what the optimizers remember, the steps done and the seconds spent; whole or not at all."""
    found = {f"model.{name}": weight.detach().clone() for name, weight in model.named_parameters()}
    for number, optimizer in enumerate(optimizers):
        for place, memory in optimizer.state_dict()["state"].items():
            found |= {f"{number}.{place}.{name}": torch.as_tensor(value) for name, value in memory.items()}
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    save_file(found, part, metadata={"step": str(step), "seconds": str(seconds)})
    part.replace(file)


def resume(file: Path, model: torch.nn.Module, optimizers: Sequence[torch.optim.Optimizer]) -> tuple[int, float]:
    """Put everything back; steps done and seconds spent, both 0 where there is no file.

    Raises:
        ModelError: the file belongs to a model of another size.
    """
    if not file.is_file():
        return 0, 0.0
    states: list[dict[int, dict[str, torch.Tensor]]] = [{} for _ in optimizers]
    weights = dict(model.named_parameters())
    with safe_open(file, framework="pt") as saved, torch.no_grad():
        for name in saved.keys():  # noqa: SIM118
            owner, rest = name.split(".", 1)
            if owner == "model":
                if rest not in weights or weights[rest].shape != saved.get_tensor(name).shape:
                    raise ModelError(
                        f"{file.name} is of another model. Delete it to begin anew.", code="shape_mismatch"
                    )
                weights[rest].copy_(saved.get_tensor(name))
            else:
                place, what = rest.split(".", 1)
                states[int(owner)].setdefault(int(place), {})[what] = saved.get_tensor(name)
        facts = saved.metadata()
    for optimizer, state in zip(optimizers, states, strict=True):
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return int(facts["step"]), float(facts["seconds"])
