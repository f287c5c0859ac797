"""What methods share that sample sets of words: how many words, and how far the mean of few samples may be off."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float32
from scipy.special import stdtrit

from explain.case import Case
from explain.errors import MethodError
from explain.records import NORMAL

MOST = 2_048
"""Units. The tables of sets grow with their square: LIME's need 64 U² bytes, twice."""


def require_few(case: Case) -> None:
    """Raise MethodError where the sets of a text's units would not fit into memory."""
    if case.n_units > MOST:
        raise MethodError(
            f"Sets of words are drawn from at most {MOST:,} words, and the text has {case.n_units:,}. Explain it by "
            "sentences (granularity), or by a method that does not sample, such as integrated gradients.",
            code="too_many_words",
        )


def standard_error(samples: Float[np.ndarray, "N U"]) -> Float32[np.ndarray, "U"]:
    """Standard error of the mean of independent samples, widened where they are few.

    The scatter of N samples is itself uncertain, so that ±1.96 of the plain standard error holds the true mean in
    fewer than 95 % of cases (93 % for 16 samples of a normal variable). It is scaled by Student's quantile over 1.96,
    so that ±1.96 of what is returned is Student's 95 % interval (1908).
    """
    n = len(samples)
    plain = samples.std(0, ddof=1) / np.sqrt(n)
    return (plain * stdtrit(n - 1, 0.975) / NORMAL).astype(np.float32)
