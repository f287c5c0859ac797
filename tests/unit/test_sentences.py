"""What is said in words: only what the numbers allow, with no verb that claims a cause."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from explain.engine import Model
from explain.reading import standouts
from explain.records import Attribution, Check, Effects, Explanation, Prediction
from explain.render import computed, sentences

TEXT = "a good movie, but never very funny"


@pytest.fixture(scope="module")
def result(tiny: Model) -> Explanation:
    return tiny.explain(TEXT, methods=["integrated_gradients", "occlusion", "saliency", "input_x_gradient"])


def with_scores(result: Explanation, scores: list[float], error: float = 0.0, **check: object) -> Explanation:
    """The same explanation with other scores, all its checks passed except for the details given."""
    units = len(result.attributions[0].scores)
    padded = np.array([*scores, *[0.0] * (units - len(scores))], dtype=np.float32)
    attribution = replace(
        result.attributions[0], scores=padded, numeric_error=np.full(units, error, dtype=np.float32), error=None
    )
    details = {"second_scores": padded.tolist()} | check
    checks = (
        Check("completeness", 0, "computed correctly", "pass", "fine"),
        Check("baseline", 0, "robust", "pass", "fine", details=details),
    )
    return replace(result, attributions=(attribution,), checks=checks)


def names(result: Explanation) -> tuple[tuple[int, ...], tuple[int, ...]]:
    found = standouts(result.attributions[0], result.checks)
    return found.supporting, found.opposing


def test_percentages_never_claim_certainty() -> None:
    assert sentences.percent(0.98412) == "98.4 %"
    assert sentences.percent(0.99999) == "over 99.9 %"
    assert sentences.percent(1e-7) == "under 0.1 %"
    assert sentences.percent(1.0) == "over 99.9 %", "float32 rounds to 1 from 17 log-odds on"
    assert sentences.percent(0.0) == "under 0.1 %"


def test_signs_are_real_and_zero_has_none() -> None:
    assert sentences.signed(-1.234) == "−1.23"
    assert sentences.signed(1.0) == "+1.00"
    assert sentences.signed(-0.001) == sentences.signed(0.0) == "0.00"


def test_the_leaders_are_named_up_to_a_real_gap(result: Explanation) -> None:
    assert names(with_scores(result, [2.0, 1.5, 0.1])) == ((0, 1), ())
    assert names(with_scores(result, [2.0, 0.9, 0.1])) == ((0,), ())
    assert names(with_scores(result, [2.0, 0.1, -1.9])) == ((0,), (2,))


def test_no_word_is_named_within_the_numeric_error(result: Explanation) -> None:
    close = with_scores(result, [2.0, 1.99, 1.98, 1.97], error=0.02)
    assert names(close) == ((), ())
    assert "No single word stands out" in str(sentences.reasons(close))
    assert names(with_scores(result, [2.0, 1.99, 0.9, 0.1], error=0.02)) == ((0, 1), ())


def test_no_word_is_named_that_another_baseline_dethrones(result: Explanation) -> None:
    units = len(result.attributions[0].scores)

    def second(*scores: float) -> list[float]:
        return [*scores, *[0.0] * (units - len(scores))]

    assert names(with_scores(result, [2.0, 0.1], second_scores=second(0.1, 2.0))) == ((), ())
    assert names(with_scores(result, [2.0, 0.1], second_scores=second(-2.0, 0.1))) == ((), ())
    assert names(with_scores(result, [2.0, 1.5, 0.1], second_scores=second(1.5, 2.0, 0.1))) == ((0, 1), ())
    assert names(with_scores(result, [2.0, 1.5, 0.1], second_scores=second(2.0, 0.1, 1.5))) == ((0,), ())
    assert names(with_scores(result, [2.0, 0.1, -1.9], second_scores=second(2.0, 0.1, 0.5))) == ((0,), ())


def test_no_word_is_named_when_completeness_failed_or_did_not_run(result: Explanation) -> None:
    good = with_scores(result, [2.0, 0.1])
    failed = replace(good, checks=(replace(good.checks[0], status="fail"), good.checks[1]))
    assert names(failed) == ((), ())
    assert names(replace(good, checks=good.checks[:1])) == ((), ())
    assert "before the scores are checked" in str(sentences.reasons(replace(good, checks=())))


def test_every_sentence_avoids_causal_verbs(result: Explanation) -> None:
    for index in range(len(result.attributions)):
        said = [sentences.meaning(result, index), sentences.reasons(result, index) or "", sentences.verdict(result)]
        said += [c.sentence for c in result.checks]
        for word in ("caused", "because", "pushed", "drove", "made the model"):
            assert word not in " ".join(said).lower()


def test_meaning_follows_the_kind_of_score(result: Explanation) -> None:
    baseline, measured, unsigned, slope = (sentences.meaning(result, i) for i in range(4))
    change = result.attributions[0].value_input - (result.attributions[0].value_baseline or 0)
    assert sentences.signed(change) in baseline
    assert "[MASK]" in baseline
    assert "measured" in measured
    assert "no direction" in unsigned
    assert "first-order" in slope


def test_what_the_model_says_without_the_named_words(result: Explanation) -> None:
    effects = result.effects
    assert effects is not None
    still = replace(result, effects=replace(effects, named=(1, 2), without_named=0.5, prob_named=0.6225))
    assert sentences.without(still) == f"Without those two words: {result.target.name} 62.3 %."
    turned = replace(result, effects=replace(effects, named=(1, 2), without_named=-0.5, prob_named=0.3775))
    other = next(label for label in result.prediction.labels if label != result.target.name)
    assert sentences.without(turned) == f"Without those two words: {other} 62.3 %, another decision."
    none = replace(effects, named=(), without_named=None, prob_named=None)
    assert sentences.without(replace(result, effects=none)) is None
    plain: Effects = replace(effects, named=(1,), without_named=-0.5, prob_named=None, value_input=1.25)
    assert sentences.without(replace(result, effects=plain)) == ("Without “good”: −0.50 instead of +1.25 (log-odds).")


@pytest.mark.parametrize(
    ("activation", "problem", "decision", "expected"),
    [
        ("softmax", "single-label", (1,), "The model reads this as B (70.0 %)."),
        ("sigmoid", "multi-label", (0, 1), "The model finds A (20.0 %) and B (70.0 %)."),
        ("sigmoid", "multi-label", (), "The model finds none of its 2 labels; the nearest is B with 70.0 %."),
    ],
)
def test_verdicts(result: Explanation, activation: str, problem: str, decision: tuple[int, ...], expected: str) -> None:
    prediction = Prediction(
        labels=("A", "B"),
        logits=np.array([-1.4, 0.85], dtype=np.float32),
        probs=np.array([0.2, 0.7], dtype=np.float32),
        activation=activation,  # type: ignore[arg-type]
        rule="",
        decision=decision,
    )
    model = replace(result.model, problem=problem)
    assert sentences.verdict(replace(result, prediction=prediction, model=model)) == expected


def test_a_regression_answers_a_number(result: Explanation) -> None:
    prediction = Prediction(("stars",), np.array([-3.25], dtype=np.float32), None, "none", "", ())
    assert sentences.verdict(replace(result, prediction=prediction)) == "The model answers −3.25 (stars)."


def test_the_worst_question_leads(result: Explanation) -> None:
    checks = (
        Check("completeness", 0, "computed correctly", "pass", ""),
        Check("baseline", 0, "robust", "fail", ""),
    )
    found = sentences.questions(replace(result, checks=checks))
    assert [(title, status) for title, status, _ in found] == [
        ("Robust?", "fail"),
        ("Does the model react as the scores say?", "not checked"),
        ("Computed correctly?", "pass"),
    ]


def test_how_names_everything_needed_to_repeat_it(result: Explanation) -> None:
    rows = dict(computed.how(result))
    attribution: Attribution = result.attributions[0]
    assert result.model.revision[:12] in rows["Model"]
    assert result.model.weights_sha256[:16] in rows["Weights"]
    assert "word_tolerance 0.05" in rows["Method"]
    assert f"{attribution.evaluations.backward} gradient" in rows["Cost"]
    assert rows["Seed"] == "0"
    assert "UTC" in rows["Time"]
    assert f"torch {result.provenance.versions['torch']}" in rows["Versions"]


def test_only_what_compares_is_subtracted(result: Explanation) -> None:
    first = result.attributions[0]
    assert sentences.apart(result, result) is None
    other = replace(result.model, weights_sha256="0" * 64)
    assert sentences.apart(result, replace(result, model=other)) is None, "two versions of a model compare"
    for changed, why in [
        (replace(first, target=replace(first.target, name="NEGATIVE")), "One explains"),
        (replace(first, target=replace(first.target, unit="probability")), "One explains"),
        (replace(first, target=replace(first.target, position=2)), "different places"),
        (replace(first, target=replace(first.target, positions=(2, 3))), "different places"),
        (replace(first, units=first.units + 1), "cut in another way"),
        (replace(first, unit_segment=first.unit_segment + 1), "cut in another way"),
        (replace(first, baseline="pad"), "baselines"),
        (result.attributions[1], "different methods"),
    ]:
        assert why in str(sentences.apart(result, replace(result, attributions=(changed,))))
    tokens = replace(result.tokens, texts=("another",))
    assert "texts" in str(sentences.apart(result, replace(result, tokens=tokens)))
    assert "texts" in str(sentences.apart(result, replace(result, attributions=())))
