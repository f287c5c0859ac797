"""How unlike ordinary text are the texts that the removal checks ask about?

Taking words out makes texts that nobody wrote, and a model's answers there may say little about real ones (Hase, Xie &
Bansal 2021). Each text is a point: the mean of its states after the last block, of length one. Its distance from
ordinary text is that to its `NEIGHBOUR`th nearest of a fixed background (Sun et al. 2022). Beyond ordinary means
farther than 95 % of the background sentences are from each other. `value` is the share of texts beyond, with words
masked or deleted, whichever is larger; the yardstick is 5 %, what holds of the background itself.

It says nothing where the unchanged text is beyond already: then the background is of another kind, or language.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64

from explain.case import Ask, Case, Replacement, Steps
from explain.checks import Found, check
from explain.checks._background import SENTENCES, cases
from explain.errors import ModelError
from explain.model.reads import logit
from explain.model.rows import Row
from explain.records import Attribution, Check, Status

TEXTS, NEIGHBOUR, FEWEST, ORDINARY = 40, 3, 10, 0.95
WARN = 0.25
"""Five times what is usual. Frozen with `sentiment` on eight development sentences of SST-2 (every second)."""
HOW: tuple[Replacement, ...] = ("mask", "remove")
BACKGROUND = "background states"


@check(
    stage="Comparing with ordinary sentences",
    order=60,
    default=False,
    question="reacts as the scores say",
    cite="Sun et al. 2022, arXiv:2204.06507",
    cost=lambda units, orders, method: (1 + len(HOW) * TEXTS, 0),
    once=lambda units, orders, method: (len(SENTENCES), 0),
    key=lambda method: (BACKGROUND,),
)
def out_of_distribution(case: Case, attribution: Attribution, found: Found) -> Steps[tuple[Check, ...]]:
    """Share of the texts with words taken out that lie farther from ordinary sentences than 95 % of those do."""
    yield from ()
    if not case.info.n_layers or case.n_units < 2:
        return (_said("n/a", "The model does not say how many layers it has, or there is only one word."),)
    try:
        background = _background(case)  # (B, D)
        if len(background) < FEWEST:
            return (_said("n/a", "The model reads too little to compare this text with ordinary sentences."),)
        rng = np.random.default_rng([case.seed, case.n_units])
        sizes = rng.integers(1, case.n_units, TEXTS)
        gone = np.argsort(rng.random((TEXTS, case.n_units)), axis=1) < sizes[:, None]  # (TEXTS, U)
        plain = logit(case.target)  # only states are looked at
        own = _states(case, [case.row(plain)])
        asked = {how: _states(case, [case.without(units, how, plain) for units in gone]) for how in HOW}
    except ModelError as error:
        return (_said("n/a", f"The model's layers cannot be looked into, so texts cannot be compared ({error})"),)
    among = _distance(background, background, NEIGHBOUR + 1)  # a sentence is its own nearest
    limit = float(np.quantile(among, ORDINARY))
    itself = float(_distance(own, background, NEIGHBOUR)[0])
    far = {how: _distance(states, background, NEIGHBOUR) for how, states in asked.items()}
    shares = {case.stands_in(how): float((d > limit).mean()) for how, d in far.items()}
    details = {
        "limit": limit,
        "text": itself,
        "beyond": shares,
        "median": {case.stands_in(how): float(np.median(d)) for how, d in far.items()},
    }
    masked, deleted = (f"{100 * share:.0f} %" for share in shares.values())
    worst = max(shares.values())
    if itself > limit:
        sentence = (
            "To the model this text itself is unlike the ordinary English sentences it is held against, so they cannot "
            "tell whether texts with words taken out are strange to it."
        )
        return (_said("not checked", sentence, worst, details),)
    sentence = (
        f"Of the texts with words taken out, {masked} with words masked and {deleted} with words deleted look less "
        f"ordinary to the model than nearly all ordinary sentences do (5 % would be usual)."
        + (" What it answers there may differ from what it does with real texts." if worst > WARN else "")
    )
    return (_said("warn" if worst > WARN else "pass", sentence, worst, details),)


def _said(status: Status, sentence: str, value: float | None = None, details: dict[str, object] | None = None) -> Check:
    yardstick, threshold = (None, None) if value is None else (1 - ORDINARY, WARN)
    return Check(
        "out of distribution",
        0,
        "reacts as the scores say",
        status,
        sentence,
        value,
        yardstick,
        threshold=threshold,
        details=details or {},
    )


def _background(case: Case) -> Float64[np.ndarray, "B D"]:
    """States of the background sentences, as pairs where the text is a pair; the same for every text of a model."""
    key = (BACKGROUND, len(case.texts))
    if key not in case.kept:
        rows = [c.row(logit(c.target)) for c in cases(case.retold, len(case.texts))]
        case.kept[key] = _states(case, rows)
    return np.asarray(case.kept[key])


def _states(case: Case, rows: Sequence[Row]) -> Float64[np.ndarray, "N D"]:
    """Mean state of each row after the last block, scaled to length one."""
    answer = case.evaluate(Ask(rows, layer=case.info.n_layers - 1))
    means = np.array([state.astype(np.float64).mean(0) for state in answer.states]).reshape(len(rows), -1)
    return means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)


def _distance(
    points: Float64[np.ndarray, "N D"], background: Float64[np.ndarray, "B D"], neighbour: int
) -> Float64[np.ndarray, "N"]:
    """Euclidean distance of each point to its `neighbour`th nearest of the background."""
    apart = np.linalg.norm(points[:, None] - background[None], axis=-1)  # (N, B)
    return np.sort(apart, axis=1)[:, neighbour - 1]
