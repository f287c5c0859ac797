"""Contexts longer than the model reads: the answer and the score of the Hub's pipeline, explained in its window."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from huggingface_hub import InferenceClient
from streamlit.testing.v1 import AppTest
from transformers.pipelines.document_question_answering import select_starts_ends

import explain
from explain import costs, wire
from explain.audit.store import Store
from explain.case import Ask, Case
from explain.catalog import Request
from explain.checks import Found
from explain.checks._compare import word
from explain.checks.infidelity import infidelity
from explain.checks.leave_one_out import leave_one_out
from explain.checks.plausibility import plausibility
from explain.effects import measure
from explain.engine import Model
from explain.errors import Cancelled, ExplainError, InputError
from explain.methods import methods
from explain.model import windows
from explain.model.contexts import LENGTH, STRIDE, TIMES
from explain.model.meter import Meter
from explain.model.rows import Row
from explain.model.runner import NOTHING, Runner
from explain.model.windows import MOST
from explain.records import Explanation
from explain.replay import inferred, replay
from explain.tasks.question_answering import LONGEST
from explain.work import Work
from tests import rest
from tests.cases import run as driven
from tests.conftest import dashboard, finish, html_of, undated
from tests.tiny import WORDS, answers_folder, word_piece
from tests.tokenizers import trained

QUESTION = "was the film slow ?"


def context(words: int, seed: int = 0) -> str:
    """A context of so many words, some of them of several tokens."""
    draw = np.random.default_rng(seed)
    return " ".join(draw.choice([*WORDS[:36], "charmingly", "actors,", "moving.", "wordsly"], words))


LONG = context(150)
BOTH = (QUESTION, LONG)


def in_windows(model: Model, question: str, text: str, size: int) -> Any:
    """What the tokenizer makes of question and context, as the pipeline asks for it."""
    return model.tokenizer(
        question, text, truncation="only_second", max_length=size, stride=min(size // 2, 128),
        return_overflowing_tokens=True, return_offsets_mapping=True,
    )  # fmt: skip


def hub(model: Model, question: str, text: str, size: int, nothing: bool = False) -> tuple[float, int, int]:
    """Score, first and last character of the likeliest answer in any window, by transformers' own code for one window.

    With `nothing`, the score is that of no answer.
    """
    read, found, none = in_windows(model, question, text, size), [], 1e6
    for i, ids in enumerate(read["input_ids"]):
        out = np.array([[part != 1 for part in read.sequence_ids(i)]])
        out[np.array([ids]) == model.tokenizer.cls_token_id] = False
        given = {n: torch.tensor([read[n][i]]) for n in ("input_ids", "token_type_ids") if n in read}
        with torch.no_grad():
            said = model.module(**given)
        start, end = said.start_logits.numpy(), said.end_logits.numpy()
        (s,), (e,), (score,), none = select_starts_ends(
            start, end, out.astype(int), np.ones_like(out, dtype=int), none, handle_impossible_answer=True
        )
        offsets = read["offset_mapping"][i]
        found.append((float(score), offsets[s][0], offsets[e][1]))
    best = max(found)
    return (none, 0, 0) if nothing else best


@pytest.mark.parametrize("kind", ["word_piece", "byte_level", "unigram"])
def test_answer_score_and_offsets_are_those_of_the_hubs_pipeline(kind: str, tmp_path: Path) -> None:
    model = explain.load(str(answers_folder(tmp_path, trained(kind), max_position_embeddings=128)))
    size = model.info.max_tokens
    many = set()
    for seed in range(8):
        text = context(60 + 40 * seed, seed)
        found = model.predict((QUESTION, text), windows=True)
        assert found.answering is not None
        best, offsets = found.answering.answers[0], model.encode((QUESTION, text), windows=True).tokens.offsets
        score, start, end = hub(model, QUESTION, text, size)
        assert best.prob == pytest.approx(score, abs=1e-5)
        assert (offsets[best.first, 0], offsets[best.last, 1]) == (start, end)
        assert text[best.start : best.end] == best.words
        assert max(best.start, start) < min(best.end, end)
        assert found.answering.nothing == pytest.approx(hub(model, QUESTION, text, size, nothing=True)[0], abs=1e-5)
        many.add(len(model.encode((QUESTION, text), windows=True).windows))
    assert max(many) > 4


def test_windows_are_those_that_the_tokenizer_makes(answerer: Model, tmp_path: Path) -> None:
    wide = explain.load(str(answers_folder(tmp_path, trained("word_piece"), max_position_embeddings=512)))
    for model, words in ((answerer, 150), (wide, 700)):
        size = min(model.info.max_tokens, LENGTH)
        for seed in range(3):
            text = context(words + seed, seed)
            read, found = in_windows(model, QUESTION, text, size), model.encode((QUESTION, text), windows=True)
            assert [found.tokens.ids[w].tolist() for w in found.windows] == read["input_ids"]
            for name in found.inputs.keys() - {"input_ids"}:
                assert [found.inputs[name][w].tolist() for w in found.windows] == read[name]
    assert (LENGTH, STRIDE) == (384, 128)


def value(model: Model, found: Explanation, window: np.ndarray, gone: tuple[int, ...] = ()) -> float:
    """Log-odds of the explained answer in a window, from the module alone; tokens `gone` are masked."""
    ids = found.tokens.ids.copy()
    ids[list(gone)] = model.tokenizer.mask_token_id
    segment = found.tokens.segment[window]
    kinds = np.where(np.arange(len(window)) > int(np.flatnonzero(segment == 0)[-1]) + 1, 1, 0)
    with torch.no_grad():
        said = model.module(input_ids=torch.tensor(ids[None, window]), token_type_ids=torch.tensor(kinds[None]))
    out = segment != 1
    out[0] = False
    p = 1.0
    for z, at in zip((said.start_logits, said.end_logits), found.target.positions, strict=True):
        shares = torch.softmax(z[0].double().masked_fill(torch.tensor(out), -torch.inf), -1)
        p *= float(shares[int(np.flatnonzero(window == at)[0])])
    return float(np.log(p) - np.log1p(-p))


def case_of(model: Model, texts: tuple[str, str] = BOTH, **about: Any) -> Case:
    request = Request(texts, windows=True, **about)
    work = Work(model, [request])
    encoding = work._encoded(request)
    return work._case(request, encoding, model.decide([encoding])[0])


def test_scores_add_up_to_the_log_odds_in_the_window_that_holds_the_answer(answerer: Model) -> None:
    texts = [(QUESTION, context(80 + seed, seed)) for seed in range(12)]
    chosen = set()
    for text, found in zip(texts, answerer.explain_batch(texts, windows=True, checks=()), strict=True):
        (mine,) = found.attributions
        encoding = case_of(answerer, text).encoding
        assert encoding.window is not None
        chosen.add(encoding.window)
        window = encoding.windows[encoding.window]
        assert mine.value_input == pytest.approx(value(answerer, found, window), abs=2e-4)
        best = found.prediction.answering.answers[0]  # type: ignore[union-attr]
        assert mine.value_input == pytest.approx(np.log(best.prob) - np.log1p(-best.prob), abs=1e-3)
        assert (mine.relative_residual or 0) <= 0.01
        inside = np.isin(np.arange(len(found.tokens.ids)), window)
        outside = [u for u in range(len(mine.scores)) if not inside[mine.unit_of == u].any()]
        assert outside
        assert not mine.scores[outside].any()
        assert np.count_nonzero(mine.scores) > 0.9 * (len(mine.scores) - len(outside))
    assert len(chosen) > 1


def test_occlusion_is_direct_calls_and_words_outside_cost_nothing(answerer: Model) -> None:
    found = answerer.explain(BOTH, methods=["occlusion"], windows=True, checks=())
    (mine,), encoding = found.attributions, case_of(answerer).encoding
    window = encoding.seen[0]
    whole, inside = value(answerer, found, window), set(window.tolist())
    units = [np.flatnonzero(mine.unit_of == u) for u in range(len(mine.scores))]
    read = [u for u, tokens in enumerate(units) if inside & set(tokens.tolist())]
    assert len(read) < len(units) / 2
    for unit in read[::5]:
        expected = whole - value(answerer, found, window, tuple(units[unit].tolist()))
        assert mine.scores[unit] == pytest.approx(expected, abs=2e-4)
    assert mine.evaluations.forward <= len(read) + 2


def test_a_forecast_counts_all_windows_that_the_decision_reads(
    answerer: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran, forecast = list[int](), list[int]()
    for name in ("_raw", "_values"):
        plain = getattr(Runner, name)

        def counted(self: Runner, rows: list[Row], plain: Any = plain) -> Any:
            ran.append(len(rows))
            return plain(self, rows)

        monkeypatch.setattr(Runner, name, counted)
    monkeypatch.setattr(Runner, "forecast", lambda self, tokens, forward, backward: forecast.append(forward))
    request = Request(BOTH, ("saliency",), windows=True, checks=())
    answerer.predict(BOTH, windows=True)
    answerer.forecast(request)
    encoding = answerer.encode(BOTH, windows=True)
    explained, _ = costs.passes(request, costs.units(request, encoding)[1], costs.anew(encoding))
    assert sum(ran) == len(encoding.windows) > 1
    assert forecast == [explained + sum(ran) - 1], "one of them was counted"


def test_a_listed_answer_is_explained_in_the_window_where_it_is_likeliest(answerer: Model) -> None:
    prediction = answerer.predict(BOTH, windows=True)
    assert prediction.answering is not None
    windows = set()
    for label, answer in zip(prediction.labels, prediction.answering.answers, strict=True):
        found = answerer.explain(BOTH, target=label, methods=["saliency"], windows=True, checks=())
        assert found.target.positions == (answer.first, answer.last)
        odds = np.log(answer.prob) - np.log1p(-answer.prob)
        assert found.attributions[0].value_input == pytest.approx(odds, abs=1e-3)
        windows.add(case_of(answerer, target=label).encoding.window)
    assert len(windows) > 1


def test_an_end_alone_is_explained_in_the_window_of_its_answer(answerer: Model) -> None:
    both = case_of(answerer).encoding.window
    for which in ("start", "end"):
        assert case_of(answerer, target=which).encoding.window == both
        (mine,) = answerer.explain(BOTH, target=which, windows=True, checks=()).attributions
        assert (mine.relative_residual or 0) <= 0.01


def test_a_contrast_is_within_one_window_or_refused(answerer: Model) -> None:
    case = case_of(answerer)
    window, first = case.encoding.seen[0], case.prediction.answering.answers[0].first  # type: ignore[union-attr]
    words = case.tokens.words[case.tokens.segment == 1].tolist()  # of the context
    near = [w for w in words if w in case.tokens.words[window[8:-8]] and abs(w - case.tokens.words[first]) > 2]
    found = answerer.explain(BOTH, contrast=LONGEST * near[0], windows=True, checks=())
    assert found.target.kind == "contrast"
    assert set(found.target.positions) <= set(window.tolist())
    assert (found.attributions[0].relative_residual or 0) <= 0.01
    ends = {"target": LONGEST * words[0], "contrast": LONGEST * words[-1]}
    with pytest.raises(InputError, match="no window holds both") as caught:
        answerer.explain(BOTH, **ends, windows=True, checks=())
    assert caught.value.code == "bad_target"


def test_where_words_are_deleted_the_answer_stays_in_its_window(answerer: Model) -> None:
    case = case_of(answerer)
    window = case.encoding.seen[0]
    for units in (np.ones(case.n_units, dtype=bool), np.arange(case.n_units) % 3 == 0):
        row = case.without(units, "remove")
        (kept,) = row.windows
        gone = (case.units.of_token >= 0) & units[case.units.of_token]
        left = [t for t in window.tolist() if not gone[t] or t in case.encoding.places]
        assert len(kept) == len(left)
        assert set(row.places) <= set(kept.tolist())
        assert np.isfinite(case.evaluate(Ask([row])).values).all()


@pytest.mark.parametrize("name", sorted(methods()))
def test_every_method_answers_or_says_why_not(name: str, answerer: Model) -> None:
    about: dict[str, Any] = {"methods": [name], "checks": (), "windows": True, "forced": True, "budget": 64}
    try:
        found = answerer.explain((QUESTION, context(70)), granularity="sentence", **about)
    except ExplainError as error:
        assert error.code == "no_windows", f"{name}: {error}"
        assert name in {"attention_gradient", "deep_lift", "layer_conductance", "value_zeroing"} | {
            "layer_integrated_gradients"
        }
        return
    assert np.isfinite(found.attributions[0].scores).all()


def test_all_checks_have_an_answer(tmp_path: Path) -> None:
    tokenizer = word_piece()
    tokenizer.model_max_length = 128  # has room for sentences
    model = explain.load(str(answers_folder(tmp_path, tokenizer, max_position_embeddings=128)))
    found = model.explain((QUESTION, context(130)), windows=True, granularity="sentence", checks=explain.list_checks())
    assert [n.code for n in found.warnings if n.code == "windows"]
    assert not [c for c in found.checks if c.name == "completeness" and c.status == "fail"]
    assert len(found.checks) > 5


def test_words_are_taken_out_of_the_window_that_is_read(answerer: Model) -> None:
    """Scores that only know which words were read would beat every order of all words."""
    found = answerer.explain((QUESTION, LONG), windows=True, checks=("removal",))
    (notice,) = [n for n in found.warnings if n.code == "windows"]
    read = [word for word in found.words() if word.score]  # of the others none is read
    removed = [c.details["removed"][-1] for c in found.checks if c.name in ("comprehensiveness", "sufficiency")]
    assert len(removed) == 2
    assert set(removed) == {removed[0]}
    assert removed[0] == len(read) - 1 < len(found.words()) / 2, notice.message


@pytest.mark.parametrize("check", [leave_one_out, infidelity, plausibility], ids=lambda check: check.__name__)
def test_who_only_knows_which_words_are_read_passes_no_check(answerer: Model, check: Any) -> None:
    """Noise for the words of the window and nothing for the others: beside deals to all words that looks like much."""
    plain = case_of(answerer)
    found = Found(driven(answerer, measure(plain)))
    (mine,) = answerer.explain(BOTH, methods=["occlusion"], windows=True, checks=()).attributions
    rng, passed, draws = np.random.default_rng(0), 0, 20
    for _ in range(draws):
        marked = rng.choice(plain.read, 5, replace=False)
        spans = [(int(plain.units.segment[u]), *map(int, plain.units.spans[u])) for u in marked]
        case, scores = replace(plain, rationale=tuple(spans)), np.zeros(plain.n_units, dtype=np.float32)
        scores[plain.read] = rng.random(len(plain.read))
        (said,) = driven(answerer, check(case, replace(mine, scores=scores), found))
        assert said.status != "n/a"
        passed += said.status == "pass"
    assert passed <= draws / 5, "one of twenty passes by chance"


def test_random_words_are_words_that_are_read(answerer: Model) -> None:
    asked = {"methods": ["occlusion", "saliency"], "windows": True}
    read = len(case_of(answerer).read)
    found = answerer.explain(BOTH, checks=("agreement",), **asked)  # type: ignore[arg-type]
    assert {c.yardstick for c in found.checks} == {3 / read}
    texts = (QUESTION, context(90))
    found = answerer.explain(texts, checks=("baselines", "stability"), windows=True)
    case = case_of(answerer, texts)
    shares = {c.name: c for c in found.checks}
    assert shares["baselines"].yardstick == 1 / len(case.read)
    edited = {e["word"] for e in shares["stability"].details.get("edits", ())}
    assert edited <= {word(case, u) for u in case.read.tolist()}


def test_a_context_that_fits_is_answered_to_the_bit_as_without_windows(answerer: Model) -> None:
    texts = (QUESTION, context(20))
    one, other = (answerer.explain(texts, windows=wish, checks=()).to_json() for wish in (False, True))
    assert undated(one) == undated(other)
    with pytest.raises(InputError, match="windows=True") as caught:
        answerer.explain(BOTH)
    assert caught.value.code == "too_long"


def test_a_question_that_leaves_no_room_is_refused(answerer: Model) -> None:
    with pytest.raises(InputError, match="Shorten the question") as caught:
        answerer.predict((context(30), LONG), windows=True)
    assert caught.value.code == "no_windows"


def test_a_long_question_does_not_multiply_what_is_read(answerer: Model) -> None:
    """Each window holds the whole question, so one that leaves it room for one token more is read for each token."""
    size, most = answerer.info.max_tokens, TIMES * MOST
    room = size - min(size // 2, STRIDE) - 1  # beside the most that neighbours share, and one
    question = " ".join(["film"] * (room - 3))
    encoding = answerer.encode((question, "good " * 400), windows=True)
    assert len(encoding.windows) > 300
    assert sum(map(len, encoding.windows)) <= most
    with pytest.raises(InputError, match="Shorten the question") as caught:
        answerer.encode((question, "good " * (most // size + 100)), windows=True)
    assert caught.value.code == "no_windows"
    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text("utf-8")
    assert f"its windows would hold more than {most:,} tokens together" in readme
    assert len(answerer.encode((QUESTION, "good " * (MOST - 20)), windows=True).windows) * size < most


def test_who_has_left_waits_for_no_windows(answerer: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = threading.Event()
    gone.set()
    row = case_of(answerer).encoding.row(NOTHING)
    monkeypatch.setattr(windows, "_keys", lambda row: pytest.fail("a window was looked at"))
    for ask in (windows.outputs, windows.values):
        with pytest.raises(Cancelled):
            ask(answerer, [row], Meter(cancel=gone))


def test_the_record_says_which_window_was_explained(answerer: Model) -> None:
    found = answerer.explain(BOTH, methods=["saliency"], windows=True, checks=())
    encoding = case_of(answerer).encoding
    (notice,) = [n for n in found.warnings if n.code == "windows"]
    assert notice.segment == 1
    assert f"read in {len(encoding.windows)} windows" in notice.message
    assert f"in window {(encoding.window or 0) + 1}, characters " in notice.message
    start, end = notice.spans[encoding.window or 0]
    answer = found.prediction.answering.answers[0]  # type: ignore[union-attr]
    assert start <= answer.start < answer.end <= end
    assert (notice.spans[0][0], notice.spans[-1][1]) == (0, len(LONG))
    assert f"any of its {len(encoding.windows)} windows" in found.prediction.rule
    assert wire.read(found.to_json()) == found


def test_a_filed_record_is_repeated_to_the_bit(answerer: Model, tmp_path: Path) -> None:
    store = Store(tmp_path / "evidence")
    request = Request(BOTH, methods=("integrated_gradients", "occlusion"), windows=True, checks=())
    found = answerer.answer([request])[0]
    assert inferred(found).windows
    for asked in (request, None):
        entry = store.file(found, asked=asked)
        result = replay(answerer, entry.header, store.content(entry.header.id))
        assert result.holds
        assert all(part.bitwise for part in result.parts)


def test_the_same_record_from_python_command_line_and_rest(answerer: Model, answerer_folder: Path, run: Any) -> None:
    mine = undated(answerer.explain(BOTH, methods=["occlusion"], windows=True, checks=()).to_json())
    options = ("--context", LONG, "-m", "occlusion", "--windows", "--no-checks", "--json")
    code, out, _ = run("run", QUESTION, "--model", str(answerer_folder), *options)
    assert code == 0
    asked = {"question": QUESTION, "context": LONG}
    with rest.client(rest.application(answerer_folder)) as web:
        about = {"methods": ["occlusion"], "windows": True, "checks": []}
        answer = web.post("/v1/explain", json={"inputs": asked, "parameters": about})
    assert mine == undated(out).strip() == undated(answer.text)


def test_the_hubs_client_is_answered_about_a_long_context(answerer: Model, answerer_folder: Path) -> None:
    best = answerer.predict(BOTH, windows=True).answering.answers[0]  # type: ignore[union-attr]
    cut = answerer.predict(BOTH, truncate=True).answering.answers[0]  # type: ignore[union-attr]
    assert cut.prob != best.prob
    with rest.served(answerer_folder) as address:
        hub_client = InferenceClient(model=f"{address}/v1/models/{answerer_folder.name}")
        one: Any = hub_client.question_answering(question=QUESTION, context=LONG)
    assert (one.answer, one.start, one.end) == (best.words, best.start, best.end)
    assert one.score == pytest.approx(best.prob)
    with rest.client(rest.application(answerer_folder)) as web:
        body = {"inputs": {"question": QUESTION, "context": LONG}, "parameters": {"truncate": True}}
        assert web.post(f"/v1/models/{answerer_folder.name}", json=body).json()["score"] == pytest.approx(cut.prob)


@pytest.fixture
def page(answerer_folder: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    """The dashboard on the tiny model that finds answers."""
    return dashboard(answerer_folder, monkeypatch)


def test_the_page_offers_windows_for_a_context_that_was_cut(page: AppTest, answerer: Model) -> None:
    page.run()
    page.text_area(key="text").set_value(QUESTION)
    page.text_area(key="pair").set_value(LONG)
    for _ in range(3):
        finish(page)
    assert "truncated" in [n.code for n in page.session_state["job"].result.warnings]
    page.button(key="windows").click()
    for _ in range(2):
        finish(page)
    result = page.session_state["job"].result
    assert result.prediction.label == answerer.predict(BOTH, windows=True).label
    assert "What is explained is read in window" in html_of(page)
    assert page.button(key="beginning")
    assert not page.exception
