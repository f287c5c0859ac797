"""The prediction layer by layer, and what changes when a state is exchanged: plain data, readable without torch.

Letters in shapes: L layers, T tokens, C outcomes. Both are approximate: the head was trained on the last layer's
states only, and an exchanged state may be one that the model never makes by itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from explain.catalog import Request
from explain.record import Record
from explain.records import Prediction, Report, Tokens

LENS_CAVEAT = (
    "Approximate: the model's own head reads states that it was never trained on. Early layers are read with a bias "
    "(Belrose et al. 2023), so an odd answer there does not show what the model 'thinks' so far."
)
PATCH_CAVEAT = (
    "Approximate: an exchanged state may act through a pathway that sleeps otherwise (Makelov, Lange & Nanda 2023). "
    "Read it beside its control, a random change of the same length, and beside the other direction."
)
DIRECT_CAVEAT = (
    "Approximate: norms of the stream are held at the scale that they have for this text and the head is replaced by "
    "its slope here. What a part does through later layers is not counted."
)


@dataclass(frozen=True, eq=False)
class LensRequest(Record):
    """A question about the prediction after each layer."""

    about: Request


@dataclass(frozen=True, eq=False)
class PatchRequest(Record):
    """A question about exchanging states between the text of `about` and another one of as many tokens."""

    about: Request
    other: str


@dataclass(frozen=True, eq=False)
class Lens(Report):
    """What the head says when it reads the states after each layer; row 0 is what enters the first block.

    `values` are in the target's unit. `logits` is None for more than 16 outcomes. `points` are all tokens' states after
    each layer on the two directions in which they differ most (principal components of all of them together), `shares`
    how much of their variance each shows. `answer` is the plain pass's value: the last of `values` must equal it.
    With `decoder`, a whole decoder reads the states before the head does.
    """

    values: Float32[np.ndarray, "L"]
    logits: Float32[np.ndarray, "L C"] | None
    points: Float32[np.ndarray, "L T 2"]
    shares: tuple[float, float]
    answer: float
    decoder: bool = False
    caveat: str = LENS_CAVEAT
    schema: str = "lens/1"


@dataclass(frozen=True, eq=False)
class Patch(Report):
    """How far the target moves when one token's state after one layer is exchanged for the other text's.

    `into` = f(text with the other's state) − f(text), `back` = f(other with the text's state) − f(other).
    `control_into` and `control_back` are the mean size of the change when the state is moved as far in `draws` random
    directions instead.
    """

    other: Tokens
    other_prediction: Prediction
    value: float
    other_value: float
    into: Float32[np.ndarray, "L T"]
    back: Float32[np.ndarray, "L T"]
    control_into: Float32[np.ndarray, "L T"]
    control_back: Float32[np.ndarray, "L T"]
    draws: int
    caveat: str = PATCH_CAVEAT
    schema: str = "patch/1"


@dataclass(frozen=True, eq=False)
class DirectRequest(Record):
    """A question about what each head and each feed-forward adds to the answer on the direct path."""

    about: Request


@dataclass(frozen=True, eq=False)
class Direct(Report):
    """Direct contributions to the target's value: value = start + Σ heads + Σ constants + Σ feed_forward + rest.

    `constants` is what each attention adds without its heads (the projection's own constant), `start` what entered the
    first block, `rest` what is constant in norms and head, and what the head's curve leaves over.
    """

    heads: Float32[np.ndarray, "L H"]
    constants: Float32[np.ndarray, "L"]
    feed_forward: Float32[np.ndarray, "L"]
    start: float
    rest: float
    value: float
    caveat: str = DIRECT_CAVEAT
    schema: str = "direct/1"


InsideRequest = LensRequest | PatchRequest | DirectRequest
Inside = Lens | Patch | Direct
