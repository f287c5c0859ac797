"""Colours: a diverging pair that colour-blind people can tell apart, and shapes that stand for statuses.

Blue and vermilion are from Okabe & Ito's set, darkened until text keeps a contrast of 4.5 to 1. With two
classes that exclude each other a colour belongs to a class and stays with it, whatever the verdict; otherwise blue is
for the target and vermilion against it. Sizes without a direction are blue.
"""

from __future__ import annotations

from explain.reading import either_or
from explain.records import Attribution, Explanation, Interactions, Status

BLUE, ORANGE, GREY = "#2b6fc9", "#cf5f1a", "#8a94a0"
STRONGEST = 0.62
"""Share of the colour in the strongest tint; the rest is the page's background."""
FIXED_SCALE = 2.0
"""Log-odds at which a tint is full, so that 0.01 never looks like 0.9 and two screens compare."""

STATUS_MARK: dict[Status, str] = {"pass": "✓", "warn": "!", "fail": "✕", "not checked": "○", "n/a": "–"}
STATUS_WORD: dict[Status, str] = {
    "pass": "passed",
    "warn": "caution",
    "fail": "failed",
    "not checked": "not checked yet",
    "n/a": "does not apply",
}


def direction(explanation: Explanation, attribution: Attribution | Interactions) -> int:
    """+1 if a positive score is blue, −1 if it is vermilion."""
    sided = attribution.signed if isinstance(attribution, Attribution) else True
    return -1 if sided and either_or(explanation) and attribution.target.index == 0 else 1


def sides(explanation: Explanation, attribution: Attribution) -> tuple[str, str]:
    """What the vermilion and the blue end of the scale stand for."""
    labels, target = explanation.prediction.labels, attribution.target
    if not attribution.signed:
        return "", "reacts strongly"
    if target.kind == "value":
        return f"lowers {target.name}", f"raises {target.name}"
    if either_or(explanation):
        return labels[0], labels[1]
    if target.contrast is not None:
        against = target.against or labels[target.contrast]  # records of former versions do not name it
        return f"for {against}", f"for {target.name.removesuffix(f' rather than {against}')}"
    return f"against {target.name}", f"for {target.name}"


def scale_limit(attribution: Attribution, *, fixed: bool = True) -> float:
    """|score| at which the tint is full: fixed for log-odds and widened only when exceeded, else the largest."""
    largest = float(abs(attribution.scores).max(initial=0.0)) or 1.0
    if fixed and held(attribution):
        return max(FIXED_SCALE, largest)
    return largest


def held(attribution: Attribution) -> bool:
    """Whether the scale may be fixed: for scores in log-odds; sizes without a direction have units of their own."""
    return attribution.signed and attribution.target.unit == "log-odds"
