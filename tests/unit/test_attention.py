"""Attention quantities against brute force, and what heads compute against the weights of the module."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import linprog
from transformers import BertConfig, LlamaConfig, LlamaForSequenceClassification

from explain.attention.ablation import head_effects
from explain.attention.capture import _maps
from explain.attention.flow import flow
from explain.attention.norms import head_norms, layer_norms
from explain.attention.rollout import rollout
from explain.attention.statistics import MEANING, statistics
from explain.case import Ask, Case
from explain.engine import Model
from explain.errors import InputError, ModelError
from explain.heads import HeadMap, HeadsReport
from explain.methods.expected_gradients import BACKGROUND
from explain.model.heads import observe
from explain.model.runner import Meter
from explain.tasks import tasks
from explain.wire import decode
from tests.cases import case_of
from tests.contract.test_methods import traces
from tests.tiny import word_piece
from tests.toys import toy

TEXT = "a good movie, but never very funny"


def random_weights(layers: int, heads: int, tokens: int, seed: int = 0, causal: bool = False) -> np.ndarray:
    """Rows that sum to 1: (L, H, T, T)."""
    found = np.random.default_rng(seed).random((layers, heads, tokens, tokens)) ** 3
    found = np.tril(found) if causal else found
    return found / found.sum(-1, keepdims=True)


@pytest.fixture(scope="module")
def case(tiny: Model) -> Case:
    return case_of(tiny, TEXT)


@pytest.mark.parametrize("causal", [False, True])
def test_rollout_sums_over_all_paths(causal: bool) -> None:
    weights = random_weights(3, 2, 4, causal=causal)
    mixed = 0.5 * weights.mean(1) + 0.5 * np.eye(4)
    found = rollout(weights)
    for end, start in product(range(4), repeat=2):
        paths = sum(mixed[2, end, b] * mixed[1, b, a] * mixed[0, a, start] for a, b in product(range(4), repeat=2))
        assert found[end, start] == pytest.approx(paths, abs=1e-12)
    assert np.allclose(found.sum(1), 1)


@pytest.mark.parametrize("causal", [False, True])
def test_flow_equals_a_linear_program(causal: bool) -> None:
    layers, tokens, at = 2, 4, 3 if causal else 0
    weights = random_weights(layers, 2, tokens, 1, causal)
    mixed = 0.5 * weights.mean(1) + 0.5 * np.eye(tokens)
    edges = [
        (k, i, j) for k in range(layers) for i, j in product(range(tokens), repeat=2)
    ]  # j of level k to i of k + 1
    found = []
    for start in range(tokens):
        cost = [-1.0 if k == layers - 1 and i == at else 0.0 for k, i, _ in edges]
        bounds = [(0, mixed[k, i, j] if (k or j == start) and (k < layers - 1 or i == at) else 0) for k, i, j in edges]
        balance = [
            [float(k == level and i == node) - float(k == level + 1 and j == node) for k, i, j in edges]
            for level in range(layers - 1)
            for node in range(tokens)
        ]
        found.append(-linprog(cost, A_eq=balance, b_eq=[0] * len(balance), bounds=bounds).fun)
    assert np.allclose(flow(weights, at), np.array(found) / sum(found), atol=1e-5)


def test_norms_equal_their_definition() -> None:
    weights, mixed = random_weights(1, 3, 4)[0], np.random.default_rng(2).standard_normal((3, 4, 5))
    for i, j in product(range(4), repeat=2):
        given = [weights[h, i, j] * mixed[h, j] for h in range(3)]
        assert head_norms(weights, mixed)[:, i, j] == pytest.approx([np.linalg.norm(g) for g in given])
        assert layer_norms(weights, mixed)[i, j] == pytest.approx(np.linalg.norm(sum(given)))


def test_statistics_know_the_heads_they_are_made_from() -> None:
    ids = np.array([9, 1, 2, 3, 1, 2, 3, 8])
    special = np.array([True, *[False] * 6, True])
    eye = np.eye(8)
    first = np.repeat(eye[:1], 8, 0)
    previous = np.vstack([eye[:1], eye[:-1]])
    copy, after = eye.copy(), eye.copy()
    copy[4:7] = eye[1:4]
    after[4:6], after[6] = eye[2:4], eye[4]
    heads = np.stack([first, previous, copy, after, np.full((8, 8), 1 / 8), eye])
    found = statistics(heads, special, ids)
    assert set(found) == set(MEANING)
    assert found["special"] == pytest.approx([1, 1 / 6, 0, 0, 2 / 8, 0])
    assert found["previous"] == pytest.approx([1 / 6, 1, 0, 0, 1 / 8, 0], abs=1e-9)
    assert found["duplicate"] == pytest.approx([0, 0, 1, 0, 1 / 8, 0])
    assert found["induction"][3] == pytest.approx(1)
    assert found["induction"][5] == 0
    assert found["itself"] == pytest.approx([0, 0, 0.5, 0.5, 1 / 8, 1])
    assert found["entropy"][[0, 1, 4]] == pytest.approx([0, 0, 1])
    assert found["distance"][0] == pytest.approx(np.arange(1, 7).mean())
    alone = statistics(heads, special, np.arange(8))
    assert not {"duplicate", "induction"} & alone.keys(), "nothing repeats"


def test_entropy_counts_what_the_mask_allows() -> None:
    seen = np.tril(np.ones((4, 4), dtype=bool))
    even = seen / seen.sum(1, keepdims=True)
    narrow = np.where(seen, [1.0, 0, 0, 0], 0)  # weights of 0 are no mask
    narrow[1:, :2] = 0.5
    ids, special = np.arange(4), np.zeros(4, dtype=bool)
    found = statistics(np.stack([even, narrow]), special, ids, seen)["entropy"]
    assert found == pytest.approx([1, np.mean(np.log(2) / np.log([2, 3, 4]))])
    assert "entropy" not in statistics(np.ones((1, 1, 1)), special[:1], ids[:1], seen[:1, :1])


def test_heads_equal_the_modules_own_weights(tiny: Model, case: Case) -> None:
    layer = 1
    seen: list[torch.Tensor] = []
    block = tiny.module.bert.encoder.layer[layer].attention  # type: ignore[union-attr]
    handles = [
        block.register_forward_pre_hook(lambda m, args: seen.append(args[0])),  # type: ignore[union-attr]
        block.output.dense.register_forward_hook(lambda m, args, out: seen.append(out)),  # type: ignore[union-attr]
    ]
    values, (found,) = observe(tiny, [case.row()], Meter(), layer, to_the_end=True)
    states, after = seen[0][0], seen[-1][0]  # the calls between are single heads
    for handle in handles:
        handle.remove()
    assert values == pytest.approx(case.evaluate(Ask([case.row()])).values, abs=1e-5)
    assert case.evaluate(Ask([case.row()], heads=layer)).heads[0].weights.tolist() == found.weights.tolist()
    own = block.self  # type: ignore[union-attr]
    heads, width = found.query.shape[0], found.query.shape[2]

    def split(x: torch.Tensor) -> np.ndarray:
        return x.detach().reshape(len(x), heads, width).transpose(0, 1).numpy()

    for name in ("query", "key", "value"):
        assert np.allclose(getattr(found, name), split(getattr(own, name)(states)), atol=1e-5)
    logits = found.query @ found.key.transpose(0, 2, 1) * found.scaling
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    assert np.allclose(found.weights, weights, atol=1e-5)
    assert np.allclose(found.output, weights @ found.value, atol=1e-5)
    assert found.mixed is not None
    given = np.einsum("hij,hjd->id", found.weights, found.mixed)
    assert np.allclose(given + block.output.dense.bias.detach().numpy(), after.detach().numpy(), atol=1e-5)  # type: ignore[union-attr]


def test_weights_equal_the_eager_kernels(tiny: Model, case: Case) -> None:
    eager = case.evaluate(Ask([case.row()], attention=True)).attention[0]
    for layer in range(len(eager)):
        (found,) = case.evaluate(Ask([case.row()], heads=layer)).heads
        assert np.allclose(found.weights, eager[layer], atol=1e-5)


def grouped() -> Model:
    """A causal model whose heads share keys."""
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=len(word_piece()), hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        intermediate_size=32, pad_token_id=0, num_labels=2,
    )  # fmt: skip
    module = LlamaForSequenceClassification(config)
    info = __import__("dataclasses").replace(toy().info, n_layers=2, n_heads=4, d_model=32)
    return Model(module, word_piece(), tasks()["text-classification"], info)


def test_grouped_heads_and_causal_rows() -> None:
    model = grouped()
    case = case_of(model, TEXT)
    eager = case.evaluate(Ask([case.row()], attention=True)).attention[0]
    (found,) = case.evaluate(Ask([case.row()], heads=1)).heads
    assert len(found.key) == 2
    assert np.allclose(found.weights, eager[1], atol=1e-5)
    report = model.heads(TEXT)
    assert report.kind == "causal"
    assert report.position == len(report.tokens.ids) - 1
    head = model.head(TEXT, 1, 3)
    assert head.query is not None
    assert head.key is not None
    logits = head.query @ head.key.T * (head.scaling or 0)
    logits[np.triu_indices(len(logits), 1)] = -np.inf
    weights = np.exp(logits)
    assert np.allclose(head.weights, weights / weights.sum(-1, keepdims=True), atol=1e-5)


@pytest.mark.parametrize("how", ["zero", "mean"])
def test_head_effects_equal_brute_force(tiny: Model, case: Case, how: str) -> None:
    """Replace a head's part of the output projection's input by hand, one head at a time."""
    found = head_effects(case, how)  # type: ignore[arg-type]
    stack = tiny.module.bert.encoder.layer  # type: ignore[union-attr]
    heads, width = tiny.info.n_heads, tiny.info.d_model // tiny.info.n_heads
    plain = case.evaluate(Ask([case.row()])).values[0]
    texts = [case.retold((text,)).row(case.target) for text in BACKGROUND.splitlines()]
    for layer, head in product(range(len(stack)), range(heads)):  # type: ignore[arg-type]
        part = np.s_[..., head * width : (head + 1) * width]
        dense = stack[layer].attention.output.dense  # type: ignore[index,union-attr]
        vector = torch.zeros(width)
        if how == "mean":
            kept: list[torch.Tensor] = []
            handle = dense.register_forward_pre_hook(lambda m, args: kept.append(args[0][0][part].clone()))  # noqa: B023
            for row in texts:
                case.evaluate(Ask([row]))
            handle.remove()
            vector = torch.cat(kept).mean(0)

        def replace(
            module: object, args: tuple[torch.Tensor], part: object = part, by: torch.Tensor = vector
        ) -> object:
            changed = args[0].clone()
            changed[part] = by  # type: ignore[index]
            return (changed,)

        handle = dense.register_forward_pre_hook(replace)
        without = case.evaluate(Ask([case.row()])).values[0]
        handle.remove()
        assert found[layer, head] == pytest.approx(plain - without, abs=1e-5)
    assert np.abs(found).max() > 1e-3


def test_resampled_heads_are_drawn_from_ordinary_sentences(case: Case) -> None:
    again = [head_effects(case, "resample") for _ in range(2)]
    assert np.array_equal(*again)
    assert not np.allclose(again[0], head_effects(case, "mean"))


def test_reports_are_records(tiny: Model) -> None:
    report = tiny.heads(TEXT)
    assert decode(HeadsReport, report.to_json()) == report
    assert report.effects is not None
    assert report.effects.shape == (2, 4)
    assert report.difference < 1e-5
    assert report.flow is not None
    assert report.flow.sum() == pytest.approx(1)
    assert "Jain & Wallace" in report.caveat
    head = tiny.head(TEXT, 1, 2)
    assert decode(HeadMap, head.to_json()) == head
    assert np.allclose(head.weights.sum(-1), 1, atol=1e-5)
    for bad in ((2, 0), (0, 4), (-1, 0)):
        with pytest.raises(InputError):
            tiny.head(TEXT, *bad)
    with pytest.raises(InputError, match="ablation"):
        tiny.heads(TEXT, ablation="nonsense")  # type: ignore[arg-type]


def test_nothing_is_left_behind(tiny: Model, case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    before = traces(tiny)
    tiny.heads(TEXT)
    tiny.head(TEXT, 0, 0)
    assert traces(tiny) == before
    monkeypatch.setattr("explain.model.heads._in_the_open", lambda *_: 1 / 0)
    with pytest.raises(ModelError, match="division"):
        tiny.head(TEXT, 0, 0)
    assert traces(tiny) == before


@pytest.mark.parametrize(
    "wish",
    [{"attention": [99]}, {"methods": ["layer_conductance"], "params": {"layer": 99}}],
    ids=["weights that are recorded last", "a method's parameter"],
)
def test_a_layer_that_is_not_there_costs_no_pass(tiny: Model, wish: dict[str, Any]) -> None:
    stages: list[str] = []
    with pytest.raises(InputError, match="no layer 99: this model has layers 0 to") as caught:
        tiny.explain(TEXT, progress=lambda now, _: stages.append(now.stage), **wish)
    assert (caught.value.code, stages) == ("bad_layer", [])


def test_a_model_without_attention_says_so() -> None:
    with pytest.raises(ModelError):
        toy().heads(TEXT)


def test_padding_changes_nothing(tiny: Model, case: Case) -> None:
    longer = case_of(tiny, TEXT + " and so on and on and on")
    alone, beside = (case.evaluate(Ask(rows, heads=1)) for rows in ([case.row()], [longer.row(), case.row()]))
    assert np.allclose(alone.heads[0].weights, beside.heads[1].weights, atol=1e-5)


def test_bert_config_is_what_the_tests_think(tiny: Model) -> None:
    assert isinstance(tiny.module.config, BertConfig)


def test_the_mean_of_a_layer_and_hidden_words(tiny: Model) -> None:
    mean, single = tiny.head(TEXT, 1), [tiny.head(TEXT, 1, h) for h in range(4)]
    assert np.allclose(mean.weights, np.mean([s.weights for s in single], axis=0), atol=1e-6)
    assert mean.query is None
    assert mean.norms is not None
    hidden = tiny.heads(TEXT, masked=[1, 2])
    written = tiny.predict("a [MASK] [MASK], but never very funny")
    assert np.allclose(hidden.prediction.logits, written.logits, atol=1e-5)
    assert hidden.tokens.texts == (TEXT,)
    assert hidden.tokens.strings.count("[MASK]") == 2
    with pytest.raises(InputError, match="no word 99"):
        tiny.heads(TEXT, masked=[99])


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), 2.0])
def test_rows_that_are_no_distribution_are_refused(wrong: float) -> None:
    weights = np.full((1, 2, 2), 0.5, dtype=np.float32)
    assert (_maps(0, weights, (2, 2), None).weights == weights).all()
    weights[0, 0, 0] = wrong
    with pytest.raises(ModelError, match="layer 0 is no distribution"):
        _maps(0, weights, (2, 2), None)
    with pytest.raises(ModelError, match="not between the 3 tokens of the text, but between 2 and 2 positions"):
        _maps(0, weights, (3, 3), None)
