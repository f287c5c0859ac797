"""Would a model that has learned nothing get the same explanation? A note on method and model, never on one text.

The weights of a copy of the model are dealt anew (see `explain.model.redraw`), and fixed sentences are explained on
both, for the label that the model itself decides for. A method whose pictures stay the same shows the words, not the
model (Adebayo et al. 2018). Of the forms of the test, the one that compares only the original with the wholly
randomised model (eMPRT, Hedström et al. 2023): `value` is the mean rank correlation of |scores|; the rise is how much
more evenly |scores| are spread over the words on the randomised model, (H' − H) / H with Shannon's entropy. The
yardstick is what 95 % of random deals stay below.

Computed once for a model and method with the same options, and kept.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Float64

from explain.case import Case, Steps, at_once
from explain.checks import Found, check
from explain.checks._background import PLAIN
from explain.checks._compare import dealt, rank_correlation
from explain.errors import InputError, MethodError, ModelError
from explain.methods import find
from explain.records import Attribution, Check, Status

PROBES = (
    "The food was good but the service was slow.",
    "A dull story with one truly funny scene.",
    "The minister said taxes would rise again.",
    "I never want to leave this place!",
    "Our team lost its third match on Saturday.",
    "This phone is heavy and far too expensive.",
)
COPIES = 2
TIMES = len(PROBES) * (1 + COPIES)
"""How often the method runs."""
WARN = 0.5
"""From this mean rank correlation on, half of the order survives; chosen beforehand, fitted to nothing."""
ROUGH = {**PLAIN, "seed": 0, "budget": 64}
"""What the probes are asked, whatever was asked of the text; rough scores are enough for ranks."""


@check(
    stage="Explaining a model that learned nothing",
    order=70,
    default=False,
    question="robust",
    cite="Hedström et al. 2023, arXiv:2401.06465; Adebayo et al. 2018, arXiv:1810.03292",
    copies=True,
    key=lambda method: ("randomisation", method),
    once=lambda units, orders, method: (
        TIMES * min(method[0], 4 * ROUGH["budget"]),
        TIMES * min(method[1], ROUGH["budget"]),
    ),
)
def randomisation(case: Case, attribution: Attribution, found: Found) -> Steps[tuple[Check, ...]]:
    """Mean rank correlation of the sizes of scores with those on a copy of the model whose weights were dealt anew."""
    yield from ()
    method = find(attribution.method)
    key = ("randomisation", method.info.name, repr(sorted(attribution.params.items())), len(case.texts))
    if key not in case.kept:
        try:
            case.kept[key] = _measured(case, attribution)
        except (MethodError, ModelError) as error:
            return (
                Check("randomisation", 0, "robust", "n/a", f"A copy of this model cannot be explained so: {error}"),
            )
    known: dict[str, Any] = case.kept[key]
    about = "This is about method and model, not about this text"
    if not known["correlations"]:
        sentence = f"{about}: the sentences it needs are too long for this model or method, so nothing was compared."
        return (Check("randomisation", 0, "robust", "n/a", sentence),)
    value, chance = known["mean"], known["chance"]
    status: Status = "warn" if value >= WARN and value > chance else "pass"
    kept = "largely stays" if status == "warn" else "does not stay"
    sentence = (
        f"{about}: on a copy of the model that has learned nothing, the order of the score sizes {kept} the same "
        f"(rank agreement {value:.2f}; chance reaches {chance:.2f}, 1 would be the same picture)."
        + (" Such pictures show the words more than what the model learned." if status == "warn" else "")
    )
    return (Check("randomisation", 0, "robust", status, sentence, value, chance, threshold=WARN, details=dict(known)),)


def _measured(case: Case, attribution: Attribution) -> dict[str, Any]:
    """Explain the probes on the model and on each copy; a copy is gone when its turn is over."""
    method = find(attribution.method)
    params = method.configured(attribution.params)
    pair = len(case.texts) == 2
    texts = [(text, PROBES[i - 1]) if pair else (text,) for i, text in enumerate(PROBES)]
    try:
        plain = [replace(case.retold(t, **ROUGH), enough=lambda: False) for t in texts]
    except InputError:
        plain = []
    if method.info.limit is not None and any(c.n_units > method.info.limit for c in plain):
        plain = []
    ours = [_sizes(at_once(method.fn(c, params), c.evaluate)) for c in plain]
    pairs: list[tuple[Float64[np.ndarray, "U"], Float64[np.ndarray, "U"]]] = []
    for seed in range(COPIES if plain else 0):
        copy = case.redrawn(seed)
        for known, was, text in zip(plain, ours, texts, strict=True):
            other = copy(text, **ROUGH)  # it decides otherwise, and would choose other words of the text
            there = replace(other.encoding, places=known.encoding.places)
            other = replace(other, target=known.target, encoding=there, enough=known.enough)
            pairs.append((was, _sizes(at_once(method.fn(other, params), other.evaluate))))
    correlations = [float(rank_correlation(a, b)) for a, b in pairs]
    rng = np.random.default_rng(0)
    random = np.mean([rank_correlation(a, dealt(b, rng)) for a, b in pairs], axis=0) if pairs else np.zeros(1)
    return {
        "correlations": correlations,
        "mean": float(np.mean(correlations)) if pairs else None,
        "chance": float(np.quantile(random, 0.95)),
        "entropy_rise": [float((_entropy(b) - _entropy(a)) / max(_entropy(a), 1e-12)) for a, b in pairs],
        "probes": [list(t) for t in texts],
        "copies": COPIES,
    }


def _sizes(found: Attribution) -> Float64[np.ndarray, "U"]:
    return np.abs(found.scores.astype(np.float64))


def _entropy(sizes: Float64[np.ndarray, "U"]) -> float:
    """Shannon's entropy of the shares, in nats: 0 where one word has all, log U where all have the same."""
    shares = sizes / max(float(sizes.sum()), 1e-300)
    return float(-(shares[shares > 0] * np.log(shares[shares > 0])).sum())
