"""Agreement with a person: scikit-learn's numbers, a question of its own, and never more than a warning."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score, jaccard_score

from explain.checks import Found
from explain.checks.plausibility import average_precision, plausibility
from explain.engine import Model
from explain.records import Check
from explain.render import sentences, terminal
from tests.cases import case_of, run

TEXT = "a good movie, but never very funny"
LONG = "A good film. The plot is dull. It was so slow. A brilliant actor! Never a boring one. Hate."
WORDS = ["a", "good", "movie", ",", "but", "never", "very", "funny"]


def checked(model: Model, scores: list[float], rationale: tuple[tuple[int, int, int], ...]) -> tuple[Check, ...]:
    case = case_of(model, TEXT, rationale=rationale)
    found = model.explain(TEXT, methods=["occlusion"], checks=()).attributions[0]
    attribution = replace(found, scores=np.array(scores, dtype=np.float32))
    return tuple(run(model, plausibility(case, attribution, Found())))


@pytest.mark.parametrize("seed", range(5))
def test_average_precision_is_scikit_learns(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores, marked = rng.integers(0, 6, 12).astype(float), rng.random(12) < 0.4  # with ties
    assert average_precision(scores, marked) == pytest.approx(average_precision_score(marked, scores))


def test_all_three_measures(tiny: Model) -> None:
    scores = [0.0, 3.0, 1.0, -1.0, 0.1, 2.0, 0.2, 2.5]
    (found,) = checked(tiny, scores, ((0, 2, 6), (0, 29, 30)))  # good, and one letter of funny… of very
    marked = np.array([w in ("good", "funny") for w in WORDS])
    assert found.details["marked"] == [1, 7]
    top = np.isin(np.arange(8), np.argsort(scores)[::-1][:2])
    assert found.value == pytest.approx(average_precision_score(marked, scores))
    assert found.details["f1"] == pytest.approx(f1_score(marked, top))
    assert found.details["iou"] == pytest.approx(jaccard_score(marked, top))
    assert found.status == "pass"
    assert found.question == "agrees with people"


def test_disagreement_warns_and_never_fails(tiny: Model) -> None:
    (found,) = checked(tiny, [3.0, -9.0, 1.0, 1.0, 1.0, 2.0, 2.0, -8.0], ((0, 2, 6), (0, 29, 34)))
    assert found.status == "warn"
    assert found.details["f1"] == found.details["iou"] == 0
    assert "says nothing about what the model does" in found.sentence


@pytest.mark.parametrize("span", [(0, 0, 34), (0, 1, 2)])
def test_all_or_nothing_marked_is_nothing_to_tell_apart(tiny: Model, span: tuple[int, int, int]) -> None:
    assert [c.status for c in checked(tiny, [1.0] * 8, (span,))] == ["n/a"]


def test_the_question_is_asked_only_where_words_are_marked(tiny: Model) -> None:
    asked = "Do people point at the same words?"
    without = tiny.explain(TEXT)
    assert asked not in [title for title, _, _ in sentences.questions(without)]
    marked = tiny.explain(TEXT, rationale=["good", "funny"])
    by_title = {title: checks for title, _, checks in sentences.questions(marked)}
    assert [c.name for c in by_title[asked]] == ["plausibility"]
    rest = [c.name for title, checks in by_title.items() if title != asked for c in checks]
    assert "plausibility" not in rest
    assert [c for c in marked.checks if c.name != "plausibility"] == list(without.checks)
    assert terminal.explanation(marked)


def test_what_is_scored_as_a_whole_is_marked_as_a_whole(tiny: Model) -> None:
    """A sentence of which a person marked one word is neither marked nor not; its full stop is no word."""

    def ask(*marked: str, **about: Any) -> Check:
        found = tiny.explain(LONG, rationale=marked, checks=("plausibility",), **about)
        return found.checks[0]

    first: dict[str, Any] = {"granularity": "hierarchical"}
    plain = tiny.explain(LONG, checks=(), **first)
    closed = next(w.text for w in plain.words() if w.whole)
    alone = next(w.text for w in plain.words() if not w.whole and w.text.isalpha() and LONG.count(w.text) == 1)
    part = ask(closed.split()[1], **first)
    assert (part.status, part.value) == ("n/a", None)
    assert "Mark all of it" in part.sentence
    for marked in (closed, closed.rstrip(".!"), alone):
        whole = ask(marked, **first)
        assert whole.status != "n/a"
        assert f"A person marked 1 of {len(plain.words())} parts" in whole.sentence
    phrase = ask("good", phrases=["good film"])
    assert phrase.status == "n/a"
    assert "of 6 sentences" in ask("good", granularity="sentence").sentence
    assert "words" in ask("good").sentence


def test_scores_of_which_no_deal_could_pass_say_so(tiny: Model) -> None:
    """One score is not zero: three deals of eight put it on one of three marked words."""
    (found,) = checked(tiny, [0.0, 3.0, *[0.0] * 6], ((0, 2, 6), (0, 24, 34)))
    assert found.details["marked"] == [1, 6, 7]
    assert found.status == "not checked"
    assert "no order could pass" in found.sentence
