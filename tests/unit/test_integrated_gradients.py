"""Integrated gradients against the rule's own theory, closed forms, and Captum with many steps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from captum.attr import IntegratedGradients

from explain.engine import Model
from explain.errors import MethodError
from explain.methods._quadrature import COARSE, FINE, GAUSS, KRONROD, NODES, PATTERSON
from explain.records import Attribution
from tests.tiny import word_piece
from tests.toys import Sum, toy

TEXT = "a good movie, but never very funny"
TIGHT = {"tolerance": 1e-5, "word_tolerance": 1e-5}


def integrated(model: Model, text: str | tuple[str, str] = TEXT, **options: object) -> Attribution:
    return model.explain(text, checks=(), **options).attributions[0]  # type: ignore[arg-type]


@pytest.mark.parametrize(("weights", "degree"), [(PATTERSON, 23), (KRONROD, 11), (GAUSS, 5)])
def test_the_rules_are_exact_up_to_their_degree(weights: np.ndarray, degree: int) -> None:
    for power in range(degree + 3):
        exact = 2 / (power + 1) if power % 2 == 0 else 0.0
        error = abs(float(weights @ NODES**power) - exact)
        assert error < 1e-14 if power <= degree else power % 2 or error > 1e-11
    assert (np.diff(NODES) > 0).all()
    assert np.abs(NODES).max() < 1
    assert set(np.flatnonzero(GAUSS)) < set(np.flatnonzero(KRONROD)) == set(COARSE)
    assert sorted([*COARSE, *FINE]) == list(range(15))


@pytest.mark.parametrize("steep", [0.5, 4.0, 20.0, 60.0])
def test_closed_form_of_a_curved_model(steep: float) -> None:
    """f = g(u) with u linear in the embeddings: a word's score is its share of u's change times g's change."""
    model = toy(Sum(2, steep=steep))
    found = integrated(model, params=TIGHT, target="P", budget=5000)
    module = model.module
    assert isinstance(module, Sum)
    ids = model.encode((TEXT,)).tokens.ids
    special = found.unit_of < 0
    table = module.table.weight.detach().numpy().astype(float)
    weight, bias = module.weight.detach().numpy().astype(float), module.bias.detach().numpy().astype(float)
    base = np.where(special, ids, model.tokenizer.mask_token_id)
    expected = np.zeros(len(ids))
    for c, sign in ((1, 1.0), (0, -1.0)):
        steps = (table[ids] - table[base]) @ weight[c]  # (T,)
        ends = [table[i].sum(0) @ weight[c] + bias[c] for i in (base, ids)]
        g = [3 / (1 + np.exp(-steep * (u - 0.3))) for u in ends]
        expected += sign * steps * (g[1] - g[0]) / (ends[1] - ends[0])
    words = np.array([expected[found.unit_of == u].sum() for u in range(len(found.scores))])
    assert np.abs(found.scores - words).max() <= 1e-4 * np.abs(words).max()
    default = integrated(model, target="P")
    assert default.numeric_error is not None
    assert np.abs(default.scores - words).max() <= 0.05 * np.abs(words).max()
    assert (np.abs(default.scores - words) <= default.numeric_error + 2e-4 * np.abs(words).max()).all()


@pytest.mark.parametrize("baseline", ["mask", "pad", "unk", "zero"])
@pytest.mark.parametrize("text", [TEXT, "dull", ("a good movie", "the actor is so funny")])
def test_captum_with_many_steps_agrees(tiny: Model, baseline: str, text: str | tuple[str, str]) -> None:
    found = integrated(tiny, text, params={**TIGHT, "baseline": baseline}, target="POSITIVE", budget=5000)
    encoding = tiny.encode((text,) if isinstance(text, str) else text)
    inputs = {k: torch.from_numpy(v.copy())[None] for k, v in encoding.inputs.items()}
    table = tiny.module.get_input_embeddings().weight  # type: ignore[operator]
    embeds = table[inputs["input_ids"]]
    keep = torch.from_numpy(encoding.tokens.special.copy())[None, :, None]
    ids = {"mask": tiny.tokenizer.mask_token_id, "pad": tiny.tokenizer.pad_token_id, "unk": tiny.tokenizer.unk_token_id}
    other = torch.zeros_like(table[0]) if baseline == "zero" else table[ids[baseline]]
    start = torch.where(keep, embeds, other)

    def log_odds(points: torch.Tensor) -> torch.Tensor:
        types = inputs["token_type_ids"].expand(len(points), -1)
        logits = tiny.module(inputs_embeds=points, token_type_ids=types).logits
        return logits[:, 1] - logits[:, 0]

    reference = IntegratedGradients(log_odds).attribute(embeds, start, n_steps=1000, internal_batch_size=200)
    scores = reference.detach().sum(-1)[0].numpy()
    words = np.array([scores[found.unit_of == u].sum() for u in range(len(found.scores))])
    assert np.abs(found.scores - words).max() <= 1e-3 * np.abs(words).max()
    assert found.baseline == baseline


def test_default_settings_meet_their_promise(tiny: Model) -> None:
    texts = [TEXT, "the ending is awful and tedious", "never so witty", "a dull, slow, cold film but a great actor!"]
    for found in (r.attributions[0] for r in tiny.explain_batch(texts, checks=())):
        assert found.relative_residual is not None
        assert found.relative_residual <= 0.01
        assert found.numeric_error is not None
        assert found.numeric_error.max() <= 0.05 * np.abs(found.scores).max() + 1e-7
        assert not found.exhausted


def test_the_path_is_stored_and_the_cost_counted(tiny: Model) -> None:
    easy, hard = integrated(tiny), integrated(tiny, params=TIGHT, budget=5000)
    for found in (easy, hard):
        assert found.path is not None
        start, end, nodes = found.path.T
        assert start[0] == 0.0
        assert end[-1] == 1.0
        assert (start[1:] == end[:-1]).all()
        assert set(nodes) <= {7.0, 15.0}
        halvings = len(found.path) - 3  # each gives up 15 nodes, and needs one value at its middle
        assert found.evaluations.backward == nodes.sum() + 15 * halvings
        assert found.evaluations.forward == 2 + 2 + halvings
    assert len(hard.path) > len(easy.path)  # type: ignore[arg-type]


def test_an_exhausted_budget_is_said(tiny: Model) -> None:
    result = tiny.explain(TEXT, params=TIGHT, budget=28)
    found = result.attributions[0]
    assert found.exhausted
    assert found.evaluations.backward == 21
    check = next(c for c in result.checks if c.name == "completeness")
    assert check.status == "fail"
    assert "budget ended" in check.sentence
    assert not result.effects.named  # type: ignore[union-attr]


def test_a_baseline_the_tokenizer_lacks_is_refused() -> None:
    tokenizer = word_piece()
    tokenizer.mask_token = None
    model = toy(tokenizer=tokenizer)
    assert integrated(model).baseline == "pad"
    with pytest.raises(MethodError, match="no mask token"):
        integrated(model, params={"baseline": "mask"})
    tokenizer.pad_token = None
    assert integrated(toy(tokenizer=tokenizer)).baseline == "zero"


def test_special_tokens_stay_in_the_baseline(tiny: Model) -> None:
    assert integrated(tiny).special == 0.0
    assert integrated(tiny, ("a good film", "so dull")).special == 0.0
