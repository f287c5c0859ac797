"""A context that holds an answer and is longer than a model reads: seen through windows, of which one is explained.

It is read as the Hub's pipeline reads it (which also cuts contexts that a model could read at once): in windows of at
most `LENGTH` tokens, each with the whole question before it, of which neighbours share `STRIDE`. The answer is the
likeliest in any window, among the tokens of its own window.
What is explained is that answer in that window w,

    F(x) = F(x_w),    ∂F/∂x_i = 0 for i ∉ w

so scores add up as they do where a text is read at once, and are 0 outside of it, by methods that sample within their
error. Why no other window holds a likelier
answer is another question, which is not asked.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from explain.errors import InputError
from explain.model import windows
from explain.model.encoding import Encoding
from explain.records import Prediction, Target

if TYPE_CHECKING:
    from explain.model.runner import Meter, Runner

LENGTH, STRIDE = 384, 128
"""Tokens that a window has at most, and shares with its neighbour, or half of it where it is shorter; as on the Hub."""

TIMES = 8
"""How many times `windows.MOST` tokens the windows of a context may hold together; with short questions it is twice."""


def through(encoding: Encoding, limit: int) -> Encoding:
    """A question and its context, of more than `limit` tokens, with the windows that the context is read in.

    Raises:
        InputError: the question leaves so little room for a context that it would be read in too many windows, or the
            model's inputs are not one for each token.
    """
    tokens, size = encoding.tokens, min(limit, LENGTH)
    if any(len(array) != len(tokens.ids) for array in encoding.inputs.values()):
        raise InputError(
            "This model is not given one input for each token, so its text cannot be read in windows. Shorten it, or "
            "allow it to be cut (truncate=True).",
            code="no_windows",
        )
    mine = np.flatnonzero(tokens.segment == 1)
    first, last = (int(mine[0]), int(mine[-1]) + 1) if len(mine) else (len(tokens.ids),) * 2
    around = np.arange(first), np.arange(last, len(tokens.ids))  # the question, and special tokens
    room, shared = size - sum(map(len, around)), min(size // 2, STRIDE)
    if room <= shared:
        raise InputError(
            f"The question has {len(around[0]):,} tokens, and beside it there must be room for more than {shared:,} of "
            f"the context in the {size:,} that are read at a time. Shorten the question.",
            code="no_windows",
        )
    starts = range(first, last - shared, room - shared)
    if len(starts) * size > TIMES * windows.MOST:
        raise InputError(
            f"The question has {len(around[0]):,} tokens, so that the context would be read in {len(starts):,} "
            "windows. Shorten the question, or allow the context to be cut (truncate=True).",
            code="no_windows",
        )
    spans = [np.concatenate([around[0], np.arange(s, min(s + room, last)), around[1]]) for s in starts]
    return replace(encoding, windows=tuple(spans), window=0)


def holding(runner: Runner, encoding: Encoding, prediction: Prediction, target: Target, meter: Meter) -> Encoding:
    """The text of which rows read the one window that holds what is explained, at its likeliest where several do.

    Raises:
        InputError: no window holds all of it.
    """
    sought = runner.task.sought(prediction, target)
    places = (*target.positions, *sought.positions)
    able = [i for i, window in enumerate(encoding.windows) if np.isin(places, window).all()]
    if not able:
        raise InputError(
            "Target and contrast stand so far apart that the model never reads them together: no window holds both. "
            "Explain each of them alone.",
            code="bad_target",
        )
    if len(able) > 1:
        asked = replace(encoding, places=sought.positions)
        found = windows.values(runner, [asked.within(i).row(sought) for i in able], meter)
        able = [able[int(found.argmax())]]
    return encoding.within(able[0])
