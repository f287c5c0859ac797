"""Nested rules on [−1, 1]: Gauss with 3 nodes inside Kronrod with 7 inside Patterson with 15.

Each rule keeps the nodes of the one before, so a better answer costs only the new nodes, and the
difference of two neighbours tells how far the smaller one can be off. Kronrod 1965; Patterson, "The
optimum addition of points to quadrature formulae", Mathematics of Computation 22, 1968.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64


def _mirrored(half: list[float], sign: float) -> Float64[np.ndarray, "15"]:
    """All 15 entries from the 8 that are not negative, smallest first; `sign` −1 for nodes, +1 for weights."""
    positive = np.array(half)
    return np.concatenate([sign * positive[:0:-1], positive])


NODES = _mirrored(
    [
        0.0,
        0.22338668642896688163,
        0.434243749346802558,
        0.62110294673722640294,
        0.77459666924148337704,
        0.88845923287225699889,
        0.96049126870802028342,
        0.99383196321275502221,
    ],
    -1.0,
)
"""All nodes, ascending; every second one belongs to the Kronrod rule."""

PATTERSON = _mirrored(
    [
        0.22551049979820668739,
        0.2191568584015874964,
        0.20062852937698902103,
        0.17151190913639138079,
        0.13441525524378422036,
        0.092927195315124537686,
        0.051603282997079739697,
        0.017001719629940260339,
    ],
    1.0,
)
_KRONROD = {0: 0.45091653865847414235, 2: 0.40139741477596222291, 4: 0.26848808986833344073, 6: 0.10465622602646726519}
KRONROD = _mirrored([_KRONROD.get(i, 0.0) for i in range(8)], 1.0)
GAUSS = _mirrored([8 / 9, 0, 0, 0, 5 / 9, 0, 0, 0], 1.0)

COARSE = np.arange(1, 15, 2)
"""Places of the 7 Kronrod nodes among the 15."""
FINE = np.arange(0, 15, 2)
"""Places of the 8 nodes that Patterson's rule adds."""
