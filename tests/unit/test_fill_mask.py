"""The mask: its place is read in every row, it is the question and no evidence, and any token can be asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from streamlit.testing.v1 import AppTest
from transformers import pipeline

import explain
from explain import wire
from explain.case import Case
from explain.engine import Model
from explain.errors import InputError
from explain.model.runner import Meter
from explain.records import Explanation
from explain.render import computed, pieces, sentences
from explain.tasks import _vocabulary, tasks
from explain.work import Work
from tests import rest
from tests.conftest import dashboard, finish, html_of, undated
from tests.tiny import word_piece

TEXT = "the film is [MASK] and the actor was never boring."
TEXTS = (TEXT, "[MASK] movie was so dull", "a warm story with a stupid [MASK]", "not [MASK] but very slow !")
TWO = "the [MASK] is good, the [MASK] is bad."


def by_hand(model: Model, text: str, place: int = 0, gone: tuple[int, ...] = ()) -> torch.Tensor:
    """Log-probabilities at a mask, from the module alone; tokens `gone` are masked too."""
    ids = torch.tensor([model.tokenizer(text)["input_ids"]])
    at = (ids[0] == model.tokenizer.mask_token_id).nonzero()[place].item()
    ids[0, list(gone)] = model.tokenizer.mask_token_id
    with torch.no_grad():
        return torch.log_softmax(model.module(input_ids=ids).logits[0, at].double(), -1)


def log_odds(log_p: torch.Tensor, index: int) -> float:
    return float(log_p[index] - torch.log1p(-log_p[index].exp()))


def case_of(model: Model, **about: Any) -> Case:
    return Work(model, []).case(explain.catalog.Request((about.pop("text", TEXT),), **about), "Reading")


def test_the_mask_is_read_whatever_stands_beside_it(filler: Model) -> None:
    assert filler.padding == "pad"
    for text, found in zip(TEXTS, filler.predict_batch(TEXTS), strict=True):
        expected = by_hand(filler, text)
        assert found.probs is not None
        assert np.allclose(np.log(found.probs), expected[list(found.indices or ())].numpy(), atol=1e-4)
        assert found.position == filler.tokenizer(text)["input_ids"].index(filler.tokenizer.mask_token_id)


def test_predictions_are_those_of_the_hubs_pipeline(filler: Model) -> None:
    pipe = pipeline("fill-mask", model=filler.module, tokenizer=filler.tokenizer, top_k=5)
    for text in TEXTS:
        ours, theirs = filler.predict(text), pipe(text)
        assert [one["token"] for one in theirs] == list(ours.indices or ())[:5]
        assert ours.probs is not None
        assert np.allclose([one["score"] for one in theirs], ours.probs[:5], atol=1e-5)


def test_scores_add_up_alone_and_in_a_batch(filler: Model) -> None:
    together = filler.explain_batch(TEXTS, checks=())
    for text, found in zip(TEXTS, together, strict=True):
        (mine,) = found.attributions
        assert (mine.relative_residual or 0) <= 0.01
        alone = filler.explain(text, checks=())
        assert np.allclose(mine.scores, alone.attributions[0].scores, atol=1e-4)
        assert mine.value_input == pytest.approx(log_odds(by_hand(filler, text), found.target.index or 0), abs=1e-4)


def test_a_path_of_embeddings_is_read_at_the_mask_too(filler: Model) -> None:
    cases = [case_of(filler, text=text, target="good") for text in TEXTS]
    rows = [case.point(case.baseline("mask")[1], 1.0) for case in cases]  # the text's own vectors, padded together
    values, slopes = filler.gradients(rows, Meter())
    for case, value, slope in zip(cases, values, slopes, strict=True):
        expected = log_odds(by_hand(filler, case.tokens.texts[0]), case.target.index or 0)
        assert value == pytest.approx(expected, abs=1e-4)
        assert len(slope) == len(case.tokens.ids)


def test_occlusion_is_direct_calls(filler: Model) -> None:
    found = filler.explain(TEXT, methods=["occlusion"], target="good", checks=())
    (mine,) = found.attributions
    index = filler.labels.index("good")
    for unit, score in enumerate(mine.scores):
        gone = tuple(np.flatnonzero(mine.unit_of == unit).tolist())
        expected = log_odds(by_hand(filler, TEXT), index) - log_odds(by_hand(filler, TEXT, gone=gone), index)
        assert score == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("how", ["mask", "pad", "unk", "remove"])
def test_nothing_takes_the_mask_away(filler: Model, how: Any) -> None:
    case, mask = case_of(filler), filler.tokenizer.mask_token_id
    (at,) = case.encoding.places
    assert at is not None
    assert case.units.of_token[at] == -1
    assert case.tokens.special[at]
    for units in np.concatenate([np.eye(case.n_units, dtype=bool), np.ones((1, case.n_units), dtype=bool)]):
        row = case.without(units, how)
        (place,) = row.places
        assert row.ids[place] == mask
    for name in ("mask", "pad", "unk", "zero", "mean"):
        assert np.array_equal(case.baseline(name)[1][at], case.embeds[at])
    assert case.baseline_ids("text", "quite another text")[1][at] == mask


def test_every_method_and_check_leaves_the_mask_alone(filler: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """All rows that any of them asks for hold the mask at the place that is read, or its own vector."""
    text, seen, call = "the film is [MASK] and slow", [], Model.call
    mask, vector = filler.tokenizer.mask_token_id, filler.embed(np.array([filler.tokenizer.mask_token_id]))[0]

    def watched(self: Model, rows: Any, embeds: Any = None, **options: Any) -> Any:
        for i, row in enumerate(rows):
            (place,) = row.places
            assert row.ids[place] == mask
            if embeds is not None and row.layer is None and self is filler:
                assert np.allclose(embeds[i, place].detach().numpy(), vector, atol=1e-5)
            seen.append(row)
        return call(self, rows, embeds, **options)

    monkeypatch.setattr(Model, "call", watched)
    for info in explain.list_methods():
        found = filler.explain(text, methods=[info.name], checks=(), forced=True, budget=48)
        (mine,) = found.attributions
        assert np.isfinite(mine.scores).all(), info.name
        assert len(mine.scores) == 5, info.name
        assert mine.unit_of[found.target.position or 0] == -1
    found = filler.explain(text, checks=explain.list_checks(), rationale=["slow"], interactions=True, budget=48)
    assert {c.name for c in found.checks} >= {"completeness", "baseline", "stability", "learned", "randomisation"}
    assert not [c for c in found.checks if c.name == "completeness" and c.status == "fail"]
    assert len(seen) > 1_000


def test_a_contrast_is_a_difference_and_turns_its_sign(filler: Model) -> None:
    one, two = (filler.explain(TEXT, target=a, contrast=b, checks=()) for a, b in (("good", "bad"), ("bad", "good")))
    log_p = by_hand(filler, TEXT)
    expected = float(log_p[filler.labels.index("good")] - log_p[filler.labels.index("bad")])
    assert one.attributions[0].value_input == pytest.approx(expected, abs=1e-4)
    assert one.target.name == "good rather than bad"
    assert np.allclose(one.attributions[0].scores, -two.attributions[0].scores, atol=1e-5)


def test_one_of_several_masks(filler: Model) -> None:
    places = [i for i, t in enumerate(filler.tokenizer(TWO)["input_ids"]) if t == filler.tokenizer.mask_token_id]
    for place in (None, 0, 1):
        found = filler.explain(TWO, place=place, checks=())
        assert found.target.position == found.prediction.position == places[place or 0]
        expected = log_odds(by_hand(filler, TWO, place or 0), found.target.index or 0)
        assert found.attributions[0].value_input == pytest.approx(expected, abs=1e-4)
        assert filler.predict(TWO, place=place) == found.prediction
        assert found.attributions[0].unit_of[places[1 - (place or 0)]] >= 0  # the other one is read as it is written


@pytest.mark.parametrize(
    ("text", "more", "code", "said"),
    [
        ("the film is good", {}, "no_mask", r"no \[MASK\].*Write \[MASK\] in place of one word"),
        ("the film is <mask>", {}, "no_mask", r"no \[MASK\]"),
        (" ".join(["good"] * 80) + " [MASK]", {"truncate": True}, "no_mask", "in what was read of it"),
        ("[MASK]", {}, "no_content_tokens", "Write words around it"),
        (TWO, {"place": 2}, "bad_place", "from 0 to 1"),
        (TWO, {"place": -1}, "bad_place", "from 0 to 1"),
        (TWO, {"place": True}, "bad_place", "from 0 to 1"),
        (TEXT, {"target": "grandmotherly"}, "bad_target", "no single token"),
        ((TEXT, "a film"), {}, "bad_text", "reads no pairs"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_advice(filler: Model, text: Any, more: Any, code: str, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        filler.explain(text, checks=(), **more)
    assert caught.value.code == code


def test_a_place_is_refused_where_there_is_none_to_choose(tiny: Model, teller: Model) -> None:
    for model in (tiny, teller):
        with pytest.raises(InputError, match="no place to choose"):
            model.explain("a good film", place=0)


def test_tokens_that_go_on_with_a_word_are_told_apart() -> None:
    tokenizer = word_piece()
    names = _vocabulary.names(tokenizer)
    assert names[tokenizer.convert_tokens_to_ids("film")] == "film"
    assert names[tokenizer.convert_tokens_to_ids("##ing")] == "…ing"
    assert len(set(names)) == len(tokenizer)


def test_a_checkpoint_that_could_be_two_things_asks(filler_folder: Path, tmp_path: Path) -> None:
    assert tasks()["fill-mask"].architectures()["xlm"] == tasks()["text-generation"].architectures()["xlm"]
    from explain.model.loading import _task_for

    config = {"model_type": "xlm", "architectures": ["XLMWithLMHeadModel"]}
    with pytest.raises(InputError, match="2 ways: fill-mask, text-generation"):
        _task_for(config, "auto")
    assert _task_for(config, "fill-mask").name == "fill-mask"


def test_looking_inside(filler: Model) -> None:
    assert filler.heads(TEXT).effects is not None
    assert filler.head(TEXT, 1, 2).weights.shape[0] == len(filler.tokenizer(TEXT)["input_ids"])
    road = filler.road(TEXT, 1, 2, 3)
    assert road.answer is not None
    assert road.answer.reads == road.prediction.position
    lens = filler.lens(TEXT)
    assert lens.logits is not None
    assert np.allclose(lens.logits[-1], lens.prediction.logits, atol=1e-4)
    patched = filler.patch(TEXT, TEXT.replace("boring", "funny"))
    assert patched.value == pytest.approx(log_odds(by_hand(filler, TEXT), patched.target.index or 0), abs=1e-4)


def test_words_for_people(filler: Model) -> None:
    found = filler.explain(TEXT, checks=())
    assert sentences.verdict(found).startswith("The most likely token at the mask is ")
    assert dict(computed.how(found))["Explained"].endswith("at token 4 ([MASK])")
    for granularity in ("word", "sentence"):
        one = filler.explain(TEXT, checks=(), granularity=granularity)  # type: ignore[arg-type]
        parts = pieces.pieces(one.tokens, one.attributions[0], 0)
        assert "".join(p.raw for p in parts) == TEXT
        assert [p.raw for p in parts if p.kind == "asked"] == ["[MASK]"]


def test_the_same_record_from_python_command_line_and_rest(filler: Model, filler_folder: Path, run: Any) -> None:
    about = {"target": "good", "contrast": "bad", "place": 1, "checks": ()}
    mine = undated(filler.explain(TWO, **about).to_json())  # type: ignore[arg-type]
    options = ("--target", "good", "--contrast", "bad", "--place", "1", "--no-checks", "--json")
    code, out, _ = run("run", TWO, "--model", str(filler_folder), *options)
    assert code == 0
    with rest.client(rest.application(filler_folder)) as web:
        body = {"inputs": TWO, "parameters": {**about, "checks": []}}
        answer = web.post("/v1/explain", json=body)
        asked = web.post("/v1/predict", json={"inputs": TWO, "parameters": {"place": 1}})
        refused = web.post("/v1/explain", json={"inputs": "a film"})
    assert mine == undated(out).strip() == undated(answer.text)
    assert wire.decode(Explanation, answer.text).target.position == filler.predict(TWO, place=1).position
    assert json.loads(asked.text)["position"] == filler.predict(TWO, place=1).position
    assert (refused.status_code, refused.json()["code"]) == (422, "no_mask")


@pytest.fixture
def page(filler_folder: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    """The dashboard on the tiny masked language model."""
    return dashboard(filler_folder, monkeypatch)


def test_the_page_finds_an_example_with_a_mask_and_offers_candidates(page: AppTest) -> None:
    finish(page)
    finish(page)
    assert page.text_area(key="text").value == "The capital of France is [MASK]."
    assert "The most likely token at the mask is" in html_of(page)
    assert "What may stand there" in html_of(page)
    (candidates,) = [p for p in page.button_group if str(p.key).startswith("candidates")]
    second = page.session_state["job"].result.prediction.labels[1]
    candidates.set_value(second)
    finish(page)
    assert page.session_state["job"].result.target.name == second
    assert not page.exception


def test_the_page_chooses_among_several_masks(page: AppTest) -> None:
    finish(page)
    page.text_area(key="text").set_value(TWO)
    finish(page)
    (which,) = [p for p in page.button_group if str(p.key).startswith("mask ")]
    which.set_value(1)
    finish(page)
    found = page.session_state["job"].result
    assert found.target.position == [i for i, t in enumerate(found.tokens.strings) if t == "[MASK]"][1]
    assert not page.exception
