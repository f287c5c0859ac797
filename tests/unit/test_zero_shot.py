"""Zero-shot classification: the pipeline's numbers, a stated scalar, and hypotheses that are the question only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import pipeline

import explain
from explain.candidates import candidates
from explain.case import Case
from explain.catalog import Request
from explain.engine import Model, load
from explain.errors import InputError, MethodError
from explain.model import ends, views
from explain.model.runner import Meter
from explain.render import pieces
from explain.work import Work
from tests.tiny import WORDS, inference_folder

TEXT = "the film is brilliant and the actor was never boring."
TEXTS = (TEXT, "a dull movie", "not so witty , but a very warm story !", "stupid")
LABELS = ("funny", "very dull", "a moving story")
TEMPLATE = "this film is {} !"
ASKED: dict[str, Any] = {"candidate_labels": LABELS, "hypothesis_template": TEMPLATE}
ENTAILED, CONTRADICTED = 2, 0
NOISY = ("smooth_grad", "gradient_shap", "all checks")
"""What adds noise to every vector of a row that asks about one hypothesis."""


def by_hand(model: Model, text: str, gone: tuple[int, ...] = ()) -> torch.Tensor:
    """Logits (L, C) of the text with each hypothesis, from the module alone; tokens `gone` are masked."""
    found = []
    for label in LABELS:
        pair = model.tokenizer(text, TEMPLATE.replace("{}", label), return_tensors="pt")
        pair["input_ids"][0, list(gone)] = model.tokenizer.mask_token_id
        with torch.no_grad():
            found.append(model.module(**pair).logits[0].double())
    return torch.stack(found)


def scalar(logits: torch.Tensor, index: int, *, multi: bool = False) -> float:
    """The log-odds of one label."""
    if multi:
        return float(logits[index, ENTAILED] - logits[index, CONTRADICTED])
    rest = [j for j in range(len(LABELS)) if j != index]
    return float(logits[index, ENTAILED] - torch.logsumexp(logits[rest, ENTAILED], 0))


def shares(found: dict[str, Any]) -> dict[str, float]:
    """The pipeline's answer by label."""
    return dict(zip(found["labels"], found["scores"], strict=True))


def case_of(model: Model, text: str = TEXT, **about: Any) -> Case:
    question = Request((text,), candidates=candidates(LABELS, about.pop("multi", False), TEMPLATE), **about)
    return Work(model, [question]).case(question, "Reading")


@pytest.mark.parametrize("multi", [False, True])
@pytest.mark.parametrize("labels", [LABELS, ("funny", "dull"), ("slow",)])
def test_predictions_are_those_of_the_hubs_pipeline(inferrer: Model, labels: tuple[str, ...], multi: bool) -> None:
    pipe = pipeline("zero-shot-classification", model=inferrer.module, tokenizer=inferrer.tokenizer)
    for text in TEXTS:
        theirs = pipe(text, labels, multi_label=multi, hypothesis_template=TEMPLATE)
        ours = inferrer.predict(text, candidate_labels=labels, multi_label=multi, hypothesis_template=TEMPLATE)
        assert dict(ours.ranked()) == pytest.approx(
            dict(zip(theirs["labels"], theirs["scores"], strict=True)), abs=1e-5
        )
        if not multi and len(labels) > 1:
            assert ours.label == theirs["labels"][0]


def test_the_template_and_its_place_are_the_hubs_unless_said_otherwise(inferrer: Model) -> None:
    pipe = pipeline("zero-shot-classification", model=inferrer.module, tokenizer=inferrer.tokenizer)
    theirs = pipe(TEXT, "funny, dull")
    ours = inferrer.predict(TEXT, candidate_labels="funny, dull")
    assert dict(ours.ranked()) == pytest.approx(shares(theirs), abs=1e-5)


def test_what_is_explained_is_what_is_said_to_be(inferrer: Model) -> None:
    logits = by_hand(inferrer, TEXT)
    for index, label in enumerate(LABELS):
        for multi in (False, True):
            found = inferrer.explain(TEXT, target=label, multi_label=multi, checks=(), **ASKED)
            (mine,) = found.attributions
            assert mine.value_input == pytest.approx(scalar(logits, index, multi=multi), abs=1e-4)
            assert found.tokens.texts == (TEXT, TEMPLATE.replace("{}", label))
            assert found.target.name == label
    for multi, expected in ((False, logits[:, ENTAILED]), (True, logits[:, ENTAILED] - logits[:, CONTRADICTED])):
        about: dict[str, Any] = {"multi_label": multi, "checks": (), "target": LABELS[1], **ASKED}
        alone = inferrer.explain(TEXT, quantity="logit", **about)
        assert alone.attributions[0].value_input == pytest.approx(float(expected[1]), abs=1e-4)
        contrast = inferrer.explain(TEXT, contrast=LABELS[2], **about)
        assert contrast.attributions[0].value_input == pytest.approx(float(expected[1] - expected[2]), abs=1e-4)
        share = inferrer.explain(TEXT, quantity="probability", **about)
        probs = torch.sigmoid(expected) if multi else torch.softmax(expected, 0)
        assert share.attributions[0].value_input == pytest.approx(float(probs[1]), abs=1e-5)
    margin = inferrer.explain(TEXT, quantity="margin", target=LABELS[0], checks=(), **ASKED)
    entailed = logits[:, ENTAILED]
    assert margin.attributions[0].value_input == pytest.approx(float(entailed[0] - entailed[1:].max()), abs=1e-4)


@pytest.mark.parametrize("multi", [False, True])
def test_scores_add_up_on_fifty_texts_alone_and_in_a_batch(inferrer: Model, multi: bool) -> None:
    rng = np.random.default_rng(5)
    plain = [word for word in WORDS if word.isalpha()]
    texts = [" ".join(rng.choice(plain, rng.integers(2, 12))) for _ in range(50)]
    together = inferrer.explain_batch(texts, checks=(), multi_label=multi, **ASKED)
    for found in together:
        (mine,) = found.attributions
        assert (mine.relative_residual or 0) <= 0.01
        assert mine.special == 0
    for text, found in list(zip(texts, together, strict=True))[:8]:
        alone = inferrer.explain(text, checks=(), multi_label=multi, **ASKED).attributions[0]
        assert np.allclose(found.attributions[0].scores, alone.scores, atol=1e-4)


def test_gradients_of_several_hypotheses_are_those_of_one_graph(inferrer: Model) -> None:
    """Here the vectors of the text are one tensor, and torch differentiates the log-odds as they are written."""
    case = case_of(inferrer, target=LABELS[1])
    rows = [case.point(case.baseline("mask")[1], alpha) for alpha in (0.3, 1.0)]
    values, slopes = ends.gradients(inferrer.among(candidates(LABELS, False, TEMPLATE)), rows, Meter())
    n = int((case.tokens.segment == 1).argmax())
    table = inferrer.module.get_input_embeddings()
    for row, value, slope in zip(rows, values, slopes, strict=True):
        assert row.start is not None
        assert row.end is not None
        point = torch.tensor(row.start + row.alpha * (row.end - row.start))[:n].requires_grad_(True)
        logits = []
        for tail in row.tails:
            ids = torch.tensor(tail["input_ids"])
            types = torch.tensor(np.concatenate([row.inputs["token_type_ids"][:n], tail["token_type_ids"]]))
            embeds = torch.cat([point, table(ids)])[None]
            logits.append(inferrer.module(inputs_embeds=embeds, token_type_ids=types[None]).logits[0, ENTAILED])
        z = torch.stack(logits)
        expected = z[1] - torch.logsumexp(z[[0, 2]], 0)
        assert value == pytest.approx(float(expected), abs=1e-4)
        assert np.allclose(slope[:n], torch.autograd.grad(expected, point)[0].numpy(), atol=1e-4)


@pytest.mark.parametrize("multi", [False, True])
def test_occlusion_is_direct_calls(inferrer: Model, multi: bool) -> None:
    found = inferrer.explain(TEXT, methods=["occlusion"], target=LABELS[0], multi_label=multi, checks=(), **ASKED)
    (mine,) = found.attributions
    full = scalar(by_hand(inferrer, TEXT), 0, multi=multi)
    for unit, score in enumerate(mine.scores):
        gone = tuple(np.flatnonzero(mine.unit_of == unit).tolist())
        expected = full - scalar(by_hand(inferrer, TEXT, gone), 0, multi=multi)
        assert score == pytest.approx(expected, abs=1e-4)
    passes = 1 + len(mine.scores)
    assert mine.evaluations.forward == passes * (1 if multi else len(LABELS))


@pytest.mark.parametrize("multi", [False, True])
def test_every_method_and_check_leaves_the_hypothesis_alone(
    inferrer: Model, monkeypatch: pytest.MonkeyPatch, multi: bool
) -> None:
    """Whatever asks the model, each row ends with one of the hypotheses as it is written, and with its own vectors."""
    text, call, seen = "the film is warm and slow", Model.call, []
    said = [*(TEMPLATE.replace("{}", label) for label in LABELS), "This example is good.", "This example is bad."]
    tails = [inferrer.tokenizer(one, add_special_tokens=False)["input_ids"] for one in said]  # ours, and the gate's

    def watched(self: Model, rows: Any, embeds: Any = None, **options: Any) -> Any:
        for i, row in enumerate(rows):
            (end,) = [e for e in tails if row.ids[-1 - len(e) : -1].tolist() == e]
            if embeds is not None and row.layer is None and method not in NOISY:
                mine = embeds[i, len(row) - 1 - len(end) : len(row) - 1].detach().numpy()
                assert np.allclose(mine, inferrer.embed(np.array(end)), atol=1e-5), method
            seen.append(row)
        return call(self, rows, embeds, **options)

    monkeypatch.setattr(Model, "call", watched)
    refused, method = set(), ""
    for info in explain.list_methods():
        about: dict[str, Any] = {"methods": [info.name], "checks": (), "forced": True, "budget": 48, **ASKED}
        method = info.name
        try:
            found = inferrer.explain(text, multi_label=multi, **about)
        except MethodError as error:
            assert error.code in ("several_hypotheses", "not_decided"), info.name
            refused.add(info.name)
            found = inferrer.explain(text, quantity="logit", **about)
        (mine,) = found.attributions
        assert np.isfinite(mine.scores).all(), info.name
        assert len(mine.scores) == 6, info.name
    inside = {"attention_gradient", "deep_lift", "layer_conductance", "layer_integrated_gradients", "value_zeroing"}
    assert refused - {"input_reduction"} == (set() if multi else inside)
    method = "all checks"
    about = {"checks": explain.list_checks(), "rationale": ["slow"], "interactions": True, "budget": 48, **ASKED}
    found = inferrer.explain(text, multi_label=multi, attention=True, **about)
    assert {c.name for c in found.checks} >= {"completeness", "baseline", "stability", "learned", "out of distribution"}
    assert not [c for c in found.checks if c.name == "completeness" and c.status == "fail"]
    assert len(seen) > 1_000


@pytest.mark.parametrize("how", ["mask", "pad", "unk", "remove"])
def test_only_words_of_the_text_are_taken_out(inferrer: Model, how: Any) -> None:
    case = case_of(inferrer)
    mine = case.tokens.segment == 1
    assert mine.any()
    assert (case.units.of_token[mine] == -1).all()
    assert case.tokens.special[mine].all()
    assert case.texts == (TEXT,)
    for units in np.concatenate([np.eye(case.n_units, dtype=bool), np.ones((1, case.n_units), dtype=bool)]):
        row = case.without(units, how)
        assert row.ids[-int(mine.sum()) - 1 :].tolist() == case.tokens.ids[-int(mine.sum()) - 1 :].tolist()
    for name in ("mask", "pad", "unk", "zero", "mean"):
        assert np.array_equal(case.baseline(name)[1][mine], case.embeds[mine])


def test_a_contrast_is_a_difference_and_turns_its_sign(inferrer: Model) -> None:
    about: dict[str, Any] = {"checks": (), **ASKED}
    one = inferrer.explain(TEXT, target=LABELS[0], contrast=LABELS[1], **about)
    two = inferrer.explain(TEXT, target=LABELS[1], contrast=LABELS[0], **about)
    assert one.target.name == f"{LABELS[0]} rather than {LABELS[1]}"
    assert np.allclose(one.attributions[0].scores, -two.attributions[0].scores, atol=1e-4)


def test_a_text_that_is_cut_is_cut_alike_before_every_hypothesis(inferrer: Model) -> None:
    text = " ".join(["good"] * 80)
    with pytest.raises(InputError, match="beside its longest hypothesis") as caught:
        inferrer.explain(text, checks=(), **ASKED)
    assert caught.value.code == "too_long"
    case = case_of(inferrer, text, truncate=True)
    read = [int((o.tokens.segment == 0).sum()) for o in case.encoding.options]
    assert len(set(read)) == 1
    assert max(len(o.tokens.ids) for o in case.encoding.options) == inferrer.info.max_tokens
    assert case.tokens.truncated_at == read[0] * 5 - 1
    found = inferrer.explain(text, checks=(), truncate=True, **ASKED)
    cut = [n for n in found.warnings if n.code == "truncated"]
    assert [n.segment for n in cut] == [0]
    kinds = [p.kind for p in pieces.pieces(found.tokens, found.attributions[0], 0)]
    assert kinds[-1] == "unread"
    assert "unread" not in [p.kind for p in pieces.pieces(found.tokens, found.attributions[0], 1)]


def test_labels_in_another_order_are_found_by_name(tmp_path: Path) -> None:
    model = load(str(inference_folder(tmp_path, ("entailment", "neutral", "contradiction"))))
    pipe = pipeline("zero-shot-classification", model=model.module, tokenizer=model.tokenizer)
    theirs = pipe(TEXT, list(LABELS), multi_label=True)
    ours = model.predict(TEXT, candidate_labels=LABELS, multi_label=True)
    assert dict(ours.ranked()) == pytest.approx(shares(theirs), abs=1e-5)


def test_questions_share_the_network_and_few_are_remembered(inferrer: Model) -> None:
    one = inferrer.among(candidates(LABELS))
    assert one is inferrer.among(candidates(LABELS))
    assert one.module is inferrer.module
    assert one.lock is inferrer.lock
    for i in range(20):
        inferrer.predict(TEXT, candidate_labels=[f"{i}", "film"])
    assert len(inferrer.kept["questions"]) <= views.VIEWS
    assert inferrer.info.task == "text-classification"
    assert inferrer.labels == ("contradiction", "neutral", "entailment")


def test_looking_at_heads_asks_about_one_hypothesis(inferrer: Model) -> None:
    asked = candidates(LABELS, True, TEMPLATE)
    assert inferrer.heads(TEXT, candidates=asked, masked=[0]).effects is not None
    assert inferrer.head(TEXT, 1, 2, candidates=asked).weights.ndim == 2
    with pytest.raises(MethodError, match="one hypothesis") as caught:
        inferrer.heads(TEXT, candidates=candidates(LABELS))
    assert caught.value.code == "several_hypotheses"
    assert inferrer.heads(TEXT, candidates=candidates(LABELS), quantity="logit").effects is not None
