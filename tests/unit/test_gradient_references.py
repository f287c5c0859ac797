"""Gradient methods against Captum on the plain module, and against each other in the limit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from captum.attr import InputXGradient, LayerConductance, LayerIntegratedGradients, Saliency
from torch import Tensor

from explain.case import Case
from explain.engine import Model
from explain.model.inside import blocks
from explain.records import Attribution
from tests.cases import case_of
from tests.toys import Sum, toy

TEXT = "a good movie, but never very funny"
PLAIN = "the actor is so moving and the plot was not"


class Plain:
    """The tiny model as plain torch: the log-odds of POSITIVE from ids or embeddings, one row or many."""

    def __init__(self, model: Model, text: str | tuple[str, str]) -> None:
        self.model, self.case = model, case_of(model, text, target="POSITIVE")
        self.ids = torch.from_numpy(self.case.tokens.ids.copy())[None]
        self.types = torch.from_numpy(self.case.encoding.inputs["token_type_ids"].copy())[None]
        self.embeds = self.embed(self.ids)
        self.start_ids = torch.from_numpy(self.case.baseline_ids("mask")[1].copy())[None]

    def embed(self, ids: Tensor) -> Tensor:
        table: Any = self.model.module.get_input_embeddings()  # type: ignore[operator]
        return table(ids).detach()  # type: ignore[no-any-return]

    def of_ids(self, ids: Tensor) -> Tensor:
        logits = self.model.module(input_ids=ids, token_type_ids=self.types.expand(len(ids), -1)).logits
        return logits[:, 1] - logits[:, 0]  # type: ignore[no-any-return]

    def of_embeds(self, points: Tensor) -> Tensor:
        logits = self.model.module(inputs_embeds=points, token_type_ids=self.types.expand(len(points), -1)).logits
        return logits[:, 1] - logits[:, 0]  # type: ignore[no-any-return]

    def words(self, tokens: Tensor) -> np.ndarray:
        return per_word(self.case, tokens.detach().double().numpy())


def per_word(case: Case, tokens: np.ndarray) -> np.ndarray:
    """Sums over the tokens of each word, by hand."""
    return np.array([tokens[case.units.of_token == u].sum() for u in range(case.n_units)])


def ask(model: Model, name: str, text: str | tuple[str, str] = TEXT, budget: int = 512, **params: Any) -> Attribution:
    result = model.explain(text, methods=[name], params=params, target=1, checks=(), budget=budget)
    return result.attributions[0]


def near(found: Attribution, expected: np.ndarray, share: float) -> bool:
    """Equal within a share of the largest score."""
    return bool(np.abs(found.scores - expected).max() <= share * np.abs(expected).max())


@pytest.mark.parametrize("text", [TEXT, ("a good movie", "the actor is so funny")])
def test_slopes_are_captums(tiny: Model, text: str | tuple[str, str]) -> None:
    plain = Plain(tiny, text)
    slopes = Saliency(plain.of_embeds).attribute(plain.embeds.clone().requires_grad_(True), abs=False)[0]
    assert near(ask(tiny, "saliency", text), plain.words(slopes.norm(dim=-1)), 1e-5)
    products = InputXGradient(plain.of_embeds).attribute(plain.embeds.clone().requires_grad_(True))[0]
    assert near(ask(tiny, "input_x_gradient", text), plain.words(products.sum(-1)), 1e-5)


@pytest.mark.parametrize("layer", [0, 1])
def test_layer_integrated_gradients_are_captums(tiny: Model, layer: int) -> None:
    plain = Plain(tiny, TEXT)
    block = blocks(tiny.module, tiny.info.n_layers)[layer]
    reference = LayerIntegratedGradients(plain.of_ids, block).attribute(plain.ids, plain.start_ids, n_steps=200)
    tokens = (reference[0] if isinstance(reference, tuple) else reference)[0]
    assert near(ask(tiny, "layer_integrated_gradients", layer=layer, tolerance=1e-4), plain.words(tokens.sum(-1)), 1e-3)


@pytest.mark.parametrize("layer", [0, 1])
def test_layer_conductance_is_captums(tiny: Model, layer: int) -> None:
    plain = Plain(tiny, TEXT)
    block = blocks(tiny.module, tiny.info.n_layers)[layer]
    start = plain.embed(plain.start_ids)
    reference = LayerConductance(plain.of_embeds, block).attribute(plain.embeds, start, n_steps=1000)
    tokens = (reference[0] if isinstance(reference, tuple) else reference)[0]
    assert near(ask(tiny, "layer_conductance", layer=layer, tolerance=1e-4), plain.words(tokens.sum(-1)), 5e-3)


@pytest.mark.parametrize("curved", [False, True])
@pytest.mark.parametrize("name", ["gradient_shap", "expected_gradients"])
def test_random_points_on_one_path_average_to_integrated_gradients(tiny: Model, name: str, curved: bool) -> None:
    model = toy(Sum(2, steep=1.0)) if curved else tiny
    own, same = {
        "gradient_shap": ({"samples": 2000}, {"baseline": "mask"}),
        "expected_gradients": ({"background": PLAIN, "tolerance": 0.05}, {"baseline": "text", "baseline_text": PLAIN}),
    }[name]
    true = ask(model, "integrated_gradients", budget=5000, tolerance=1e-4, word_tolerance=1e-3, **same)
    found = ask(model, name, budget=5000, **own)
    assert found.error is not None
    largest = np.abs(true.scores).max()
    assert (np.abs(found.scores - true.scores) <= 3.5 * found.error + 1e-3 * largest).all()
    assert 0 < found.error.max() <= 0.06 * largest
    assert found.value_baseline == pytest.approx(true.value_baseline, abs=1e-5)


def test_smooth_grad_without_noise_is_the_slope_times_the_distance(tiny: Model) -> None:
    plain = Plain(tiny, TEXT)
    slopes = Saliency(plain.of_embeds).attribute(plain.embeds.clone().requires_grad_(True), abs=False)[0]
    for baseline, start in (("mask", plain.embed(plain.start_ids)), ("zero", torch.zeros_like(plain.embeds))):
        expected = plain.words((slopes * (plain.embeds - start)[0]).sum(-1))
        found = ask(tiny, "smooth_grad", stdev=0.0, baseline=baseline)
        assert near(found, expected, 1e-5)
        assert found.error is not None
        assert found.error.max() <= 1e-6
    assert near(found, ask(tiny, "input_x_gradient").scores.astype(float), 1e-5)


def test_smooth_grad_averages_slopes_of_noisy_texts(tiny: Model) -> None:
    plain, draws = Plain(tiny, TEXT), 1000
    found = ask(tiny, "smooth_grad", stdev=1.0, baseline="mask", tolerance=0.05, budget=8000)
    noise = torch.randn(draws, *plain.embeds.shape[1:], generator=torch.Generator().manual_seed(7))
    words = torch.from_numpy(~plain.case.tokens.special)[None, :, None]
    points = (plain.embeds + plain.embeds.std(correction=0) * noise * words).requires_grad_(True)
    (slopes,) = torch.autograd.grad(plain.of_embeds(points).sum(), points)
    each = (slopes * (plain.embeds - plain.embed(plain.start_ids))).sum(-1).numpy()  # (N, T)
    samples = np.stack([per_word(plain.case, row) for row in each])
    other, scatter = samples.mean(0), samples.std(0) / np.sqrt(draws)
    assert found.error is not None
    assert (np.abs(found.scores - other) <= 3.5 * np.hypot(found.error, scatter)).all()
    largest = np.abs(other).max()
    assert 0 < found.error.max() <= 0.03 * largest
    assert not near(ask(tiny, "smooth_grad", stdev=0.0, baseline="mask"), other, 0.05), "the noise matters"
