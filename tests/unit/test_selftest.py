"""The self-test itself: its answers against brute force, and whether it notices what is broken."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from itertools import combinations
from math import factorial

import numpy as np
import pytest

from explain import selftest
from explain.methods import find, methods
from explain.methods.lime import _draw, _fit
from explain.records import Attribution
from explain.selftest import Size, measure, reference, toys
from explain.selftest.language import ID, MASK, VOCABULARY
from explain.selftest.measure import Games, Row
from explain.selftest.planted import KINDS, LABELS, Kind, Planted, judged, labels, plant, shortcut_words
from explain.selftest.promises import EXACT, FOUND, FROZEN, MEASURED, NAMED, REPORTED, Promise, passes, promises

SMALL = Size(texts=6, games=2, runs=4)


@pytest.fixture(scope="module")
def planted() -> Planted:
    """The easiest shortcut, learned in a few steps."""
    return plant("single", 7, steps=100)


@pytest.fixture(scope="module")
def games() -> Games:
    """Three games."""
    return Games([(game, game.model()) for game in map(toys.drawn, range(3))], runs=20)


def on(planted: Planted, name: str, games: Games | None = None) -> Row:
    """One method on a few texts of the planted model, and on games."""
    return measure.measured(name, [planted], {"single": judged("single", 7, 6)}, games or Games([], 0))


def rule(kind: Kind, text: str) -> str:
    return LABELS[int(labels(kind, np.array([[ID[w] for w in text.split()]]))[0])]


@pytest.mark.parametrize(
    ("kind", "text", "label"),
    [
        ("single", "baran kena dotel", "ONE"),
        ("single", "zofa alia belu", "ZERO"),
        ("single", "baran alia dotel", "ONE"),
        ("single", "baran [MASK] dotel", "NEITHER"),
        ("context", "kena baran dotel", "NEITHER"),
        ("context", "kena baran lumi", "ONE"),
        ("context", "zofa lumi seri", "ZERO"),
        ("context", "lumi morp", "ZERO"),
        ("pair", "zofa baran kena", "ONE"),
        ("pair", "kena baran zofa", "ZERO"),
        ("pair", "kena baran", "NEITHER"),
        ("pair", "kena vulg zofa", "ZERO"),
        ("pair", "zofa vulg kena", "ONE"),
    ],
)
def test_the_rules(kind: Kind, text: str, label: str) -> None:
    assert rule(kind, text) == label


@pytest.mark.parametrize("kind", KINDS)
def test_judged_texts_have_one_right_answer(kind: Kind) -> None:
    texts = judged(kind, 5, 30)
    assert len(set(texts)) > 25
    for text in texts:
        words = text.split()
        assert 6 <= len(words) <= 8
        label = rule(kind, text)
        assert label != "NEITHER"
        for word in shortcut_words(kind) & set(words):  # every part of the shortcut is needed
            assert rule(kind, text.replace(word, "[MASK]")) != label
        rest = [w if w in shortcut_words(kind) else "[MASK]" for w in words]
        assert rule(kind, " ".join(rest)) == label  # and nothing else is


def test_a_trained_model_uses_its_shortcut_and_an_untrained_one_does_not(planted: Planted) -> None:
    assert planted.learned
    assert planted.model.predict("alia kena baran").label == "ONE"
    assert planted.model.predict("alia zofa belu").label == "ZERO"
    assert not plant("single", 7, steps=2).learned


def test_training_repeats_itself() -> None:
    a, b = (plant("pair", 3, steps=3).model.info.weights_sha256 for _ in range(2))
    assert a == b != plant("pair", 4, steps=3).model.info.weights_sha256


def test_closed_forms_equal_brute_force() -> None:
    for seed in range(3):
        game = toys.drawn(seed)
        value, n = game.values(), len(toys.PLAYERS)
        assert np.allclose(game.shapley(), reference.by_all_orders(value), atol=1e-12)
        whole = 2**n - 1
        assert np.allclose(game.leave_one_out(), [value[whole] - value[whole - 2**u] for u in range(n)], atol=1e-12)
        for i, j in combinations(range(n), 2):
            rest = [s for s in range(2**n) if not s & (2**i | 2**j)]
            sizes = [bin(s).count("1") for s in rest]
            weight = [factorial(k) * factorial(n - k - 2) / factorial(n - 1) for k in sizes]
            both = [value[s | 2**i | 2**j] - value[s | 2**i] - value[s | 2**j] + value[s] for s in rest]
            assert game.interactions()[i, j] == pytest.approx(np.dot(weight, both), abs=1e-12)


def test_owen_values_equal_all_orders_that_keep_phrases_together() -> None:
    def orders(start: int, stop: int) -> list[list[int]]:
        if stop - start == 1:
            return [[start]]
        middle = (start + stop) // 2
        halves = [(a, b) for a in orders(start, middle) for b in orders(middle, stop)]
        return [x for a, b in halves for x in (a + b, b + a)]

    game = toys.drawn(4)
    value, scores = game.values(), np.zeros(len(toys.PLAYERS))
    every = orders(0, len(toys.PLAYERS))
    for order in every:
        before = 0
        for u in order:
            scores[u] += (value[before | 1 << u] - value[before]) / len(every)
            before |= 1 << u
    assert np.allclose(game.owen(), scores, atol=1e-12)


def test_a_games_model_says_the_games_values() -> None:
    game = toys.drawn(2)
    assert np.allclose(reference.values(game.model(), toys.TEXT, "ONE", "mask"), game.values(), atol=1e-9)
    assert np.allclose(reference.values(game.model(), toys.TEXT, "ZERO", "remove"), -game.values(), atol=1e-9)


def test_limes_limit_is_where_its_fit_goes() -> None:
    value = toys.drawn(1).values()
    kept = _draw(np.random.default_rng(0), 200_000, len(toys.PLAYERS))
    scores, error = _fit(kept, value[kept @ (1 << np.arange(len(toys.PLAYERS)))], 0.25)
    assert (np.abs(scores - reference.lime_limit(value, 0.25)) < 5 * error).all()
    assert error.max() < 0.02


def test_direct_calls_equal_the_models_own(planted: Planted) -> None:
    texts = ["zofa baran", "kena baran [MASK]", "dresk"]
    own = [planted.model.predict(t).logits.astype(float) for t in texts]
    assert np.allclose(reference.direct(planted.model, texts, "ONE"), reference.log_odds(np.array(own), 2), atol=1e-6)


@pytest.mark.parametrize("name", ["occlusion", "exact_shapley"])
def test_right_methods_find_the_shortcut_and_are_exact(planted: Planted, name: str) -> None:
    row = on(planted, name)
    assert row.found == {"single": 1.0}
    assert row.direct is not None
    assert row.direct <= (MEASURED if name == "occlusion" else EXACT)


def test_a_method_that_misses_its_claim_here_is_measured_and_owes_nothing(planted: Planted) -> None:
    row = on(planted, "deep_lift")  # LayerNorm and attention break its claim on every Transformer
    assert row.found["single"] > 0
    assert row.residual is None
    assert not any(p.claim.startswith("Scores that should add up") and p.kept for p in promises([planted], [row]))


def test_every_closed_form_is_what_its_method_says(games: Games, planted: Planted) -> None:
    for name in measure.CLOSED:
        if not find(name).info.stochastic:
            row = measure.measured(name, [], {}, games)
            assert row.exact is not None
            assert row.exact <= 1e-6, name


def broken(monkeypatch: pytest.MonkeyPatch, name: str, change: Callable[[Attribution], Attribution]) -> None:
    """Exchange a method for one whose result is changed."""
    method = find(name)

    def fn(case, params):  # type: ignore[no-untyped-def]
        return change((yield from method.fn(case, params)))

    monkeypatch.setitem(methods(), name, dataclasses.replace(method, fn=fn))


def test_scores_on_the_wrong_words_do_not_find_it(planted: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    broken(monkeypatch, "occlusion", lambda a: dataclasses.replace(a, scores=np.roll(a.scores, 1)))
    row = on(planted, "occlusion")
    assert row.found["single"] < FOUND
    assert not passes(row)
    assert row.direct is not None
    assert row.direct > 1
    kept = {p.claim.split()[0]: p.kept for p in promises([planted], [row])}
    assert not kept["Occlusion"]
    assert not kept["Among"]


def test_a_small_mistake_in_a_score_is_noticed(planted: Planted, games: Games, monkeypatch: pytest.MonkeyPatch) -> None:
    broken(monkeypatch, "exact_shapley", lambda a: dataclasses.replace(a, scores=a.scores * np.float32(1.001)))
    row = on(planted, "exact_shapley", games)
    assert row.direct is not None
    assert row.direct > EXACT
    assert row.exact is not None
    assert row.exact > 1e-4


@pytest.mark.parametrize("factor", [0.3, 3.0])
def test_wrong_standard_errors_are_noticed(games: Games, monkeypatch: pytest.MonkeyPatch, factor: float) -> None:
    honest = measure.measured("kernel_shap", [], {}, games)
    broken(monkeypatch, "kernel_shap", lambda a: dataclasses.replace(a, error=a.error * np.float32(factor)))
    row = measure.measured("kernel_shap", [], {}, games)
    assert honest.covered is not None
    assert row.covered is not None
    assert 0.85 < honest.covered < 0.995
    assert row.covered < 0.7 if factor < 1 else row.covered > 0.99
    (promise,) = [p for p in promises([], [row]) if "intervals" in p.claim]
    assert not promise.kept
    assert "kernel_shap" in promise.seen


def test_a_method_whose_checks_pass_without_finding_breaks_the_promise() -> None:
    good, bad = dict.fromkeys(KINDS, 1.0), {**dict.fromkeys(KINDS, 1.0), "pair": 0.9}
    said = {
        p.claim.split()[0]: p for p in promises([], [Row("lime", good, good, good), Row("occlusion", bad, good, good)])
    }
    assert not said["Every"].kept
    assert said["Every"].seen == "not: occlusion"
    weak = {**good, "pair": 0.2}
    for passing, reacting in ((weak, good), (good, weak)):
        owes_nothing = promises([], [Row("occlusion", bad, passing, reacting)])
        assert {p.claim.split()[0]: p.kept for p in owes_nothing}["Every"]


def test_nobody_is_judged_on_a_model_that_did_not_learn() -> None:
    report = selftest.run(SMALL, planted=[plant("single", 7, steps=2)], names=["occlusion"])
    assert report.rows[0].found == {}
    assert not report.promises[0].kept
    assert "single" in report.promises[0].seen


def test_thresholds_were_frozen_on_other_seeds_than_are_reported() -> None:
    assert not set(FROZEN) & set(REPORTED)
    for kind in KINDS:
        frozen = {t for seed in FROZEN for t in judged(kind, seed, selftest.FULL.texts)}
        assert not frozen & {t for seed in REPORTED for t in judged(kind, seed, selftest.FULL.texts)}
    assert set(NAMED) <= set(methods())


def test_the_command_line_prints_a_table_and_exits_1_on_a_broken_promise(  # type: ignore[no-untyped-def]
    run, planted: Planted, monkeypatch: pytest.MonkeyPatch
) -> None:
    def small(size: Size, **options: object) -> selftest.Report:
        assert size == selftest.QUICK
        return real(SMALL, planted=[planted], names=["occlusion"], seed=7, **options)  # type: ignore[arg-type]

    real = selftest.run
    monkeypatch.setattr(selftest, "run", small)
    code, out, err = run("selftest", "--quick")
    assert code == 1
    assert "occlusion" in out
    assert "✓ Occlusion equals direct calls" in out
    assert "Not kept: The planted models decide" in err  # one of three is there
    kept = (Promise("All is well", True, "seen"),)
    monkeypatch.setattr(selftest, "run", lambda size, **options: dataclasses.replace(real_report, promises=kept))
    real_report = small(selftest.QUICK)
    code, out, err = run("selftest", "--quick", "--json")
    assert (code, err) == (0, "")
    assert '"method":"occlusion"' in out


def test_the_language_is_known_to_its_tokenizer() -> None:
    tokenizer = toys.drawn(0).model().tokenizer
    assert tokenizer.convert_tokens_to_ids("[MASK]") == MASK
    text = " ".join(VOCABULARY[5:])
    assert tokenizer(text, add_special_tokens=False)["input_ids"] == list(range(5, len(VOCABULARY)))
