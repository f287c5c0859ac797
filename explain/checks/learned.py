"""Has the model learned anything that tells texts apart? An untrained one has explanations too, of noise.

Ordinary sentences of many subjects are read by the model and by copies of it whose weights were dealt anew (see
`explain.model.redraw`). `value` is how far its raw outputs spread over the sentences (the largest standard deviation of
an output, softmax outputs less their mean), the yardstick the same for the copies. A model that does not spread more
than its copies, or hardly at all, gets a warning: a note on the model, never on one text. Computed once for a model.

It doubts only; a model may tell texts apart and be wrong. It can also miss what a model was trained for, if that has
nothing to do with everyday English.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from explain.case import Case, Steps
from explain.checks import Found, check
from explain.checks._background import SENTENCES, cases
from explain.errors import ModelError
from explain.records import Attribution, Check, Status

COPIES, FEWEST = 2, 10
TIMES, LEAST = 2.0, 0.1
"""How many times the copies' spread, and how much at the least, is no longer doubted; chosen beforehand."""


@check(
    stage="Asking a model that learned nothing",
    order=65,
    default=False,
    question="reacts as the scores say",
    copies=True,
    once=lambda units, orders, method: ((1 + COPIES) * len(SENTENCES), 0),
    key=lambda method: ("learned",),
)
def learned(case: Case, attribution: Attribution, found: Found) -> Steps[tuple[Check, ...]]:
    """Spread of the outputs over ordinary sentences, beside that of copies whose weights were dealt anew."""
    yield from ()
    key, n_texts = ("learned", len(case.texts)), len(case.texts)
    if key not in case.kept:
        read = cases(case.retold, n_texts)
        try:
            copies = [_spread(cases(case.redrawn(seed), n_texts)) for seed in range(COPIES)]
        except ModelError as error:
            sentence = f"A copy of this model cannot be asked: {error}"
            return (Check("learned", 0, "reacts as the scores say", "n/a", sentence),)
        case.kept[key] = {"spread": _spread(read), "copies": copies, "sentences": len(read)}
    known: dict[str, Any] = case.kept[key]
    spread, random = known["spread"], float(np.mean(known["copies"]))
    if known["sentences"] < FEWEST:
        sentence = "The model reads too little to be asked about ordinary sentences."
        return (Check("learned", 0, "reacts as the scores say", "n/a", sentence),)
    status: Status = "pass" if spread > max(TIMES * random, LEAST) else "warn"
    sentence = (
        f"This is about the model, not about this text: over {known['sentences']} ordinary sentences its outputs "
        f"spread by {spread:.2f}, those of a copy that has learned nothing by {random:.2f}."
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


def _spread(answers: list[Case]) -> float:
    """Largest standard deviation of an output over the sentences."""
    fewest = min((len(case.prediction.logits) for case in answers), default=0)  # a short text has few answers
    outputs = np.array([case.prediction.logits[:fewest] for case in answers], dtype=float)  # (B, C)
    if answers and answers[0].prediction.activation == "softmax":
        outputs -= outputs.mean(1, keepdims=True)
    return float(outputs.std(0).max()) if answers else 0.0
