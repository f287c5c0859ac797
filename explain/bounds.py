"""What the numbers and choices of a request may be, whatever model it is asked of."""

from __future__ import annotations

from typing import get_args

from explain.catalog import Grain, Request, TargetKind
from explain.errors import InputError

BOUNDS = {"seed": (0, 2**53 - 1), "budget": (1, 10**7), "orders": (2, 10**5)}
"""Whole numbers of a request: the least and the most they may be."""

WINDOWS = 8_192
"""Tokens of a text that is seen through windows, special tokens included."""

TOKENS = 1_000
"""Tokens that a model writes in one call."""

TEMPLATE = {
    "template_characters": 512 * 1024, "template_seconds": 2, "template_memory": 512 * 2**20, "template_wait": 10,
}  # fmt: skip
"""Of a model's chat template: its characters; what one filling-in may take, in seconds of a processor and bytes of
address space, where the system has such limits; and seconds on a clock for it, the start of its process included."""

TEMPLATE_WRITES = 4
"""Times the characters of the longest text that is read: what a template may write."""

BEAMS = 32
"""Beginnings of a text that a beam search keeps."""

WORDS = 10_000
"""Characters of what is named beside a text: a label, a part of it, what may follow it."""


def require_whole(name: str, value: object, low: int, high: int) -> None:
    """Raise InputError, code bad_<name>, for what is no whole number from `low` to `high`; True and False are none."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise InputError(f"{name} must be a whole number from {low} to {high}, got {value!r:.40}.", code=f"bad_{name}")


def require_layer(layer: int, count: int) -> None:
    """Raise InputError, code bad_layer, where a model of `count` layers (0: it does not say how many) lacks a layer."""
    if not 0 <= layer < (count or layer + 1):
        known = f"this model has layers 0 to {count - 1}" if count else "layers count from 0 on"
        raise InputError(f"There is no layer {layer}: {known}.", code="bad_layer")


def require_bounds(request: Request) -> None:
    """Raise InputError, code bad_<name>, for the first number or choice that is out of bounds; too_large for words."""
    for name, (low, high) in BOUNDS.items():
        require_whole(name, getattr(request, name), low, high)
    for name, allowed in (("quantity", get_args(TargetKind)), ("granularity", get_args(Grain))):
        value = getattr(request, name)
        if value not in allowed:
            raise InputError(f"{name} must be one of {', '.join(allowed)}, got {value!r:.40}.", code=f"bad_{name}")
    for name in ("target", "contrast", "continuation"):
        value = getattr(request, name)
        if isinstance(value, str) and len(value) > WORDS:
            raise InputError(f"{name} may have {WORDS:,} characters, and it has {len(value):,}.", code="too_large")
