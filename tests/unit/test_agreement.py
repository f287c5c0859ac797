"""Checks that compare scores with words' absence, with sums over sets, and with other methods."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from scipy.stats import kendalltau

from explain.catalog import Request
from explain.checks import Found
from explain.checks.agreement import agreement
from explain.checks.infidelity import infidelity
from explain.checks.leave_one_out import _signs, _tau, leave_one_out
from explain.effects import measure
from explain.engine import Model
from explain.records import Attribution, Check
from tests.cases import case_of, run
from tests.toys import Sum, toy

SHORT = "good dull funny slow"
LONG = "a good movie, but never very funny or charming and the ending is awful"


@pytest.fixture(scope="module")
def model() -> Model:
    return toy(Sum(2))


def scored(model: Model, text: str, name: str = "occlusion") -> Attribution:
    return model.explain(text, methods=[name], checks=()).attributions[0]


def test_leave_one_out_equals_brute_force(model: Model) -> None:
    case, attribution = case_of(model, SHORT), scored(model, SHORT)
    effects = run(model, measure(case))
    scores = np.array([0.3, -1.0, 0.2, 2.0])
    attribution = replace(attribution, scores=scores.astype(np.float32))
    drops = effects.value_input - effects.without.astype(float)

    def tau(a: np.ndarray) -> float:
        pairs = [(i, j) for i in range(4) for j in range(i)]
        return float(np.mean([np.sign((a[i] - a[j]) * (drops[i] - drops[j])) for i, j in pairs]))

    (found,) = run(model, leave_one_out(case, attribution, Found(effects)))
    everything = [tau(scores[list(p)]) for p in permutations(range(4))]
    assert found.value == pytest.approx(tau(scores))
    below, equal = np.array(everything) < tau(scores) - 1e-9, np.abs(np.array(everything) - tau(scores)) < 1e-9
    assert found.details["percentile"] == pytest.approx(below.mean() + equal.mean() / 2)


def test_a_true_order_passes_and_dealt_scores_do_not(model: Model) -> None:
    case, effects = case_of(model, LONG), None
    effects = run(model, measure(case))
    true = scored(model, LONG)
    wrong = replace(true, scores=-true.scores)
    dealt = replace(true, scores=np.random.default_rng(1).permutation(true.scores))
    for fn in (leave_one_out, infidelity):
        statuses = [run(model, fn(case, a, Found(effects)))[0].status for a in (true, wrong, dealt)]
        assert statuses[0] == "pass"
        assert statuses[1] == "fail"
        assert statuses[2] != "pass"


def test_infidelity_of_exact_sums_is_perfect(model: Model) -> None:
    """A linear model: what a set of words does is the sum of what its words do."""
    (found,) = run(model, infidelity(case_of(model, LONG), scored(model, LONG), Found()))
    assert found.value == pytest.approx(1, abs=1e-5)
    assert found.details["mean_square_error"] == pytest.approx(0, abs=1e-8)


@pytest.mark.parametrize("fn", [leave_one_out, infidelity])
def test_two_words_have_no_order(model: Model, fn) -> None:  # type: ignore[no-untyped-def]
    (found,) = run(model, fn(case_of(model, "so dull"), scored(model, "so dull"), Found()))
    assert found.status == "n/a"


def test_agreement_and_dissent_are_said(model: Model) -> None:
    case, first = case_of(model, SHORT), scored(model, SHORT)
    same = replace(first, method="lime", scores=2 * first.scores)
    turned = replace(first, method="kernel_shap", scores=-first.scores)
    unsigned = replace(first, method="saliency", scores=np.abs(first.scores), signed=False)

    def said(*others: Attribution) -> tuple[Check, ...]:
        return tuple(run(model, agreement(case, first, Found(None, (first, *others)))))

    assert said() == ()
    assert said(same)[0].status == "pass"
    assert said(unsigned)[0].status == "pass"
    (found,) = said(same, turned)
    assert found.status == "warn"
    assert "KernelSHAP disagrees" in found.sentence
    assert found.details["pairs"][0]["rank_correlation"] == pytest.approx(1)
    assert found.details["pairs"][1]["rank_correlation"] == pytest.approx(-1)
    assert found.value == 1.0, "the same three words, with other signs"


def test_several_methods_are_compared_with_each_other(tiny: Model) -> None:
    names = ("integrated_gradients", "occlusion", "saliency")
    result = tiny.explain(LONG, methods=names)
    found = [c for c in result.checks if c.name == "agreement"]
    assert [c.attribution for c in found] == [0, 1, 2]
    assert [p["method"] for p in found[1].details["pairs"]] == ["integrated_gradients", "saliency"]


def test_only_the_first_methods_are_checked_where_that_is_asked(tiny: Model) -> None:
    request = Request(texts=(LONG,), methods=("integrated_gradients", "occlusion"), checked=1)
    (result,) = tiny.answer([request])
    assert {c.attribution for c in result.checks} == {0}
    assert "agreement" in {c.name for c in result.checks}


def test_tau_equals_scipys_also_with_ties() -> None:
    rng = np.random.default_rng(0)
    for digits in (0, 1, 8):
        a, b = rng.normal(size=(2, 7)).round(digits)
        assert _tau(_signs(a), _signs(b)) == pytest.approx(kendalltau(a, b).statistic, abs=1e-12)
    assert _tau(_signs(np.ones(5)), _signs(rng.normal(size=5))) == 0.0


def same_words(model: Model, text: str, scores: list[float], **rest: object) -> Attribution:
    found = scored(model, text)
    return replace(found, scores=np.array(scores, dtype=np.float32), **rest)  # type: ignore[arg-type]


@pytest.mark.parametrize("fn", [leave_one_out, infidelity])
def test_three_words_have_too_few_orders_to_pass(model: Model, fn) -> None:  # type: ignore[no-untyped-def]
    """Six orders, and ties count half: the best of them beats 92 % of random ones."""
    text = "good dull funny"
    case = case_of(model, text)
    effects = run(model, measure(case))
    right = scored(model, text)
    (found,) = run(model, fn(case, right, Found(effects)))
    assert found.status == "not checked"
    assert "no order could pass" in found.sentence
    (found,) = run(model, fn(case, replace(right, scores=-right.scores), Found(effects)))
    assert found.status == "fail"


@pytest.mark.parametrize("fn", [leave_one_out, infidelity])
def test_scores_that_are_all_alike_are_at_chance(model: Model, fn) -> None:  # type: ignore[no-untyped-def]
    case = case_of(model, SHORT)
    found = run(model, fn(case, same_words(model, SHORT, [1.0] * 4), Found(run(model, measure(case)))))[0]
    assert found.details["percentile"] == 0.5
    assert found.status == "not checked"


def test_infidelity_of_few_words_does_not_depend_on_the_deals(model: Model) -> None:
    scores = [0.3, 0.3, 0.3, 2.0]
    shares = {
        run(model, infidelity(case_of(model, SHORT, seed=s), same_words(model, SHORT, scores), Found()))[0].details[
            "percentile"
        ]
        for s in range(4)
    }
    assert shares <= {0.125, 0.375, 0.625, 0.875}, "four places for the odd score, a tie counts half"


def test_agreement_speaks_of_signs_only_where_there_are_some(model: Model) -> None:
    first = same_words(model, SHORT, [2.0, -1.0, 0.5, 0.1])
    case = case_of(model, SHORT)
    sizes = same_words(model, SHORT, [2.0, 1.0, 0.5, 0.1], method="saliency", signed=False)
    other = same_words(model, SHORT, [0.1, 1.0, 0.5, 2.0], method="saliency", signed=False)
    for second, status in ((sizes, "pass"), (other, "warn")):
        (found,) = run(model, agreement(case, first, Found(None, (first, second))))
        assert found.status == status
        assert "sign" not in found.sentence


def test_agreement_names_the_fewest_shared_words(model: Model) -> None:
    text = "good dull funny slow warm cold"
    case = case_of(model, text)
    first = same_words(model, text, [3.0, 2.0, 1.0, 0, 0, 0])
    moved = same_words(model, text, [2.0, -3.0, 1.0, 0, 0, 0], method="lime")  # another top and sign, the same three
    fewer = same_words(model, text, [3.0, 0, 0, 2.0, 1.0, 0], method="kernel_shap")  # the same top, one word of three
    (found,) = run(model, agreement(case, first, Found(None, (first, moved, fewer))))
    assert "at worst 1 of 3 words are shared" in found.sentence


def test_a_sign_within_the_error_is_no_dissent(model: Model) -> None:
    first = same_words(model, SHORT, [2.0, -0.1, 0.5, 0.0])
    error = np.array([0, 0.2, 0, 0], dtype=np.float32)
    near = same_words(model, SHORT, [2.0, 0.1, 0.5, 0.0], method="lime", error=error)
    case = case_of(model, SHORT)
    assert run(model, agreement(case, first, Found(None, (first, near))))[0].status == "pass"
    sure = replace(near, error=None)
    assert run(model, agreement(case, first, Found(None, (first, sure))))[0].status == "warn"
    close = replace(first, scores=np.array([2.0, 1.9, 0, 0], np.float32), error=np.full(4, 0.2, np.float32))
    turned = replace(first, method="lime", scores=np.array([1.0, 2.0, 0, 0], np.float32))
    assert run(model, agreement(case, close, Found(None, (close, turned))))[0].status == "pass", "the first is unsure"
