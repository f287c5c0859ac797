"""Tags: every word has one, entities are the Hub's, and the tag of a word is explained with the word as evidence."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from huggingface_hub import InferenceClient
from rich.console import Console
from streamlit.testing.v1 import AppTest
from transformers import pipeline

import explain
from explain import wire
from explain.audit.store import Store
from explain.case import Case
from explain.catalog import Request
from explain.engine import Model
from explain.errors import InputError, ModelError
from explain.model.runner import Meter
from explain.prediction import Entity, Tagging
from explain.records import Explanation
from explain.render import computed, html, sentences, tags, terminal
from explain.render.report import report
from explain.replay import inferred, replay
from explain.work import Work
from tests import rest
from tests.conftest import dashboard, finish, html_of, undated
from tests.tiny import KINDS, tags_folder
from tests.tokenizers import trained

TEXT = "the film is charmingly slow and the actor was never boring."
TEXTS = (TEXT, "movie", "a warm story, with a stupid ending!", "unknown wordsly were lovedly hateds ?")


def by_hand(model: Model, text: str, gone: tuple[int, ...] = ()) -> torch.Tensor:
    """Log-probabilities (T, C) at every token, from the module alone; tokens `gone` are masked."""
    ids = torch.tensor([model.tokenizer(text)["input_ids"]])
    ids[0, list(gone)] = model.tokenizer.mask_token_id
    with torch.no_grad():
        return torch.log_softmax(model.module(input_ids=ids).logits[0].double(), -1)


def log_odds(log_p: torch.Tensor, index: int) -> float:
    return float(log_p[index] - torch.log1p(-log_p[index].exp()))


def value(model: Model, found: Explanation, gone: tuple[int, ...] = ()) -> float:
    """The explained log-odds, from the module alone."""
    log_p = by_hand(model, found.tokens.texts[0], gone)[found.target.position or 0]
    return log_odds(log_p, found.target.index or 0)


def case_of(model: Model, text: str = TEXT, **about: Any) -> Case:
    return Work(model, []).case(Request((text,), **about), "Reading")


def tagging(model: Model, text: str, **about: Any) -> Tagging:
    found = model.predict(text, **about).tagging
    assert found is not None
    return found


def test_every_word_has_the_tag_of_its_first_token(tagger: Model) -> None:
    for text in TEXTS:
        log_p, found = by_hand(tagger, text), tagging(tagger, text)
        strings = tagger.tokenizer.convert_ids_to_tokens(tagger.tokenizer(text)["input_ids"])
        assert [t.token for t in found.tags] == [
            i for i, s in enumerate(strings) if not s.startswith("##") and s not in ("[CLS]", "[SEP]")
        ]
        for tag in found.tags:
            assert text[tag.start : tag.end] == tag.word
            assert tag.label == KINDS[int(log_p[tag.token].argmax())]
            assert tag.prob == pytest.approx(float(log_p[tag.token].exp().max()), abs=1e-5)
        assert "".join(t.word for t in found.tags) == text.replace(" ", "")


def test_entities_are_those_of_the_hubs_pipeline(tagger: Model) -> None:
    pipe = pipeline(
        "token-classification", model=tagger.module, tokenizer=tagger.tokenizer, aggregation_strategy="first"
    )
    count = 0
    for text in TEXTS:
        ours, theirs = tagging(tagger, text).entities, pipe(text)
        assert [(e.label, e.start, e.end) for e in ours] == [(e["entity_group"], e["start"], e["end"]) for e in theirs]
        assert np.allclose([e.prob for e in ours], [e["score"] for e in theirs], atol=1e-5)
        count += len(ours)
    assert count >= 4


@pytest.mark.parametrize("kind", ["byte_level", "unigram"])
def test_words_of_tokenizers_that_do_not_mark_them(kind: str, tmp_path: Path) -> None:
    """A full stop is no part of the word before it; the Hub's are the same where white space stands between all."""
    model = explain.load(str(tags_folder(tmp_path, trained(kind), max_position_embeddings=128)))
    if kind == "byte_level":  # of the other kind the Hub takes the sign for a space for a word, where it is a token
        spaced, at = "The film isnt dull but naive", {"model": model.module, "tokenizer": model.tokenizer}
        theirs = pipeline("token-classification", aggregation_strategy="first", **at)(spaced)
        ours = tagging(model, spaced).entities
        assert ours
        assert [(e.label, spaced[e.start : e.end]) for e in ours] == [
            (e["entity_group"], spaced[e["start"] : e["end"]].strip()) for e in theirs
        ]
    assert [t.word for t in tagging(model, "The film isn't dull.").tags] == ["The", "film", "isn't", "dull", "."]


def test_the_first_entity_is_explained_unless_a_word_is_named(tagger: Model) -> None:
    found = tagging(tagger, TEXT)
    assert found.asked == found.entities[0].first
    for word, tag in enumerate(found.tags):
        prediction = tagger.predict(TEXT, place=word)
        assert prediction.tagging == replace(found, asked=word)
        assert prediction.position == tag.token
        assert prediction.label == tag.label
        assert prediction.probs is not None
        assert np.allclose(np.log(prediction.probs), by_hand(tagger, TEXT)[tag.token], atol=1e-4)


def test_without_an_entity_the_word_that_comes_closest(tmp_path: Path) -> None:
    model = explain.load(str(tags_folder(tmp_path)))
    with torch.no_grad():
        model.module.classifier.bias[0] += 100  # every word is tagged O
    found, log_p = model.predict(TEXT), by_hand(model, TEXT)
    assert found.tagging is not None
    assert not found.tagging.entities
    firsts = [t.token for t in found.tagging.tags]
    assert found.position == min(firsts, key=lambda t: float(log_p[t, 0]))
    assert found.label == "O"
    assert (tags.summary(found) or "").startswith("It tags none of the")
    assert "wb-tag-asked" in tags.tagged(model.explain(TEXT, checks=()))


def test_tags_that_are_called_like_entailment_choose_among_no_labels(tmp_path: Path) -> None:
    names = {0: "O", 1: "contradiction", 2: "entailment"}
    model = explain.load(str(tags_folder(tmp_path, id2label=names, label2id={name: i for i, name in names.items()})))
    with pytest.raises(InputError, match="cannot choose among candidate labels") as caught:
        model.predict(TEXT, candidate_labels=["funny", "dull"])
    assert caught.value.code == "no_entailment"


def test_scores_add_up_alone_and_in_a_batch(tagger: Model) -> None:
    together = tagger.explain_batch(TEXTS, checks=())
    for text, found in zip(TEXTS, together, strict=True):
        (mine,) = found.attributions
        assert (mine.relative_residual or 0) <= 0.01
        alone = tagger.explain(text, checks=())
        assert alone.target.position == found.target.position
        assert np.allclose(mine.scores, alone.attributions[0].scores, atol=1e-4)
        assert mine.value_input == pytest.approx(value(tagger, found), abs=1e-4)


def test_every_word_can_be_explained_and_is_evidence_itself(tagger: Model) -> None:
    own = []
    for word in range(len(tagging(tagger, TEXT).tags)):
        found = tagger.explain(TEXT, place=word, checks=())
        (mine,) = found.attributions
        assert (mine.relative_residual or 0) <= 0.01
        assert mine.value_input == pytest.approx(value(tagger, found), abs=1e-4)
        unit = mine.unit_of[found.target.position or 0]
        assert unit >= 0, "the word is scored like any other"
        own.append(abs(float(mine.scores[unit])) / float(np.abs(mine.scores).max()))
    assert max(own) > 0.3, "and some words are evidence for their own tags"


def test_a_path_of_embeddings_is_read_at_the_word(tagger: Model) -> None:
    cases = [case_of(tagger, text, target="B-LOC") for text in TEXTS]
    rows = [case.point(case.baseline("mask")[1], 1.0) for case in cases]  # the text's own vectors, padded together
    values, slopes = tagger.gradients(rows, Meter())
    for case, found, slope in zip(cases, values, slopes, strict=True):
        log_p = by_hand(tagger, case.tokens.texts[0])[case.target.position or 0]
        assert found == pytest.approx(log_odds(log_p, 3), abs=1e-4)
        assert len(slope) == len(case.tokens.ids)


def test_occlusion_is_direct_calls(tagger: Model) -> None:
    found = tagger.explain(TEXT, methods=["occlusion"], place=3, target="I-PER", checks=())
    (mine,) = found.attributions
    for unit, score in enumerate(mine.scores):
        gone = tuple(np.flatnonzero(mine.unit_of == unit).tolist())
        assert score == pytest.approx(value(tagger, found) - value(tagger, found, gone), abs=1e-4)


def test_occlusion_by_deleting_leaves_a_mask_in_the_place_of_the_word(tagger: Model) -> None:
    options: dict[str, Any] = {"methods": ["occlusion"], "params": {"replacement": "remove"}, "place": 3}
    found = tagger.explain(TEXT, checks=(), **options)
    (mine,) = found.attributions
    at, ids = found.target.position or 0, found.tokens.ids
    for unit, score in enumerate(mine.scores):
        gone = mine.unit_of == unit
        stays = ~gone
        stays[at] = True  # 'charmingly' is two tokens: one goes, a mask stands for the other
        left = np.where(gone, tagger.tokenizer.mask_token_id, ids)[stays]
        with torch.no_grad():
            logits = tagger.module(input_ids=torch.tensor(left[None])).logits[0, stays[:at].sum()]
        after = log_odds(torch.log_softmax(logits.double(), -1), found.target.index or 0)
        assert score == pytest.approx(mine.value_input - after, abs=1e-4)
    assert "its place must stay" in sentences.meaning(found)


@pytest.mark.parametrize("how", ["mask", "pad", "unk", "remove"])
def test_nothing_takes_the_place_away(tagger: Model, how: Any) -> None:
    case = case_of(tagger, place=3)
    (at,) = case.encoding.places
    kept = {t: int(i) for t, i in enumerate(case.tokens.ids)}
    for units in np.concatenate([np.eye(case.n_units, dtype=bool), np.ones((1, case.n_units), dtype=bool)]):
        row = case.without(units, how)
        gone = bool(units[case.units.of_token[at]])
        (there,) = row.places
        assert row.ids[there] == (case.filler(how)[1] if gone else kept[at])
        assert len(row) == len(kept) if how != "remove" else len(row) < len(kept) or units.sum() == 1


def test_a_contrast_is_a_difference_and_turns_its_sign(tagger: Model) -> None:
    pairs = (("B-PER", "B-LOC"), ("B-LOC", "B-PER"))
    one, two = (tagger.explain(TEXT, place=2, target=a, contrast=b, checks=()) for a, b in pairs)
    log_p = by_hand(tagger, TEXT)[one.target.position or 0]
    assert one.attributions[0].value_input == pytest.approx(float(log_p[1] - log_p[3]), abs=1e-4)
    assert one.target.name == "B-PER rather than B-LOC"
    assert np.allclose(one.attributions[0].scores, -two.attributions[0].scores, atol=1e-5)


def entity_of(model: Model, text: str) -> Entity:
    """The entity of most words."""
    return max(tagging(model, text).entities, key=lambda e: e.last - e.first)


def test_an_entity_is_explained_as_the_mean_over_its_words(tagger: Model) -> None:
    entity = entity_of(tagger, TEXT)
    assert entity.last > entity.first, "else this test could not fail"
    found = tagger.explain(TEXT, place=entity.last, target=entity.label, methods=["occlusion"], checks=())
    firsts = [t.token for t in tagging(tagger, TEXT).tags[entity.first : entity.last + 1]]
    mine = [i for i, name in KINDS.items() if name.endswith(f"-{entity.label}")]
    assert (found.target.positions, list(found.target.joined)) == (tuple(firsts), mine)
    assert found.target.name == f"{entity.label} over {len(firsts)} words"
    assert found.effects is not None
    assert found.effects.probs is None, "a mean of log-odds is no probability's"

    def by_words(gone: tuple[int, ...] = ()) -> float:
        log_p = torch.logsumexp(by_hand(tagger, TEXT, gone)[firsts][:, mine], 1)  # (K,)
        return float((log_p - torch.log1p(-log_p.exp())).mean())

    (scored,) = found.attributions
    assert scored.value_input == pytest.approx(by_words(), abs=1e-4)
    for unit, score in enumerate(scored.scores):
        gone = tuple(np.flatnonzero(scored.unit_of == unit).tolist())
        assert score == pytest.approx(by_words() - by_words(gone), abs=1e-4)


def test_scores_of_entities_add_up_alone_and_in_a_batch(tagger: Model) -> None:
    for kind in ("PER", "LOC"):
        together = tagger.explain_batch(TEXTS, target=kind, checks=())
        for text, found in zip(TEXTS, together, strict=True):
            (mine,) = found.attributions
            assert (mine.relative_residual or 0) <= 0.01
            alone = tagger.explain(text, target=kind, checks=())
            assert np.allclose(mine.scores, alone.attributions[0].scores, atol=1e-4)
            case = case_of(tagger, text, target=kind)
            gone = case.without(np.ones(case.n_units, dtype=bool), "remove")
            assert len(gone.places) == len(case.encoding.places) == max(1, len(found.target.positions))
            assert all(gone.ids[place] == tagger.tokenizer.mask_token_id for place in gone.places)


def test_one_kind_rather_than_another(tagger: Model) -> None:
    entity = entity_of(tagger, TEXT)
    pairs = (("PER", "LOC"), ("LOC", "PER"))
    one, two = (tagger.explain(TEXT, place=entity.first, target=a, contrast=b, checks=()) for a, b in pairs)
    assert np.allclose(one.attributions[0].scores, -two.attributions[0].scores, atol=1e-5)
    log_p = by_hand(tagger, TEXT)[list(one.target.positions)]
    expected = (torch.logsumexp(log_p[:, [1, 2]], 1) - torch.logsumexp(log_p[:, [3, 4]], 1)).mean()
    assert one.attributions[0].value_input == pytest.approx(float(expected), abs=1e-4)
    assert sentences.verdict(one)
    assert inferred(one).target == "PER"
    assert inferred(one).contrast == "LOC"


def test_edits_and_copies_are_asked_about_the_same_word(tagger: Model) -> None:
    case = case_of(tagger, place=7)
    assert case.retold((TEXT.replace("slow", "fast"),)).encoding.places == case.encoding.places
    assert case.redrawn(0)((TEXT,)).encoding.places == case.encoding.places
    first = case_of(tagger)
    assert first.redrawn(0)((TEXT,)).encoding.places == first.encoding.places
    ordinary = first.redrawn(0)(("a film and a story",), ordinary=True, place=3)
    assert ordinary.encoding.places == (4,)
    with pytest.raises(InputError, match="place"):
        case.retold(("a film",))


def test_all_checks(tagger: Model) -> None:
    found = tagger.explain(TEXT, place=3, checks=explain.list_checks(), rationale=["slow"])
    assert {c.name for c in found.checks} >= {"completeness", "baseline", "stability", "learned", "randomisation"}
    assert not [c for c in found.checks if c.name == "completeness" and c.status == "fail"]


@pytest.mark.parametrize(
    ("text", "more", "code", "said"),
    [
        (TEXT, {"place": 12}, "bad_place", "from 0 to 11"),
        (TEXT, {"place": -1}, "bad_place", "from 0 to 11"),
        (TEXT, {"place": True}, "bad_place", "from 0 to 11"),
        (TEXT, {"target": "ORG"}, "bad_target", "There is no label 'ORG'"),
        (TEXT, {"target": "PER", "contrast": "B-PER"}, "bad_target", "two different labels"),
        (TEXT, {"target": "O", "contrast": "O"}, "bad_target", "two different labels"),
        ((TEXT, "a film"), {}, "bad_text", "reads no pairs"),
        ("", {}, "empty_text", "empty"),
        ("\u200b \n", {}, "no_content_tokens", "Enter a sentence"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_advice(tagger: Model, text: Any, more: Any, code: str, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        tagger.explain(text, checks=(), **more)
    assert caught.value.code == code


def test_a_head_with_one_label_decides_nothing(tmp_path: Path) -> None:
    folder = tags_folder(tmp_path, id2label={0: "O"}, label2id={"O": 0})
    with pytest.raises(ModelError, match="one label"):
        explain.load(str(folder))


def test_looking_inside(tagger: Model) -> None:
    at = tagger.predict(TEXT, place=3).position
    assert tagger.heads(TEXT, place=3).effects is not None
    road = tagger.road(TEXT, 1, 2, 3, place=3)
    assert road.answer is not None
    assert road.answer.reads == at
    lens = tagger.lens(TEXT, place=3)
    assert lens.logits is not None
    assert np.allclose(lens.logits[-1], lens.prediction.logits, atol=1e-4)
    entity = entity_of(tagger, TEXT)
    whole = tagger.lens(TEXT, place=entity.first, target=entity.label)
    assert whole.logits is not None
    assert len(set(whole.logits[-1].tolist())) == len(KINDS), "each outcome by itself"
    patched = tagger.patch(TEXT, TEXT.replace("slow", "fast"), place=3)
    expected = log_odds(by_hand(tagger, TEXT)[at or 0], patched.target.index or 0)
    assert patched.value == pytest.approx(expected, abs=1e-4)


def test_words_for_people(tagger: Model) -> None:
    found = tagger.explain(TEXT, place=3, checks=())
    tag = found.prediction.tagging.tags[3]  # type: ignore[union-attr]
    assert sentences.verdict(found) == f"The model tags “charmingly” as {tag.label} ({sentences.percent(tag.prob)})."
    assert (tags.summary(found.prediction) or "").startswith("In the whole text it finds “")
    assert dict(computed.how(found))["Explained"].endswith("at token 4 (charming)")
    out = io.StringIO()
    Console(width=120, file=out).print(terminal.explanation(found))
    assert "In the whole text it finds" in out.getvalue()


def test_the_tagged_text_is_the_text(tagger: Model) -> None:
    hostile = 'the <b>film</b> & the "actor" is slow'
    for text in (*TEXTS, hostile):
        found = tagger.explain(text, checks=())
        drawn = tags.tagged(found)
        bare = re.sub(r"<small>.*?</small>|<[^>]*>", "", drawn)
        assert bare == html.text(text)
        assert drawn.count("wb-tag-asked") == 1
        entities = found.prediction.tagging.entities  # type: ignore[union-attr]
        assert drawn.count("<small>") == len(entities)
        assert all(f"{html.text(e.label)} ×" in tags.legend(found.prediction.tagging) for e in entities)  # type: ignore[arg-type]
    assert "<b>film" not in drawn


def test_records_that_do_not_fit_are_refused(tagger: Model) -> None:
    found = tagger.explain(TEXT, place=3, checks=())
    text = found.to_json()
    assert wire.read(text).to_json() == text
    assert inferred(found).place == 3
    for change in ({"asked": 99}, {"asked": 2}):
        data = json.loads(text)
        data["prediction"]["tagging"] |= change
        with pytest.raises(InputError, match="tag"):
            wire.read(json.dumps(data))
    data = json.loads(text)
    data["prediction"]["tagging"]["tags"][0]["token"] = 99
    with pytest.raises(InputError, match="tag"):
        wire.read(json.dumps(data))


def test_a_filed_record_is_repeated_to_the_bit(tagger: Model, tmp_path: Path) -> None:
    store, request = Store(tmp_path / "evidence"), Request((TEXT,), place=7, checks=())
    found = tagger.answer([request])[0]
    for asked in (request, None):
        entry = store.file(found, asked=asked)
        content = store.content(entry.header.id)
        assert content.explanation.prediction.tagging == found.prediction.tagging
        result = replay(tagger, entry.header, content)
        assert result.holds
        assert result.sentence.startswith("Everything computed again is the same to the bit.")
        assert content.why_target == "what the model decided"
    assert html.text(tags.summary(found.prediction) or "?") in report(found)


def test_the_same_record_from_python_command_line_and_rest(tagger: Model, tagger_folder: Path, run: Any) -> None:
    about = {"target": "B-PER", "contrast": "B-LOC", "place": 3, "checks": ()}
    mine = undated(tagger.explain(TEXT, **about).to_json())  # type: ignore[arg-type]
    options = ("--target", "B-PER", "--contrast", "B-LOC", "--place", "3", "--no-checks", "--json")
    code, out, _ = run("run", TEXT, "--model", str(tagger_folder), *options)
    assert code == 0
    with rest.client(rest.application(tagger_folder)) as web:
        answer = web.post("/v1/explain", json={"inputs": TEXT, "parameters": {**about, "checks": []}})
        asked = web.post("/v1/predict", json={"inputs": TEXT, "parameters": {"place": 3}})
        refused = web.post("/v1/explain", json={"inputs": TEXT, "parameters": {"place": 99}})
    assert mine == undated(out).strip() == undated(answer.text)
    assert json.loads(asked.text) == json.loads(tagger.predict(TEXT, place=3).to_json())
    assert (refused.status_code, refused.json()["code"]) == (422, "bad_place")


def test_the_hubs_client_is_answered_as_by_the_hub(tagger: Model, tagger_folder: Path) -> None:
    pipe = pipeline(
        "token-classification", model=tagger.module, tokenizer=tagger.tokenizer, aggregation_strategy="first"
    )
    with rest.served(tagger_folder) as address:
        hub = InferenceClient(model=f"{address}/v1/models/{tagger_folder.name}")
        for text in TEXTS:
            ours = hub.token_classification(text, aggregation_strategy="first")
            assert [(e.entity_group, e.start, e.end) for e in ours] == [
                (e["entity_group"], e["start"], e["end"]) for e in pipe(text)
            ]
            assert [e.word for e in ours] == [text[e.start or 0 : e.end] for e in ours]
    with rest.client(rest.application(tagger_folder)) as web:
        path = f"/v1/models/{tagger_folder.name}"
        several = web.post(path, json={"inputs": list(TEXTS)}).json()
        assert [len(one) for one in several] == [len(pipe(text)) for text in TEXTS]
        wrong = web.post(path, json={"inputs": TEXT, "parameters": {"top_k": 1}})
        assert (wrong.status_code, wrong.json()["code"]) == (422, "bad_task")


def test_a_classifier_aggregates_nothing(tiny_folder: Path) -> None:
    with rest.client(rest.application(tiny_folder)) as web:
        body = {"inputs": "a good film", "parameters": {"aggregation_strategy": "first"}}
        answer = web.post(f"/v1/models/{tiny_folder.name}", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_task")


@pytest.fixture
def page(tagger_folder: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    """The dashboard on the tiny model that tags words."""
    return dashboard(tagger_folder, monkeypatch)


def test_the_page_finds_an_example_and_explains_the_word_that_is_chosen(page: AppTest) -> None:
    finish(page)
    finish(page)
    assert page.text_area(key="text").value.startswith("Angela Merkel met")
    assert "The model tags “" in html_of(page)
    assert "What the model finds" in html_of(page)
    assert html_of(page).count('class="wb-tag-asked"') == 2  # in the text and in the legend
    (words,) = [s for s in page.selectbox if str(s.key).startswith("words ")]
    words.set_value(len(words.options) - 2)
    finish(page)
    found = page.session_state["job"].result
    assert found.prediction.tagging.asked == len(words.options) - 2
    (buttons,) = [p for p in page.button_group if str(p.key).startswith("entities ")]
    buttons.set_value(0)
    finish(page)
    found = page.session_state["job"].result
    assert found.prediction.tagging.asked == found.prediction.tagging.entities[0].first
    assert found.target.joined
    assert page.selectbox(key="target").value == found.prediction.tagging.entities[0].label
    assert not page.exception


def test_a_word_of_a_masked_text_is_chosen(page: AppTest) -> None:
    page.run()
    page.text_area(key="text").set_value(f"write to ada@example.org: {TEXT}")
    page.toggle(key="masking").set_value(True)
    finish(page)
    finish(page)
    (words,) = [s for s in page.selectbox if str(s.key).startswith("words ")]
    wanted = (page.session_state["job"].result.prediction.tagging.asked + 1) % len(words.options)
    words.set_value(wanted)
    finish(page)
    found = page.session_state["job"].result
    assert "ada@" not in found.tokens.texts[0]
    assert found.prediction.tagging.asked == wanted
    assert not page.exception


def test_another_model_is_asked_about_no_word_of_the_last_one(page: AppTest) -> None:
    page.run()
    page.text_area(key="text").set_value(TEXT)
    finish(page)
    finish(page)
    (words,) = [s for s in page.selectbox if str(s.key).startswith("words ")]
    wanted = (page.session_state["job"].result.prediction.tagging.asked + 1) % len(words.options)
    words.set_value(wanted)
    finish(page)
    assert page.session_state["job"].request.place == wanted
    page.selectbox(key="model").set_value("sentiment")
    finish(page)
    assert page.session_state["job"].result.model.task == "text-classification"
    assert not page.exception


def test_a_text_that_a_person_typed_stays(page: AppTest) -> None:
    page.run()
    page.text_area(key="text").set_value(TEXT)
    finish(page)
    finish(page)
    assert page.text_area(key="text").value == TEXT
    assert page.session_state["job"].result.tokens.texts == (TEXT,)
