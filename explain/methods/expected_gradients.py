"""Expected gradients: integrated gradients averaged over many baseline texts, at one random point of each path.

    score_i = E[(x_i − b_i) · ∂f(b + α (x − b)) / ∂x_i],   b from the background,   α ~ U(0, 1)

Erion, Janizek, Sturmfels, Lundberg & Lee 2021. No single baseline has to mean "nothing": the background is a set of
texts, one a line, each laid over this text token by token. On average the scores add up to f(text) − E f(b). The
scatter over rounds, each with every background text once, gives the standard error.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import cycle

import numpy as np

from explain.case import Ask, Case, Draft, Steps
from explain.methods import method
from explain.methods._sampling import standard_error
from explain.plugins import number, words
from explain.records import Attribution
from explain.together import slopes as slopes_of

FIRST = 4
"""Rounds before the first answer."""
BACKGROUND = "\n".join(
    (
        "It is about a man who lives in a town by the sea and works there.",
        "The meeting takes place on the second floor at ten in the morning.",
        "She read the letter, put it back on the table and left the house.",
        "There are three of them in the box, and two more in the car.",
        "He said that he had been there before, some years ago.",
        "The report has twelve pages and was sent to all members.",
        "They went from one end of the street to the other and back.",
        "You can find the number on the back of the card.",
    )
)
"""Eight plain sentences of no particular subject."""


@dataclass(frozen=True)
class Params:
    """`background` holds one baseline text a line; `tolerance` is the widest half of a 95 % interval."""

    background: str = words(BACKGROUND, help="texts to compare with, one a line; each is laid over this one")
    tolerance: float = number(0.1, 0.001, 1.0, help="half width of a word's 95 % interval over the largest score")


@method(
    title="Expected gradients",
    family="gradient",
    cite="Erion et al. 2021, arXiv:1906.10670",
    misleads="The background decides: against other texts the same word may score otherwise.",
    stochastic=True,
    cost=lambda units: (9, 512),  # the budget nearly always ends it
)
def expected_gradients(case: Case, params: Params) -> Steps[Attribution]:
    """Averages the change against many ordinary texts instead of one neutral one."""
    texts = [line for line in params.background.splitlines() if line.strip()]
    starts = [case.baseline("text", text)[1] for text in texts] or [case.baseline("text", "")[1]]
    deltas = [(case.embeds - start).astype(np.float64) for start in starts]  # (T, D) each
    ends = yield Ask([case.row(), *(case.point(start, 0.0) for start in starts)])
    rng, rounds = np.random.default_rng(case.seed), np.zeros((0, len(deltas[0])))
    while True:
        rows, turn = [case.point(start, float(rng.random())) for _ in range(FIRST) for start in starts], cycle(deltas)
        _, slopes = yield from slopes_of(case, rows, lambda g, turn=turn: (g * next(turn)).sum(1))  # type: ignore[misc]
        rounds = np.concatenate([rounds, np.array(slopes).reshape(FIRST, len(starts), -1).mean(1)])  # (R, T)
        units, tokens = case.per_unit(rounds), rounds.mean(0)
        scores, error = units.mean(0), standard_error(units)
        stop = case.stop(scores, error, params.tolerance, spent=4 * len(rounds) * len(starts), following=4 * len(rows))
        stop = None if stop == "settled" and len(rounds) <= FIRST else stop
        found = case.attribution(
            unit_scores=scores,
            token_scores=tokens,
            special=case.of_specials(tokens),
            value_input=float(ends.values[0]),
            baseline="background",
            value_baseline=float(ends.values[1:].astype(np.float64).mean()),
            error=error,
            seed=case.seed,
            stopped=stop,
        )
        if stop:
            return found
        yield Draft(found)
