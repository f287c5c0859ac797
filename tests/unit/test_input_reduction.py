"""Input reduction keeps the decision itself, whatever quantity was asked, and says where there is none to keep."""

from __future__ import annotations

import numpy as np
import pytest

from explain.engine import Model
from explain.errors import MethodError
from tests.toys import Sum, toy

TEXT = "a good movie, but never very funny"
FIVE = ("A", "B", "C", "D", "E")


def kept(model: Model, text: str, **options: object) -> tuple[str, int]:
    """The words that remain, and what it cost."""
    (found,) = model.explain(text, methods=["input_reduction"], checks=(), **options).attributions  # type: ignore[arg-type]
    words = [text[a:b] for (a, b), score in zip(found.units.tolist(), found.scores, strict=True) if score == 1]
    return " ".join(words), found.evaluations.forward


def test_a_decision_below_one_half_is_a_decision() -> None:
    """Of five labels the likeliest may have less than 0.5: its log-odds are negative, its lead is not."""
    model, text = toy(Sum(5, steep=0.2), labels=FIVE), "a good film was not so good"
    assert model.predict(text).probs.max() < 0.4  # type: ignore[union-attr]
    left, spent = kept(model, text)
    assert spent > 6
    assert len(left.split()) < len(text.split())
    assert model.predict(left).label == model.predict(text).label


@pytest.mark.parametrize("quantity", ["log_odds", "probability", "logit", "margin"])
def test_whatever_was_asked_the_rest_has_the_same_decision(tiny: Model, quantity: str) -> None:
    for text in (TEXT, "the film was not good", "a dull plot but a charming actor"):
        left, _ = kept(tiny, text, quantity=quantity)
        assert tiny.predict(left).label == tiny.predict(text).label
        assert left == kept(tiny, text)[0]


@pytest.mark.parametrize("quantity", ["log_odds", "probability"])
def test_what_is_not_decided_cannot_be_kept(tiny: Model, quantity: str) -> None:
    other = next(label for label in tiny.info.labels if label != tiny.predict(TEXT).label)
    with pytest.raises(MethodError, match=f"decides “{tiny.predict(TEXT).label}”, not what"):
        kept(tiny, TEXT, target=other, quantity=quantity)


def test_a_regression_decides_nothing() -> None:
    with pytest.raises(MethodError, match="decides nothing"):
        kept(toy(problem="regression", labels=("stars",)), TEXT)


def test_several_labels_at_once(tiny: Model) -> None:
    model = toy(Sum(3), "multi-label", labels=FIVE[:3])
    found = model.predict(TEXT)
    if found.decision:
        left, _ = kept(model, TEXT, target=found.decision[0])
        assert found.decision[0] in model.predict(left).decision
    missing = next(i for i in range(3) if i not in found.decision)
    with pytest.raises(MethodError, match="not"):
        kept(model, TEXT, target=missing)


def test_scores_say_when_a_word_went(tiny: Model) -> None:
    (found,) = tiny.explain(TEXT, methods=["input_reduction"], checks=()).attributions
    gone = np.sort(found.scores[found.scores < 1])
    n = len(found.scores)
    assert np.allclose(gone, np.arange(1, len(gone) + 1) / (n + 1))
