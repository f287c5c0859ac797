"""The next token: the right place is read, any token can be explained, and a record holds no vocabulary."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from streamlit.testing.v1 import AppTest

import explain
from explain.engine import Model
from explain.errors import InputError
from explain.render import html, sentences
from explain.tasks import _vocabulary
from tests.conftest import dashboard, finish, html_of
from tests.tiny import STORIES, story_tokenizer

PROMPT = "Once upon a time there was a"


def by_hand(model: Model, text: str) -> torch.Tensor:
    """Log-probabilities of what follows a text, from the module alone."""
    ids = torch.tensor([model.tokenizer(text)["input_ids"]])
    with torch.no_grad():
        return torch.log_softmax(model.module(input_ids=ids).logits[0, -1].double(), -1)


def test_the_last_place_of_each_text_is_read_whatever_stands_beside_it(teller: Model) -> None:
    found = teller.predict_batch([PROMPT, "The king", STORIES[3]])
    assert teller.padding == "pad"
    for text, prediction in zip((PROMPT, "The king", STORIES[3]), found, strict=True):
        expected = by_hand(teller, text)
        assert prediction.outcome(prediction.top) == int(expected.argmax())
        assert prediction.probs is not None
        assert np.allclose(np.log(prediction.probs), expected[list(prediction.indices or ())].numpy(), atol=1e-4)


@pytest.mark.parametrize("wish", [None, "king", 5])
def test_the_target_is_the_log_odds_of_one_token(teller: Model, wish: str | int | None) -> None:
    found = teller.explain(PROMPT, target=wish, checks=())
    log_p = by_hand(teller, PROMPT)[found.target.index or 0]
    assert found.attributions[0].value_input == pytest.approx(float(log_p - torch.log1p(-log_p.exp())), abs=1e-4)
    assert wish is None or found.target.index == (wish if isinstance(wish, int) else teller.labels.index(wish))


def test_scores_add_up(teller: Model) -> None:
    for found in teller.explain_batch([*STORIES, PROMPT], checks=()):
        assert (found.attributions[0].relative_residual or 0) <= 0.01


def test_a_contrast_is_the_difference_of_two_logits(teller: Model) -> None:
    found = teller.explain(PROMPT, target="king", contrast="wolf", checks=())
    log_p = by_hand(teller, PROMPT)
    king, wolf = teller.labels.index("king"), teller.labels.index("wolf")
    assert found.attributions[0].value_input == pytest.approx(float(log_p[king] - log_p[wolf]), abs=1e-4)
    assert found.target.name == "king rather than wolf"
    assert explain.read(found.to_json()).target.against == "wolf"


def test_a_record_keeps_the_best_tokens_and_counts_the_others(teller: Model) -> None:
    found = teller.explain(PROMPT, target="wolf", checks=())
    assert len(found.prediction.labels) == 16
    assert found.prediction.left_out == len(teller.labels) - 16
    assert found.model.labels == ()
    assert len(found.to_json()) < 10_000
    assert explain.read(found.to_json()).digest == found.digest
    assert f"and {len(teller.labels) - 8} more outcomes" in html.classes(found)
    assert sentences.verdict(found).startswith("The most likely next token is ")


def test_tokens_are_written_for_people_and_no_two_alike() -> None:
    tokenizer = story_tokenizer()
    names = _vocabulary.names(tokenizer)
    assert len(set(names)) == len(names) == len(tokenizer)
    assert names[tokenizer.convert_tokens_to_ids("Ġking")] == "king"
    assert names[tokenizer.convert_tokens_to_ids("k")] == "…k"
    assert names[tokenizer.convert_tokens_to_ids("Ċ")] == "↵"
    assert names[tokenizer.bos_token_id] == "<|endoftext|>"


@pytest.mark.parametrize("wish", ["grandmotherly", "", "99999", 10**6, -1, True, 1.5])
def test_what_is_no_token_is_refused_with_advice(teller: Model, wish: object) -> None:
    with pytest.raises(InputError) as caught:
        teller.explain(PROMPT, target=wish, checks=())  # type: ignore[arg-type]
    assert caught.value.code == "bad_target"


def test_a_token_is_not_contrasted_with_itself_and_pairs_are_refused(teller: Model) -> None:
    with pytest.raises(InputError, match="two different"):
        teller.explain(PROMPT, target="king", contrast="king")
    with pytest.raises(InputError, match="reads no pairs"):
        teller.explain((PROMPT, "The king"))


def test_every_check_and_method_takes_a_causal_model(teller: Model) -> None:
    text = "The king said to the wolf"
    found = teller.explain(text, checks=explain.list_checks(), rationale=["wolf"], interactions=True)
    assert {c.name for c in found.checks} >= {"completeness", "baseline", "stability"}
    assert not [c for c in found.checks if c.name == "completeness" and c.status == "fail"]
    for info in explain.list_methods():
        result = teller.explain(text, methods=[info.name], checks=(), forced=True, budget=64)
        assert np.isfinite(result.attributions[0].scores).all(), info.name


def test_looking_inside_a_causal_model(teller: Model) -> None:
    seen = teller.head(PROMPT, 1, 2)
    assert np.triu(seen.weights, 1).max() == 0
    assert teller.heads(PROMPT).effects is not None
    road = teller.road(PROMPT, 1, 2, 3)
    assert road.answer is not None
    assert road.answer.reads == len(road.tokens.ids) - 1
    assert len(road.answer.weight) == len(road.prediction.labels)
    assert np.allclose(road.answer.weight @ road.answer.vector + road.answer.bias, road.prediction.logits, atol=1e-4)
    lens = teller.lens(PROMPT)
    assert lens.logits is not None
    assert np.allclose(lens.logits[-1], lens.prediction.logits, atol=1e-4)
    assert abs(teller.direct(PROMPT, quantity="logit").rest) < 1e-3  # log-odds are curved


def test_the_command_line_explains_a_next_token(run, teller_folder: Path) -> None:  # type: ignore[no-untyped-def]
    code, out, _ = run("run", PROMPT, "--model", str(teller_folder), "--no-checks", "--target", "king")
    assert code == 0
    assert "most likely next token" in out
    code, out, _ = run("run", PROMPT, "--model", str(teller_folder), "--no-checks", "--json")
    assert json.loads(out)["prediction"]["left_out"] > 100
    code, _, err = run("run", PROMPT, "--model", str(teller_folder), "--target", "grandmotherly")
    assert (code, "no single token" in err) == (2, True)


@pytest.fixture
def page(teller_folder: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    """The dashboard on the tiny causal model."""
    return dashboard(teller_folder, monkeypatch)


def test_the_page_offers_the_best_tokens_and_takes_any_other(page: AppTest) -> None:
    finish(page)
    page.run()
    assert "The most likely next token is" in html_of(page)
    picker = page.selectbox(key="target")
    assert len(picker.options) == 1 + 16
    assert picker.proto.accept_new_options
    assert not page.exception


def test_a_link_may_name_any_token(page: AppTest) -> None:
    page.query_params["target"] = "wolf"
    finish(page)
    finish(page)  # with an example for this kind of model
    assert page.session_state["job"].result.target.name == "wolf"
    assert "wolf" in page.selectbox(key="target").options
    assert not page.exception
