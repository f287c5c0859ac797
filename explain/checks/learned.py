"""Has the model learned anything that tells texts apart? An untrained one has explanations too, of noise.

Ordinary sentences of many subjects are read by the model and by copies of it whose weights were dealt anew (see
`explain.model.redraw`). `value` is how far its raw outputs spread over the sentences (the largest standard deviation of
an output, softmax outputs less their mean), the yardstick the same for the copies. A model that does not spread more
than its copies, or hardly at all, gets a warning: a note on the model, never on one text. Computed once for a model.

It doubts only; a model may tell texts apart and be wrong. It can also miss what a model was trained for, if that has
nothing to do with everyday English.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from explain.case import Case, Steps
from explain.checks import Found, check
from explain.checks._background import SENTENCES
from explain.records import Attribution, Check, Status

COPIES = 2
TIMES, LEAST = 2.0, 0.1
"""How many times the copies' spread, and how much at the least, is no longer doubted."""


@check(
    stage="Asking a model that learned nothing",
    order=65,
    default=False,
    question="reacts as the scores say",
    cost=lambda units, orders, method: ((1 + COPIES) * len(SENTENCES), 0),
)
def learned(case: Case, attribution: Attribution, found: Found) -> Steps[tuple[Check, ...]]:
    """Spread of the outputs over ordinary sentences, beside that of copies whose weights were dealt anew."""
    yield from ()
    key = ("learned", len(case.tokens.texts))
    if key not in case.kept:
        copies = [_spread(case.redrawn(seed), len(case.tokens.texts)) for seed in range(COPIES)]
        case.kept[key] = {"spread": _spread(case.retold, len(case.tokens.texts)), "copies": copies}
    known: dict[str, Any] = case.kept[key]
    spread, random = known["spread"], float(np.mean(known["copies"]))
    status: Status = "pass" if spread > max(TIMES * random, LEAST) else "warn"
    sentence = (
        f"This is about the model, not about this text: over {len(SENTENCES)} ordinary sentences its outputs spread by "
        f"{spread:.2f}, those of a copy that has learned nothing by {random:.2f}."
    )
    if status == "warn":
        sentence += " So it may be untrained, or trained for quite other texts, and then scores describe noise."
    return (
        Check(
            "learned",
            0,
            "reacts as the scores say",
            status,
            sentence,
            spread,
            random,
            threshold=LEAST,
            details=dict(known),
        ),
    )


def _spread(retold: Callable[..., Case], n_texts: int) -> float:
    """Largest standard deviation of an output over the sentences."""
    answers = [
        retold((text, SENTENCES[i - 1])[:n_texts], target=None, truncate=True) for i, text in enumerate(SENTENCES)
    ]
    outputs = np.array([case.prediction.logits for case in answers], dtype=float)  # (B, C)
    if answers[0].prediction.activation == "softmax":
        outputs -= outputs.mean(1, keepdims=True)
    return float(outputs.std(0).max())
