"""Direct logit attribution: what each head and each feed-forward adds to the answer on the direct path.

    contribution = slope of the answer where the part writes · what it writes

Elhage et al. 2021, "A mathematical framework for transformer circuits"; for classifiers the head is replaced by its
slope at this text, so with a linear head the contributions add up to the answer, and with a curved one (a pooler with a
tanh) only nearly. What a part does through later layers is not in it: a small contribution is no proof that it does
nothing.
"""

from __future__ import annotations

import numpy as np

from explain.case import Case
from explain.lens import Direct
from explain.model.direct import Slopes
from explain.records import Provenance


def direct(case: Case, found: Slopes, provenance: Provenance) -> Direct:
    """The table of contributions, and what they leave of the answer."""

    def products(written: list[np.ndarray], slope: list[np.ndarray]) -> np.ndarray:
        return np.array([float((w * s).sum()) for w, s in zip(written, slope, strict=True)], dtype=np.float32)

    heads = np.stack(found.heads)  # (L, H)
    attention = products(found.attention, found.attention_slope)
    feed = products(found.feed_forward, found.feed_forward_slope)
    start = float((found.start * found.start_slope).sum())
    return Direct(
        model=case.info,
        tokens=case.tokens,
        prediction=case.prediction,
        target=case.target,
        heads=heads,
        constants=attention - heads.sum(1),
        feed_forward=feed,
        start=start,
        rest=found.value - start - float(attention.sum()) - float(feed.sum()),
        value=found.value,
        provenance=provenance,
    )
