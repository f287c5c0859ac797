"""Checks: each of them can pass, warn and fail, and agrees with brute force."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise, permutations
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch

from explain.case import Case, residual_scale
from explain.catalog import Request
from explain.checks import Found, checkers, chosen
from explain.checks.baseline import baseline
from explain.checks.completeness import completeness
from explain.checks.removal import _beaten, _counted, _interval, _orders, _wilson, removal
from explain.effects import measure, probability
from explain.engine import Model
from explain.errors import MethodError
from explain.model.rows import Row
from explain.model.runner import Meter, Runner
from explain.records import Attribution, Check
from explain.render import figures
from tests.cases import case_of, run
from tests.toys import Sum, toy

TEXT = "good dull funny slow"
LONG = "a good movie, but never very funny or charming and the ending is awful"


def attributed(model: Model, text: str, **options: Any) -> tuple[Case, Attribution]:
    case = case_of(model, text, **options)
    return case, model.explain(text, checks=(), target=options.get("target")).attributions[0]


def made(case: Case, scores: list[float], *, value_input: float, value_baseline: float, **rest: Any) -> Attribution:
    """An attribution with chosen numbers."""
    found = case.attribution(
        unit_scores=np.array(scores), value_input=value_input, baseline="mask", value_baseline=value_baseline
    )
    return replace(found, method="integrated_gradients", **rest)


@pytest.fixture(scope="module")
def model() -> Model:
    return toy(Sum(2))


@pytest.mark.parametrize(
    ("scores", "start", "end", "rule", "status"),
    [
        ([2.0, -0.5, 1.0, 0.5], 0.0, 3.0, "difference", "pass"),
        ([2.0, -0.5, 1.0, 0.45], 0.0, 3.0, "difference", "warn"),
        ([2.0, -0.5, 1.0, 0.2], 0.0, 3.0, "difference", "fail"),
        ([2.0, -2.0, 1.0, -1.0], 1.5, 1.5, "scores", "warn"),  # strongly opposing words, no net change
        ([2.0, -2.0, 1.0, -0.9], 1.5, 1.6, "scores", "warn"),
        ([2.0, -2.0, 1.0, -0.5], 1.5, 1.5, "scores", "fail"),
        ([0.001, 0.0, 0.0, 0.0], 1.5, 1.501, "floor", "warn"),  # text and baseline score the same
        ([0.01, 0.0, 0.0, 0.0], 1.5, 1.5, "floor", "fail"),
    ],
)
def test_completeness(model: Model, scores: list[float], start: float, end: float, rule: str, status: str) -> None:
    case = case_of(model, TEXT)
    attribution = made(case, scores, value_input=end, value_baseline=start)
    assert attribution.scale_rule == rule
    (found,) = run(model, completeness(case, attribution, Found()))
    assert found.status == status
    assert found.value == pytest.approx(
        abs(end - start - sum(scores)) / residual_scale(end - start, np.array(scores))[0]
    )


def test_completeness_doubts_a_right_total_with_wrong_words(model: Model) -> None:
    case = case_of(model, TEXT)
    attribution = made(case, [2.0, -0.5, 1.0, 0.5], value_input=3.0, value_baseline=0.0)
    doubtful = replace(attribution, numeric_error=np.array([0.2, 0, 0, 0], dtype=np.float32))
    (found,) = run(model, completeness(case, doubtful, None))
    assert found.status == "warn"
    assert "10 %" in found.sentence.replace("10%", "10 %")


@pytest.mark.parametrize(("error", "stopped", "status"), [(0.04, "settled", "pass"), (0.3, "budget", "warn")])
def test_a_sum_by_construction_does_not_hide_what_sampling_leaves_open(
    model: Model, error: float, stopped: str, status: str
) -> None:
    attribution = made(case_of(model, TEXT), [2.0, -0.5, 1.0, 0.5], value_input=3.0, value_baseline=0.0)
    sampled = replace(
        attribution,
        method="shapley_sampling",
        error=np.full(4, error, dtype=np.float32),
        stopped=stopped,  # type: ignore[arg-type]
    )
    (found,) = run(model, completeness(case_of(model, TEXT), sampled, Found()))
    assert found.status == status
    assert "after every round" in found.sentence
    assert ("29% of the largest: the computing budget ended" in found.sentence) == (status == "warn")


def test_methods_with_one_baseline_or_none_are_told_apart(tiny: Model) -> None:
    said = {
        name: next(c for c in tiny.explain(TEXT, methods=[name], checks=("baseline",)).checks).sentence
        for name in ("occlusion", "expected_gradients", "exact_shapley", "partition_shap")
    }
    assert said.pop("occlusion") == "This method compares with no baseline."
    assert set(said.values()) == {"This method offers no second baseline to compare with."}


def test_one_word_has_no_rank_under_any_baseline(tiny: Model) -> None:
    found = tiny.explain("dull", checks=("baseline", "baselines")).checks
    assert {(c.name, c.status) for c in found} == {("baseline", "n/a"), ("baselines", "n/a")}


def test_completeness_does_not_apply_where_it_is_not_claimed(tiny: Model) -> None:
    result = tiny.explain(LONG, methods=["saliency", "occlusion"], checks=("completeness", "baseline"))
    assert [c.status for c in result.checks] == ["n/a"] * 4


@pytest.mark.parametrize("name", ["comprehensiveness", "sufficiency"])
def test_removal_equals_brute_force(tiny: Model, name: str) -> None:
    """Recompute both measures from plain predictions of edited texts, over all orders."""
    text = "good dull funny slow"
    result = tiny.explain(text, checks=("removal",), target="POSITIVE")
    check = next(c for c in result.checks if c.name == name)
    words, scores = text.split(), result.attributions[0].scores

    def value(keep: set[int], how: str, scale: str) -> float:
        if how == "deletion" and not keep:
            raise AssertionError("the curve never takes all words out")
        shown = [w if i in keep else "[MASK]" for i, w in enumerate(words) if how == "mask" or i in keep]
        logits = tiny.predict(" ".join(shown)).logits.astype(float)
        odds = float(logits[1] - logits[0])
        return odds if scale == "log-odds" else float(probability(odds))

    everything = set(range(4))
    for row in check.details["measurements"]:
        how, scale = row["replacement"], row["scale"]
        full = value(everything, how, scale)

        def aopc(order: tuple[int, ...], how: str = how, scale: str = scale, full: float = full) -> float:
            drops = []
            for k in (1, 2, 3):
                first = set(order[:k])
                keep = everything - first if name == "comprehensiveness" else first
                drops.append(full - value(keep, how, scale))
            return float(np.mean(drops))

        ours = tuple(np.argsort(-scores, kind="stable").tolist())
        others = [aopc(p) for p in permutations(range(4)) if p != ours]
        assert row["ours"] == pytest.approx(aopc(ours), abs=1e-4)
        assert row["random"] == pytest.approx(np.mean(others), abs=1e-4)
        sign = 1 if name == "comprehensiveness" else -1
        beaten = np.mean([(sign * o < sign * aopc(ours) - 1e-5) + 0.5 * (abs(o - aopc(ours)) <= 1e-5) for o in others])
        assert row["percentile"] == pytest.approx(beaten, abs=1e-6)

        if name == "comprehensiveness":  # from the whole text to its last word
            heights = [value(everything - set(ours[:k]), how, scale) for k in range(4)]
        else:  # from one word to the whole text
            heights = [value(set(ours[:k]), how, scale) for k in range(1, 5)]
        area = sum((a + b) / 2 for a, b in pairwise(heights)) / 3
        assert row[f"{'deletion' if name == 'comprehensiveness' else 'insertion'}_area"] == pytest.approx(
            area, abs=1e-4
        )
    assert check.details["exact"]
    assert check.value == min(r["percentile"] for r in check.details["measurements"])


def test_a_true_order_passes_and_its_reverse_fails(model: Model) -> None:
    case = case_of(model, LONG, orders=200)
    effects = run(model, measure(case))
    true = model.explain(LONG, methods=["occlusion"], checks=()).attributions[0]
    for attribution, statuses in ((true, {"pass"}), (replace(true, scores=-true.scores), {"fail"})):
        found = run(model, removal(case, attribution, Found(effects)))
        assert {c.status for c in found} == statuses
        for check in found:
            assert check.interval is not None
            assert check.interval[0] <= (check.value or 0) <= check.interval[1]


def test_few_orders_give_no_verdict(model: Model) -> None:
    attribution = model.explain(LONG, methods=["occlusion"], checks=()).attributions[0]
    few = run(model, removal(case_of(model, LONG, orders=20), attribution, Found()))
    assert {c.status for c in few} == {"not checked"}
    assert "200 orders are needed" in few[0].sentence
    wrong = replace(attribution, scores=-attribution.scores)
    assert {c.status for c in run(model, removal(case_of(model, LONG, orders=20), wrong, Found()))} == {"warn"}


@pytest.mark.parametrize("text", ["dull", "so dull"])
def test_one_or_two_words_have_no_order(tiny: Model, text: str) -> None:
    result = tiny.explain(text, checks=("removal",))
    assert [c.status for c in result.checks] == ["n/a", "n/a"]


@pytest.mark.parametrize("text", ["so good, never dull", LONG])
def test_a_probability_that_stays_at_one_is_left_out(text: str) -> None:
    """All orders do equally well in it, which was said as “50 %: fail” for a perfect order on a sure model."""
    module = Sum(2)
    module.bias.data = torch.tensor([0.0, 60.0])
    sure = toy(module)
    true = sure.explain(text, methods=["occlusion"], target="P", checks=()).attributions[0]
    found = run(sure, removal(case_of(sure, text, target="P", orders=200), true, Found()))
    assert {c.status for c in found} == {"pass"}
    for check in found:
        assert [r["percentile"] is None for r in check.details["measurements"]] == [
            r["scale"] == "probability" for r in check.details["measurements"]
        ]
        assert "weakest of 2 measurements; 2 that cannot tell orders apart left out" in check.sentence
        assert figures.weakest(check)["scale"] == "log-odds"


@pytest.mark.parametrize("text", ["so good, never dull", LONG])
def test_orders_that_all_do_equally_well_have_no_verdict(text: str) -> None:
    module = Sum(2)
    module.weight.data.zero_()
    deaf = toy(module)
    case = case_of(deaf, text, target="P", orders=200)
    scores = list(np.linspace(1, -1, case.n_units))
    found = run(deaf, removal(case, made(case, scores, value_input=0.0, value_baseline=0.0), Found()))
    assert [(c.status, c.value, dict(c.details)) for c in found] == [("n/a", None, {})] * 2
    assert {c.sentence for c in found} == {
        "Whichever words go first, the decision moves equally far, so no order is better than another."
    }


def test_measurements_are_counted_in_words() -> None:
    assert _counted([1, 2], [1, 2]) == "2 measurements"
    assert _counted([1], [1, 2]) == "1 measurement; 1 that cannot tell orders apart left out"


def test_ties_count_half() -> None:
    assert _beaten(1.0, np.array([0.0, 1.0, 1.0, 2.0])).tolist() == [1, 0.5, 0.5, 0]


def test_wilson_interval_against_known_values() -> None:
    low, high = _wilson(0.5, 100)
    assert (low, high) == pytest.approx((0.4038, 0.5962), abs=1e-3)  # Brown, Cai & DasGupta 2001
    assert _wilson(1.0, 20)[1] == pytest.approx(1.0)
    assert _wilson(0.0, 20) == pytest.approx((0.0, 0.1611), abs=1e-3)


WEIGHTS = np.array([3.0, -1.0, 0.5, 2.0, -2.0, 1.0, 0.25])
GAMES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "a sum": lambda kept: kept @ WEIGHTS,  # what an order loses, its reverse gains
    "two words apart": lambda kept: -1.0 * (kept[..., 0] ^ kept[..., 1]) + 0.01 * kept @ WEIGHTS,  # both lose alike
    "three words": lambda kept: 2.0 * kept[..., :3].all(-1) + 0.1 * kept @ WEIGHTS,
}


def moved(value: Callable[[np.ndarray], np.ndarray], orders: np.ndarray) -> np.ndarray:
    """How far each of these orders (R, 7) moves the target, on average over its curve."""
    places = np.argsort(orders, axis=1)
    kept = places[:, None, :] >= np.arange(1, 7)[None, :, None]  # (R, 6, 7)
    return np.asarray((value(np.ones(7, dtype=bool)) - value(kept)).mean(1))


@pytest.mark.parametrize("game", GAMES)
@pytest.mark.parametrize(("orders", "rank"), [(20, 0.6), (20, 0.85), (200, 0.5), (200, 0.8), (200, 0.95)])
def test_intervals_hold_the_share_of_all_orders(game: str, orders: int, rank: float) -> None:
    """Orders come in pairs; the share that is beaten among all 5,040 is known."""
    every = moved(GAMES[game], np.array(list(permutations(range(7)))))
    ours = float(np.quantile(every, rank, method="lower"))
    truth, held, drawn = float(_beaten(ours, every).mean()), [], 500
    for seed in range(drawn):
        case = cast(Case, SimpleNamespace(seed=seed, orders=orders))
        found, _ = _orders(case, np.zeros(7, dtype=np.float32))
        low, high = _interval(_beaten(ours, moved(GAMES[game], found[1:])))
        held.append(low <= truth <= high)
    assert np.mean(held) > 0.95 - 3 * np.sqrt(0.95 * 0.05 / drawn)
    if game == "two words apart" and orders == 200:
        assert np.mean(held) < 0.95 + 3 * np.sqrt(0.95 * 0.05 / drawn), "nor are they wider than need be"


def test_pairs_that_are_alike_are_worth_no_more_than_they_say() -> None:
    ones = np.ones(20)
    assert _interval(ones) == _wilson(1.0, 10)
    assert _interval(0 * ones) == _wilson(0.0, 10)
    assert _interval(np.tile([0.0, 1.0], 10)) == _wilson(0.5, 20)
    assert _interval(np.array([1.0, 0.0])) == _wilson(0.5, 1)


class Padded(Sum):
    """A model to which [PAD] is a strong word of its own, so that the baseline matters."""

    def __init__(self) -> None:
        super().__init__(2, steep=1.5)
        self.table.weight.data[0] = 4 * self.table.weight.data[0]


def test_a_baseline_that_matters_is_found() -> None:
    model = toy(Padded())
    case, attribution = attributed(model, "good film")
    (found,) = run(model, baseline(case, attribution, Found()))
    second = model.explain("good film", params={"baseline": "pad"}, checks=()).attributions[0]
    assert found.details["second"] == "pad"
    assert np.allclose(found.details["second_scores"], second.scores, atol=1e-6)
    moved = np.argmax(np.abs(second.scores)) != np.argmax(np.abs(attribution.scores))
    assert found.details["same_top"] != moved
    flips = [u for u in range(2) if second.scores[u] * attribution.scores[u] < 0]
    assert sorted(found.details["flips"]) == flips
    assert (found.status == "pass") == (not moved and not flips)


def test_the_baselines_own_prediction_is_kept(tiny: Model) -> None:
    result = tiny.explain(LONG, checks=("baseline",), target="POSITIVE")
    (check,) = result.checks
    masked = " ".join(["[MASK]"] * int((~result.tokens.special).sum()))
    logits = tiny.predict(masked).logits
    assert check.details["value"] == pytest.approx(float(logits[1] - logits[0]), abs=1e-4)
    assert check.details["baseline"] == "mask"


def test_a_linear_model_is_robust_when_its_fillers_are_alike() -> None:
    module = Sum(2)
    module.table.weight.data[0] = module.table.weight.data[4]  # [PAD] = [MASK]
    model = toy(module)
    case, attribution = attributed(model, LONG)
    (found,) = run(model, baseline(case, attribution, Found()))
    assert found.status == "pass"
    assert found.value == pytest.approx(0, abs=1e-5)


def test_unknown_checks_are_listed() -> None:
    with pytest.raises(MethodError, match="completeness"):
        chosen(("nonsense",))
    assert [c.name for c in chosen(None)] == [c.name for c in checkers().values() if c.default]
    assert chosen(()) == []


def test_every_check_speaks_to_non_experts(tiny: Model) -> None:
    found: tuple[Check, ...] = tiny.explain(LONG).checks
    assert {c.question for c in found} == {"computed correctly", "reacts as the scores say", "robust"}
    for check in found:
        assert check.sentence.endswith(".")
        assert not {"AOPC", "epsilon", "tensor", "IG"} & set(check.sentence.split())


@pytest.mark.parametrize("name", ["integrated_gradients", "occlusion"])
def test_the_forecast_covers_what_the_work_asks_for(tiny: Model, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {"values": 0, "gradients": 0}
    for kind in asked:
        real = getattr(Runner, kind)

        def counted(self: Runner, rows: list[Row], meter: Meter, kind: str = kind, real: object = real) -> object:
            asked[kind] += len(rows)
            return real(self, rows, meter)  # type: ignore[operator]

        monkeypatch.setattr(Runner, kind, counted)
    forecast: list[tuple[int, int]] = []
    monkeypatch.setattr(
        Runner, "forecast", lambda self, tokens, forward, backward: forecast.append((forward, backward))
    )
    request = Request(texts=(LONG,), methods=(name,))
    tiny.answer([request])
    tiny.forecast(request)
    ((forward, backward),) = forecast
    assert asked["values"] / 2 <= forward <= 2 * asked["values"]
    assert asked["gradients"] / 2 <= backward <= 2 * asked["gradients"]
