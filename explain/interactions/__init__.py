"""What pairs of words do together, beyond what each does alone: the Shapley interaction index.

    I_ij = Σ_{T ⊆ U∖{i,j}} |T|! (|U| − |T| − 2)! / (|U| − 1)! · (f(T ∪ ij) − f(T ∪ i) − f(T ∪ j) + f(T))

Grabisch & Roubens 1999. f(T) is the target's value with only the words of T in the text and the others replaced; the
bracket is what i and j add together minus what they add apart, averaged over the words that may stand beside them. A
negated word has an index against the word's own score; two words that say the same share one effect, and have one
against it too. It misleads where texts with words missing are unlike anything the model was trained on.

All sets of words are evaluated while the budget allows, 11 words by default; else `sampling` draws from them. In a
text of more than `MOST` words only some come and go, and the others always stay: the words whose loss moves the
target most, and their neighbours.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float64, Int64

from explain.case import Case, Steps
from explain.coalitions import coalition_values
from explain.interactions.index import exact, pairs_of
from explain.interactions.sampling import FIRST, sampled
from explain.records import Interactions

MOST = 20
"""Words that come and go; the number of pairs, and of unknowns, is half of its square."""
EXACT = 12
"""Words up to which every set may be evaluated, however large the budget."""
FILLER = "mask"
"""What stands in a removed word's place."""
TOGETHER = 512
"""Sets that are asked about at once, so that many texts in one batch do not fill the memory."""


def measure(case: Case) -> Steps[Interactions]:
    """The interaction index of every pair of words (of the `MOST` leading ones in a long text)."""
    players = np.arange(case.n_units) if case.n_units <= MOST else (yield from _leading(case))
    n = len(players)

    def values(kept: Bool[np.ndarray, "N P"]) -> Steps[Float64[np.ndarray, "N"]]:
        found = [np.zeros(0)]
        for start in range(0, len(kept), TOGETHER):
            whole = np.ones((len(kept[start : start + TOGETHER]), case.n_units), dtype=bool)
            whole[:, players] = kept[start : start + TOGETHER]
            found.append((yield from coalition_values(case, whole, FILLER)))  # type: ignore[arg-type]
        return np.concatenate(found)

    error = stopped = None
    if _all_sets(n, case.budget):
        scores = yield from exact(n, values)
    else:
        scores, error, stopped = yield from sampled(case, n, values)
    return Interactions(
        target=case.target,
        units=case.units.spans[players],
        unit_segment=case.units.segment[players],
        pairs=pairs_of(n).astype(np.int32),
        scores=scores.astype(np.float32),
        baseline=case.stands_in(FILLER),
        error=None if error is None else error.astype(np.float32),
        seed=None if error is None else case.seed,
        stopped=stopped,
    )


def cost(units: int, budget: int) -> int:
    """Forward passes that `measure` takes at most, for its forecast."""
    n = min(units, MOST)
    drawn = max(FIRST + 2 * n + 2, 4 * budget)  # the first answer is always computed
    return (units + 1 if units > MOST else 0) + (2**n if _all_sets(n, budget) else drawn)


def _all_sets(n: int, budget: int) -> bool:
    """The budget counts gradient evaluations, and a forward pass costs about a quarter of one."""
    return n <= EXACT and (n <= 4 or 2**n <= 4 * budget)


def _leading(case: Case) -> Steps[Int64[np.ndarray, "P"]]:
    """Half of the places go to the words whose loss moves the target most, the rest to neighbours of such words."""
    n = case.n_units
    values = yield from coalition_values(case, ~np.eye(n + 1, n, dtype=bool), FILLER)  # type: ignore[arg-type]
    order = np.argsort(-np.abs(values[:n] - values[n]), kind="stable")
    beside = (v for u in order.tolist() for v in (u - 1, u + 1) if 0 <= v < n)
    ranked = dict.fromkeys([*order[: MOST // 2].tolist(), *beside])
    return np.array(sorted(list(ranked)[:MOST]))
