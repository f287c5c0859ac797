"""Standard errors of few samples: ±1.96 of them holds the mean in 95 % of cases; what sampling will cost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from explain.methods import find
from explain.methods._sampling import standard_error
from tests.toys import toy


@pytest.mark.parametrize("count", [5, 16, 64])
def test_few_samples_of_a_normal_variable_cover_the_mean(count: int) -> None:
    samples = np.random.default_rng(count).normal(3.0, 2.0, (count, 40_000))
    held = np.abs(samples.mean(0) - 3.0) <= 1.96 * standard_error(samples)
    assert held.mean() == pytest.approx(0.95, abs=0.004)


def test_many_samples_give_the_plain_standard_error() -> None:
    samples = np.random.default_rng(0).normal(size=(4000, 3))
    assert standard_error(samples) == pytest.approx(samples.std(0, ddof=1) / np.sqrt(4000), rel=1e-3)


@pytest.mark.parametrize("name", ["lime", "kernel_shap", "shapley_sampling", "partition_shap"])
def test_what_a_long_text_will_cost_is_near_what_it_costs(name: str) -> None:
    """On a sum of words, where sampling ends with its first round."""
    model = toy()
    model.info = replace(model.info, max_tokens=512)
    text = " ".join(np.random.default_rng(0).choice(["good", "bad", "movie", "funny", "slow"], 150))
    found = model.explain(text, methods=[name], checks=())
    said, _ = find(name).cost(len(found.words()))
    assert 1 / 1.5 <= said / found.attributions[0].evaluations.forward <= 1.5
