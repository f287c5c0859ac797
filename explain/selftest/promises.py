"""What an install must show, and where the thresholds come from.

Thresholds were frozen on the models and texts of the FROZEN seeds; what is reported comes from the REPORTED seeds, of
which nobody chose anything. See `PASSING` for the figures that froze it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from explain.methods import find
from explain.record import Record
from explain.selftest.measure import Row
from explain.selftest.planted import KINDS, Kind, Planted

FROZEN = (101, 1, 2, 3)
"""Seeds on which something was chosen: thresholds, or how the models are trained."""
REPORTED = (4,)

PASSING = 0.8
"""Share of texts, of all kinds together, on which no check of a passing method fails.

Frozen on seed 101 (40 texts a kind). Checks err too: where one word decides alone, leave-one-out ranks words that do
nothing, and fails exact Shapley values, right by construction, on 10 % of those texts. The shares were: occlusion 0.98,
exact Shapley and LIME 0.97, KernelSHAP and Shapley sampling 0.94, GradientSHAP 0.92, integrated gradients 0.88; and of
the two methods that missed the shortcut, layer conductance (92 % of one kind) 0.72, value zeroing (42 %) 0.49.
"""
REACTING: Mapping[Kind, float] = {"single": 1 - 1 / 14 - 0.05, "context": 1 - 1 / 7 - 0.05, "pair": 1 - 1 / 7 - 0.05}
"""Mean percentile of the removal checks that a passing method reaches: 5 points below a perfect order.

With seven words (the mean), one random order in seven starts with the one word that decides as well, and two in seven
with one of two words that are both needed; ties count half. On seed 1, methods that found a single token in all texts
had 0.90 or more; those that missed it, saliency (found in 71 %) and SmoothGrad (33 %), had 0.83 and 0.67, though few of
their texts fail a check.
"""
FOUND = 0.95
EXACT, MEASURED = 1e-6, 2e-6
"""Log-odds: Shapley values against the module's float64, occlusion against `predict`, which answers in float32."""
ON_PAPER = 1e-4
"""Of the largest score, against closed forms."""
COVERED = (0.90, 0.99)
COMPLETE = 0.01
NAMED = (
    "integrated_gradients",
    "occlusion",
    "exact_shapley",
    "shapley_sampling",
    "lime",
    "kernel_shap",
    "gradient_shap",
)
"""Methods that must be among those whose checks pass."""


@dataclass(frozen=True, eq=False)
class Promise(Record):
    """One thing that must hold, and what was seen."""

    claim: str
    kept: bool
    seen: str


def passes(row: Row) -> bool:
    """Whether a method's checks pass: they fail on few texts, and on average the model reacts as the scores say."""
    return (
        bool(row.passing)
        and share(row) >= PASSING
        and all(row.reacting[kind] >= REACTING[kind] for kind in row.reacting)
    )


def scores_words(row: Row) -> bool:
    """Whether a method speaks of words: a position inside a layer holds more than the word shown there."""
    return find(row.method).info.family != "layer"


def share(row: Row) -> float:
    """Share of all texts on which no check fails: there are equally many of each kind."""
    return sum(row.passing.values()) / len(row.passing)


def finds(row: Row) -> bool:
    """Whether a method finds the shortcut of every kind in nearly all texts."""
    return bool(row.found) and min(row.found.values()) >= FOUND


def promises(planted: Sequence[Planted], rows: Sequence[Row]) -> tuple[Promise, ...]:
    """All promises; those about shortcuts speak of the models that learned theirs."""
    missed = [p.kind for p in planted if not p.learned]
    misses = [r.method for r in rows if scores_words(r) and passes(r) and not finds(r)]
    owing = [r for r in rows if scores_words(r) and passes(r)]
    known = {r.method: r for r in rows}
    failing = [n for n in NAMED if n not in known or not passes(known[n])]
    calls = {n: known[n].direct for n in ("exact_shapley", "occlusion") if n in known}
    paper = {r.method: r.exact for r in rows if r.exact is not None}
    covered = {r.method: r.covered for r in rows if r.covered is not None}
    residuals = {r.method: r.residual for r in rows if r.residual is not None}

    def worst(found: dict[str, float]) -> str:
        name = max(found, key=lambda n: found[n])
        return f"largest: {name} {found[name]:.1g}"

    held = f"{min(covered.values()):.1%} to {max(covered.values()):.1%}" if covered else "none measured"
    wrong = [n for n, one in covered.items() if not COVERED[0] <= one <= COVERED[1]]
    return (
        Promise(
            "The planted models decide by their shortcuts, so methods can be judged on them",
            not missed and len(planted) == len(KINDS),
            f"not learned: {', '.join(missed)}"
            if missed
            else f"learned: {', '.join(p.kind for p in planted) or 'none'}",
        ),
        Promise(
            f"Every method of words whose checks pass has the shortcut on top in {FOUND:.0%} of texts or more",
            not misses and bool(rows),
            f"not: {', '.join(misses)}" if misses else f"{len(owing)} of {len(rows)} methods",
        ),
        Promise(
            "Among those that pass are integrated gradients, occlusion and the Shapley, LIME and SHAP methods",
            not failing,
            f"not: {', '.join(failing)}" if failing else f"all {len(NAMED)}",
        ),
        *(
            Promise(
                f"{claim} to {most:g}",
                value is not None and value <= most,
                "not measured" if value is None else f"largest error {value:.1g}",
            )
            for claim, value, most in (
                ("Exact Shapley values equal brute force over all orders", calls.get("exact_shapley"), EXACT),
                ("Occlusion equals direct calls of the model", calls.get("occlusion"), MEASURED),
            )
        ),
        Promise(
            f"On games, methods that do not sample equal their closed forms to {ON_PAPER:g} of the largest score",
            bool(paper) and max(paper.values()) <= ON_PAPER,
            worst(paper) if paper else "none measured",
        ),
        Promise(
            f"95 % intervals of sampling methods hold the exact value in {COVERED[0]:.0%} to {COVERED[1]:.0%} of cases",
            bool(covered) and not wrong,
            f"not: {', '.join(wrong)}" if wrong else held,
        ),
        Promise(
            f"Scores that should add up do, to {COMPLETE:.0%}",
            bool(residuals) and max(residuals.values()) <= COMPLETE,
            worst(residuals) if residuals else "none measured",
        ),
    )
