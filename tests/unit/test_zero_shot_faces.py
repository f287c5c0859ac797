"""Zero-shot classification on every face: what may be asked, how it is said, and the same record from each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest
from transformers import pipeline

import explain
from explain import replay, wire
from explain.audit.store import Store
from explain.candidates import MOST, Candidates, candidates, sides
from explain.catalog import Request
from explain.engine import Model, load
from explain.errors import InputError, ModelError
from explain.records import Explanation
from explain.render import computed, pieces, sentences
from tests import rest
from tests.conftest import dashboard, finish, html_of, undated

TEXT = "the film is brilliant and the actor was never boring."
LABELS = ("funny", "very dull", "a moving story")
TEMPLATE = "this film is {} !"
ASKED: dict[str, Any] = {"candidate_labels": LABELS, "hypothesis_template": TEMPLATE}


def test_the_hypothesis_is_shown_as_the_question(inferrer: Model) -> None:
    found = inferrer.explain(TEXT, target="funny", checks=(), **ASKED)
    (asked,) = pieces.pieces(found.tokens, found.attributions[0], 1)
    assert (asked.kind, asked.raw) == ("asked", "this film is funny !")
    said = sentences.meaning(found)
    assert "entails “this film is funny !”" in said
    assert "the other labels’ sentences, 3 labels in all" in said
    assert dict(computed.how(found))["Labels given"].startswith("funny; very dull; a moving story (one of them")
    apart = inferrer.explain(TEXT, target="funny", multi_label=True, checks=(), **ASKED)
    assert "against contradiction of the same sentence" in sentences.meaning(apart)
    contrast = inferrer.explain(TEXT, target="funny", contrast="very dull", checks=(), **ASKED)
    assert "against that of “this film is very dull !”" in sentences.meaning(contrast)
    logit = inferrer.explain(TEXT, quantity="logit", checks=(), **ASKED)
    assert "by itself; the other labels play no part" in sentences.meaning(logit)


def test_auto_stays_classification_and_says_what_is_possible(inferrer: Model, tiny: Model) -> None:
    found = inferrer.explain(TEXT, checks=())
    assert found.model.task == "text-classification"
    assert [n for n in found.warnings if n.code == "zero_shot_possible"]
    assert not [n for n in inferrer.explain((TEXT, "a film"), checks=()).warnings if n.code == "zero_shot_possible"]
    assert not [n for n in tiny.explain(TEXT, checks=()).warnings if n.code == "zero_shot_possible"]
    asked = inferrer.explain(TEXT, checks=(), **ASKED)
    assert (asked.model.task, asked.model.problem) == ("zero-shot-classification", "single-label")
    assert asked.model.labels == ("contradiction", "neutral", "entailment")
    assert not [n for n in asked.warnings if n.code == "zero_shot_possible"]


def test_a_model_loaded_for_it_needs_labels(inferrer_folder: Path, tiny_folder: Path, inferrer: Model) -> None:
    model = load(str(inferrer_folder), task="zero-shot-classification")
    assert model.info.task == "zero-shot-classification"
    with pytest.raises(InputError, match="candidate_labels") as caught:
        model.explain(TEXT)
    assert caught.value.code == "no_candidates"
    mine, theirs = (m.explain(TEXT, checks=(), **ASKED) for m in (model, inferrer))
    assert undated(mine.to_json()) == undated(theirs.to_json())
    assert {m.name for m in model.methods() if m.claim is not None} == {"deep_lift"}
    with pytest.raises(ModelError, match="entails another") as refused:
        load(str(tiny_folder), task="zero-shot-classification")
    assert refused.value.code == "no_entailment"


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"candidate_labels": ()}, "bad_candidates"),
        ({"candidate_labels": ["a", " "]}, "bad_candidates"),
        ({"candidate_labels": ["a", "a"]}, "bad_candidates"),
        ({"candidate_labels": [str(i) for i in range(MOST + 1)]}, "bad_candidates"),
        ({"candidate_labels": ["a", 3]}, "bad_candidates"),
        ({"candidate_labels": ["a"], "hypothesis_template": "it is so"}, "bad_template"),
        ({"multi_label": True}, "no_candidates"),
        ({"candidate_labels": ["a", "b"], "target": "c"}, "bad_target"),
        ({"candidate_labels": ["a", "b"], "multi_label": True, "quantity": "margin"}, "bad_target"),
        ({"candidate_labels": ["a", "b"], "place": 0}, "bad_place"),
        ({"candidate_labels": ["good " * 70]}, "too_long"),
        ({"candidate_labels": ["\u200b"], "hypothesis_template": "{}"}, "no_content_tokens"),
    ],
)
def test_what_cannot_be_asked_is_refused(inferrer: Model, more: dict[str, Any], code: str) -> None:
    with pytest.raises(InputError) as caught:
        inferrer.explain(TEXT, checks=(), **more)
    assert caught.value.code == code


def test_other_models_and_pairs_are_refused(inferrer: Model, tiny: Model, teller: Model, filler: Model) -> None:
    for model in (tiny, teller, filler):
        with pytest.raises(InputError, match="natural language inference") as caught:
            model.predict("the film is good [MASK]", **ASKED)
        assert caught.value.code == "no_entailment"
    with pytest.raises(InputError, match="one text"):
        inferrer.explain((TEXT, "a film"), checks=(), **ASKED)


def test_braces_of_a_template_mean_nothing_else(inferrer: Model) -> None:
    asked = Candidates(("x",), template="{0.__class__} {} {label}")
    assert asked.hypotheses == ("{0.__class__} x {label}",)


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        (("contradiction", "neutral", "entailment"), (2, 0)),
        (("ENTAILMENT", "NEUTRAL", "CONTRADICTION"), (0, 2)),
        (("contradiction", "entailment", "neutral"), (1, 0)),
        (("entailment", "not_entailment"), (0, 1)),
        (("not_entailment", "entailment"), (1, 0)),
        (("neutral", "entailment", "contradiction"), (1, 2)),  # the pipeline takes neutral for a contradiction here
        (("NEGATIVE", "POSITIVE"), None),
        (("entailment",), None),
    ],
)
def test_which_outputs_say_so(labels: tuple[str, ...], found: Any) -> None:
    assert sides(labels) == found


def test_a_record_is_repeated_to_the_bit(inferrer: Model, tmp_path: Path) -> None:
    store = Store(tmp_path / "evidence")
    question = Request((TEXT,), candidates=candidates(LABELS, False, TEMPLATE))
    found = inferrer.answer([question])[0]
    for asked in (question, None):  # also where nothing but the explanation is known
        entry = store.file(found, asked=asked)
        result = replay.replay(inferrer, entry.header, store.content(entry.header.id))
        assert result.holds
        assert all(part.bitwise for part in result.parts)


@pytest.mark.parametrize("multi", [False, True])
def test_the_same_record_from_python_command_line_and_rest(
    inferrer: Model, inferrer_folder: Path, run: Any, multi: bool
) -> None:
    about = {"target": LABELS[1], "multi_label": multi, "checks": (), **ASKED}
    mine = undated(inferrer.explain(TEXT, **about).to_json())
    flags = [part for label in LABELS for part in ("--label", label)] + (["--multi-label"] if multi else [])
    options = ("--template", TEMPLATE, "--target", LABELS[1], "--no-checks", "--json")
    code, out, _ = run("run", TEXT, "--model", str(inferrer_folder), *flags, *options)
    assert code == 0
    hub = {"candidate_labels": list(LABELS), "multi_label": multi, "hypothesis_template": TEMPLATE}
    with rest.client(rest.application(inferrer_folder)) as web:
        answer = web.post(
            "/v1/explain", json={"inputs": TEXT, "parameters": {**hub, "target": LABELS[1], "checks": []}}
        )
        asked = web.post("/v1/predict", json={"inputs": TEXT, "parameters": hub})
        scores = web.post(f"/v1/models/{inferrer_folder.name}", json={"inputs": TEXT, "parameters": hub})
        several = web.post(f"/v1/models/{inferrer_folder.name}", json={"inputs": [TEXT, "dull"], "parameters": hub})
        refused = web.post("/v1/explain", json={"inputs": TEXT, "parameters": {"candidate_labels": []}})
    assert mine == undated(out).strip() == undated(answer.text)
    assert wire.decode(Explanation, answer.text) == explain.read(answer.text)
    predicted = inferrer.predict(TEXT, multi_label=multi, **ASKED)
    assert json.loads(asked.text)["probs"] == predicted.probs.tolist()  # type: ignore[union-attr]
    theirs = pipeline("zero-shot-classification", model=inferrer.module, tokenizer=inferrer.tokenizer)(TEXT, **hub)
    assert [one["label"] for one in scores.json()] == theirs["labels"]
    assert np.allclose([one["score"] for one in scores.json()], theirs["scores"], atol=1e-5)
    assert several.json()[0] == scores.json()
    assert refused.status_code == 422


def test_the_command_line_in_words(inferrer_folder: Path, run: Any) -> None:
    options = ("--model", str(inferrer_folder), "--no-checks")
    code, out, _ = run("run", TEXT, "--label", "funny", "--label", "dull", *options)
    assert code == 0
    assert "The question is whether the text entails" in " ".join(out.split())
    code, out, _ = run("run", TEXT, *options)
    assert code == 0
    assert "--label" in out
    code, _, err = run("run", TEXT, *options, "--task", "zero-shot-classification")
    assert (code, "--label" in err) == (2, True)


@pytest.fixture
def page(inferrer_folder: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    """The dashboard on the tiny model of inference."""
    return dashboard(inferrer_folder, monkeypatch)


def test_the_page_asks_for_labels_once_it_knows_that_it_may(page: AppTest) -> None:
    finish(page)
    finish(page)
    found = page.session_state["job"].result
    assert page.text_input(key="labels").value == "urgent; not urgent; praise"
    assert found.candidates == Candidates(("urgent", "not urgent", "praise"))
    assert "entails" in html_of(page)
    page.text_input(key="labels").set_value("good; bad")
    page.toggle(key="apart").set_value(True)
    finish(page)
    found = page.session_state["job"].result
    assert found.candidates == Candidates(("good", "bad"), multi=True)
    page.text_input(key="template").set_value("no place for it")
    page.run()
    assert any("has no {} where" in c.value.replace("\\", "") for c in page.caption)
    assert not page.exception


def test_the_page_without_labels_classifies_as_the_model_was_trained(page: AppTest) -> None:
    finish(page)
    finish(page)
    page.text_input(key="labels").set_value("")
    finish(page)
    assert page.session_state["job"].result.model.task == "text-classification"
    assert "given one text" in html_of(page)
    assert not page.exception
