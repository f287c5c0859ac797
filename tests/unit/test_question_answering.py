"""Answers that stand in a context: the Hub's answer and score, and what speaks for it in question and context."""

from __future__ import annotations

import io
import itertools
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from huggingface_hub import InferenceClient
from rich.console import Console
from streamlit.testing.v1 import AppTest
from transformers.pipelines.document_question_answering import select_starts_ends

import explain
from explain import wire
from explain.audit.store import Store
from explain.case import Case
from explain.catalog import Request
from explain.engine import Model
from explain.errors import InputError, ModelError
from explain.prediction import Answer
from explain.records import Explanation
from explain.render import answers, computed, html, sentences, terminal
from explain.render.report import report
from explain.replay import inferred, replay
from explain.units import word_spans
from explain.work import Work
from tests import rest
from tests.conftest import dashboard, finish, html_of, undated
from tests.tiny import WORDS, answers_folder
from tests.tokenizers import trained

QUESTION = "was the film slow ?"
CONTEXT = "the film was charmingly slow, and the actor was never boring."
BOTH = (QUESTION, CONTEXT)
PAIRS = (
    BOTH,
    ("the plot ?", "a movie"),
    ("who hated it", "the cold, stupid ending was lovedly hated by a witty actor !"),
)


def logits(model: Model, texts: tuple[str, str], gone: tuple[int, ...] = ()) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (T,) of starts and of ends, from the module alone; tokens `gone` are masked."""
    given = model.tokenizer(*texts, return_tensors="pt")
    given["input_ids"][0, list(gone)] = model.tokenizer.mask_token_id
    with torch.no_grad():
        found = model.module(**given)
    return found.start_logits[0].double(), found.end_logits[0].double()


def probabilities(model: Model, texts: tuple[str, str], gone: tuple[int, ...] = ()) -> list[torch.Tensor]:
    """Probabilities (T,) of starts and of ends among the context and the first token."""
    ids = model.tokenizer(*texts)
    out = torch.tensor([s != 1 for s in ids.sequence_ids()])
    out[0] &= ids["input_ids"][0] != model.tokenizer.cls_token_id
    return [torch.softmax(z.masked_fill(out, -torch.inf), -1) for z in logits(model, texts, gone)]


def value(model: Model, found: Explanation, gone: tuple[int, ...] = ()) -> float:
    """Log-odds of the explained answer, from the module alone."""
    starts, ends = probabilities(model, found.tokens.texts, gone)  # type: ignore[arg-type]
    first, last = found.target.positions
    p = starts[first] * ends[last]
    return float(torch.log(p) - torch.log1p(-p))


def best(model: Model, texts: tuple[str, str] = BOTH) -> Answer:
    found = model.predict(texts).answering
    assert found is not None
    return found.answers[0]


def case_of(model: Model, texts: tuple[str, str] = BOTH, **about: Any) -> Case:
    return Work(model, []).case(Request(texts, **about), "Reading")


@pytest.mark.parametrize("kind", ["word_piece", "byte_level", "unigram"])
def test_answer_and_score_are_those_of_the_hubs_pipeline(kind: str, tmp_path: Path) -> None:
    """Its code for question answering is gone from transformers, and lives on in that for documents."""
    model = explain.load(str(answers_folder(tmp_path, trained(kind), max_position_embeddings=128)))
    for texts in PAIRS:
        ids = model.tokenizer(*texts)
        out = np.array([[s != 1 for s in ids.sequence_ids()]])
        out[0, 0] = False  # as the pipeline keeps the first token
        start, end = (z.numpy()[None] for z in logits(model, texts))
        (s,), (e,), (score,), _ = select_starts_ends(start, end, out.astype(int), np.array([ids["attention_mask"]]))
        ours = best(model, texts)
        assert (ours.first, ours.last) == (s, e)
        assert ours.prob == pytest.approx(float(score), abs=1e-5)
        assert texts[1][ours.start : ours.end] == ours.words


def test_an_answer_is_made_of_whole_words(answerer: Model) -> None:
    found = answerer.predict(BOTH).answering
    assert found is not None
    edges = {edge for start, end in word_spans(CONTEXT) for edge in (start, end)}
    for answer in found.answers:
        assert {answer.start, answer.end} <= edges
        assert CONTEXT[answer.start : answer.end] == answer.words
    assert len({(a.start, a.end) for a in found.answers}) == len(found.answers)
    assert [a.prob for a in found.answers] == sorted((a.prob for a in found.answers), reverse=True)
    starts, ends = probabilities(answerer, BOTH)
    assert found.nothing == pytest.approx(float(starts[0] * ends[0]), abs=1e-5)


def test_scores_add_up_to_the_log_odds_of_the_answer_on_fifty_inputs(answerer: Model) -> None:
    draw = np.random.default_rng(0)
    texts = [
        (" ".join(draw.choice(WORDS[:36], 4)) + " ?", " ".join(draw.choice(WORDS[:36], int(draw.integers(3, 16)))))
        for _ in range(50)
    ]
    for found in answerer.explain_batch(texts, checks=()):
        (mine,) = found.attributions
        assert mine.value_input == pytest.approx(value(answerer, found), abs=2e-4)
        assert (mine.relative_residual or 0) <= 0.01
        assert not mine.exhausted


def test_question_and_context_are_evidence_alike(answerer: Model) -> None:
    found = answerer.explain(BOTH, methods=["occlusion"], checks=())
    (mine,) = found.attributions
    assert set(mine.unit_segment.tolist()) == {0, 1}
    for unit, score in enumerate(mine.scores):
        gone = tuple(np.flatnonzero(mine.unit_of == unit).tolist())
        assert score == pytest.approx(value(answerer, found) - value(answerer, found, gone), abs=2e-4)


def test_where_words_are_deleted_the_answers_ends_stay(answerer: Model) -> None:
    case = case_of(answerer)
    (first, last), mask = case.encoding.places, answerer.tokenizer.mask_token_id
    every = np.eye(case.n_units, dtype=bool)
    for units in [*every, np.ones(case.n_units, dtype=bool)]:
        row = case.without(units, "remove")
        gone = {t for t in range(len(case.tokens.ids)) if case.units.of_token[t] >= 0 and units[case.units.of_token[t]]}
        left = [t for t in range(len(case.tokens.ids)) if t not in gone or t in (first, last)]
        assert row.ids.tolist() == [mask if t in gone else int(case.tokens.ids[t]) for t in left]
        assert row.places == (left.index(first), left.index(last))
        assert row.rivals is not None
        assert row.rivals.tolist() == [t == 0 or case.tokens.segment[t] == 1 for t in left]
        given = {name: torch.tensor(array[None]) for name, array in row.inputs.items()}
        with torch.no_grad():
            outputs = answerer.module(**given)
        p = 1.0
        for z, at in zip((outputs.start_logits, outputs.end_logits), row.places, strict=True):
            p *= float(torch.softmax(z[0].double().masked_fill(~torch.tensor(row.rivals), -torch.inf), -1)[at])
        assert float(answerer.values([row])[0]) == pytest.approx(np.log(p) - np.log1p(-p), abs=2e-4)


def test_a_context_of_one_word_has_one_answer(answerer: Model) -> None:
    found = answerer.explain((QUESTION, "wordsly"), checks=())
    assert found.prediction.labels == ("wordsly",)
    assert found.prediction.margin is None
    assert found.prediction.label == "wordsly"
    assert (found.attributions[0].relative_residual or 0) <= 0.01


def test_a_start_or_an_end_alone(answerer: Model) -> None:
    answer = best(answerer)
    for which, at, p in zip(("start", "end"), (answer.first, answer.last), probabilities(answerer, BOTH), strict=True):
        found = answerer.explain(BOTH, target=which, checks=())
        (mine,) = found.attributions
        assert mine.value_input == pytest.approx(float(torch.log(p[at]) - torch.log1p(-p[at])), abs=2e-4)
        assert (mine.relative_residual or 0) <= 0.01
        assert found.target.positions == (at,)
        assert found.target.name == f"the {which} of “{answer.words}”"
        assert inferred(found).target == which


def test_one_answer_rather_than_another(answerer: Model) -> None:
    pairs = (("slow", "the actor"), ("the actor", "slow"))
    one, two = (answerer.explain(BOTH, target=a, contrast=b, checks=()) for a, b in pairs)
    start, end = logits(answerer, BOTH)
    s, e, s2, e2 = one.target.positions
    expected = float(start[s] + end[e] - start[s2] - end[e2])
    assert one.attributions[0].value_input == pytest.approx(expected, abs=2e-4)
    assert one.target.name == "“slow” rather than “the actor”"
    assert np.allclose(one.attributions[0].scores, -two.attributions[0].scores, atol=1e-5)
    ends = answerer.explain(BOTH, target="start", contrast="the actor", checks=())
    assert ends.attributions[0].value_input == pytest.approx(float(start[best(answerer).first] - start[s2]), abs=2e-4)


def test_log_odds_are_of_the_decision_and_logits_are_not(tmp_path: Path) -> None:
    """What is added to the logits of all tokens changes no probability, and so no log-odds."""
    model = explain.load(str(answers_folder(tmp_path)))
    kinds: tuple[Any, ...] = ("log_odds", "probability", "logit")
    before = [model.explain(BOTH, quantity=k, methods=["occlusion"], checks=()).attributions[0] for k in kinds]
    with torch.no_grad():
        model.module.qa_outputs.bias += 3.0
    after = [model.explain(BOTH, quantity=k, methods=["occlusion"], checks=()).attributions[0] for k in kinds]
    moved = [b.value_input - a.value_input for a, b in zip(before, after, strict=True)]
    assert np.allclose(moved, [0, 0, 6], atol=1e-4)
    assert before[1].value_input == pytest.approx(best(model).prob, abs=1e-5)


def test_a_head_with_three_outputs_is_no_head_for_answers(tmp_path: Path) -> None:
    folder = answers_folder(tmp_path, id2label={i: str(i) for i in range(3)}, label2id={str(i): i for i in range(3)})
    with pytest.raises(ModelError, match=r"two outputs.*3 labels"):
        explain.load(str(folder))


def test_an_answer_of_ones_own_need_not_be_likely(answerer: Model) -> None:
    longest = " ".join(CONTEXT.split()[:8])
    found = answerer.explain(BOTH, target=longest, checks=())
    first, last = found.target.positions
    assert CONTEXT[slice(*found.tokens.offsets[[first, last], [0, 1]].tolist())] == longest
    assert found.attributions[0].value_input == pytest.approx(value(answerer, found), abs=2e-4)
    again = answerer.explain(BOTH, target=found.target.index, checks=())
    assert again.target == found.target
    inside = answerer.explain(BOTH, target="charming", checks=())
    assert inside.target.name == "“charmingly”", "an answer is made of whole words"


@pytest.mark.parametrize(
    ("texts", "more", "code", "said"),
    [
        (CONTEXT, {}, "no_context", "question first"),
        ((QUESTION, " \u200b"), {}, "no_context", "Nothing was read"),
        ((QUESTION, ""), {}, "empty_text", "empty"),
        (BOTH, {"target": "brilliant"}, "bad_target", "no answer that stands in the context"),
        (BOTH, {"target": 10**6}, "bad_target", "no answer that stands in the context"),
        (BOTH, {"target": 0}, "bad_target", "no answer that stands in the context"),
        (BOTH, {"target": True}, "bad_target", "words of the context"),
        ((QUESTION, 2 * CONTEXT), {"target": 2 * CONTEXT}, "bad_target", "at most 15 tokens"),
        (BOTH, {"target": "slow", "contrast": "slow"}, "bad_target", "two different answers"),
        (BOTH, {"quantity": "margin"}, "bad_target", "log_odds"),
        (BOTH, {"place": 0}, "bad_place", "whole text"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_advice(
    answerer: Model, texts: Any, more: Any, code: str, said: str
) -> None:
    with pytest.raises(InputError, match=said) as caught:
        answerer.explain(texts, checks=(), **more)
    assert caught.value.code == code


def test_a_context_that_is_too_long_is_cut_and_says_so(answerer: Model) -> None:
    long = (QUESTION, f"{'the film was slow and ' * 20}brilliant")
    found = answerer.explain(long, truncate=True, checks=())
    assert found.tokens.truncated_at is not None
    assert [n.segment for n in found.warnings if n.code == "truncated"] == [1]
    with pytest.raises(InputError, match="no answer that stands in the context"):
        answerer.explain(long, truncate=True, target="brilliant", checks=())


def test_all_checks(tmp_path: Path) -> None:
    folder = answers_folder(tmp_path, trained("word_piece"), max_position_embeddings=256)  # has room for sentences
    model = explain.load(str(folder))
    found = model.explain(BOTH, checks=explain.list_checks(), rationale=[(1, 0, 8)])
    assert {c.name for c in found.checks} >= {"completeness", "baseline", "stability", "learned", "randomisation"}
    assert not [c for c in found.checks if c.name == "completeness" and c.status == "fail"]
    (random,) = [c for c in found.checks if c.name == "randomisation"]
    assert random.status in ("pass", "warn"), random.sentence
    contrast = model.explain(BOTH, target="slow", contrast="the actor", checks=explain.list_checks())
    assert {c.name for c in contrast.checks} == {c.name for c in found.checks} - {"plausibility"}


def test_looking_inside(answerer: Model) -> None:
    assert answerer.heads(BOTH).effects is not None
    assert answerer.heads(BOTH, target="slow", contrast="the actor").effects is not None
    lens = answerer.lens(BOTH)
    assert lens.values[-1] == pytest.approx(lens.answer, abs=1e-4)
    assert lens.logits is None, "each answer is read at other tokens"
    assert answerer.road(BOTH, 1, 2, 3).tokens.texts == BOTH


def test_words_for_people(answerer: Model) -> None:
    found = answerer.explain(BOTH, methods=["occlusion"], params={"replacement": "remove"}, checks=())
    answer, nothing = best(answerer), found.prediction.answering.nothing  # type: ignore[union-attr]
    assert sentences.verdict(found) == (
        f"The model answers “{answer.words}” ({sentences.percent(answer.prob)}; {sentences.percent(nothing or 0)} that "
        "the context holds no answer)."
    )
    assert "their places must stay" in sentences.meaning(found)
    assert (
        f"at token{'s' if answer.first != answer.last else ''} {answer.first} ("
        in dict(computed.how(found))["Explained"]
    )
    assert found.effects is not None
    assert found.effects.prob_input == pytest.approx(answer.prob, abs=1e-4)
    out = io.StringIO()
    Console(width=120, file=out).print(terminal.explanation(found))
    assert "Question: was the film" in out.getvalue()
    assert "Context: the film was" in out.getvalue()


def test_the_marked_context_is_the_context(answerer: Model) -> None:
    hostile = 'the <b>film</b> & the "actor" was slow'
    for context, target in itertools.product((CONTEXT, hostile), (None, "the", "start")):
        found = answerer.explain((QUESTION, context), target=target, checks=())
        drawn = answers.marked(found)
        assert re.sub(r"<small>.*?</small>|<[^>]*>", "", drawn) == html.text(context)
        assert drawn.count("wb-tag-asked") == 1
        assert "<b>film" not in drawn
    assert answers.marked(found).count("<mark") == 1


def test_records_that_do_not_fit_are_refused(answerer: Model) -> None:
    text = answerer.explain(BOTH, target="slow", contrast="the actor", checks=()).to_json()
    found = wire.read(text)
    assert found.to_json() == text
    assert answerer.answer([inferred(found)])[0].target == found.target
    for change in ({"first": 0}, {"last": 999}, {"words": "a lie"}):
        data = json.loads(text)
        data["prediction"]["answering"]["answers"][0] |= change
        with pytest.raises(InputError, match="answer"):
            wire.read(json.dumps(data))


def test_a_filed_record_is_repeated_to_the_bit(answerer: Model, tmp_path: Path) -> None:
    store = Store(tmp_path / "evidence")
    for target, why in ((None, "what the model decided"), ("end", "asked for by name")):
        request = Request(BOTH, target=target, checks=())
        found = answerer.answer([request])[0]
        for asked in (request, None):
            entry = store.file(found, asked=asked)
            content = store.content(entry.header.id)
            assert content.explanation.prediction.answering == found.prediction.answering
            assert replay(answerer, entry.header, content).holds
            assert content.why_target == why
    assert "Context" in report(found)


def test_the_same_record_from_python_command_line_and_rest(answerer: Model, answerer_folder: Path, run: Any) -> None:
    mine = undated(answerer.explain(BOTH, target="slow", contrast="the actor", checks=()).to_json())
    options = ("--target", "slow", "--contrast", "the actor", "--no-checks", "--json", "--model", str(answerer_folder))
    code, out, _ = run("run", QUESTION, "--context", CONTEXT, *options)
    assert code == 0
    asked = {"question": QUESTION, "context": CONTEXT}
    with rest.client(rest.application(answerer_folder)) as web:
        about = {"target": "slow", "contrast": "the actor", "checks": []}
        answer = web.post("/v1/explain", json={"inputs": asked, "parameters": about})
        predicted = web.post("/v1/predict", json={"inputs": [asked, asked]})
        refused = web.post("/v1/explain", json={"inputs": CONTEXT})
    assert mine == undated(out).strip() == undated(answer.text)
    assert json.loads(predicted.text)[0] == json.loads(answerer.predict(BOTH).to_json())
    assert (refused.status_code, refused.json()["code"]) == (422, "no_context")


def test_the_hubs_client_is_answered_as_by_the_hub(answerer: Model, answerer_folder: Path) -> None:
    wanted = answerer.predict(BOTH).answering
    assert wanted is not None
    with rest.served(answerer_folder) as address:
        hub = InferenceClient(model=f"{address}/v1/models/{answerer_folder.name}")
        one: Any = hub.question_answering(question=QUESTION, context=CONTEXT)
        three: Any = hub.question_answering(question=QUESTION, context=CONTEXT, top_k=3)
    assert (one.answer, one.start, one.end) == (wanted.answers[0].words, wanted.answers[0].start, wanted.answers[0].end)
    assert one.score == pytest.approx(wanted.answers[0].prob)
    assert [a.answer for a in three] == [a.words for a in wanted.answers[:3]]
    with rest.client(rest.application(answerer_folder)) as web:
        path, asked = f"/v1/models/{answerer_folder.name}", {"question": QUESTION, "context": CONTEXT}
        assert len(web.post(path, json={"inputs": [asked, asked]}).json()) == 2
        wrong = web.post(path, json={"inputs": asked, "parameters": {"aggregation_strategy": "first"}})
        assert (wrong.status_code, wrong.json()["code"]) == (422, "bad_task")


@pytest.mark.parametrize("name", ["tagger_folder", "filler_folder"])
def test_a_question_to_a_model_without_windows_is_refused_for_what_is_wrong(
    name: str, request: pytest.FixtureRequest
) -> None:
    """Nobody asked for windows, which a model that finds answers gets by itself."""
    folder = request.getfixturevalue(name)
    body = {"inputs": {"question": QUESTION, "context": CONTEXT}}
    with rest.client(rest.application(folder)) as web:
        hub, plain = (web.post(path, json=body) for path in (f"/v1/models/{folder.name}", "/v1/predict"))
    assert hub.status_code == plain.status_code == 422, plain.text
    assert hub.json()["code"] == plain.json()["code"] != "no_windows"


@pytest.fixture
def page(answerer_folder: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    """The dashboard on the tiny model that finds answers."""
    return dashboard(answerer_folder, monkeypatch)


def test_the_page_finds_an_example_and_explains_the_answer_that_is_chosen(page: AppTest) -> None:
    for _ in range(3):
        finish(page)
    assert page.text_area(key="text").value == "Where does the river end?"
    assert page.text_area(key="pair").value.startswith("The river rises")
    assert "The model answers “" in html_of(page)
    assert html_of(page).count('class="wb-tag-asked"') == 1
    (buttons,) = [p for p in page.button_group if str(p.key).startswith("answers ")]
    buttons.set_value(page.session_state["job"].result.prediction.labels[1])
    finish(page)
    found = page.session_state["job"].result
    assert found.target.index == found.prediction.indices[1]
    assert not page.exception


def test_a_question_that_a_person_typed_stays(page: AppTest) -> None:
    page.run()
    page.text_area(key="text").set_value(QUESTION)
    page.text_area(key="pair").set_value(CONTEXT)
    for _ in range(3):
        finish(page)
    assert page.session_state["job"].result.tokens.texts == BOTH
    assert page.text_area(key="text").value == QUESTION
    assert page.text_area(key="pair").value == CONTEXT
    (buttons,) = [p for p in page.button_group if str(p.key).startswith("answers ")]
    chosen = page.session_state["job"].result.prediction.labels[1]
    buttons.set_value(chosen)
    finish(page)
    assert page.session_state["target"] == chosen
    assert "target" not in page.query_params, "an address never holds a person's text"
    assert not page.exception
