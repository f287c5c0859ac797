"""One method held against what is known: does it find the shortcut, are its numbers right, do they add up?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Float64

from explain.catalog import Request
from explain.engine import Model
from explain.methods import find
from explain.record import Record
from explain.records import NORMAL, Attribution, Explanation
from explain.selftest import reference
from explain.selftest.language import PLAIN
from explain.selftest.planted import Kind, Planted, shortcut_words
from explain.selftest.toys import TEXT, Game

ORDERS = 200
"""Random orders that the removal checks draw: enough for a verdict."""
BACKGROUND = "\n".join(" ".join(PLAIN[i : i + 8]) for i in (0, 4, 8))
PARAMS = {"expected_gradients": {"background": BACKGROUND}}
"""The default background is English, and every word of it unknown here; these words play in no game."""
ROUNDING = 1e-6
"""Of the largest score: what float32 may add to an interval of no width."""

CLOSED: Mapping[str, Callable[[Game], Float64[np.ndarray, "U"]]] = {
    **dict.fromkeys(
        ("integrated_gradients", "exact_shapley", "expected_gradients", "gradient_shap", "kernel_shap"), Game.shapley
    ),
    "shapley_sampling": Game.shapley,
    "partition_shap": Game.owen,
    **dict.fromkeys(("occlusion", "input_x_gradient", "smooth_grad"), Game.leave_one_out),
    "saliency": lambda game: np.full(len(game.shapley()), np.linalg.norm(game.leave_one_out())),
    "lime": lambda game: reference.lime_limit(game.values(), _lime_width()),
}
"""What a method says about a game, on paper; the other methods look into layers, which a game has none of."""


@dataclass(frozen=True, eq=False)
class Row(Record):
    """All that was measured of one method.

    `found` and `passing` are shares of texts by kind of shortcut: the word with the largest |score| belongs to the
    shortcut; no check fails. `reacting` is the mean percentile among random orders that the removal checks give, of
    comprehensiveness or sufficiency, whichever is lower. `exact` is the largest error over the largest score on the
    games, `direct` the largest in log-odds on the planted models, from direct calls (exact Shapley values, occlusion).
    Sampling methods have `covered` instead: the share of words whose 95 % interval held the exact value, its standard
    error with a run as one case, and the number of runs. `residual` is the largest relative residual of methods that
    claim to add up on every model. None: does not apply.
    """

    method: str
    found: Mapping[Kind, float] = field(default_factory=dict)
    passing: Mapping[Kind, float] = field(default_factory=dict)
    reacting: Mapping[Kind, float] = field(default_factory=dict)
    exact: float | None = None
    direct: float | None = None
    covered: float | None = None
    covered_error: float | None = None
    runs: int = 0
    residual: float | None = None


def measured(name: str, planted: Sequence[Planted], texts: Mapping[Kind, Sequence[str]], games: Games) -> Row:
    """Run one method on all planted texts and games."""
    method = find(name)
    sampling, claims = method.info.stochastic, "complete" in method.info.axioms and method.gated is None
    found: dict[Kind, float] = {}
    passing: dict[Kind, float] = {}
    reacting: dict[Kind, float] = {}
    residuals: list[float] = []
    hits: list[Bool[np.ndarray, "U"]] = []
    off: list[float] = []
    for place, one in enumerate(planted):
        results = ask(one.model, name, texts[one.kind], 1000 * place)
        found[one.kind] = float(np.mean([top_word(r) in shortcut_words(one.kind) for r in results]))
        passing[one.kind] = float(np.mean([not any(c.status == "fail" for c in r.checks) for r in results]))
        reacting[one.kind] = min(_mean_value(results, check) for check in ("comprehensiveness", "sufficiency"))
        residuals += [r.attributions[0].relative_residual or 0.0 for r in results]
        if name in _EXACT:
            exact = [_EXACT[name](one.model, r.tokens.texts[0], r.target.name) for r in results]
            pairs = [(r.attributions[0], e) for r, e in zip(results, exact, strict=True)]
            hits += [covers(a, e) for a, e in pairs if a.error is not None and a.error.any()]  # the others were exact
            off += [float(np.abs(r.attributions[0].scores - e).max()) for r, e in zip(results, exact, strict=True)]
    closed = None
    if name in CLOSED:
        errors = []
        for place, (game, model) in enumerate(games.each):
            exact_scores = CLOSED[name](game)
            asked = [TEXT] * (games.runs if sampling else 1)
            runs = ask(model, name, asked, 1000 * place, target="ONE", checks=())
            hits += [covers(r.attributions[0], exact_scores) for r in runs] if sampling else []
            errors += [np.abs(r.attributions[0].scores - exact_scores).max() / np.abs(exact_scores).max() for r in runs]
            residuals += [r.attributions[0].relative_residual or 0.0 for r in runs]
        closed = float(np.max(errors, initial=0))
    shares = np.array([h.mean() for h in hits])  # a run's words are no independent cases: their mean is one
    return Row(
        method=name,
        found=found,
        passing=passing,
        reacting=reacting,
        exact=None if sampling else closed,
        direct=max(off) if off and not sampling else None,
        covered=float(np.concatenate(hits).mean()) if hits else None,
        covered_error=float(shares.std() / np.sqrt(len(shares))) if hits else None,
        runs=len(hits),
        residual=max(residuals, default=None) if claims else None,
    )


@dataclass(frozen=True, eq=False)
class Games:
    """Games with their models, and how often a sampling method is run on each."""

    each: Sequence[tuple[Game, Model]]
    runs: int


def ask(
    model: Model,
    name: str,
    texts: Sequence[str],
    seed: int,
    target: str | None = None,
    checks: tuple[str, ...] | None = None,
) -> list[Explanation]:
    """Explain texts with one method, with seeds from `seed` on: equal ones would draw equal sets, and err alike.

    A method that misses its own claim on the model is forced: what else it does is measured all the same.
    """
    params = {name: PARAMS[name]} if name in PARAMS else {}
    return model.answer(
        [
            Request((text,), (name,), params, target=target, checks=checks, orders=ORDERS, seed=seed + i, forced=True)
            for i, text in enumerate(texts)
        ]
    )


def top_word(result: Explanation) -> str:
    """The word with the largest |score|."""
    return max(result.words(), key=lambda word: abs(word.score)).text


def _mean_value(results: Sequence[Explanation], name: str) -> float:
    """A check's value, averaged over texts."""
    return float(np.mean([c.value for r in results for c in r.checks if c.name == name]))


def covers(found: Attribution, exact: Float64[np.ndarray, "U"]) -> Bool[np.ndarray, "U"]:
    """For each word: is the exact value within 1.96 standard errors of the score?"""
    error = np.zeros(len(exact)) if found.error is None else found.error.astype(float)
    return np.abs(found.scores - exact) <= NORMAL * error + ROUNDING * np.abs(exact).max()


def _lime_width() -> float:
    return float(next(p.default for p in find("lime").info.params if p.name == "width"))


@lru_cache(maxsize=512)  # three methods ask for the same values
def _shapley(model: Model, text: str, label: str) -> Float64[np.ndarray, "U"]:
    return reference.by_all_orders(reference.values(model, text, label, "mask"))


def _leave_one_out(model: Model, text: str, label: str) -> Float64[np.ndarray, "U"]:
    """What the log-odds lose with each word masked, from one call of `predict` a text."""
    words = text.split()
    asked = [text, *(" ".join([*words[:u], "[MASK]", *words[u + 1 :]]) for u in range(len(words)))]
    logits = np.array([model.predict(t).logits for t in asked], dtype=float)  # (1 + U, 2)
    value = reference.log_odds(logits, model.info.labels.index(label))
    return value[0] - value[1:]


def _path_integral(model: Model, text: str, label: str) -> Float64[np.ndarray, "U"]:
    fine = {"integrated_gradients": {"tolerance": 1e-4, "word_tolerance": 1e-3}}
    (result,) = model.answer([Request((text,), params=fine, target=label, checks=(), budget=4000)])
    return result.attributions[0].scores.astype(float)


_EXACT: Mapping[str, Callable[[Model, str, str], Float64[np.ndarray, "U"]]] = {
    **dict.fromkeys(("exact_shapley", "kernel_shap", "shapley_sampling"), _shapley),
    "occlusion": _leave_one_out,
    "gradient_shap": _path_integral,
    "lime": lambda model, text, label: reference.lime_limit(
        reference.values(model, text, label, "remove"), _lime_width()
    ),
}
"""What a method says about a planted text, from direct calls (GradientSHAP: from a fine path integral)."""
