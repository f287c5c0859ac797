"""What must not be believed: scores that belong to other words or to another model, and models and texts of nothing.

A check that passes what beats 95 % of random orders passes one random order in 20, by construction. What a reader sees
is the question, and that is answered by the worst of its checks: the chance that all pass together is what counts. On
`sentiment`, scores dealt to the words at random passed comprehensiveness, sufficiency and leave-one-out together in
0.2 % of 8,000 deals over 40 short development sentences of SST-2 (0.5 % over 40 others), each alone in 2 to 6 %; see
`tests.benchmarks.chance`. Where a model only adds its words up, the checks measure nearly the same, and the chance is
nearer 5 %. A deal that passes has, by luck, put the words nearly in the order to which the model does react.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from explain.checks import Found
from explain.checks.infidelity import infidelity
from explain.checks.leave_one_out import leave_one_out
from explain.checks.removal import removal
from explain.effects import measure
from explain.engine import Model
from explain.model.redraw import redrawn
from explain.records import Attribution, Status
from tests.cases import case_of, run
from tests.tiny import WORDS
from tests.toys import Sum, toy

FILMS = (
    "a quiet, moving and honest film",
    "the jokes are stale and thin",
    "nothing here is worth your time",
    "sharp, funny and well played",
    "a mess with two good songs",
    "she carries the story with ease",
    "dull from first to last scene",
    "you will leave the cinema smiling",
    "a warm hug of a movie",
    "it never comes to life",
)


def sentences(count: int) -> list[str]:
    """Texts of seven words that the tiny tokenizer knows."""
    rng, words = np.random.default_rng(0), [w for w in WORDS if w.isalpha()]
    return [" ".join(rng.choice(words, 7, replace=False)) for _ in range(count)]


def judged(model: Model, text: str, attributions: list[Attribution]) -> list[list[Status]]:
    """For each attribution, what the checks of 'does the model react as the scores say?' answer with 200 orders."""
    case = case_of(model, text, orders=200)
    found = Found(run(model, measure(case)))
    return [
        [c.status for fn in (leave_one_out, removal, infidelity) for c in run(model, fn(case, a, found))]
        for a in attributions
    ]


def dealt(attribution: Attribution, times: int) -> list[Attribution]:
    rng = np.random.default_rng(len(attribution.scores))
    return [replace(attribution, scores=rng.permutation(attribution.scores)) for _ in range(times)]


def of_a_copy(model: Model, text: str, seed: int = 0) -> Attribution:
    """Scores of the same decision from a copy of the model that has learned nothing."""
    label = model.predict(text).label
    return redrawn(model, seed).explain(text, target=label, checks=()).attributions[0]


def share(answers: list[list[Status]], check: int) -> float:
    return float(np.mean([statuses[check] == "pass" for statuses in answers]))


def test_dealt_scores_and_those_of_a_copy_never_pass_on_a_tiny_model(tiny: Model) -> None:
    answers: list[list[Status]] = []
    for text in sentences(40):
        (true,) = tiny.explain(text, checks=()).attributions
        answers += judged(tiny, text, [*dealt(true, 2), of_a_copy(tiny, text)])
    assert len(answers) == 120
    assert [a for a in answers if set(a) == {"pass"}] == []
    for check in range(4):
        assert share(answers, check) <= 0.12, "5 % by construction; 12 % of 120 is four standard deviations above"


def test_nor_on_the_bundled_model(sentiment: Model) -> None:
    for text in FILMS:
        (true,) = sentiment.explain(text, checks=()).attributions
        for statuses in judged(sentiment, text, [*dealt(true, 1), of_a_copy(sentiment, text)]):
            assert set(statuses) != {"pass"}, text


def test_the_right_scores_do_pass() -> None:
    """Else the tests above would say nothing. A model that adds its words up, whose right scores are known."""
    model = toy(Sum(2))
    answers: list[list[Status]] = []
    wrong: list[list[Status]] = []
    for text in sentences(20):
        (true,) = model.explain(text, methods=["occlusion"], checks=()).attributions
        one, *others = judged(model, text, [true, *dealt(true, 4)])
        answers.append(one)
        wrong += others
    for check in range(4):
        assert share(answers, check) >= 0.9
        assert share(wrong, check) <= 0.15, "5 % by construction; here the checks agree, so dealt scores pass together"


def test_a_saturated_probability_raises_its_warning_and_log_odds_do_not(sentiment: Model) -> None:
    text = "A stirring, funny film, charming and warm from start to end, one of the very best of the year."
    found = [sentiment.explain(text, methods=["saliency"], quantity=q, checks=()) for q in ("probability", "log_odds")]
    probs = found[0].prediction.probs
    assert probs is not None
    assert probs.max() > 0.95
    codes = [{n.code for n in f.warnings} for f in found]
    assert "probability_target" in codes[0]
    assert "probability_target" not in codes[1]
    assert "saturation" in next(n.message for n in found[0].warnings if n.code == "probability_target")
    small, large = (float(np.abs(f.attributions[0].scores).max()) for f in found)
    assert small < large / 10, "the slope of a probability near 1 is nearly flat"


@pytest.mark.parametrize("text", ["你好 мир 好", "日本語"])
def test_a_text_of_unknown_words_raises_its_warning(tiny: Model, text: str) -> None:
    result = tiny.explain(text, checks=())
    assert "mostly_unknown" in {n.code for n in result.warnings}


def test_an_untrained_model_raises_its_warning(tiny: Model, sentiment: Model) -> None:
    """`tiny` has random weights: nothing about its scores can show that, so it is asked about other texts."""
    (check,) = tiny.explain("a good film", checks=["learned"]).checks
    assert check.status == "warn"
    assert "untrained" in check.sentence
    (check,) = sentiment.explain("a good film", checks=["learned"]).checks
    assert check.status == "pass"
