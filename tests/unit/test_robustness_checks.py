"""Edited texts, trembling vectors, other baselines: the checks agree with brute force, and each can pass and not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from captum.metrics import sensitivity_max
from scipy.stats import spearmanr

from explain.catalog import Request
from explain.checks import Found
from explain.checks._compare import dealt, rank_correlation, same_top
from explain.checks.baselines import baselines
from explain.checks.max_sensitivity import DRAWS, RADIUS, max_sensitivity
from explain.checks.stability import stability
from explain.engine import Model
from explain.methods import find
from explain.model.neighbours import nearest
from explain.records import Check
from tests.cases import case_of, run
from tests.toys import Sum, toy

TEXT = "a good movie and never very funny was charming"
LONG = "the actor was witty and stirring but slow and never brilliant while every story is tedious , boring or stupid"


def checked(model: Model, fn: Any, text: str, name: str, **options: Any) -> Check:
    (result,) = model.answer([Request((text,), (name,), checks=(), **options)])
    attribution = result.attributions[0]
    (found,) = run(model, fn(case_of(model, text, **options), attribution, Found()))
    return found


def test_rank_correlation_is_spearmans() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 5, 9).astype(float), rng.integers(0, 5, (4, 9)).astype(float)
    assert rank_correlation(a, b) == pytest.approx([spearmanr(a, row).statistic for row in b])
    assert rank_correlation(a, np.ones(9)) == 0.0
    deals = dealt(a, rng, 50)
    assert (np.sort(deals, axis=1) == np.sort(a)).all()
    assert len(np.unique(deals, axis=0)) > 40


@pytest.mark.parametrize(("text", "expected"), [(TEXT, {"near"}), (LONG, {"near", "slip"})])
def test_edits_change_one_word_and_keep_the_decision(tiny: Model, text: str, expected: set[str]) -> None:
    found = checked(tiny, stability, text, "occlusion")
    first = tiny.explain(text, methods=["occlusion"], checks=())
    spared = {w.text for w in sorted(first.words(), key=lambda w: w.rank)[:3]}
    kinds = {row["kind"] for row in found.details["edits"]}
    assert kinds >= expected
    for row in found.details["edits"]:
        (edited,), was, now = row["texts"], row["word"][1:-1], row["instead"][1:-1]
        assert was not in spared
        assert [(a, b) for a, b in zip(text.split(), edited.split(), strict=True) if a != b] == [(was, now)]
        assert tiny.predict(edited).label == first.prediction.label
        again = tiny.explain(edited, methods=["occlusion"], checks=()).attributions[0]
        assert row["scores"] == pytest.approx(again.scores.tolist(), abs=1e-5)
        assert row["rank_correlation"] == pytest.approx(
            spearmanr(first.attributions[0].scores, again.scores).statistic, abs=1e-6
        )
        assert row["same_top"] == same_top(first.attributions[0], again)
        if row["kind"] == "slip":
            assert was != now
            assert (sorted(was), was[0], was[-1]) == (sorted(now), now[0], now[-1])
            assert sum(a != b for a, b in zip(was, now, strict=True)) == 2
    assert found.value == min(row["rank_correlation"] for row in found.details["edits"])


def test_chance_is_dealt_from_the_edited_texts_scores(tiny: Model) -> None:
    found = checked(tiny, stability, TEXT, "occlusion")
    case, ours = case_of(tiny, TEXT), tiny.explain(TEXT, methods=["occlusion"], checks=()).attributions[0]
    unlike = min(found.details["edits"], key=lambda row: row["rank_correlation"])
    deals = dealt(np.array(unlike["scores"]), np.random.default_rng([case.seed, case.n_units]))
    assert found.yardstick == pytest.approx(np.quantile(rank_correlation(ours.scores.astype(float), deals), 0.95))


def test_chosen_phrases_are_said_not_to_be_followed(tiny: Model) -> None:
    found = checked(tiny, stability, TEXT, "occlusion", phrases=((0, 0, TEXT.index(" ", 8)),))
    assert found.status == "n/a"
    assert "not followed into edited texts" in found.sentence


def test_the_nearest_words_are_the_nearest(tiny: Model) -> None:
    ids = tiny.tokenizer.get_vocab()
    table = tiny.module.get_input_embeddings().weight.numpy().astype(float)  # type: ignore[operator]
    for word in ("good", "plot"):
        own = table[ids[word]]
        cosine = table @ own / np.linalg.norm(table, axis=1) / np.linalg.norm(own)
        order = [i for i in np.argsort(-cosine) if i != ids[word]][:10]
        assert nearest(tiny, ids[word], 10) == [tiny.tokenizer.decode([i]) for i in order]


def test_a_slip_that_takes_the_largest_score_is_told() -> None:
    """A model that cannot stand single letters: swapped ones get the largest score, and the order is another."""
    module = Sum(2)
    letters = [i for token, i in toy().tokenizer.get_vocab().items() if len(token.removeprefix("##")) == 1]
    direction = (module.weight[1] - module.weight[0]).detach()
    calm = toy(module)
    assert checked(calm, stability, "dull slow warm actor story", "occlusion", target="P").details["edits"]
    sign = 1.0 if calm.predict("dull slow warm actor story").label == "P" else -1.0
    module.table.weight.data[letters] = sign * 20 * direction
    found = checked(toy(module), stability, "dull slow warm actor story", "occlusion", target="P")
    assert found.details["moved"] >= 1
    assert found.status in ("warn", "fail")
    assert "moves to another word" in found.sentence
    assert found.details["worst"]["kind"] == "slip"


def test_scores_that_stay_pass() -> None:
    """A linear model: other words keep their scores whatever is written for one of them."""
    module = Sum(2)
    module.table.weight.data *= 0.05
    for word in ("good", "great", "awful"):
        module.table.weight.data[toy().tokenizer.convert_tokens_to_ids(word)] *= 60
    found = checked(toy(module), stability, "a good story and the great plot was so awful but warm", "occlusion")
    assert found.status == "pass", found.sentence
    assert "stays on" in found.sentence


def test_few_words_leave_nothing_to_edit(tiny: Model) -> None:
    assert checked(tiny, stability, "so very dull", "occlusion").status == "n/a"


def test_max_sensitivity_is_captums() -> None:
    """The same noise through Captum's metric and a reference attribution written out here."""
    module, text = Sum(2, steep=2.0), "good dull funny slow"
    model = toy(module)
    case = case_of(model, text, granularity="token", target="P")
    attribution = model.explain(
        text, methods=["input_x_gradient"], granularity="token", target="P", checks=()
    ).attributions[0]
    (found,) = run(model, max_sensitivity(case, attribution, Found()))
    embeds = torch.from_numpy(case.embeds.astype(np.float64))  # (T, D)
    radius = RADIUS * float(embeds.square().mean().sqrt())
    rng, words = np.random.default_rng([0, len(embeds)]), ~case.tokens.special
    noise = torch.from_numpy(np.stack([rng.uniform(-radius, radius, embeds.shape) for _ in range(DRAWS)]))
    noise = (noise * torch.from_numpy(words)[None, :, None]).float().double()

    def explain(given: tuple[torch.Tensor]) -> tuple[torch.Tensor]:  # (N, T, D) → (N, words)
        with torch.enable_grad():
            inputs = given[0].detach().requires_grad_(True)
            logits = inputs.sum(1) @ module.weight.double().T + module.bias.double()
            curved = 3 * torch.sigmoid(2.0 * (logits - 0.3))
            (slopes,) = torch.autograd.grad((curved[:, 1] - curved[:, 0]).sum(), inputs)
        return ((slopes * inputs).sum(-1)[:, torch.from_numpy(words)].detach(),)

    expected = sensitivity_max(
        explain, embeds[None], perturb_func=lambda given: (given[0] + noise,), n_perturb_samples=DRAWS
    )
    assert found.value == pytest.approx(float(expected[0]), rel=1e-4)
    assert found.value > 0.01
    assert found.status == ("pass" if found.value <= 0.1 else "warn")


def test_a_shifted_text_is_the_text_with_moved_vectors(tiny: Model) -> None:
    """A method on a shifted case equals the method on a model whose table was moved."""
    case = case_of(tiny, "a good film")
    shift = np.zeros_like(case.embeds)
    shift[2] = 0.1
    for name in ("input_x_gradient", "saliency", "integrated_gradients", "layer_integrated_gradients"):
        method = find(name)
        moved = run(tiny, method.fn(case.shifted(shift), method.params()))
        table = tiny.module.get_input_embeddings().weight  # type: ignore[operator]
        row = int(case.tokens.ids[2])
        before = table.data[row].clone()  # adding and subtracting again would not give the same bits
        try:
            table.data[row] += 0.1
            other = run(tiny, method.fn(case_of(tiny, "a good film", target=case.target.index), method.params()))
        finally:
            table.data[row] = before
        assert np.allclose(moved.scores, other.scores, atol=1e-4), name
        assert moved.value_input == pytest.approx(other.value_input, abs=1e-4)


@pytest.mark.parametrize("name", ["occlusion", "lime", "value_zeroing"])
def test_methods_without_vectors_do_not_tremble(tiny: Model, name: str) -> None:
    assert checked(tiny, max_sensitivity, TEXT, name).status == "n/a"


def test_every_baseline_is_the_methods_own(tiny: Model) -> None:
    found = checked(tiny, baselines, TEXT, "integrated_gradients")
    assert list(found.details["table"]) == ["mask", "pad", "unk", "zero", "mean"]
    for name, row in found.details["table"].items():
        alone = tiny.explain(TEXT, params={"baseline": name}, checks=()).attributions[0]
        assert row["scores"] == pytest.approx(alone.scores.tolist(), abs=1e-4)
        assert row["value_baseline"] == pytest.approx(alone.value_baseline, abs=1e-4)
        assert row["top"] == int(np.argmax(np.abs(alone.scores)))
    moved = [n for n, row in found.details["table"].items() if row["top"] != found.details["table"]["mask"]["top"]]
    assert set(found.details["moved"]) <= set(moved)
    assert found.value == pytest.approx(1 - len(found.details["moved"]) / 4)


def test_baselines_that_are_alike_pass_and_one_that_is_a_word_of_its_own_does_not() -> None:
    module = Sum(2)
    vocabulary = toy().tokenizer.get_vocab()
    module.table.weight.data[[vocabulary[t] for t in ("[MASK]", "[PAD]", "[UNK]")]] = 0.0
    module.table.weight.data -= module.table.weight.data.mean(0)
    calm = module.table.weight.data[vocabulary["[MASK]"]].clone()
    module.table.weight.data -= calm
    found = checked(toy(module), baselines, "good dull funny slow", "integrated_gradients")
    assert "stays on" in found.sentence or found.details["moved"] == ["mean"]
    loud = Sum(2)
    for token in ("[PAD]", "[UNK]"):
        loud.table.weight.data[vocabulary[token]] = 30 * loud.table.weight.data[vocabulary["dull"]]
    loud.table.weight.data[vocabulary["[MASK]"]] = 0.0
    loud.table.weight.data[vocabulary["dull"]] *= 3
    found = checked(toy(loud), baselines, "good dull funny slow", "integrated_gradients")
    assert {"pad", "unk"} >= set(found.details["moved"])


def test_baselines_do_not_apply_without_one(tiny: Model) -> None:
    assert checked(tiny, baselines, TEXT, "occlusion").status == "n/a"


def test_same_top_allows_for_what_scores_may_be_off(tiny: Model) -> None:
    first = tiny.explain("a good film", checks=()).attributions[0]
    one = replace(first, scores=np.array([1, 0.9, 0], dtype=np.float32), numeric_error=np.full(3, 0.01, np.float32))
    two = replace(one, scores=np.array([0.9, 1, 0], dtype=np.float32))
    assert not same_top(one, two)
    assert same_top(one, replace(two, numeric_error=np.full(3, 0.1, np.float32)))
