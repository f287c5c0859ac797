"""From the last block to the logits: found backwards, from each vector to the module that made it.

A step is only kept if it makes exactly the vector that the next one is given, so the steps always chain. Where the
chain ends at a state of the last block, that is the token that the answer is read from; where it ends earlier, several
tokens were mixed in a way that is not followed here.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from explain.model.recognise import as_matrix, is_leaf, plain, same
from explain.model.road import Walk
from explain.model.tape import Call
from explain.road import AnswerStep, HeadStep

FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "gelu": functional.gelu,
    "relu": torch.relu,
    "silu": functional.silu,
}
"""What heads apply between two modules without a module of its own."""


def answer(found: Walk, kept: tuple[int, ...] | None = None) -> AnswerStep | None:
    """The head, for the outcomes that are `kept`; None where the logits do not come out of one matrix."""
    logits = torch.from_numpy(found.logits.copy())
    calls = [c for c in found.tape.calls if c.where == "after"]
    for at, call in reversed(list(enumerate(calls))):
        if not call.matrix or call.made.shape[-1] != len(logits):
            continue
        hits = [i for i, made in enumerate(_flat(call.made)) if same(made, logits)]
        weight = as_matrix(call)
        if not hits or weight is None:
            continue
        steps, start = _back(calls[: at + 1], logits, hits[-1])
        bias = getattr(call.module, "bias", None)
        chosen = np.arange(len(logits)) if kept is None else np.array(kept)
        return AnswerStep(
            reads=_place(found, start, hits[-1]),
            steps=tuple(steps),
            vector=plain(_flat(call.given)[hits[-1]]),
            weight=plain(weight)[chosen],
            bias=np.zeros(len(chosen), np.float32) if bias is None else plain(bias.detach())[chosen],
            logits=found.logits[chosen],
            decoder=found.tape.decoder,
        )
    found.reasons["answer"] = "No matrix was found after the last block that makes the logits."
    return None


def _back(calls: list[Call], vector: Tensor, hint: int) -> tuple[list[HeadStep], Tensor]:
    """Steps that chain and end in `vector`, in order, and what the first of them is given."""
    steps: list[HeadStep] = []
    for call in reversed(calls):
        if not is_leaf(call) or isinstance(call.module, nn.Embedding) or call.made.shape[-1] != len(vector):
            continue
        given, made = _flat(call.given), _flat(call.made)
        place, name = _made(made, vector, hint)
        if place is None or len(given) not in (1, len(made)):
            continue
        if name:
            steps.append(HeadStep(name, "function", plain(made[place]), plain(vector)))
        start = given[place if len(given) > 1 else 0]
        if not same(start, made[place]):
            steps.append(HeadStep(call.name, type(call.module).__name__, plain(start), plain(made[place])))
        vector = start
    return steps[::-1], vector


def _made(rows: Tensor, vector: Tensor, hint: int) -> tuple[int | None, str]:
    """The row that is the vector, or becomes it through one of `FUNCTIONS` (its name, else empty)."""
    order = sorted(range(len(rows)), key=lambda i: i != hint)
    plainly = next((i for i in order if same(rows[i], vector)), None)
    if plainly is not None:
        return plainly, ""
    return next(((i, n) for n, f in FUNCTIONS.items() for i in order if same(f(rows[i]), vector)), (None, ""))


def _place(found: Walk, start: Tensor, hint: int) -> int | None:
    """The token whose state after the last block is `start`; None where there is none."""
    if found.tape.last is None or found.tape.last.shape[-1] != len(start):
        return None
    places = [i for i, state in enumerate(_flat(found.tape.last)) if same(state, start)]
    return hint if hint in places else places[-1] if places else None


def _flat(tensor: Tensor) -> Tensor:
    """(…, K) as rows (R, K) on the CPU."""
    return tensor.reshape(-1, tensor.shape[-1]).float().cpu()
