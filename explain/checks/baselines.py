"""Every baseline that the method offers, one beside the other: does the word on top change?

No baseline is neutral to every model (Sturmfels, Lundberg & Lee 2020), and peers show one. Here the method is repeated
under each that its parameters name and the tokenizer has. What the model says of a baseline itself (`value_baseline`)
is kept beside the scores: a baseline that is already sure of something is a poor nothing. `value` is the share of the
other baselines that keep the word on top, the yardstick the share that would by chance.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Int64

from explain.case import Case, Steps
from explain.checks import Found, check
from explain.checks._compare import rank_correlation, same_top, top, word
from explain.methods import find
from explain.records import Attribution, Check, Status

NAMES = ("mask", "pad", "unk", "zero", "mean")
FAIL = 0.5


@check(
    stage="Trying every baseline",
    order=45,
    default=False,
    question="robust",
    cite="Sturmfels, Lundberg & Lee 2020, doi:10.23915/distill.00022",
    cost=lambda units, orders, method: (4 * method[0], 4 * method[1]),
)
def baselines(case: Case, attribution: Attribution, found: Found) -> Steps[tuple[Check, ...]]:
    """Share of all other baselines under which the largest score stays on the same word."""
    method = find(attribution.method)
    offered = next((p.choices for p in method.info.params if p.name == "baseline"), ())
    names = [n for n in NAMES if n in offered and (n in ("zero", "mean") or n in case.special_ids)]
    others = [n for n in names if n != attribution.baseline]
    if case.n_units == 1:
        sentence = "One part alone has no rank that another baseline could change."
        return (Check("baselines", 0, "robust", "n/a", sentence),)
    if attribution.value_baseline is None or not others:
        return (Check("baselines", 0, "robust", "n/a", "This method compares with no baseline, or offers only one."),)
    table = {attribution.baseline or "": attribution}
    for name in others:
        table[name] = yield from method.fn(case, replace(method.configured(attribution.params), baseline=name))
    settled = [n for n in others if not table[n].exhausted]
    moved = [n for n in settled if not same_top(attribution, table[n])]
    share = 1 - len(moved) / len(settled) if settled else 0.0
    status: Status = "not checked" if not settled else "pass" if not moved else "warn" if share >= FAIL else "fail"
    if not settled:
        sentence = "The computing budget ended before the scores were exact under any other baseline."
    elif not moved:
        sentence = f"Under {_many(len(settled))} the largest score stays on {word(case, top(attribution))}."
    else:
        where = ", ".join(f"{_called(n)}: {word(case, top(table[n]))}" for n in moved)
        sentence = (
            f"Under {len(moved)} of {_many(len(settled))} the largest score leaves {word(case, top(attribution))} "
            f"({where})."
        )
    details = {
        "used": attribution.baseline,
        "moved": moved,
        "table": {name: _row(attribution, a, case.read) for name, a in table.items()},
    }
    yardstick = 1 / len(case.read)
    return (Check("baselines", 0, "robust", status, sentence, share, yardstick, threshold=FAIL, details=details),)


def _row(ours: Attribution, other: Attribution, read: Int64[np.ndarray, "M"]) -> dict[str, Any]:
    """One baseline: its scores, what the model says of it, and how the scores compare with ours."""
    a, b = ours.scores.astype(float), other.scores.astype(float)
    sure = (np.abs(a) > ours.uncertainty) & (np.abs(b) > other.uncertainty)
    return {
        "scores": b.tolist(),
        "error": other.uncertainty.tolist(),
        "value_baseline": other.value_baseline,
        "top": top(other),
        "signs_turned": [int(u) for u in np.flatnonzero(sure & (a * b < 0))] if ours.signed else [],
        "rank_correlation": float(rank_correlation(a[read], b[read])),
        "exhausted": other.exhausted,
    }


def _called(name: str) -> str:
    return {"zero": "zero vectors", "mean": "average vectors"}.get(name, f"[{name.upper()}]")


def _many(n: int) -> str:
    return "the other baseline" if n == 1 else f"{n} other baselines"
