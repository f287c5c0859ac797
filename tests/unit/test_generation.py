"""Generation: greedy and drawn, each token scored as a teacher-forced pass by hand scores it, and explained as such."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from streamlit.testing.v1 import AppTest

import explain
from explain import wire
from explain.catalog import Request
from explain.engine import Model
from explain.errors import InputError
from explain.generation import Generation
from tests.conftest import dashboard, finish, html_of
from tests.tiny import llama_folder, settled

PROMPT = "Once upon a time there was a"


def by_hand(model: Model, found: Generation) -> torch.Tensor:
    """Log-probabilities (K, V) before each generated token: one pass over the whole text."""
    start = model.tokenizer(found.prompt)["input_ids"]
    ids = torch.tensor([[*start, *found.ids.tolist()]])
    with torch.no_grad():
        logits = model.module(input_ids=ids).logits[0].double()
    return torch.log_softmax(logits, -1)[len(start) - 1 : -1]


@pytest.mark.parametrize("seed", [None, 0, 7])
def test_log_probabilities_are_those_of_one_teacher_forced_pass(teller: Model, seed: int | None) -> None:
    found = teller.generate(PROMPT, tokens=12, seed=seed)
    expected = by_hand(teller, found)
    mine = expected[torch.arange(len(found.ids)), torch.from_numpy(found.ids.copy())]
    assert np.allclose(found.log_probs, mine.numpy(), atol=1e-4)
    assert found.log_prob == pytest.approx(float(mine.sum()), abs=1e-3)
    assert found.ranks.tolist() == [int((row > row[i]).sum()) + 1 for row, i in zip(expected, found.ids, strict=True)]
    assert seed is not None or (found.ranks == 1).all()


def test_one_seed_writes_one_text_and_heat_is_no_part_of_the_scores(teller: Model) -> None:
    one, two, other = (teller.generate(PROMPT, tokens=10, seed=s) for s in (3, 3, 4))
    assert one.ids.tolist() == two.ids.tolist() != other.ids.tolist()
    hot = teller.generate(PROMPT, tokens=10, seed=3, temperature=5.0)
    expected = by_hand(teller, hot)
    assert np.allclose(hot.log_probs, expected[torch.arange(len(hot.ids)), torch.from_numpy(hot.ids.copy())], atol=1e-4)


def test_a_generated_token_is_explained_from_the_score_that_it_was_written_with(teller: Model) -> None:
    found = teller.generate(PROMPT, tokens=8)
    at = [i for i in range(len(found.ids)) if i == 0 or found.readable[i - 1]]
    assert at[0] == 0
    for i in at[:3]:
        reason = teller.explain(found.prefix(i), target=int(found.ids[i]), checks=())
        log_p = float(found.log_probs[i])
        log_odds = log_p - math.log1p(-math.exp(log_p))
        assert reason.attributions[0].value_input == pytest.approx(log_odds, abs=1e-3)


def test_pieces_add_up_to_the_text(teller: Model) -> None:
    found = teller.generate(PROMPT, tokens=12, seed=1)
    assert found.text == PROMPT + "".join(found.pieces)
    for i, readable in enumerate(found.readable):
        ids = teller.tokenizer(found.prefix(i + 1))["input_ids"]
        assert readable == (ids[-(i + 1) :] == found.ids[: i + 1].tolist() and len(ids) == len(ids[: -(i + 1)]) + i + 1)


def test_a_text_stops_where_there_is_no_room_and_where_the_model_ends_it(teller: Model, tmp_path: Path) -> None:
    found = teller.generate(PROMPT, tokens=1000, seed=2)
    assert found.stopped in ("room", "end")
    assert len(teller.tokenizer(PROMPT)["input_ids"]) + len(found.ids) <= teller.info.max_tokens
    first = int(teller.generate(PROMPT, tokens=1).ids[0])
    ending = explain.load(str(settled(llama_folder(tmp_path), eos_token_id=[0, first])))
    ended = ending.generate(PROMPT, tokens=5)
    assert (ended.stopped, len(ended.ids), ended.text) == ("end", 0, PROMPT)


@pytest.mark.parametrize(
    "wrong",
    [{"tokens": 0}, {"tokens": True}, {"tokens": 2.5}, {"seed": -1}, {"temperature": 0}, {"temperature": "hot"}],
)
def test_wrong_settings_are_refused(teller: Model, wrong: dict[str, object]) -> None:
    with pytest.raises(InputError) as caught:
        teller.generate(PROMPT, **wrong)  # type: ignore[arg-type]
    assert caught.value.code == f"bad_{next(iter(wrong))}"


def test_a_classifier_cannot_write_and_a_full_prompt_has_no_room(tiny: Model, teller: Model) -> None:
    with pytest.raises(InputError, match="cannot go on"):
        tiny.generate("a good film")
    with pytest.raises(InputError):
        teller.generate("king " * 80)


def test_a_record_of_it_comes_back_from_json(teller: Model) -> None:
    found = teller.generate(PROMPT, tokens=3)
    again = wire.decode(Generation, found.to_json())
    assert again.digest == found.digest
    assert again.pieces == found.pieces
    assert replace(again, prompt="x").text == "x" + "".join(found.pieces)


def test_the_command_line_writes(run, teller_folder: Path) -> None:  # type: ignore[no-untyped-def]
    code, out, _ = run("generate", PROMPT, "--model", str(teller_folder), "--tokens", "4", "--seed", "1", "--json")
    assert code == 0
    assert len(json.loads(out)["ids"]) == 4
    code, out, _ = run("generate", PROMPT, "--model", str(teller_folder), "--tokens", "4")
    assert code == 0
    assert "4 tokens, the most likely one each time" in out


@pytest.fixture
def page(teller_folder: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    """The dashboard on the tiny causal model, with a text of a person's."""
    return dashboard(teller_folder, monkeypatch)


def test_a_continuation_is_the_question_and_a_second_text_is_none(page: AppTest) -> None:
    finish(page)
    page.run()
    page.text_area(key="text").set_value(PROMPT)
    page.text_area(key="pair").set_value("somewhere else")
    page.text_input(key="phrases").set_value("else")
    page.text_input(key="rationale").set_value("else")
    page.text_input(key="followed").set_value(" the end")
    finish(page)
    page.run()
    assert not page.exception
    request = page.session_state["job"].request
    assert (request.texts, request.continuation) == ((PROMPT,), "the end")
    assert request.phrases == request.rationale == (), "what only a second text holds is not in this one"
    assert sum("does not contain" in c.value.replace("\\", "") for c in page.caption) == 2
    asked = Request((PROMPT,), truncate=True, continuation=request.continuation)
    assert page.session_state["forecasts"][0] == (page.session_state["model"], asked.digest)


def test_the_page_writes_on_and_explains_the_token_that_is_chosen(page: AppTest) -> None:
    finish(page)
    page.run()
    page.text_area(key="text").set_value(PROMPT)
    finish(page)
    page.run()
    page.button(key="write").click().run()
    assert "How the text goes on" in html_of(page)
    pills = next(g for g in page.button_group if g.key and g.key.startswith("written "))

    pills.set_value(1)
    finish(page)
    assert not page.exception
    said = page.session_state["job"].result
    assert said.tokens.texts[0].startswith(PROMPT)
    assert len(said.tokens.texts[0]) > len(PROMPT)


def test_the_page_steps_through_what_was_written(page: AppTest) -> None:
    finish(page)
    page.run()
    page.text_area(key="text").set_value(PROMPT)
    finish(page)
    page.run()
    page.button(key="write").click().run()

    def at() -> tuple[str, object]:
        pills = next(g for g in page.button_group if g.key and g.key.startswith("written "))
        assert not page.exception
        return page.session_state["job"].result.tokens.texts[0], pills.value

    assert at() == (PROMPT, 0)
    assert page.button(key="step P").disabled
    written = page.session_state["written"]
    for place in (steps := written.explainable[1:3]):
        page.button(key="step N").click()
        finish(page)
        assert at() == (written.prefix(place), place)
        assert page.session_state["job"].result.target.index == written.ids[place]
    page.button(key="step P").click()
    finish(page)
    before = written.explainable[len(steps) - 1]
    assert at() == (written.prefix(before), before)
    assert page.session_state["written"] is written, "nothing was written anew"

    page.text_area(key="text").set_value("The king said")
    finish(page)
    assert not [b for b in page.button if (b.key or "").startswith("step ")]
    assert not page.button(key="write").disabled
