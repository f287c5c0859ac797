"""A model that has learned nothing: every weight tensor keeps its numbers, in another order.

What an explanation shows of such a model it did not take from what the model learned (Adebayo et al. 2018). Dealing a
tensor's own numbers works for any architecture and keeps every layer's scale, so that activations neither die out nor
explode; drawing from transformers' initialisation would often give a network that answers nearly the same to every
text. The table of word vectors stays: it is the input, not what the model makes of it.
"""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import nn

from explain.errors import ModelError
from explain.model.chunks import is_out_of_memory
from explain.model.rates import Rates
from explain.model.runner import Runner
from explain.model.substitution import embedding_modules

R = TypeVar("R", bound=Runner)


def redrawn(runner: R, seed: int) -> R:
    """A copy whose weights were dealt anew; everything else is shared, and nothing of the model remembered.

    Raises ModelError where there is no room for a second model.
    """
    other = copy.copy(runner)
    try:
        with runner.lock:
            other.module = copy.deepcopy(runner.module)
        deal_anew(other.module, seed)
    except Exception as error:
        if is_out_of_memory(error):
            raise ModelError("There is no room for a copy of the model.", code="out_of_memory") from error
        raise
    other.rates, other.kept, other.claims = Rates(), {}, {}
    return other


def deal_anew(module: nn.Module, seed: int) -> None:
    """Shuffle the entries of each floating-point parameter in place, except those of the word table."""
    try:
        stay = {id(part.weight) for part in embedding_modules(module)}
    except ModelError:  # a model without a table of words
        stay = set()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():  # shared ones come once
            if parameter.is_floating_point() and id(parameter) not in stay:
                order = torch.randperm(parameter.numel(), generator=generator).to(parameter.device)
                parameter.data = parameter.data.reshape(-1)[order].reshape(parameter.shape)
