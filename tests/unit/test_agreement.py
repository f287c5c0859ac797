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
