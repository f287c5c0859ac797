"""Do the methods that were asked tell the same story?

Methods often disagree (Krishna et al. 2022), and averaging them hides it. The first method is compared with each
other one on the same words: the same word on top, how many of the three largest are shared, the same signs there, and
the rank correlation. A top word or a sign counts as another only where it is farther off than both scores may be. The
yardstick is what two random rankings share.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Int64

from explain.case import Case, Steps
from explain.checks import Found, check
from explain.checks._compare import rank_correlation, same_top
from explain.methods import find
from explain.records import Attribution, Check, Status

TOP = 3


@check(stage="Comparing the methods", order=5, question="robust", cite="Krishna et al. 2022, arXiv:2202.01602")
def agreement(case: Case, attribution: Attribution, found: Found) -> Steps[tuple[Check, ...]]:
    """Pairwise agreement with every other method of the request; only said where there are several."""
    yield from ()
    others = [o for o in found.attributions if o is not attribution and len(o.scores) == len(attribution.scores)]
    if not others or case.n_units < 2:
        return ()
    pairs = [_compare(attribution, other, case.read) for other in others]
    fewest = min(p["shared"] for p in pairs)
    dissent = [find(p["method"]).info.title for p in pairs if not (p["same_top"] and p["same_signs"])]
    status: Status = "warn" if dissent else "pass"
    k, signs = min(TOP, len(case.read)), any(p["signs_compared"] for p in pairs)
    sentence = (
        f"{', '.join(dissent)} {'disagrees' if len(dissent) == 1 else 'disagree'} on the largest score"
        f"{f' or a sign among the {k} largest' if signs else ''}; at worst {fewest} of {k} words are shared."
        if dissent
        else f"{_count(len(pairs))} on the largest score{f' and the signs among the {k} largest' if signs else ''}."
    )
    value = float(np.mean([p["shared"] / k for p in pairs]))
    yardstick = k / len(case.read)
    return (Check("agreement", 0, "robust", status, sentence, value, yardstick, details={"pairs": pairs}),)


def _compare(a: Attribution, b: Attribution, read: Int64[np.ndarray, "M"]) -> dict[str, Any]:
    x, y = a.scores.astype(float), b.scores.astype(float)
    top_a, top_b = (np.argsort(-np.abs(s), kind="stable")[:TOP] for s in (x, y))
    both = a.signed and b.signed
    u, v = (s[read] if both else np.abs(s[read]) for s in (x, y))  # (M,)
    sure = (np.abs(x) > a.uncertainty) & (np.abs(y) > b.uncertainty)  # (U,)
    return {
        "method": b.method,
        "same_top": same_top(a, b),
        "signs_compared": both,
        "same_signs": bool(not both or (~sure | (x * y >= 0))[top_a].all()),
        "shared": len(set(top_a.tolist()) & set(top_b.tolist())),
        "rank_correlation": float(rank_correlation(u, v)),
    }


def _count(n: int) -> str:
    return "The other method agrees" if n == 1 else f"All {n} other methods agree"
