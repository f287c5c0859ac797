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
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from explain.errors import ModelError


@dataclass
class Substitution:
    """What happened inside the context, counted in token positions over all lookups.

    `counts` are those at which ids were exchanged, for each stack that has ids. `missed` counts positions looked up in
    the same tables under ids that were not recognised: words that `embeds` does not control.
    """

    counts: list[int]
    missed: int = 0

    @property
    def used(self) -> int:
        """Positions exchanged, of several stacks in the one with the fewest; 0 when the model never looked ids up."""
        return min(self.counts)


def embedding_modules(module: nn.Module) -> list[nn.Module]:
    """Every submodule that looks tokens up: the input embeddings first, then all that share their weight,
    then the table of a decoder that has one of its own. Raises ModelError when there is none.
    """
    return [table for group in _tables(module) for table in group]


def lookup(module: nn.Module, ids: Tensor) -> Tensor:
    """The vectors (N, T, D) that the model's table returns for `ids` (N, T), scaled as the table scales them.

    Where a decoder has a table of its own, its vectors stand beside the encoder's in D.
    """
    return torch.cat([_split(group[0](ids))[0] for group in _tables(module)], dim=-1)


@contextmanager
def substituted(
    module: nn.Module, ids: Tensor, embeds: Tensor, other: tuple[Tensor, Tensor] | None = None
) -> Iterator[Substitution]:
    """Inside, lookups of `ids` (N, T) return `embeds` (N, T, D), also in a decoder and in padded copies.

    With `embeds = lookup(module, ids)` the outputs are those of a plain run. Gradients reach `embeds`
    from every use. Afterwards no hook is left, also after an exception. `other` are the ids (N, P) and vectors
    (N, P, D) of a decoder that is given a text of its own; where both stacks read the same ids, the first who asks is
    the encoder.
    """
    groups = _tables(module)
    stacks = [(ids, embeds)] if other is None else [(ids, embeds), other]
    widths = [_weight(group[0]).shape[1] for group in groups]
    parts = [torch.split(vectors, widths, dim=-1) for _, vectors in stacks]
    seen = Substitution([0] * len(stacks))
    symmetric = other is None and len(ids) > 1 and torch.equal(ids, ids.T)
    turned = _reads_columns(module, groups[0], ids) if symmetric else None

    def exchange(place: int, _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
        asked = (*args, *kwargs.values())[0]
        if not isinstance(asked, Tensor) or asked.is_floating_point():
            return output  # the same weight used as an output layer
        found, rest = _split(output)
        for stack in sorted(range(len(stacks)), key=lambda i: seen.counts[i]):
            part = parts[stack][place].to(found.dtype)
            vectors, count = _align(asked, stacks[stack][0], part, found, turned)
            if count:
                seen.counts[stack] += count
                return vectors if rest is None else (vectors, *rest)
        seen.missed += asked.numel()
        return output

    with ExitStack() as hooks:
        for place, group in enumerate(groups):
            for table in group:
                hook = table.register_forward_hook(partial(exchange, place), with_kwargs=True)
                hooks.callback(hook.remove)
        yield seen


_known: WeakKeyDictionary[nn.Module, list[tuple[Any, list[nn.Module]]]] = WeakKeyDictionary()
"""By model: each weight, and the modules that look up in it."""


def _tables(module: nn.Module) -> list[list[nn.Module]]:
    """What `_searched` finds, remembered while the model names the same table and each has the same weight.

    Asking every module of a model, twice in each pass with gradients, took a noticeable part of a batch's time.
    """
    known = _known.get(module, [])
    same = all(table.weight is weight for weight, group in known for table in group)
    if not known or not same or named_table(module) not in (None, known[0][1][0]):
        known = _known[module] = [(group[0].weight, group) for group in _searched(module)]
    return [group for _, group in known]


def _searched(module: nn.Module) -> list[list[nn.Module]]:
    """Modules that look tokens up, in groups that share one weight; the whole model's input embeddings first."""
    size = getattr(getattr(module, "config", None), "vocab_size", None)
    named = [named_table(part) for part in module.modules()]
    sized = [part for part in module.modules() if isinstance(part, nn.Embedding) and part.num_embeddings == size]
    found = [table for table in named if table is not None] or list[nn.Module](sized[:1])
    if not found:
        raise ModelError(
            f"{type(module).__name__} does not look its words up in a table of vectors, so there are no gradients "
            "with respect to them. Use occlusion.",
            code="no_embeddings",
        )
    groups: dict[int, list[nn.Module]] = {}
    for table in found:
        if len(_weight(table)) == len(_weight(found[0])):
            groups.setdefault(id(table.weight), [table])
    for other in module.modules():
        group = groups.get(id(getattr(other, "weight", None)), [other])
        if all(other is not table for table in group):
            group.append(other)
    return list(groups.values())


def named_table(part: nn.Module) -> nn.Module | None:
    """What a model or a part of it calls its input embeddings, if that holds a vector for every id."""
    try:
        table = part.get_input_embeddings()  # type: ignore[operator]
    except (AttributeError, NotImplementedError):
        return None
    weight = getattr(table, "weight", None)
    return table if isinstance(table, nn.Module) and isinstance(weight, Tensor) and weight.ndim == 2 else None


def _weight(table: nn.Module) -> Tensor:
    assert isinstance(table.weight, Tensor)
    return table.weight


def _split(output: Any) -> tuple[Tensor, tuple[Any, ...] | None]:
    """The vectors, and what a quantising table returns beside them."""
    return (output[0], tuple(output[1:])) if isinstance(output, tuple) else (output, None)


def _align(asked: Tensor, ids: Tensor, embeds: Tensor, found: Tensor, turned: bool | None) -> tuple[Tensor, int]:
    """`found` with our vectors wherever `asked` holds our ids, and at how many positions (0: nowhere).

    Tried in this order: the same ids in any flat shape, transposed, padded on the right, and shifted right
    by one (a decoder's start token, and what was there, keep the vector that was looked up).
    """
    n, t = ids.shape
    if asked.numel() == ids.numel() and not turned and torch.equal(asked.reshape(-1), ids.reshape(-1)):
        return embeds.reshape(found.shape).clone(), n * t  # a copy: some models scale in place
    if asked.shape == (t, n) and turned is not False and torch.equal(asked.T, ids):
        return embeds.transpose(0, 1).clone(), n * t
    if asked.ndim == 2 and len(asked) == n and asked.shape[1] >= t:
        if torch.equal(asked[:, :t], ids):
            return torch.cat([embeds, found[:, t:]], dim=1), n * t
        if torch.equal(asked[:, 1:t], ids[:, :-1]):
            return torch.cat([found[:, :1], embeds[:, :-1], found[:, t:]], dim=1), n * (t - 1)
    return found, 0


def _reads_columns(module: nn.Module, tables: list[nn.Module], ids: Tensor) -> bool:
    """Does the model look ids up transposed? One row tells, when the ids themselves cannot."""
    shapes: list[torch.Size] = []
    with ExitStack() as hooks, torch.no_grad():
        for table in tables:
            hook = table.register_forward_pre_hook(
                lambda _, args, kwargs: shapes.append((*args, *kwargs.values())[0].shape), with_kwargs=True
            )
            hooks.callback(hook.remove)
        module(input_ids=ids[:1])
    return bool(shapes) and shapes[0] == (ids.shape[1], 1)
