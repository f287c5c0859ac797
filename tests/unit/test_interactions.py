"""Pairs of words: known games, brute force, honest intervals, and negation seen in the bundled model."""

from __future__ import annotations

import dataclasses
import io
import json
import threading
from collections.abc import Callable
from itertools import combinations
from math import factorial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from jaxtyping import Bool, Float64
from rich.console import Console
from streamlit.testing.v1 import AppTest

import explain
from explain import interactions
from explain.case import Case, Steps
from explain.catalog import Request
from explain.engine import Model
from explain.errors import Cancelled, InputError
from explain.interactions.index import Values, counts, exact, pairs_of
from explain.interactions.sampling import sampled
from explain.records import Explanation, Interactions
from explain.render import figures, pairs, terminal
from tests.cases import case_of
from tests.conftest import finish, html_of
from tests.contract.test_methods import traces
from tests.toys import Sum, toy

TEXT = "a good movie but never funny"
LONG = "the plot is not good but the actor was so very charming and the ending is moving and witty"
Game = Callable[[Bool[np.ndarray, "N P"]], Float64[np.ndarray, "N"]]


class Written(Sum):
    """A regression model whose output is a known game of the words that stand in the text."""

    def __init__(self, terms: dict[tuple[str, ...], float]) -> None:
        super().__init__(1)
        ids = toy().tokenizer.convert_tokens_to_ids
        self.terms = {tuple(ids(list(words))): value for words, value in terms.items()}

    def forward(self, input_ids: torch.Tensor, attention_mask: Any = None, **_: Any) -> Any:
        there = {i: (input_ids == i).any(1).float() for words in self.terms for i in words}
        each = [value * torch.stack([there[i] for i in words]).prod(0) for words, value in self.terms.items()]
        return SimpleNamespace(logits=torch.stack(each).sum(0)[:, None])


def written(**terms: float) -> Model:
    """`written(a=1, a_good=2)`: 1 where 'a' stands, and 2 more where both 'a' and 'good' do."""
    return toy(Written({tuple(k.split("_")): v for k, v in terms.items()}), "regression", ("stars",))


def found_in(model: Model, text: str = TEXT, **options: Any) -> Interactions:
    found = model.explain(text, methods=(), checks=(), interactions=True, **options).interactions
    assert found is not None
    return found


def by_words(found: Interactions, text: str = TEXT) -> dict[tuple[str, str], float]:
    words = [text[a:b] for a, b in found.units.tolist()]
    return {(words[i], words[j]): float(s) for (i, j), s in zip(found.pairs.tolist(), found.scores, strict=True)}


def asking(game: Game) -> Values:
    """A game of numbers in the form that the estimators ask."""

    def values(kept: Bool[np.ndarray, "N P"]) -> Steps[Float64[np.ndarray, "N"]]:
        return game(kept)
        yield  # a generator that never asks a model

    return values


def answer(steps: Steps[Any]) -> Any:
    with pytest.raises(StopIteration) as end:
        next(steps)
    return end.value.value


def definition(game: Game, n: int, i: int, j: int) -> float:
    """Grabisch & Roubens' sum, term by term."""
    total = 0.0
    for size in range(n - 1):
        for others in combinations(sorted(set(range(n)) - {i, j}), size):
            sets = np.zeros((4, n), dtype=bool)
            sets[:, list(others)] = True
            sets[[0, 1], i] = sets[[0, 2], j] = True
            both, first, second, none = game(sets)
            total += factorial(size) * factorial(n - size - 2) / factorial(n - 1) * (both - first - second + none)
    return total


def curved(n: int, seed: int) -> Game:
    """A game with interactions of every order."""
    rng = np.random.default_rng(seed)
    weight, pair = rng.normal(size=n), rng.normal(size=(n, n)) / n

    def game(kept: Bool[np.ndarray, "N P"]) -> Float64[np.ndarray, "N"]:
        x = kept.astype(float)
        return 3 * np.tanh(x @ weight + np.einsum("ni,ij,nj->n", x, pair, x))

    return game


def test_a_pair_and_a_triple_known_on_paper() -> None:
    model = written(a=1.0, good=-2.0, movie=0.5, a_good=1.5, good_movie=-0.75, good_but_never=0.6)
    found = found_in(model)
    scores = by_words(found)
    expected = {("a", "good"): 1.5, ("good", "movie"): -0.75}
    expected |= dict.fromkeys([("good", "but"), ("good", "never"), ("but", "never")], 0.3)  # half of the triple's 0.6
    assert len(scores) == 15
    assert all(abs(score - expected.get(pair, 0.0)) <= 1e-5 for pair, score in scores.items())
    assert (found.error, found.seed, found.stopped, found.evaluations.forward) == (None, None, None, 2**6)
    assert found.baseline == "mask"


def test_words_that_only_add_up_do_nothing_together(tiny: Model) -> None:
    assert max(map(abs, by_words(found_in(toy(problem="regression", labels=("stars",)))).values())) <= 1e-5
    case, weight = case_of(tiny, LONG), np.random.default_rng(1).normal(size=15)
    scores, error, stopped = answer(sampled(case, 15, asking(lambda kept: kept @ weight)))
    assert np.abs(scores).max() <= 1e-6
    assert error.max() <= 1e-6
    assert stopped in ("settled", "budget")


@pytest.mark.parametrize("n", [2, 3, 5, 8])
def test_the_single_sum_is_the_definition(n: int) -> None:
    game = curved(n, n)
    scores = answer(exact(n, asking(game)))
    assert np.allclose(scores, [definition(game, n, i, j) for i, j in pairs_of(n).tolist()], atol=1e-12)
    assert np.allclose(counts(np.ones((1, n), dtype=bool)), 1 / (n - 1))


def test_brute_force_on_a_transformer(tiny: Model) -> None:
    case = case_of(tiny, TEXT)

    def game(kept: Bool[np.ndarray, "N P"]) -> Float64[np.ndarray, "N"]:
        rows = [case.without(~units, "mask") for units in kept]
        return np.array([float(tiny.values([row])[0]) for row in rows])  # one at a time, in no batch

    found = found_in(tiny)
    expected = [definition(game, case.n_units, i, j) for i, j in found.pairs.tolist()]
    assert np.abs(found.scores).max() > 1e-4
    assert np.abs(found.scores - expected).max() <= 1e-6


def test_the_order_of_words_does_not_matter() -> None:
    game, turn = curved(7, 0), np.array([3, 0, 6, 1, 5, 2, 4])
    plain, turned = (answer(exact(7, asking(g))) for g in (game, lambda kept: game(kept[:, np.argsort(turn)])))
    table = {frozenset(turn[[i, j]].tolist()): s for (i, j), s in zip(pairs_of(7).tolist(), turned, strict=True)}
    assert np.allclose([table[frozenset(pair)] for pair in pairs_of(7).tolist()], plain, atol=1e-12)


def test_intervals_cover_what_is_exact(tiny: Model) -> None:
    inside, n = [], 10
    for seed in range(40):
        game = curved(n, seed)
        truth = answer(exact(n, asking(game)))
        scores, error, _ = answer(sampled(case_of(tiny, TEXT, seed=seed, budget=200), n, asking(game)))
        inside.append(np.abs(scores - truth) <= 1.96 * error)
    assert 0.92 <= np.mean(inside) <= 0.98
    wide, tight = (answer(sampled(case_of(tiny, TEXT, budget=b), n, asking(curved(n, 5))))[1] for b in (200, 4000))
    assert tight.mean() < 0.6 * wide.mean()


def test_sampling_ends_for_a_stated_reason(tiny: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    def ended(case: Case, game: Game) -> str:
        return str(answer(sampled(case, 10, asking(game)))[2])

    assert ended(case_of(tiny, TEXT), lambda kept: 9.0 * (kept[:, 0] & kept[:, 1])) == "settled"
    assert ended(case_of(tiny, TEXT, budget=1), curved(10, 3)) == "budget"
    asked = dataclasses.replace(case_of(tiny, TEXT), enough=lambda: True)
    assert ended(asked, curved(10, 3)) == "asked"
    monkeypatch.setattr("explain.interactions.sampling.TOLERANCE", 0.0)
    monkeypatch.setattr("explain.interactions.sampling.MANY", 2048)
    assert ended(case_of(tiny, TEXT, budget=10**7), curved(10, 3)) == "budget", "memory ends it, not money"


def test_batches_and_seeds(tiny: Model) -> None:
    options: Any = {"methods": (), "checks": (), "interactions": True, "budget": 8}
    texts = [TEXT, "dull", LONG]
    alone = [tiny.explain(t, **options).interactions for t in texts]
    for found, many in zip(alone, tiny.explain_batch(texts, **options), strict=True):
        assert found is not None
        assert many.interactions is not None
        assert np.allclose(found.scores, many.interactions.scores, atol=1e-5)
    again, other = (found_in(tiny, LONG, budget=8, seed=seed) for seed in (0, 1))
    assert again == alone[2]
    assert again.seed == 0
    assert again.error is not None
    assert not np.array_equal(again.scores, other.scores)
    assert len(alone[1].pairs) == 0  # type: ignore[union-attr]


def test_a_long_text_keeps_most_of_its_words() -> None:
    text = "the story was slow and cold " * 6 + "but not good so " + "is a film . " * 12
    model = written(good=1.0, not_good_story=-3.0, a=0.01)  # six stories: the text always holds one
    found = found_in(model, text, budget=300)
    words = [text[a:b] for a, b in found.units.tolist()]
    assert len(words) == interactions.MOST
    assert len(found.pairs) == interactions.MOST * (interactions.MOST - 1) // 2
    place = words.index("good")
    assert words[place - 1 : place + 2] == ["not", "good", "so"]
    scores = by_words(found, text)
    assert abs(scores["not", "good"] + 3) <= 0.3, "settled means: a tenth of the largest"
    assert found.evaluations.forward <= interactions.cost(88, 300) == 89 + 1200


def test_cost_is_what_is_spent(tiny: Model) -> None:
    assert found_in(tiny).evaluations.forward == interactions.cost(6, 512) == 64
    assert found_in(tiny, LONG, budget=200).evaluations.forward <= interactions.cost(20, 200) == 800
    # a first answer is given however small the budget
    assert found_in(tiny, LONG, budget=10).evaluations.forward <= interactions.cost(19, 10) == 512 + 2 * 19 + 2
    tiny.explain(TEXT, checks=())
    plain, more = (tiny.forecast(Request((TEXT,), checks=(), interactions=i)).seconds for i in (False, True))
    assert plain is not None
    assert more is not None
    assert more > plain


def test_cancelling_leaves_nothing_behind(tiny: Model) -> None:
    before, cancel = traces(tiny), threading.Event()

    def stop(progress: Any, _: Any) -> None:
        if progress.stage == "Measuring pairs of words":
            cancel.set()

    with pytest.raises(Cancelled):
        found_in(tiny, progress=stop, cancel=cancel)
    assert cancel.is_set()
    found_in(tiny)
    assert traces(tiny) == before


def test_json_round_trip_and_records_from_before(tiny: Model) -> None:
    for result in (tiny.explain(t, interactions=True, budget=8, checks=()) for t in (TEXT, LONG, "dull")):
        assert explain.read(result.to_json()) == result
        assert result.attributions
    old = json.loads(tiny.explain(TEXT, checks=()).to_json())
    del old["interactions"]
    assert explain.read(json.dumps(old)).interactions is None


@pytest.mark.parametrize(
    "change",
    [
        {"pairs": [[0, 1], [0, 1], *[[0, 2]] * 13]},
        {"pairs": [[1, 0], [0, 2]], "scores": [1.0, 2.0]},
        {"pairs": [[0, 9]], "scores": [1.0]},
        {"pairs": [[0, 1]], "scores": [1.0], "error": [1.0, 1.0]},
        {"scores": [1.0]},
        {"unit_segment": [0]},
        {"unit_segment": [7] * 6},
    ],
)
def test_interactions_that_do_not_fit_are_refused(tiny: Model, change: dict[str, Any]) -> None:
    record = json.loads(tiny.explain(TEXT, methods=(), checks=(), interactions=True).to_json())
    record["interactions"] |= change
    with pytest.raises(InputError, match=r"interactions|pair"):
        explain.read(json.dumps(record))


def with_scores(result: Explanation, scores: list[float], error: float | None = None) -> Explanation:
    assert result.interactions is not None
    padded = np.array([*scores, *[0.0] * (len(result.interactions.scores) - len(scores))], dtype=np.float32)
    found = dataclasses.replace(
        result.interactions, scores=padded, error=None if error is None else np.full(len(padded), error, np.float32)
    )
    return dataclasses.replace(result, interactions=found)


def said(result: Explanation) -> str:
    assert result.interactions is not None
    return pairs.sentence(result, result.interactions)


def test_only_pairs_that_clearly_lead_are_named(tiny: Model) -> None:
    result = tiny.explain(TEXT, methods=(), checks=(), interactions=True)
    label = result.target.name
    one = said(with_scores(result, [-1.9, 0.3]))
    assert one == f"“a” and “good” together move the log-odds of {label} by −1.90 beyond what the two do apart."
    assert said(with_scores(result, [-1.9, 1.2])).endswith("“a” and “good” −1.90, “a” and “movie” +1.20.")
    assert said(with_scores(result, [1e-4])).startswith("No pair of words clearly")
    assert "no two words" in said(tiny.explain("dull", methods=(), checks=(), interactions=True))
    assert "together move" in said(with_scores(result, [1.9], error=0.2))
    assert "No pair" in said(with_scores(result, [1.9], error=0.7)), "1.96 errors would do; fifteen pairs need more"
    tied = said(with_scores(result, [1.9, 1.8, 1.7, 1.6], error=0.2))
    assert tied.startswith("Among the strongest"), "the fourth may be larger than the third"
    assert tied.count("and") == 3
    twice = tiny.explain("good good", methods=(), checks=(), interactions=True)
    assert said(with_scores(twice, [1.0])).startswith("“good (1)” and “good (2)” together")


def test_figure_table_and_terminal_show_the_same_numbers(tiny: Model) -> None:
    result = with_scores(tiny.explain(TEXT, methods=(), checks=(), interactions=True), [-1.9, 0.3], error=0.1)
    found = result.interactions
    assert found is not None
    heat = figures.pair_heatmap(result, found)
    square = np.array(heat.data[0].customdata)
    assert np.array_equal(square, square.T)
    assert square[0, 1] == np.float32(-1.9)
    assert heat.data[0].z[2][2] is None
    assert heat.layout.height <= 760
    blue_is_plus = result.target.index == 1
    assert (heat.data[0].z[0][1] < 0) == blue_is_plus
    assert pairs.colours(result, found).startswith("Blue is plus" if blue_is_plus else "Orange is plus")
    rows = pairs.rows(result, found, 2)
    assert rows == [("a + good", "−1.90", "0.29"), ("a + movie", "+0.30", "0.29")]
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(terminal.explanation(result))
    shown = console.export_text()
    assert said(result) in shown
    assert "a + movie" in shown


def test_negation_is_seen(sentiment: Model) -> None:
    for text, pair in {
        "This is not good.": ("not", "good"),
        "The jokes are hardly funny.": ("hardly", "funny"),
        "It is not bad at all.": ("not", "bad"),
    }.items():
        scores = by_words(found_in(sentiment, text), text)
        strongest = max(scores, key=lambda p: abs(scores[p]))
        assert strongest == pair
        assert scores[pair] > 2, "for what was decided, by far more than the two do apart"
        assert scores[pair] > 3 * max(abs(s) for p, s in scores.items() if p != pair)
    assert by_words(found_in(sentiment, "good and great"), "good and great")["good", "great"] < -1, "they say the same"


def test_command_line(run: Any) -> None:
    code, out, _ = run("run", "This is not good.", "--no-checks", "--interactions")
    assert code == 0
    assert "“not” and “good” together move the log-odds of NEGATIVE by +3.6" in " ".join(out.split())


def test_page_measures_pairs_when_asked(app: AppTest) -> None:
    finish(app)
    button = next(b for b in app.button if b.label == "Find words that work together")
    assert "Words that work together" in html_of(app)
    button.click()
    finish(app)
    assert not app.exception
    assert not [b for b in app.button if b.label == "Find words that work together"]
    assert any("other words replaced by" in c.value for c in app.caption)
