"""Translations and summaries: each written token scored as the module alone scores it, with both texts as evidence."""

from __future__ import annotations

import io
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from captum.attr import IntegratedGradients
from huggingface_hub import InferenceClient
from rich.console import Console
from streamlit.testing.v1 import AppTest
from transformers import AutoModelForSeq2SeqLM

import explain
from explain import wire
from explain.alignment import Alignment
from explain.audit.store import Store
from explain.catalog import Request
from explain.engine import Model
from explain.errors import ExplainError, InputError, ModelError
from explain.generation import Generation
from explain.model.substitution import lookup, substituted
from explain.render import aligned, figures, html, sentences, terminal
from explain.render.report import report
from explain.replay import replay
from explain.rest.asks import Hub, writings
from explain.rest.bodies import parsed
from explain.settings import Settings
from tests import rest
from tests.architectures.family import build
from tests.cases import case_of
from tests.conftest import dashboard, finish, html_of, undated
from tests.tiny import WORDS, settled, writer_folder

TEXT = "the film was charmingly slow, and the actor was never boring."
WRITTEN = "a moving story and a witty plot"
BOTH = (TEXT, WRITTEN)


def ids_of(model: Model, texts: tuple[str, ...]) -> tuple[list[int], list[int]]:
    """What the encoder reads, and what the decoder reads, by the tokenizer alone."""
    written = model.tokenizer(texts[1], add_special_tokens=False)["input_ids"] if len(texts) > 1 else []
    return model.tokenizer(texts[0])["input_ids"], [2, *written]


def log_p(model: Model, source: list[int], decoded: list[int]) -> torch.Tensor:
    """Log-probabilities (P, V) behind each token that the decoder reads, from the module alone."""
    with torch.no_grad():
        outputs = model.module(input_ids=torch.tensor([source]), decoder_input_ids=torch.tensor([decoded]))
    return torch.log_softmax(outputs.logits[0].double(), -1)


def log_odds(log_p: float) -> float:
    return log_p - math.log1p(-math.exp(log_p))


def test_a_checkpoint_with_an_encoder_and_a_decoder_is_recognised(scribe: Model) -> None:
    assert (scribe.info.task, scribe.info.problem, scribe.info.labels) == ("text2text-generation", "written-token", ())
    assert scribe.begin == (2,)
    assert scribe.padding == "pad"
    assert scribe.info.writes


@pytest.mark.parametrize("texts", [(TEXT,), BOTH, ("movie", "not"), (TEXT, "charmingly boring and tediousing")])
def test_the_target_is_the_log_odds_of_the_token_that_comes_next(scribe: Model, texts: tuple[str, ...]) -> None:
    expected = log_p(scribe, *ids_of(scribe, texts))[-1]
    for target in (None, "dull", 9):
        found = scribe.explain(texts if len(texts) > 1 else texts[0], target=target, checks=())  # type: ignore[arg-type]
        index = found.target.index or 0
        assert found.attributions[0].value_input == pytest.approx(log_odds(float(expected[index])), abs=1e-4)
        assert target is not None or index == int(expected.argmax())
        assert found.tokens.texts == texts
    some = scribe.explain(texts if len(texts) > 1 else texts[0], target="dull", contrast="witty", checks=())  # type: ignore[arg-type]
    dull, witty = (scribe.labels.index(word) for word in ("dull", "witty"))
    assert some.attributions[0].value_input == pytest.approx(float(expected[dull] - expected[witty]), abs=1e-4)


def test_a_row_is_what_it_is_beside_longer_ones(scribe: Model) -> None:
    texts: list[Any] = [BOTH, "movie", (TEXT, "not"), ("a film", WRITTEN)]
    for text, found in zip(texts, scribe.predict_batch(texts), strict=True):
        expected = log_p(scribe, *ids_of(scribe, (text,) if isinstance(text, str) else text))[-1]
        assert found.probs is not None
        assert found.indices is not None
        assert np.allclose(np.log(found.probs), expected[list(found.indices)].numpy(), atol=1e-4)


def test_what_stands_behind_the_place_is_not_read(scribe: Model) -> None:
    source, decoded = ids_of(scribe, BOTH)
    expected = log_p(scribe, source, decoded)
    for place in range(len(decoded)):
        found = scribe.explain(BOTH, place=place, methods=["occlusion"], checks=())
        index = found.target.index or 0
        assert found.attributions[0].value_input == pytest.approx(log_odds(float(expected[place, index])), abs=1e-4)
        assert found.tokens.ids.tolist() == [*source, *decoded[: place + 1]]
        assert WRITTEN.startswith(found.tokens.texts[1] if place else "")
    half = scribe.explain((TEXT, "charmingly"), place=1, methods=["occlusion"], checks=())
    assert half.words()[-1].text == "charming", "a token in the middle of a word can be asked about"


def test_what_is_written_is_what_transformers_writes(scribe: Model) -> None:
    found = scribe.generate(TEXT, tokens=10)
    source, _ = ids_of(scribe, (TEXT,))
    theirs = scribe.module.generate(  # type: ignore[operator]
        torch.tensor([source]), max_new_tokens=10, num_beams=1, do_sample=False
    )[0].tolist()
    assert [2, *found.ids.tolist()] == theirs[: len(found.ids) + 1]
    assert found.stopped == ("end" if 3 in theirs else "length")
    assert found.apart
    assert found.text == "".join(found.pieces) == scribe.tokenizer.decode(found.ids, clean_up_tokenization_spaces=False)
    expected = log_p(scribe, source, [2, *found.ids.tolist()])
    mine = expected[torch.arange(len(found.ids)), torch.from_numpy(found.ids.copy())]
    assert np.allclose(found.log_probs, mine.numpy(), atol=1e-4)
    assert wire.decode(Generation, found.to_json()).digest == found.digest


def test_beams_and_a_whole_generation_explained(scribe: Model) -> None:
    found = scribe.generate(TEXT, tokens=6, num_beams=3)
    source, _ = ids_of(scribe, (TEXT,))
    theirs = scribe.module.generate(torch.tensor([source]), max_new_tokens=6, num_beams=3, do_sample=False)  # type: ignore[operator]
    assert [2, *found.ids.tolist()] == theirs[0].tolist()[: len(found.ids) + 1]
    for i, reason in enumerate(scribe.explain_generation(found, places=[0, 3], checks=())):
        place = (0, 3)[i]
        one = scribe.explain(**found.question(place) or {}, checks=())
        assert reason.tokens == one.tokens
        assert reason.attributions[0].value_input == pytest.approx(log_odds(float(found.log_probs[place])), abs=1e-3)
        assert np.allclose(reason.attributions[0].scores, one.attributions[0].scores, atol=1e-3)


@pytest.mark.parametrize("seed", [None, 1, 5])
def test_every_written_token_can_be_asked_about(scribe: Model, seed: int | None) -> None:
    found = scribe.generate(TEXT, tokens=8, seed=seed)
    assert len(found.ids) > 2
    for i in range(len(found.ids)):
        question = found.question(i)
        assert question is not None
        reason = scribe.explain(**question, methods=["occlusion"], checks=())
        assert reason.attributions[0].value_input == pytest.approx(log_odds(float(found.log_probs[i])), abs=1e-3)
    rest_of_it = replace(found, readable=np.zeros(len(found.ids), dtype=bool))
    assert rest_of_it.question(0) == {"text": TEXT, "target": int(found.ids[0])}
    assert rest_of_it.question(1) is None, "what cannot be written as text cannot be asked about"


def test_scores_add_up_over_both_texts_on_fifty_inputs(scribe: Model) -> None:
    rng, words = np.random.default_rng(0), [w for w in WORDS if not w.startswith("##")]
    texts: list[Any] = []
    for i in range(50):
        first, second = (" ".join(rng.choice(words, rng.integers(1, 9))) for _ in range(2))
        texts.append((first, second) if i % 5 else first)
    found = [r.attributions[0] for r in scribe.explain_batch(texts, checks=())]
    assert all(f.relative_residual is not None for f in found)
    assert max(f.relative_residual or 0 for f in found) <= 0.01
    both = [f for f, text in zip(found, texts, strict=True) if not isinstance(text, str)]
    assert all((np.abs(f.scores[f.unit_segment == s]) > 1e-4).any() for f in both for s in (0, 1))


def test_integrated_gradients_are_captums_over_both_tables_in_the_limit(scribe: Model) -> None:
    found = scribe.explain(BOTH, params={"tolerance": 1e-4}, target="dull", budget=4000, checks=()).attributions[0]
    case, (source, decoded) = case_of(scribe, BOTH, target="dull"), ids_of(scribe, BOTH)
    table = scribe.module.get_input_embeddings()  # type: ignore[operator]
    index = scribe.labels.index("dull")

    def vectors(ids: list[int]) -> torch.Tensor:
        return table(torch.tensor([ids])).detach()  # type: ignore[no-any-return]

    def value(one: torch.Tensor, two: torch.Tensor) -> torch.Tensor:
        logits = scribe.module(inputs_embeds=one, decoder_inputs_embeds=two).logits[:, -1]
        others = torch.cat([logits[:, :index], logits[:, index + 1 :]], 1)
        return logits[:, index] - torch.logsumexp(others, 1)  # type: ignore[no-any-return]

    start = case.baseline_ids("mask")[1].tolist()
    theirs = IntegratedGradients(value).attribute(
        (vectors(source), vectors(decoded)),
        baselines=(vectors(start[: len(source)]), vectors(start[len(source) :])),
        n_steps=300,
    )
    tokens = torch.cat([part.sum(-1)[0] for part in theirs]).double().numpy()  # (T,)
    expected = np.array([tokens[case.units.of_token == u].sum() for u in range(case.n_units)])
    assert np.allclose(found.scores, expected, atol=0.01 * np.abs(expected).max())
    assert found.special == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("how", ["mask", "remove"])
def test_a_word_of_either_text_is_taken_out(scribe: Model, how: str) -> None:
    found = scribe.explain(BOTH, methods=["occlusion"], params={"replacement": how}, checks=()).attributions[0]
    source, decoded = ids_of(scribe, BOTH)
    index = found.target.index or 0
    whole = log_odds(float(log_p(scribe, source, decoded)[-1, index]))
    for unit, score in enumerate(found.scores.tolist()):
        gone = found.unit_of == unit
        kept = [[i for i, g in zip(ids, some, strict=True) if not g] for ids, some in (
            (source, gone[: len(source)]), (decoded, gone[len(source) :]))]  # fmt: skip
        masked = [[4 if g else i for i, g in zip(ids, some, strict=True)] for ids, some in (
            (source, gone[: len(source)]), (decoded, gone[len(source) :]))]  # fmt: skip
        rest_ = log_odds(float(log_p(scribe, *(masked if how == "mask" else kept))[-1, index]))
        assert score == pytest.approx(whole - rest_, abs=1e-3)


def test_two_stacks_with_the_same_ids_keep_their_own_vectors(scribe: Model) -> None:
    ids = torch.tensor([[2, 9, 10, 11]])
    one, two = lookup(scribe.module, ids), lookup(scribe.module, ids) + 0.5
    with torch.no_grad():
        expected = scribe.module(inputs_embeds=one, decoder_inputs_embeds=two).logits
        with substituted(scribe.module, ids, one, (ids, two)) as seen:
            found = scribe.module(input_ids=ids, decoder_input_ids=ids).logits
    assert torch.allclose(found, expected, atol=1e-5)
    assert seen.counts == [4, 4]


def test_what_is_forced_and_what_controls_is_no_evidence(tmp_path: Path) -> None:
    model = explain.load(str(settled(writer_folder(tmp_path), forced_bos_token_id=9)))
    assert model.begin == (2, 9)
    found = model.explain((TEXT, "[SEP] not a film"), checks=())
    size = len(model.tokenizer(TEXT)["input_ids"])
    assert found.tokens.ids[size:].tolist() == [2, 9, 3, *model.tokenizer("not a film")["input_ids"][1:-1]]
    assert found.tokens.special[size:].tolist() == [True, True, True, False, False, False]
    assert [w.text for w in found.words() if w.segment == 1] == ["not", "a", "film"]
    assert not [n for n in found.warnings if n.code == "typed_special_tokens"]


@pytest.mark.parametrize(
    ("texts", "options", "said"),
    [
        (BOTH, {"place": 8}, "place must be a whole number from 0 to 7"),
        (TEXT, {"place": 1}, "place must be a whole number from 0 to 0"),
        (("film " * 80, WRITTEN), {}, "82 tokens"),
        ((TEXT, "film " * 80), {"truncate": True}, "80 tokens, and this model writes at most 63"),
        (("", WRITTEN), {}, "empty"),
        (BOTH, {"target": "aword"}, "no single token"),
        (BOTH, {"target": "dull", "contrast": "dull"}, "both 'dull'"),
        (TEXT, {"continuation": "a film", "place": 0}, "no place to choose"),
        (TEXT, {"continuation": " "}, "continuation is empty"),
        ((TEXT, "a mov"), {"continuation": "…ing"}, "other tokens than without it"),
        (TEXT, {"continuation": "film " * 64}, "64 tokens, and this model writes at most 63"),
        (BOTH, {"methods": ["value_zeroing"]}, "two stacks of layers"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_advice(scribe: Model, texts: Any, options: Any, said: str) -> None:
    with pytest.raises(ExplainError, match=said):
        scribe.explain(texts, **{"checks": (), **options})


def test_looking_inside_is_refused_in_words(scribe: Model) -> None:
    for look in (
        lambda: scribe.heads(BOTH),
        lambda: scribe.head(BOTH, 0, 1),
        lambda: scribe.lens(BOTH),
        lambda: scribe.direct(BOTH),
        lambda: scribe.road(BOTH, 0, 0, 1),
        lambda: scribe.patch(TEXT, TEXT),
    ):
        with pytest.raises(ModelError, match="with one stack only"):
            look()


def test_a_model_that_does_not_say_how_it_begins_is_refused(tmp_path: Path) -> None:
    folder = writer_folder(tmp_path)
    for name in ("config.json", "generation_config.json"):
        data = json.loads((folder / name).read_text("utf-8"))
        data |= {"decoder_start_token_id": None, "bos_token_id": None}
        (folder / name).write_text(json.dumps(data), "utf-8")
    with pytest.raises(ModelError, match="which token the decoder begins with"):
        explain.load(str(folder))


def test_a_text_that_is_too_long_is_cut_and_says_so(scribe: Model) -> None:
    found = scribe.explain(("a film and a story " * 20, WRITTEN), truncate=True, checks=())
    (notice,) = [n for n in found.warnings if n.code == "truncated"]
    assert notice.segment == 0
    assert found.tokens.truncated_at is not None
    with pytest.raises(InputError):
        scribe.generate("film " * 80)
    assert len(scribe.generate("film " * 80, tokens=2, truncate=True).ids) <= 2


def test_all_checks_take_both_texts(tmp_path: Path) -> None:
    model = explain.load(str(writer_folder(tmp_path, max_position_embeddings=256)))
    found = model.explain(BOTH, checks=explain.list_checks(), rationale=[(1, 2, 8)], interactions=True)
    assert {c.name for c in found.checks} >= {"completeness", "baseline", "stability", "learned", "randomisation"}
    assert not [c for c in found.checks if c.name == "completeness" and c.status == "fail"]
    (strange,) = [c for c in found.checks if c.name == "out of distribution"]
    assert "cannot be looked into" in strange.sentence


def test_words_for_people(scribe: Model) -> None:
    found = scribe.explain(BOTH, checks=())
    assert sentences.verdict(found).startswith("The most likely next token is ")
    assert [sentences.part(found, s) for s in (0, 1)] == ["Text", "Written so far"]
    out = io.StringIO()
    Console(width=120, file=out).print(terminal.explanation(found))
    assert "Written so far: a moving story" in out.getvalue()
    drawn = report(found)
    assert "Written so far" in drawn
    assert html.text(TEXT.split(",")[0].split()[1]) in drawn


def test_a_filed_record_is_repeated_to_the_bit(scribe: Model, tmp_path: Path) -> None:
    store = Store(tmp_path / "evidence")
    request = Request(BOTH, place=4, methods=("integrated_gradients", "occlusion"), checks=())
    found = scribe.answer([request])[0]
    assert wire.read(found.to_json()) == found
    for asked in (request, None):
        entry = store.file(found, asked=asked)
        assert replay(scribe, entry.header, store.content(entry.header.id)).holds
    assert "Written so far" in report(found)


def test_the_same_record_from_python_command_line_and_rest(scribe: Model, scribe_folder: Path, run: Any) -> None:
    mine = undated(scribe.explain(BOTH, place=3, target="dull", checks=()).to_json())
    options = ("--target", "dull", "--place", "3", "--no-checks", "--json", "--model", str(scribe_folder))
    code, out, _ = run("run", TEXT, "--pair", WRITTEN, *options)
    assert code == 0
    with rest.client(rest.application(scribe_folder)) as web:
        about = {"target": "dull", "place": 3, "checks": []}
        answer = web.post("/v1/explain", json={"inputs": {"text": TEXT, "text_pair": WRITTEN}, "parameters": about})
        predicted = web.post("/v1/predict", json={"inputs": [TEXT, list(BOTH)]})
    assert mine == undated(out).strip() == undated(answer.text)
    assert json.loads(predicted.text) == [json.loads(scribe.predict(text).to_json()) for text in (TEXT, BOTH)]


def test_the_command_line_writes(scribe: Model, scribe_folder: Path, run: Any) -> None:
    code, out, _ = run("generate", TEXT, "--model", str(scribe_folder), "--tokens", "4")
    assert code == 0
    assert scribe.generate(TEXT, tokens=4).text in out
    assert "by its place" in out


def test_the_hubs_client_is_answered_with_what_is_written(
    scribe: Model, scribe_folder: Path, tiny_folder: Path
) -> None:
    wanted, drawn = scribe.generate(TEXT), scribe.generate(TEXT, tokens=5, seed=3, temperature=2.0)
    with rest.served(scribe_folder) as address:
        hub = InferenceClient(model=f"{address}/v1/models/{scribe_folder.name}")
        assert hub.translation(TEXT).translation_text == wanted.text
        assert hub.summarization(TEXT).summary_text == wanted.text
    path = f"/v1/models/{scribe_folder.name}"
    with rest.client(rest.application(scribe_folder)) as web:
        heat = {"max_new_tokens": 5, "do_sample": True, "seed": 3, "temperature": 2.0}
        for parameters in (heat, {"generate_parameters": heat}):
            found = web.post(path, json={"inputs": [TEXT, TEXT], "parameters": parameters}).json()
            assert [one["generated_text"] for one in found] == 2 * [drawn.text]
        for body, code in (
            ({"inputs": {"text": TEXT, "text_pair": WRITTEN}}, "bad_text"),
            ({"inputs": TEXT, "parameters": {"seed": 3}}, "bad_request"),
            ({"inputs": TEXT, "parameters": {"max_new_tokens": 0}}, "bad_request"),
        ):
            refused = web.post(path, json=body)
            assert (refused.status_code, refused.json()["code"]) == (422, code)
    with rest.client(rest.application(tiny_folder)) as web:
        refused = web.post(f"/v1/models/{tiny_folder.name}", json={"inputs": TEXT, "parameters": {"seed": 3}})
        assert (refused.status_code, refused.json()["code"]) == (422, "bad_task")


def test_a_conversation_among_texts_is_refused_and_moves_no_answer() -> None:
    said = {"inputs": [TEXT, {"messages": [{"role": "user", "content": TEXT}]}, TEXT]}
    body = parsed(Hub, json.dumps(said).encode())
    with pytest.raises(InputError, match="writes about one text") as caught:
        writings(body.inputs, body.parameters, Settings())
    assert caught.value.code == "bad_text"


@pytest.fixture
def page(scribe_folder: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    """The dashboard on the tiny model that writes about a text."""
    return dashboard(scribe_folder, monkeypatch)


def test_the_page_writes_and_explains_the_token_that_is_chosen(page: AppTest, scribe: Model) -> None:
    page.run()
    page.text_area(key="text").set_value(TEXT)
    for _ in range(3):
        finish(page)
    assert "What the model writes" in html_of(page)
    (buttons,) = [p for p in page.button_group if str(p.key).startswith("written ")]
    found = scribe.generate(TEXT, tokens=48)
    assert list(buttons.options) != []
    buttons.set_value(2)
    finish(page)
    result = page.session_state["job"].result
    assert result.tokens.texts == (TEXT, found.prefix(2))
    assert result.prediction.outcome(result.prediction.top) == int(found.ids[2])
    assert page.text_area(key="pair").value == found.text
    assert page.text_area(key="pair").label == "Written so far"
    (buttons,) = [p for p in page.button_group if str(p.key).startswith("written ")]
    assert buttons.value == 2
    page.text_area(key="text").set_value("a slow movie")
    finish(page)
    assert page.session_state["job"].request.texts == ("a slow movie",), "what was written about another text is gone"
    assert not page.exception


def test_the_page_offers_texts_to_translate(page: AppTest) -> None:
    for _ in range(3):
        finish(page)
    assert page.text_area(key="text").value.startswith("translate English to German: ")
    assert not page.exception


def test_an_alignment_is_measured_word_by_word(scribe: Model) -> None:
    found = scribe.align(*BOTH)
    source, decoded = ids_of(scribe, BOTH)
    ids = decoded[1:]
    assert found.ids.tolist() == ids
    assert "".join(found.pieces).replace(" ", "") == WRITTEN.replace(" ", "")
    assert found.words[-7:] == ("a", "moving", "story", "and", "a", "witty", "plot")
    plain = log_p(scribe, source, decoded)
    expected = np.array([log_odds(float(plain[k, i])) for k, i in enumerate(ids)])
    assert np.allclose(found.values, expected, atol=1e-4)
    for unit in range(len(found.units)):
        whole = [4 if u == unit else i for i, u in zip([*source, *decoded], found.unit_of.tolist(), strict=True)]
        without = log_p(scribe, whole[: len(source)], whole[len(source) :])
        fall = expected - np.array([log_odds(float(without[k, i])) for k, i in enumerate(ids)])
        assert np.allclose(found.effects[:, unit], fall, atol=1e-3)
    written = found.unit_segment == 1
    assert found.before[:, ~written].all()
    assert found.before[:, written].tolist() == np.tri(7, k=-1, dtype=bool).tolist()
    assert (found.effects[~found.before] == 0).all()
    assert wire.decode(Alignment, found.to_json()) == found


def test_an_alignment_is_shown_as_measured(scribe: Model) -> None:
    found = scribe.align(*BOTH)
    (drawn,) = figures.alignment_heatmap(found).data
    mine = found.unit_segment == 0
    assert np.allclose(drawn.z, found.effects[:, mine], atol=1e-4)
    best_of = [(row[mine].max(), row[~mine].max()) for row in found.effects]
    text, before = sum(a > max(0, b) for a, b in best_of), sum(b > 0 and b >= a for a, b in best_of)
    said = "Of 7 written tokens, {} have the word that speaks for them most in the text, {} in what was written before"
    assert f"{said.format(text, before)}; for {7 - text - before} no word speaks." in aligned.summary(found)
    silent = aligned.summary(replace(found, effects=-np.abs(found.effects)))
    assert "0 have" in silent
    assert "for 7 no word speaks" in silent
    assert "[MASK]" in aligned.meaning(found)
    rows = aligned.rows(found)
    best = int(found.effects[3].argmax())
    assert rows[3][1] == repr(found.pieces[3])
    assert found.effects[3, best] <= 0 or rows[3][3].startswith(found.words[best])


def test_what_cannot_be_aligned_is_refused(scribe: Model, tiny: Model) -> None:
    with pytest.raises(InputError, match="encoder and a decoder"):
        tiny.align(*BOTH)
    with pytest.raises(InputError, match="empty"):
        scribe.align(TEXT, "")


def test_the_page_aligns_when_it_is_asked(page: AppTest, scribe: Model) -> None:
    page.run()
    page.text_area(key="text").set_value(TEXT)
    for _ in range(3):
        finish(page)
    assert "What each written token hangs on" in html_of(page)
    page.button(key="align").click().run()
    page.run()
    expected = scribe.align(TEXT, scribe.generate(TEXT, tokens=48).text)
    assert aligned.summary(expected) in html_of(page)
    assert not page.exception


def test_two_tables_of_vectors_are_attributed_apart(tmp_path: Path) -> None:
    """Of two networks put together, each with a table of its own, scores add up over both."""
    build(AutoModelForSeq2SeqLM, "encoder-decoder", tmp_path)
    model = explain.load(str(tmp_path))
    assert model.embed(np.array([5])).shape == (1, 64)
    found = model.explain(("a good film was dull", "never a story"), checks=()).attributions[0]
    assert found.relative_residual is not None
    assert found.relative_residual <= 0.01
    case = case_of(model, ("a good film was dull", "never a story"))
    (slope,) = model.gradients([case.row()])[1]
    source = case.encoding.source
    assert not slope[:source, 32:].any()
    assert not slope[source:, :32].any()
    assert np.abs(slope[:source, :32]).sum(1).all()
    assert np.abs(slope[source:, 32:]).sum(1).all()


def test_the_command_line_aligns(scribe: Model, scribe_folder: Path, run: Any) -> None:
    code, out, _ = run("align", TEXT, WRITTEN, "--model", str(scribe_folder), "--json")
    assert code == 0
    assert undated(out.strip()) == undated(scribe.align(*BOTH).to_json())
    code, out, _ = run("align", TEXT, "--model", str(scribe_folder), "--tokens", "3")
    assert code == 0
    assert "words that speak for it" in out
    code, _, said = run("align", TEXT, WRITTEN, "--model", "sentiment")
    assert code == 2
    assert "encoder and a decoder" in said


def test_every_token_that_is_written_about_a_text_is_explained_at_once(scribe: Model) -> None:
    found = scribe.generate(TEXT, tokens=6)
    each = scribe.explain_generation(found)
    assert len(each) == len(found.explainable) > 0
    assert [e.target.index for e in each] == found.ids[list(found.explainable)].tolist()
    alone = scribe.explain(**(found.question(found.explainable[-1]) or {}), checks=())
    assert np.allclose(each[-1].attributions[0].scores, alone.attributions[0].scores, atol=1e-4)
    beams = scribe.generate(TEXT, tokens=6, num_beams=3)
    assert beams.log_prob / len(beams.ids) >= found.log_prob / len(found.ids) - 1e-5


def test_a_cut_text_leaves_its_trace_in_all_that_is_made_of_it(scribe: Model) -> None:
    found = scribe.generate("film " * 200, tokens=2, truncate=True)
    assert found.settings["truncate"]
    (first, _) = scribe.explain_generation(found, methods=("occlusion",))
    assert "truncated" in [n.code for n in first.warnings]
    alignment = scribe.align("film " * 200, found.text, truncate=True)
    assert f"stopped reading the text at character {alignment.tokens.truncated_at:,}." in aligned.meaning(alignment)
    assert "stopped" not in aligned.meaning(scribe.align(*BOTH))
