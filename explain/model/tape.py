"""Write down what modules are given and what they make, in one pass over one text.

Only modules outside of any stack of layers are written down, and those inside one chosen block: enough to follow a
token, and never more than one block in memory. Hooks are gone afterwards, also after an error.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from torch import Tensor, nn

Where = Literal["before", "within", "after", "block"]


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a module: its name (in the block, or in the model), the first tensor it was given and made."""

    name: str
    module: nn.Module
    where: Where
    given: Tensor
    made: Tensor

    @property
    def matrix(self) -> bool:
        """Does the module multiply with a matrix?"""
        weight = getattr(self.module, "weight", None)
        return not isinstance(self.module, nn.Embedding) and getattr(weight, "ndim", 0) == 2


@dataclass
class Tape:
    """What was written down: calls in the order in which they ended, and states (1, T, D) between blocks."""

    calls: list[Call] = field(default_factory=list)
    first: Tensor | None = None  # what enters the first block
    entering: Tensor | None = None  # what enters the chosen block
    leaving: Tensor | None = None
    last: Tensor | None = None  # what leaves the last block: the decoder's, where there is one
    decoder: bool = False  # did a decoder run after the blocks?
    outputs: Any = None


@contextlib.contextmanager
def recording(module: nn.Module, stack: list[nn.Module], layer: int) -> Iterator[Tape]:
    """Inside, passes of one row are written down; `stack` are the model's blocks, `layer` the chosen one."""
    tape, where = Tape(), {"now": "before"}
    handles: list[Any] = []

    def write(name: str, inside: bool, part: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        given, made = _tensor([*args, *kwargs.values()]), _tensor([output])
        if given is not None and made is not None:
            place: Any = "block" if inside else where["now"]
            tape.calls.append(Call(name, part, place, given.detach().clone(), made.detach().clone()))

    def enter(index: int, part: nn.Module, args: Any, kwargs: Any) -> None:
        state = _tensor([kwargs.get("hidden_states"), *args, *kwargs.values()])
        where["now"] = "within"
        if state is not None:
            tape.first = state.detach().clone() if index == 0 else tape.first
            tape.entering = state.detach().clone() if index == layer else tape.entering

    def leave(index: int, part: nn.Module, args: Any, output: Any) -> None:
        state = _tensor([output])
        if state is not None:
            tape.leaving = state.detach().clone() if index == layer else tape.leaving
            if index == len(stack) - 1:
                tape.last = state.detach().clone()
                where["now"] = "after"

    def decoded(part: nn.Module, args: Any, output: Any) -> None:
        state = _tensor([output])
        if state is not None and where["now"] == "after":
            tape.last, tape.decoder = state.detach().clone(), True

    def end(part: nn.Module, args: Any, output: Any) -> None:
        tape.outputs = output

    try:
        chosen = {id(m): name for name, m in stack[layer].named_modules() if name}
        stacked = {id(m) for parent in module.modules() if isinstance(parent, nn.ModuleList) for m in parent.modules()}
        for name, part in module.named_modules():
            if id(part) in chosen or (id(part) not in stacked and part is not module):
                hook = partial(write, chosen.get(id(part), name), id(part) in chosen)
                handles.append(part.register_forward_hook(hook, with_kwargs=True))
        for index, block in enumerate(stack):
            handles.append(block.register_forward_pre_hook(partial(enter, index), with_kwargs=True))
            handles.append(block.register_forward_hook(partial(leave, index)))
        handles += [other[-1].register_forward_hook(decoded) for other in _decoders(module)]
        handles.append(module.register_forward_hook(end))
        yield tape
    finally:
        for handle in handles:
            handle.remove()


def _decoders(module: nn.Module) -> list[nn.ModuleList]:
    """The stacks of an encoder-decoder that lie in no other stack, the encoder's among them; else none."""
    if not getattr(getattr(module, "config", None), "is_encoder_decoder", False):
        return []
    inner = {
        id(m) for parent in module.modules() if isinstance(parent, nn.ModuleList) for m in list(parent.modules())[1:]
    }
    return [m for m in module.modules() if isinstance(m, nn.ModuleList) and len(m) and id(m) not in inner]


def _tensor(values: list[Any]) -> Tensor | None:
    """The first tensor among values, or first inside a tuple among them."""
    for value in values:
        if isinstance(value, Tensor):
            return value
        if isinstance(value, (tuple, list)) and value and isinstance(value[0], Tensor):
            return value[0]
    return None
