"""Integrated gradients: divide the change from a baseline to the text among the words.

    score_i = (x_i − x'_i) · ∫₀¹ ∂f(x' + α (x − x')) / ∂x_i dα

Sundararajan, Taly & Yan, "Axiomatic Attribution for Deep Networks", ICML 2017. The scores of all
tokens add up to f(x) − f(x') (completeness), if the integral is right. With a fixed number of steps it
often is not: the path crosses sharp turns. So the integral is refined where it needs to be.

On each interval of the path, a 7-point Kronrod rule with its embedded 3-point Gauss rule gives two
answers. The sum of the scores is known exactly from the function's values at the interval's ends, so
the rule's error in the sum is known, not estimated; the difference between the two rules bounds the
error of each word. Intervals are halved, worst first, until both are small or the budget is spent.

It misleads when the baseline itself means something, and it says nothing about deleting words.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float64

from explain.case import Ask, Case, Steps, residual_scale
from explain.methods import method
from explain.plugins import choice, number
from explain.records import Attribution

# Gauss (3 points) and Kronrod (7 points) rules on [−1, 1]: Kronrod 1965; QUADPACK, Piessens et al. 1983.
NODES = np.array([0.9604912687080203, 0.7745966692414834, 0.43424374934680255])
KRONROD = np.array([0.10465622602646727, 0.26848808986833344, 0.40139741477596222])
GAUSS = np.array([0.0, 5 / 9, 0.0])
NODES = np.concatenate([-NODES, [0.0], NODES[::-1]])  # (7,)
KRONROD = np.concatenate([KRONROD, [0.45091653865847414], KRONROD[::-1]])  # (7,)
GAUSS = np.concatenate([GAUSS, [8 / 9], GAUSS[::-1]])  # (7,)

START = (0.0, 0.5, 1.0)
"""Edges of the first intervals."""


@dataclass(frozen=True)
class Params:
    """`tolerance` bounds Σ|interval errors| over the scale, `word_tolerance` a word's error over the largest score."""

    baseline: str = choice("auto", "auto", "mask", "pad", "unk", "zero", help="what every word is compared with")
    tolerance: float = number(0.01, 1e-6, 1.0, help="largest error of the total, as a share of the change explained")
    word_tolerance: float = number(0.05, 1e-6, 1.0, help="largest error of one word, as a share of the largest score")


@dataclass(frozen=True)
class Interval:
    """A piece of the path, integrated: token scores by Kronrod, unit-wise |Kronrod − Gauss|, error of the sum."""

    start: float
    end: float
    scores: Float64[np.ndarray, "T"]
    word_error: Float64[np.ndarray, "U"]
    error: float


@method(
    title="Integrated gradients",
    family="gradient",
    cite="Sundararajan, Taly & Yan 2017, arXiv:1703.01365",
    misleads="The scores compare with a baseline text; they do not say what happens if a word is deleted.",
    axioms=("complete", "dummy"),
    cost=lambda units: (3, 28),
)
def integrated_gradients(case: Case, params: Params) -> Steps[Attribution]:
    """Divides the change from a neutral text to this one among the words; the parts add up to the change."""
    name, start = case.baseline(params.baseline)
    delta = (case.embeds - start).astype(np.float64)  # (T, D)
    ends = yield Ask([case.point(start, 0.0), case.point(start, 1.0)])
    value = {0.0: float(ends.values[0]), 1.0: float(ends.values[1])}
    difference = value[1.0] - value[0.0]

    def integrate(pieces: list[tuple[float, float]]) -> Steps[list[Interval]]:
        edges = sorted({edge for piece in pieces for edge in piece} - value.keys())
        if edges:
            found = yield Ask([case.point(start, alpha) for alpha in edges])
            value.update(zip(edges, map(float, found.values), strict=True))
        alphas = [(a + b) / 2 + (b - a) / 2 * x for a, b in pieces for x in NODES]
        answer = yield Ask([case.point(start, float(alpha)) for alpha in alphas], gradients=True)
        slopes = np.array([(g.astype(np.float64) * delta).sum(1) for g in answer.gradients])  # (P·7, T)
        done = []
        for (a, b), s in zip(pieces, slopes.reshape(len(pieces), 7, -1), strict=True):
            kronrod, gauss = (b - a) / 2 * (KRONROD @ s), (b - a) / 2 * (GAUSS @ s)  # (T,)
            exact = value[b] - value[a]
            done.append(Interval(a, b, kronrod, np.abs(case.per_unit(kronrod - gauss)), abs(exact - kronrod.sum())))
        return done

    intervals = yield from integrate(list(pairwise(START)))
    spent, exhausted = 7 * len(intervals), False
    while True:
        scores = np.sum([i.scores for i in intervals], axis=0)  # (T,)
        unit_scores = case.per_unit(scores)  # (U,)
        scale, _ = residual_scale(difference, unit_scores)
        worst = _to_split(
            intervals, params.tolerance * scale, params.word_tolerance * np.abs(unit_scores).max(initial=0)
        )
        affordable = (case.budget - spent) // 14
        exhausted = bool(worst) and affordable < 1
        if not worst or exhausted:
            break
        worst = worst[:affordable]
        halves = [piece for i in worst for piece in ((i.start, (i.start + i.end) / 2), ((i.start + i.end) / 2, i.end))]
        fresh = yield from integrate(halves)
        spent += 7 * len(fresh)
        intervals = [i for i in intervals if i not in worst] + fresh

    return case.attribution(
        unit_scores=unit_scores,
        token_scores=scores,
        special=case.of_specials(scores),
        value_input=value[1.0],
        baseline=name,
        value_baseline=value[0.0],
        numeric_error=np.sum([i.word_error for i in intervals], axis=0).astype(np.float32),
        path=np.array(sorted({edge for i in intervals for edge in (i.start, i.end)})),
        exhausted=exhausted,
    )


def _to_split(intervals: list[Interval], tolerance: float, word_tolerance: float) -> list[Interval]:
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
