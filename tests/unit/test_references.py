"""Methods on games whose values are known: by brute force, by least squares on all sets, and from the shap package."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations, product
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression
from torch import nn

from explain.engine import Model
from explain.methods.kernel_shap import _fit
from explain.methods.lime import _draw
from explain.methods.lime import _fit as lime_fit
from explain.records import Attribution
from explain.selftest.reference import lime_limit, values
from tests.tiny import word_piece
from tests.toys import Sum, toy

TEXT = "a good movie but never funny"  # six words of one token each
MASK = word_piece().mask_token_id
SETS = np.array(list(product((False, True), repeat=6)))
VALUES = {
    "shapley": [1.099628, 0.749864, 2.362265, 0.635434, 0.503045, -1.01358],
    "owen": [1.126625, 0.482779, 2.094073, 0.981731, 0.60715, -0.955701],
}
"""From shap 0.51.0, with x = np.ones((1, 6)) and nothing = np.zeros((1, 6)):

    shap.KernelExplainer(game, nothing).shap_values(x, nsamples=128, l1_reg=0); the same as
    shap.explainers.Exact(game, nothing)(x).values
    tree = np.array([[1, 2, 1, 2], [0, 6, 2, 3], [4, 5, 1, 2], [3, 8, 2, 3], [7, 9, 3, 6]], dtype=float)
    shap.explainers.Partition(game, shap.maskers.Partition(nothing, clustering=tree))(x, max_evals=5000).values

The tree is ((0, (1, 2)), (3, (4, 5))): six words, halved.
"""


def game(z: np.ndarray) -> np.ndarray:
    """Worth (N,) of coalitions (N, 6): products of two and three players, and a part that is no polynomial."""
    a, b, c, d, e, f = z.T
    return np.asarray(2 * a - b + 3 * b * c + 1.5 * c * d * e - 2 * a * f + np.sin(z @ np.arange(1.0, 7.0)))


class Game(nn.Module):
    """A classifier whose log-odds of the second label are the worth of the words that are not masked."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(100, 8)
        self.config = SimpleNamespace(vocab_size=100, num_labels=2)

    def get_input_embeddings(self) -> nn.Embedding:
        """Nobody looks at it."""
        return self.table

    def forward(self, input_ids: torch.Tensor, **_: Any) -> Any:
        """Logits (N, 2)."""
        worth = game((input_ids[:, 1:7] != MASK).numpy().astype(float))
        return SimpleNamespace(logits=torch.tensor(np.stack([0 * worth, worth], 1), dtype=torch.float32))


@pytest.fixture(scope="module")
def model() -> Model:
    return toy(Game())


def ask(model: Model, name: str, text: str = TEXT, budget: int = 512, seed: int = 0, **params: Any) -> Attribution:
    params = {"replacement": "mask", **params}
    result = model.explain(text, methods=[name], params=params, target=1, checks=(), budget=budget, seed=seed)
    return result.attributions[0]


def averaged(orders: Any, worth: Callable[[tuple[bool, ...]], float], n: int) -> np.ndarray:
    """What each player adds on arrival, averaged over orders of arrival."""
    added, count = np.zeros(n), 0
    for order in orders:
        here, before = [False] * n, worth((False,) * n)
        for player in order:
            here[player] = True
            after = worth(tuple(here))
            added[player] += after - before
            before = after
        count += 1
    return added / count


def by_phrase(start: int, stop: int) -> list[tuple[int, ...]]:
    """All orders in which the words of a phrase arrive one after the other, at every level of the halved text."""
    if stop - start == 1:
        return [(start,)]
    middle = (start + stop) // 2
    halves = list(product(by_phrase(start, middle), by_phrase(middle, stop)))
    return [a + b for a, b in halves] + [b + a for a, b in halves]


def worth(present: tuple[bool, ...]) -> float:
    return float(game(np.array([present], dtype=float))[0])


def test_brute_force_and_the_shap_package_agree() -> None:
    assert np.allclose(averaged(permutations(range(6)), worth, 6), VALUES["shapley"], atol=1e-6)
    assert np.allclose(averaged(by_phrase(0, 6), worth, 6), VALUES["owen"], atol=1e-6)


def test_exact_shapley_on_a_known_game(model: Model) -> None:
    assert np.allclose(ask(model, "exact_shapley").scores, VALUES["shapley"], atol=2e-6)


def test_partition_shap_on_a_known_game(model: Model) -> None:
    assert np.allclose(ask(model, "partition_shap").scores, VALUES["owen"], atol=2e-6)
    assert ask(model, "partition_shap").numeric_error is None, "all surroundings were taken"
    few = ask(model, "partition_shap", contexts=2)  # fewer surroundings: another answer with the same total
    off = np.abs(few.scores - VALUES["owen"])
    assert off.max() > 0.05
    assert few.scores.sum() == pytest.approx(sum(VALUES["owen"]), abs=1e-5)
    assert few.numeric_error is not None
    assert few.numeric_error.max() > 0.5 * off.max(), "the sum hides it, the numeric error does not"


@pytest.mark.parametrize("curved", [False, True])
def test_exact_shapley_equals_all_orders_asked_one_by_one(tiny: Model, curved: bool) -> None:
    model, text = (
        (toy(Sum(2, steep=2.0)), "a dull plot but charming") if curved else (tiny, "never a dull actor , so good")
    )
    encoding = model.encode((text,))
    found = model.explain(text, methods=["exact_shapley"], target=1, checks=()).attributions[0]
    known: dict[tuple[bool, ...], float] = {}

    def alone(present: tuple[bool, ...]) -> float:
        if present not in known:
            inputs = {k: torch.from_numpy(v.copy())[None] for k, v in encoding.inputs.items()}
            gone = [u >= 0 and not present[u] for u in found.unit_of.tolist()]
            inputs["input_ids"][0, gone] = model.tokenizer.mask_token_id
            with torch.no_grad():
                zero, one = model.module(**inputs).logits[0].double().tolist()
            known[present] = one - zero
        return known[present]

    n = len(found.scores)
    expected = averaged(permutations(range(n)), alone, n)
    assert len(known) == 2**n
    assert np.abs(expected).max() > 0.01
    assert np.allclose(found.scores, expected, rtol=0, atol=1e-6)


def test_kernel_shap_fitted_to_all_sets_is_exact() -> None:
    often = np.array([0, 12, 3, 2, 3, 12, 0])[SETS.sum(1)]  # 5 / (C(6, s) s (6 − s)), times 72
    half = np.repeat(SETS, often, axis=0)
    pairs = np.stack([half, ~half], axis=1)
    scores, _ = _fit(
        pairs, game(pairs.reshape(-1, 6).astype(float)).reshape(-1, 2), game(np.array([[0.0] * 6, [1.0] * 6]))
    )
    assert np.allclose(scores, VALUES["shapley"], atol=1e-6)


@pytest.mark.parametrize("name", ["kernel_shap", "shapley_sampling"])
@pytest.mark.parametrize("seed", [0, 1])
def test_sampled_shapley_values_approach_the_exact_ones(model: Model, name: str, seed: int) -> None:
    found = ask(model, name, tolerance=0.05, budget=20_000, seed=seed)
    assert found.error is not None
    off, largest = np.abs(found.scores - VALUES["shapley"]), np.abs(found.scores).max()
    assert (off <= 3.5 * found.error + 1e-5).all()
    assert 0 < found.error.max() <= 0.0256 * largest


def lime_line(width: float) -> np.ndarray:
    """Least squares on all sets; every number of missing words is equally likely, none and all included."""
    present = SETS.sum(1)
    drawn = np.array([1 / np.sum(present == k) for k in present])
    near = np.exp(-((1 - np.sqrt(present / 6)) ** 2) / width**2)
    line = LinearRegression().fit(SETS.astype(float), game(SETS.astype(float)), sample_weight=drawn * near)
    return np.asarray(line.coef_)


@pytest.mark.parametrize("width", [0.25, 1.0])
def test_lime_of_a_short_text_is_least_squares_on_all_sets(model: Model, width: float) -> None:
    found = ask(model, "lime", width=width)
    assert found.error is not None
    assert np.allclose(found.scores, lime_line(width), atol=2e-5)
    assert not found.error.any()
    assert np.abs(found.scores - VALUES["shapley"]).max() > 0.1, "another question, another answer"


@pytest.mark.parametrize("width", [0.25, 1.0])
def test_limes_intervals_hold_the_limit(width: float) -> None:
    """Few draws and many: no set has a part that the standard errors do not see."""
    limit = lime_line(width)
    for count in (128, 2000):
        held = []
        for seed in range(100):
            kept = _draw(np.random.default_rng(seed), count, 6)
            scores, error = lime_fit(kept, game(kept.astype(float)), width)
            held.append(np.abs(scores - limit) <= 1.96 * error)
        assert 0.90 <= np.mean(held) <= 0.99


@pytest.mark.parametrize("n", [1, 2, 3])
def test_lime_of_a_few_words_is_what_selftest_expects(tiny: Model, n: int) -> None:
    """The whole text is one set of few, and counts as such."""
    text = " ".join(["not", "bad", "film"][:n])
    mask = {"replacement": "mask"}
    (found,) = tiny.explain(text, methods=["lime"], target="POSITIVE", checks=(), params=mask).attributions
    assert np.allclose(found.scores, lime_limit(values(tiny, text, "POSITIVE", "mask"), 0.25), atol=1e-4)
