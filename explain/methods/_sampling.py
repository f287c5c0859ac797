"""How far the mean of few samples may be off."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float32
from scipy.special import stdtrit

NORMAL = 1.96
"""What readers multiply a standard error by, for a 95 % interval."""


def standard_error(samples: Float[np.ndarray, "N U"]) -> Float32[np.ndarray, "U"]:
    """Standard error of the mean of independent samples, widened where they are few.

    The scatter of N samples is itself uncertain, so that ±1.96 of the plain standard error holds the true mean in
    fewer than 95 % of cases (93 % for 16 samples of a normal variable). It is scaled by Student's quantile over 1.96,
    so that ±1.96 of what is returned is Student's 95 % interval (1908).
    """
    n = len(samples)
    plain = samples.std(0, ddof=1) / np.sqrt(n)
    return (plain * stdtrit(n - 1, 0.975) / NORMAL).astype(np.float32)
