"""Colours, units and sentences say no more than the scores' sign and the head's kind allow."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from explain.engine import Model
from explain.records import Explanation
from explain.render import computed, figures, palette, reasons, sentences, terminal
from tests.toys import Sum, toy

TEXT = "a good movie, but never very funny"


def unsigned(tiny: Model) -> Explanation:
    """Sizes without direction, of the label whose own colour is vermilion."""
    return tiny.explain(TEXT, methods=["saliency", "occlusion"], target="NEGATIVE", checks=())


def test_sizes_are_blue_and_have_no_log_odds(tiny: Model) -> None:
    result = unsigned(tiny)
    huge = replace(result.attributions[0], scores=100 * result.attributions[0].scores)
    drawn = reasons.payload(replace(result, attributions=(huge,)))
    assert all(word["tint"] >= 0 for word in drawn["words"])
    assert drawn["legend"]["unit"] == ""
    assert not drawn["legend"]["widened"]
    signed = reasons.payload(result, 1)
    assert (signed["legend"]["unit"], signed["legend"]["turned"]) == ("log-odds", True)


def test_other_faces_too(tiny: Model) -> None:
    result = unsigned(tiny)
    styles = " ".join(str(span.style) for span in terminal.words(result).spans)
    assert "bold" in styles
    assert "italic" not in styles, "italic and vermilion are for what speaks against"
    sizes, effects = figures.side_by_side(result).data[0].z
    assert min(sizes) >= 0
    assert np.sign(effects[0]) == -np.sign(result.attributions[1].scores[0])


@pytest.fixture(scope="module")
def several() -> Explanation:
    return toy(Sum(2), "multi-label", ("OBSCENE", "TOXIC")).explain(TEXT, target=0)


def test_two_labels_that_may_both_hold_have_no_other_side(several: Explanation) -> None:
    attribution = several.attributions[0]
    assert palette.direction(several, attribution) == 1
    assert palette.sides(several, attribution) == ("against OBSCENE", "for OBSCENE")
    assert several.effects is not None
    named = replace(several.effects, named=(1,), without_named=-0.3, prob_named=0.43)
    prediction = replace(several.prediction, decision=(0,))
    said = sentences.without(replace(several, effects=named, prediction=prediction))
    assert said == "Without “good”: OBSCENE 43.0 %."


def test_a_single_sigmoid_has_two_sides() -> None:
    result = toy(Sum(1), "binary", ("NO", "YES")).explain(TEXT, checks=(), target=0)
    assert palette.sides(result, result.attributions[0]) == ("NO", "YES")
    assert palette.direction(result, result.attributions[0]) == -1


def test_a_background_is_no_token_and_has_no_one_probability(tiny: Model) -> None:
    result = tiny.explain(TEXT, methods=["expected_gradients"], checks=())
    said = sentences.meaning(result)
    assert "the background texts laid over this one" in said
    assert "on average" in said
    assert "[BACKGROUND]" not in said + str(computed.how(result))
    assert "%" not in said


def test_scores_that_miss_their_sum_are_said_to_without_any_check(tiny: Model) -> None:
    result = tiny.explain(TEXT, checks=())
    attribution = result.attributions[0]
    assert "these scores divide up" in sentences.meaning(result)
    wrong = replace(attribution, residual=0.5 * (attribution.scale or 1))
    assert "should divide up, and do not," in sentences.meaning(replace(result, attributions=(wrong,)))
