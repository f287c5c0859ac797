"""Run a model on its own token ids while choosing the vectors that its embedding table returns.

The model is called with `input_ids`, so masks, positions, pooling on the last or the end token, and ids
shifted for a decoder are exactly those of a plain run. Only the result of the lookup is exchanged:

    with substituted(module, ids, embeds) as seen:
        logits = module(input_ids=ids, attention_mask=mask).logits
    gradient = torch.autograd.grad(logits[0, 0], embeds)

Where a lookup belongs in `embeds` is found by comparing the ids that arrive at the table with ours, never
by the model's name. A forward hook does it, so the caller holds the model's lock.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from explain.errors import ModelError


@dataclass
class Substitution:
    """What happened inside the context, counted in token positions over all lookups.

    `used` is 0 when the model never looked our ids up. `missed` counts lookups in the same table whose
    ids could not be recognised, so that the model saw words that `embeds` does not control.
    """

    used: int = 0
    missed: int = 0


def embedding_modules(module: nn.Module) -> list[nn.Module]:
    """Every submodule that looks tokens up: the input embeddings first, then all that share their weight,
    then the tables of another half (a decoder with a vocabulary table of its own).

    Raises ModelError when the model has no table with a vector a token.
    """
    return [table for group in _tables(module) for table in group]


def lookup(module: nn.Module, ids: Tensor) -> Tensor:
    """The vectors (N, T, D) that the model's table returns for `ids` (N, T), scaled as the table scales them.

    A model with several tables has the vectors of all of them side by side in D.
    """
    return torch.cat([_split(group[0](ids))[0] for group in _tables(module)], dim=-1)


@contextmanager
def substituted(module: nn.Module, ids: Tensor, embeds: Tensor) -> Iterator[Substitution]:
    """Inside, lookups of `ids` (N, T) return `embeds` (N, T, D), also in a decoder and in padded copies.

    With `embeds = lookup(module, ids)` the outputs are those of a plain run. Gradients reach `embeds`
    from every use. Afterwards no hook is left, also after an exception.
    """
    groups = _tables(module)
    parts = torch.split(embeds, [_weight(group[0]).shape[1] for group in groups], dim=-1)
    seen = Substitution()
    turned = _reads_columns(module, groups[0], ids) if _is_symmetric(ids) else None

    def exchange(part: Tensor, main: bool, args: tuple[Any, ...], output: Any) -> Any:
        asked = args[0] if args else None
        if not isinstance(asked, Tensor) or asked.is_floating_point():
            return output  # the same weight used as an output layer
        found, rest = _split(output)
        vectors = _align(asked, ids, part.to(found.dtype), found, turned)
        if vectors is None:
            seen.missed += asked.numel() if main else 0
            return output
        seen.used += ids.numel()
        return vectors if rest is None else (vectors, *rest)

    with ExitStack() as hooks:
        for group, part in zip(groups, parts, strict=True):
            hook = partial(exchange, part, group is groups[0])
            for table in group:
                handle = table.register_forward_hook(lambda _, args, output, hook=hook: hook(args, output))
                hooks.callback(handle.remove)
        yield seen


def _tables(module: nn.Module) -> list[list[nn.Module]]:
    """Modules that look tokens up, in groups that share one weight; the model's input embeddings come first."""
    try:
        first = module.get_input_embeddings()  # type: ignore[operator]
    except (AttributeError, NotImplementedError):
        first = None
    if not isinstance(first, nn.Module) or not isinstance(getattr(first, "weight", None), Tensor):
        size = getattr(getattr(module, "config", None), "vocab_size", None)
        first = next((m for m in module.modules() if isinstance(m, nn.Embedding) and m.num_embeddings == size), None)
    if first is None:
        raise ModelError(
            f"{type(module).__name__} does not look its words up in a table of vectors, so there are no gradients "
            "with respect to them. Use occlusion.",
            code="no_embeddings",
        )
    rows, groups = _weight(first).shape[0], {id(_weight(first)): [first]}
    for other in module.modules():
        weight = getattr(other, "weight", None)
        twin = id(weight) in groups
        if other is not first and (twin or (isinstance(other, nn.Embedding) and other.num_embeddings == rows)):
            groups.setdefault(id(weight), []).append(other)
    return list(groups.values())


def _weight(table: nn.Module) -> Tensor:
    weight = table.weight
    assert isinstance(weight, Tensor)
    return weight


def _split(output: Any) -> tuple[Tensor, tuple[Any, ...] | None]:
    """The vectors, and what a quantising table returns beside them."""
    return (output[0], tuple(output[1:])) if isinstance(output, tuple) else (output, None)


def _align(asked: Tensor, ids: Tensor, embeds: Tensor, found: Tensor, turned: bool | None) -> Tensor | None:
    """`found` with our vectors wherever `asked` holds our ids; None if it does not.

    Tried in this order: the same ids in any flat shape, transposed, padded on the right, and shifted right
    by one (a decoder's start token, and what was there, keep the vector that was looked up).
    """
    n, t = ids.shape
    if asked.numel() == ids.numel() and not turned and torch.equal(asked.reshape(-1), ids.reshape(-1)):
        return embeds.reshape(found.shape).clone()  # some models scale in place
    if asked.shape == (t, n) and turned is not False and torch.equal(asked.T, ids):
        return embeds.transpose(0, 1).clone()
    if asked.ndim != 2 or asked.shape[0] != n or asked.shape[1] < t:
        return None
    if torch.equal(asked[:, :t], ids):
        return torch.cat([embeds, found[:, t:]], dim=1)
    if torch.equal(asked[:, 1:t], ids[:, :-1]):
        return torch.cat([found[:, :1], embeds[:, :-1], found[:, t:]], dim=1)
    return None


def _is_symmetric(ids: Tensor) -> bool:
    return ids.shape[0] == ids.shape[1] > 1 and torch.equal(ids, ids.T)


def _reads_columns(module: nn.Module, tables: list[nn.Module], ids: Tensor) -> bool:
    """Does the model look ids up transposed? One row tells, when the ids themselves cannot."""
    shapes: list[torch.Size] = []
    with ExitStack() as hooks, torch.no_grad():
        for table in tables:
            hooks.callback(table.register_forward_pre_hook(lambda _, args: shapes.append(args[0].shape)).remove)
        module(input_ids=ids[:1])
    return bool(shapes) and shapes[0] == (ids.shape[1], 1)
