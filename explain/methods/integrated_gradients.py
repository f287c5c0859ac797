"""Integrated gradients: divide the change from a baseline to the text among the words.

    score_i = (x_i − x'_i) · ∫₀¹ ∂f(x' + α (x − x')) / ∂x_i dα

Sundararajan, Taly & Yan, "Axiomatic Attribution for Deep Networks", ICML 2017. The scores of all
tokens add up to f(x) − f(x') (completeness), if the integral is right. With a fixed number of steps it
often is not: the path crosses sharp turns. So the integral is refined where it needs to be.

On each interval of the path a rule with a smaller one inside it gives two answers. The sum of the
scores is known exactly from the function's values at the interval's ends, so the error in the sum is
known, not estimated; the difference of the two answers stands for the error of each word, scaled up
where the words' errors would add up to less than the error known. The worst intervals get a better rule
that reuses their nodes, then are halved, until the errors are small or the budget is spent.

It misleads when the baseline itself means something, and it says nothing about deleting words.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float64

from explain.case import Ask, Case, Steps, residual_scale
from explain.errors import AuditError
from explain.methods import method
from explain.methods._quadrature import COARSE, FINE, GAUSS, KRONROD, NODES, PATTERSON
from explain.plugins import choice, number, words
from explain.records import Attribution
from explain.together import slopes as slopes_of

EVEN, CLOSER = (0.0, 1 / 3, 2 / 3, 1.0), (0.0, 0.25, 0.5, 1.0)
"""Edges of the first intervals: closer where texts are mostly baseline and functions turn sharply; even ones take fewer
gradients from padding (measured on both bundled models)."""


@dataclass(frozen=True)
class Params:
    """`tolerance` bounds Σ|interval errors| over the scale, `word_tolerance` a word's error over the largest score."""

    baseline: str = choice(
        "auto", "auto", "mask", "pad", "unk", "zero", "mean", "text", help="what every word is compared with"
    )
    baseline_text: str = words(
        "", help="the text to compare with, for baseline text; laid over this one token by token"
    )
    tolerance: float = number(0.01, 1e-6, 1.0, help="largest error of the total, as a share of the change explained")
    word_tolerance: float = number(0.05, 1e-6, 1.0, help="largest error of one word, as a share of the largest score")


@dataclass(frozen=True, eq=False)
class Interval:
    """A piece of the path. `slopes` are at the 15 nodes, NaN where not evaluated; `error` is of the sum of scores."""

    start: float
    end: float
    slopes: Float64[np.ndarray, "15 T"]
    scores: Float64[np.ndarray, "T"]
    word_error: Float64[np.ndarray, "U"]
    error: float

    @property
    def fine(self) -> bool:
        """Whether all 15 nodes were evaluated."""
        return not np.isnan(self.slopes[0, 0])


@method(
    title="Integrated gradients",
    family="gradient",
    cite="Sundararajan, Taly & Yan 2017, arXiv:1703.01365",
    misleads="The scores compare with a baseline text; they do not say what happens if a word is deleted.",
    axioms=("complete", "dummy"),
    cost=lambda units: (4, 25),
)
def integrated_gradients(case: Case, params: Params) -> Steps[Attribution]:
    """Divides the change from a neutral text to this one among the words; the parts add up to the change."""
    name, start = case.baseline(params.baseline, params.baseline_text)
    delta = (case.embeds - start).astype(np.float64)  # (T, D)
    ends = yield Ask([case.point(start, 0.0), case.point(start, 1.0)])
    value = {0.0: float(ends.values[0]), 1.0: float(ends.values[1])}
    difference = value[1.0] - value[0.0]

    def integrate(pieces: list[tuple[float, float, Interval | None]]) -> Steps[list[Interval]]:
        """Coarse intervals for new pieces, fine ones for pieces that have been coarse."""
        edges = sorted({edge for a, b, _ in pieces for edge in (a, b)} - value.keys())
        if edges:
            known = yield Ask([case.point(start, alpha) for alpha in edges])
            value.update(zip(edges, map(float, known.values), strict=True))
        places = [COARSE if old is None else FINE for _, _, old in pieces]
        alphas = [(a + b) / 2 + (b - a) / 2 * NODES[p] for (a, b, _), p in zip(pieces, places, strict=True)]
        points = (case.point(start, float(x)) for some in alphas for x in some)
        _, found = yield from slopes_of(case, points, lambda g: (g.astype(np.float64) * delta).sum(1))  # (T,) each
        slopes = iter(found)
        done = []
        for (a, b, old), place in zip(pieces, places, strict=True):
            table = np.full((15, len(delta)), np.nan) if old is None else old.slopes.copy()
            for i in place:
                table[i] = next(slopes)
            done.append(_measured(case, a, b, table, value[b] - value[a]))
        return done

    intervals = yield from integrate([(a, b, None) for a, b in pairwise(_first(name, case.path))])
    spent, exhausted = 7 * len(intervals), False
    while True:
        scores = np.sum([i.scores for i in intervals], axis=0)  # (T,)
        unit_scores = case.per_unit(scores)  # (U,)
        scale, _ = residual_scale(difference, unit_scores)
        worst = _to_refine(
            intervals, params.tolerance * scale, params.word_tolerance * np.abs(unit_scores).max(initial=0)
        )
        chosen = _affordable(worst, case.budget - spent)
        exhausted = bool(worst) and not chosen
        if case.path is not None:
            chosen = _along(case.path, intervals, chosen)
        if not chosen:
            break
        pieces: list[tuple[float, float, Interval | None]] = []
        for i in chosen:
            middle = (i.start + i.end) / 2
            pieces += [(i.start, middle, None), (middle, i.end, None)] if i.fine else [(i.start, i.end, i)]
        fresh = yield from integrate(pieces)
        spent += sum(_price(i) for i in chosen)
        intervals = [i for i in intervals if i not in chosen] + fresh

    return case.attribution(
        unit_scores=unit_scores,
        token_scores=scores,
        special=case.of_specials(scores),
        value_input=value[1.0],
        baseline=name,
        value_baseline=value[0.0],
        numeric_error=np.sum([i.word_error for i in intervals], axis=0).astype(np.float32),
        path=np.array(sorted((i.start, i.end, 15.0 if i.fine else 7.0) for i in intervals)),
        exhausted=exhausted,
    )


def _measured(case: Case, start: float, end: float, slopes: Float64[np.ndarray, "15 T"], change: float) -> Interval:
    """Integrate one interval with the best rule that its slopes allow; the next smaller rule gives the errors."""
    half, fine = (end - start) / 2, not np.isnan(slopes[0, 0])
    best, inner = (PATTERSON, KRONROD) if fine else (KRONROD, GAUSS)
    known = slopes if fine else np.nan_to_num(slopes)  # unevaluated nodes weigh nothing
    scores = half * (best @ known)  # (T,)
    word_error = np.abs(case.per_unit(scores - half * (inner @ known)))  # (U,)
    error, stated = abs(change - float(scores.sum())), float(word_error.sum())
    if 0 < stated < error:  # the words' errors cannot add up to less than the error of their sum
        word_error *= error / stated
    return Interval(start, end, slopes, scores, word_error, error)


def _price(interval: Interval) -> int:
    """Gradient evaluations that refining costs: two new halves, or the nodes that the better rule adds."""
    return 14 if interval.fine else 8


def _first(baseline: str, path: Float64[np.ndarray, "K 3"] | None) -> tuple[float, ...]:
    """The edges to begin with; for a path that was stored, those that it began with, which halving never removes."""
    if path is None:
        return EVEN if baseline == "pad" else CLOSER
    # Halving thirds may reach quarters, halving quarters never a third.
    return EVEN if set(path[:, :2].ravel().tolist()).issuperset(EVEN) else CLOSER


def _along(path: Float64[np.ndarray, "K 3"], intervals: list[Interval], chosen: list[Interval]) -> list[Interval]:
    """What to refine so as to end with the intervals of `path`, in the order that would be chosen anyway.

    On the machine that recorded the path this is what was chosen there, so that the same rows are evaluated together
    and the answer is the same to the bit. Elsewhere rounding may choose otherwise, and the path is still the one kept.

    Raises:
        AuditError: no refining ends there, as with a path of other first intervals.
    """
    final, edges = {tuple(row) for row in path.tolist()}, path[:, :2].ravel()
    open_ = [i for i in intervals if (i.start, i.end, 15.0 if i.fine else 7.0) not in final]
    for i in open_:
        better = not i.fine and (i.start, i.end, 15.0) in final
        if not better and not ((i.start < edges) & (edges < i.end)).any():
            raise AuditError("The stored path is cut at places that halving does not reach.", code="other_path")
    return [i for i in chosen if i in open_] or open_


def _affordable(worst: list[Interval], budget: int) -> list[Interval]:
    """As many of the worst, in order, as the budget pays for."""
    spent = np.cumsum([_price(i) for i in worst])
    return worst[: int((spent <= budget).sum())]


def _to_refine(intervals: list[Interval], tolerance: float, word_tolerance: float) -> list[Interval]:
    """The fewest intervals, worst first, whose removal leaves errors within both tolerances; [] if they are already."""
    tiny = np.finfo(float).tiny

    def badness(i: Interval) -> float:
        return max(i.error / max(tolerance, tiny), i.word_error.max(initial=0) / max(word_tolerance, tiny))

    order = sorted(intervals, key=badness, reverse=True)
    for n in range(len(order)):
        rest = order[n:]
        word = np.sum([i.word_error for i in rest], axis=0).max(initial=0)
        if sum(i.error for i in rest) <= tolerance and word <= word_tolerance:
            return order[:n]
    return order
