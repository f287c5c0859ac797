"""Texts longer than the model reads: seen through windows, and held against a loop over windows written by hand."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import explain
from explain import costs, drive, replay
from explain.audit.records import Content
from explain.audit.store import Store
from explain.case import Answer, Ask, Case
from explain.catalog import Request
from explain.dashboard import jobs
from explain.effects import measure
from explain.engine import Model, load
from explain.errors import Cancelled, ExplainError, InputError, MethodError, ModelError
from explain.methods import find, gradient_shap
from explain.methods._sampling import MOST
from explain.model import windows
from explain.model.encoding import encode
from explain.model.runner import Meter
from explain.records import Explanation
from explain.service import Job
from explain.together import TOGETHER
from explain.wire import decode
from tests import rest
from tests.cases import case_of
from tests.cases import run as driven
from tests.conftest import finish, html_of, undated
from tests.rows import disturb
from tests.tiny import bert_folder, word_piece
from tests.toys import Sum, toy

LIMIT, ROOM = 64, 62
PIECES = ("good", "films", "badly", "a", "charmingly", "the", "plots", "moving", "never", "slowly", "actors", "dull")
THREE = {0: "A", 1: "B", 2: "C"}


def written(words: int, seed: int = 0) -> str:
    """A text of so many words, some of them of two tokens."""
    return " ".join(np.random.default_rng(seed).choice(PIECES, words))


LONG = written(120)
SENTENCES = ". ".join(written(20, seed).capitalize() for seed in range(6)) + "."


@pytest.fixture(scope="module")
def three_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random classifier of three labels: its log-odds are no weighted sum of its logits."""
    return bert_folder(
        tmp_path_factory.mktemp("three"), id2label=THREE, label2id={name: i for i, name in THREE.items()}
    )


@pytest.fixture(scope="module")
def three(three_folder: Path) -> Model:
    return load(str(three_folder))


class Hand:
    """The same by plain transformers and a loop: the mean of the logits of windows of whole words."""

    def __init__(self, folder: Path, text: str) -> None:
        self.module = AutoModelForSequenceClassification.from_pretrained(folder).eval()
        read = AutoTokenizer.from_pretrained(folder)(text, add_special_tokens=False, verbose=False)
        self.ids, words = torch.tensor(read["input_ids"]), read.word_ids()
        self.spans: list[tuple[int, int]] = []
        start, count = 0, len(self.ids)
        while not self.spans or self.spans[-1][1] < count:
            end = min(start + ROOM, count)
            while end < count and words[end] == words[end - 1]:
                end -= 1
            if end == count:
                start = count - ROOM
                while words[start] == words[start - 1]:
                    start += 1
            self.spans.append((start, end))
            start = end - ROOM // 4
            while words[start] == words[start - 1]:
                start += 1

    def embeds(self, ids: torch.Tensor | None = None) -> torch.Tensor:
        return self.module.get_input_embeddings()(self.ids if ids is None else ids).detach()

    def logits(self, embeds: torch.Tensor) -> torch.Tensor:
        first, last = self.embeds(torch.tensor([2])), self.embeds(torch.tensor([3]))
        seen = [self.module(inputs_embeds=torch.cat([first, embeds[a:b], last])[None]).logits for a, b in self.spans]
        return torch.cat(seen).mean(0)  # (C,)

    def log_odds(self, embeds: torch.Tensor, index: int) -> torch.Tensor:
        z = self.logits(embeds)
        return z[index] - torch.logsumexp(z[[i for i in range(len(z)) if i != index]], 0)


@pytest.mark.parametrize("name", ["tiny_folder", "three_folder"])
def test_values_and_slopes_are_those_of_a_loop_over_windows(name: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(name)
    hand, model = Hand(folder, LONG), load(str(folder))
    assert len(hand.spans) > 2
    found = model.explain(LONG, methods=["input_x_gradient"], granularity="token", checks=(), windows=True)
    embeds = hand.embeds().requires_grad_(True)
    index = found.target.index or 0
    value = hand.log_odds(embeds, index)
    (slope,) = torch.autograd.grad(value, embeds)
    logits = hand.logits(embeds).detach().numpy()
    assert np.abs(found.prediction.logits - logits).max() < 1e-5
    assert found.prediction.probs == pytest.approx(torch.softmax(torch.tensor(logits), 0).numpy(), abs=1e-5)
    mine = found.attributions[0]
    scores = (embeds * slope).sum(1).detach().numpy()
    assert abs(mine.value_input - float(value.detach())) < 1e-5
    assert np.abs(mine.scores - scores).max() < 1e-5 * max(1.0, np.abs(scores).max())


@pytest.mark.parametrize("name", ["tiny_folder", "three_folder"])
@pytest.mark.parametrize("quantity", ["log_odds", "probability"])
def test_integrated_gradients_add_up_to_the_change_of_the_mean(
    name: str, quantity: Any, request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue(name)
    hand, model = Hand(folder, LONG), load(str(folder))
    params = {"tolerance": 1e-4}
    found = model.explain(LONG, windows=True, checks=(), params=params, quantity=quantity, budget=5000)
    mine, index = found.attributions[0], found.target.index or 0

    def value(embeds: torch.Tensor) -> float:
        z = hand.logits(embeds)
        return float(hand.log_odds(embeds, index) if quantity == "log_odds" else torch.softmax(z, 0)[index])

    with torch.no_grad():
        change = value(hand.embeds()) - value(hand.embeds(torch.full_like(hand.ids, 4)))  # [MASK]
    assert mine.baseline == "mask"
    assert not mine.exhausted
    assert float(mine.scores.sum(dtype=np.float64)) + mine.special == pytest.approx(
        change, abs=2e-4 * abs(change) + 1e-5
    )
    assert mine.relative_residual < 1e-3  # type: ignore[operator]


def test_shapley_values_add_up_and_occlusion_measures_the_mean(tiny: Model, tiny_folder: Path) -> None:
    text = SENTENCES
    shapley = tiny.explain(text, methods=["exact_shapley"], granularity="sentence", windows=True, checks=())
    mine = shapley.attributions[0]
    assert len(mine.scores) == 6
    hidden = case_of(tiny, text, granularity="sentence", windows=True)
    nothing = hidden.without(np.ones(6, dtype=bool), "mask")
    floor = float(hidden.evaluate(Ask([nothing])).values[0])
    assert float(mine.scores.sum(dtype=np.float64)) == pytest.approx(mine.value_input - floor, abs=1e-5)
    alone = tiny.explain(LONG, methods=["occlusion"], windows=True, checks=()).attributions[0]
    hand, tokens = Hand(tiny_folder, LONG), case_of(tiny, LONG, windows=True)
    for unit in (0, 40, 60, len(alone.scores) - 1):
        gone = torch.from_numpy(tokens.units.of_token[1:-1] == unit)
        with torch.no_grad():
            without = hand.log_odds(hand.embeds(torch.where(gone, 4, hand.ids)), alone.target.index or 0)
            whole = hand.log_odds(hand.embeds(), alone.target.index or 0)
        assert float(alone.scores[unit]) == pytest.approx(float(whole - without), abs=1e-5)


@pytest.mark.parametrize("method", ["integrated_gradients", "occlusion", "smooth_grad", "expected_gradients", "lime"])
def test_a_text_that_fits_is_answered_to_the_bit_as_without_windows(tiny: Model, method: str) -> None:
    text = "a good movie, but never very funny"
    one, other = (tiny.explain(text, methods=[method], windows=wish, budget=64) for wish in (False, True))
    assert undated(one.to_json()) == undated(other.to_json())
    assert not [n for n in other.warnings if n.code == "windows"]


def test_a_text_that_fits_by_a_token_has_no_windows_and_the_next_has_two(tiny: Model) -> None:
    assert tiny.encode((" ".join(["good"] * ROOM),), windows=True).windows == ()
    found = tiny.encode((" ".join(["good"] * (ROOM + 1)),), windows=True)
    assert [(w[1], w[-2]) for w in found.windows] == [(1, ROOM), (2, ROOM + 1)]  # the last one is as full as the first
    with pytest.raises(InputError, match="windows=True"):
        tiny.encode((" ".join(["good"] * (ROOM + 1)),))


@given(st.lists(st.sampled_from((*PIECES, "xyzzyxyzzy", "a,b", "!")), min_size=20, max_size=160), st.integers(14, 64))
@hypothesis_settings(deadline=None, max_examples=60)
def test_windows_are_whole_words_that_overlap_and_cover_the_text(words: list[str], limit: int) -> None:
    encoding = encode(word_piece(), (" ".join(words),), 8192, False)
    if len(encoding.tokens.ids) <= limit:
        return
    found, tokens = windows.through(encoding, limit).windows, encoding.tokens
    assert len(found) > 1
    assert set(np.concatenate(found).tolist()) == set(range(len(tokens.ids)))
    for window in found:
        assert len(window) <= limit
        assert (window[0], window[-1]) == (0, len(tokens.ids) - 1)  # [CLS] and [SEP]
        inner = window[1:-1]
        assert np.array_equal(inner, np.arange(inner[0], inner[-1] + 1))
        assert tokens.words[inner[0]] != tokens.words[inner[0] - 1]
        assert tokens.words[inner[-1]] != tokens.words[inner[-1] + 1]
    for before, after in pairwise(found):
        assert before[1] < after[1] <= before[-2] + 1
    longest = max(np.bincount(tokens.words[tokens.words >= 0]))
    shared = [before[-2] + 1 - after[1] for before, after in pairwise(found)]
    assert min(shared) > windows.OVERLAP * (limit - 2) - 2 * longest  # a quarter, up to whole words
    assert len(found[-1]) > limit - longest  # none is about a few words alone


def test_a_word_longer_than_a_window_is_refused(tiny: Model) -> None:
    text = f"{'good ' * 40}{'x' * 90} {'bad ' * 40}"
    with pytest.raises(InputError, match="90 tokens and a window holds 62") as caught:
        tiny.explain(text, windows=True)
    assert caught.value.code == "no_windows"


def test_eight_thousand_tokens_and_no_more(tiny: Model) -> None:
    text = ". ".join(["Good " + "good " * 508 + "bad"] * 16) + " good" * 15
    assert len(tiny.encode((text,), windows=True).tokens.ids) == windows.MOST == 8_192
    found = tiny.explain(text, granularity="sentence", windows=True, checks=())
    assert len(found.attributions[0].scores) == 16
    assert found.attributions[0].relative_residual < 0.01
    more = text + " good" * 200
    with pytest.raises(InputError, match="8,192 are read") as caught:
        tiny.predict(more, windows=True)
    assert caught.value.code == "too_long"
    cut = tiny.explain(more, methods=["saliency"], granularity="sentence", windows=True, truncate=True, checks=())
    assert len(cut.tokens.ids) == windows.MOST
    assert [n.code for n in cut.warnings][:2] == ["truncated", "windows"]


def test_the_notice_names_every_window(tiny: Model) -> None:
    found = tiny.explain(LONG, methods=["saliency"], windows=True, checks=())
    (notice,) = [n for n in found.warnings if n.code == "windows"]
    seen = tiny.encode((LONG,), windows=True).windows
    assert f"through {len(seen)} windows" in notice.message
    assert (notice.spans[0][0], notice.spans[-1][1]) == (0, len(LONG))
    assert all(LONG[a:b].strip() == LONG[a:b] for a, b in notice.spans)
    assert all(f" {LONG} "[a] == " " and f" {LONG} "[b + 1] == " " for a, b in notice.spans), "whole words"


def test_what_stands_in_a_window_of_which_all_was_taken_out(tiny: Model) -> None:
    bare = toy(Sum(2))  # reads no special tokens once they are cut off
    whole = case_of(bare, LONG * 2, windows=True)
    inner = tuple(w[1:-1] for w in whole.encoding.windows)
    case = replace(whole, encoding=replace(whole.encoding, windows=inner))
    none = case.without(np.ones(case.n_units, dtype=bool), "remove")
    assert {len(w) for w in none.windows} <= {1, 2}  # its first word, and perhaps its neighbour's
    assert np.isfinite(case.evaluate(Ask([none])).values).all()
    kept = case_of(tiny, LONG, windows=True)
    none = kept.without(np.ones(kept.n_units, dtype=bool), "remove")
    assert [w.tolist() for w in none.windows] == [[0, 1]] * len(kept.encoding.windows)  # [CLS] [SEP]


def test_removed_words_leave_their_windows_where_they_were(tiny: Model) -> None:
    case = case_of(tiny, LONG, windows=True)
    gone = np.zeros(case.n_units, dtype=bool)
    gone[[0, 50, 51, 100]] = True
    row = case.without(gone, "remove")
    stays = ~np.isin(case.units.of_token, np.flatnonzero(gone))
    for window, old in zip(row.windows, case.encoding.windows, strict=True):
        assert row.ids[window].tolist() == case.tokens.ids[old[stays[old]]].tolist()


def test_a_word_taken_out_costs_the_windows_that_hold_it(tiny_folder: Path) -> None:
    model = load(str(tiny_folder))
    ran: list[int] = []
    disturb(model, ran.append)
    case = case_of(model, LONG, windows=True)
    ran.clear()
    (_, spent), *_ = drive.drive(model, [measure(case)], Meter())
    count = len(case.encoding.windows)
    assert sum(ran) == spent.forward
    each = sum(map(len, case.encoding.windows)) / len(case.tokens.ids)  # windows that hold a word, on average
    assert case.n_units < spent.forward <= count + 1.1 * each * case.n_units < count * case.n_units / 2
    ran.clear()
    found = model.explain(LONG, methods=["input_x_gradient"], windows=True, checks=())
    assert found.attributions[0].evaluations.backward == count


def test_no_ask_holds_more_than_its_share(three: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many evaluations a method may spend: what is held at once is bounded by tokens, not by them."""
    monkeypatch.setitem(TOGETHER, True, 2000)
    monkeypatch.setitem(TOGETHER, False, 4000)
    held: list[int] = []
    plain = drive.answer

    def answer(runner: Any, ask: Ask, meter: Any) -> Any:
        held.append(sum(map(len, ask.rows)) if ask.gradients else 0)
        return plain(runner, ask, meter)

    monkeypatch.setattr(drive, "answer", answer)
    for budget in (64, 512):
        model, held[:] = three, []
        params = {"tolerance": 1e-6, "word_tolerance": 1e-6}
        found = model.explain(LONG, windows=True, checks=(), params=params, budget=budget)
        assert found.attributions[0].evaluations.backward > budget
        assert 0 < max(held) <= 2000


def test_windows_of_a_path_are_made_in_parts(three: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has vectors of its own, also where only values are asked for: many texts' ends are asked for together."""
    monkeypatch.setattr(three, "token_budget", 256)
    case = case_of(three, LONG, windows=True)
    _, start = case.baseline("mask")
    rows = [case.point(start, alpha) for alpha in np.linspace(0, 1, 24)]
    given: list[int] = []
    plain = three.outputs

    def outputs(some: Any, meter: Any = None) -> Any:
        given.append(sum(map(len, some)))
        return plain(some, meter)

    expected = windows.values(three, rows, Meter())
    monkeypatch.setattr(three, "outputs", outputs)
    assert np.allclose(windows.values(three, rows, Meter()), expected, atol=1e-6)
    assert sum(given) == 24 * sum(map(len, case.encoding.windows))
    assert max(given) <= max(windows.BATCHES * 256, sum(map(len, case.encoding.windows)))


def test_points_through_windows_are_counted_as_the_passes_that_they_are(three: Model) -> None:
    case = case_of(three, LONG, windows=True)
    method = find("gradient_shap")
    found = driven(three, method.fn(case, method.configured({"samples": 32})))
    passes = 32 * len(case.encoding.windows)
    assert (found.evaluations.backward, found.evaluations.forward) == (passes, passes), "three labels: curved"


@pytest.mark.parametrize("text", [LONG, "a good film, but never very funny"])
def test_many_points_are_held_in_parts_and_are_the_same(
    three: Model, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    case, method = case_of(three, text, windows=True), find("gradient_shap")
    given: list[int] = []

    def evaluate(ask: Ask) -> Answer:
        given.append(len(ask.rows))
        return case.evaluate(ask)

    def scores(samples: int) -> np.ndarray:
        del given[:]
        params = method.configured({"samples": samples, "stdev": 0.3})
        return driven(three, method.fn(replace(case, evaluate=evaluate), params)).scores

    for samples in (64, 160):  # groups of 4 from one seed, of 10 from one each
        whole, calls = scores(samples), len(given)
        assert sum(given) == samples
        with monkeypatch.context() as less:
            less.setattr(gradient_shap, "TOKENS", 3 * len(case.tokens.ids) + 1)
            assert np.allclose(scores(samples), whole, rtol=1e-5, atol=1e-6)
        assert max(given) == 3
        assert sum(given) == samples
        assert len(given) > calls


def test_a_cancel_is_seen_between_windows(tiny: Model) -> None:
    stop, heard = threading.Event(), []

    def listen(now: Any, known: Explanation | None) -> None:
        heard.append(now.done)
        if now.stage == "Integrated gradients" and now.done > 10:
            stop.set()

    with pytest.raises(Cancelled):
        tiny.explain(written(2000), windows=True, progress=listen, cancel=stop)
    assert max(heard) < 200


INSIDE: dict[str, Callable[[Model], Any]] = {
    "attention": lambda m: m.explain(LONG, methods=["saliency"], windows=True, checks=(), attention=[0]),
    "layer": lambda m: m.explain(LONG, methods=["layer_conductance"], windows=True, checks=()),
    "maps": lambda m: m.explain(LONG, methods=["attention_gradient"], windows=True, checks=()),
    "values": lambda m: m.explain(LONG, methods=["value_zeroing"], windows=True, checks=()),
    "heads": lambda m: m.heads(LONG, windows=True),
    "head": lambda m: m.head(LONG, 0, 0, windows=True),
    "lens": lambda m: m.lens(LONG, windows=True),
    "road": lambda m: m.road(LONG, 0, 0, 1, windows=True),
    "direct": lambda m: m.direct(LONG, windows=True),
    "patch": lambda m: m.patch(LONG, LONG, windows=True),
}


@pytest.mark.parametrize("what", INSIDE)
def test_what_looks_inside_one_pass_is_refused_in_words(tiny: Model, what: str) -> None:
    with pytest.raises((ModelError, InputError), match="seen through windows") as caught:
        INSIDE[what](tiny)
    assert caught.value.code == "no_windows"


@pytest.mark.parametrize(
    ("name", "text", "options"),
    [
        ("tiny", (LONG, LONG), {}),
        ("tagger", LONG, {}),
        ("filler", f"{LONG} [MASK]", {}),
        ("teller", LONG, {}),
        ("inferrer", LONG, {"candidate_labels": "good,bad"}),
        ("teller", LONG, {"continuation": " good"}),
    ],
)
def test_where_windows_make_no_answer_they_are_refused(
    name: str, text: Any, options: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    with pytest.raises(InputError, match="indows") as caught:
        request.getfixturevalue(name).explain(text, windows=True, truncate=True, checks=(), **options)
    assert caught.value.code == "no_windows"


@pytest.mark.parametrize("task", ["binary", "regression", "multi-label"])
def test_heads_of_every_kind_add_up(task: str, tmp_path: Path) -> None:
    labels = {0: "A", 1: "B"} if task == "multi-label" else {0: "A"}
    folder = bert_folder(tmp_path, id2label=labels, label2id={name: i for i, name in labels.items()})
    model = load(str(folder), task=task)
    found = model.explain(LONG, windows=True, checks=())
    assert found.attributions[0].relative_residual < 0.01  # type: ignore[operator]
    hand = Hand(folder, LONG)
    assert np.abs(np.abs(found.prediction.logits).max() - hand.logits(hand.embeds()).abs().max().item()) < 1e-5


def test_every_check_has_an_answer(tiny: Model) -> None:
    found = tiny.explain(SENTENCES, windows=True, granularity="sentence", checks=explain.list_checks())
    assert len(found.checks) > 5
    assert {c.status for c in found.checks} <= {"pass", "warn", "fail", "not checked", "n/a"}
    assert found == explain.read(found.to_json())


def test_the_same_answer_through_every_face(tiny: Model, tiny_folder: Path, run: Any) -> None:
    options = {"methods": ["occlusion"], "checks": [], "windows": True}
    mine = undated(tiny.explain(LONG, methods=["occlusion"], checks=(), windows=True).to_json())
    code, out, _ = run(
        "run", LONG, "--model", str(tiny_folder), "-m", "occlusion", "--no-checks", "--windows", "--json"
    )
    assert code == 0
    assert undated(out.strip()) == mine
    web = rest.client(rest.application(tiny_folder))
    assert undated(web.post("/v1/explain", json={"inputs": LONG, "parameters": options}).text) == mine
    predicted = web.post("/v1/predict", json={"inputs": LONG, "parameters": {"windows": True}})
    assert predicted.text == tiny.predict(LONG, windows=True).to_json()
    refused = web.post("/v1/explain", json={"inputs": LONG, "parameters": {"checks": []}})
    assert (refused.status_code, refused.json()["code"]) == (422, "too_long")
    code, out, _ = run("run", LONG, "--model", str(tiny_folder), "-m", "saliency", "--no-checks", "--windows")
    assert code == 0
    assert "windows of up to 64 tokens" in " ".join(out.split())


@pytest.mark.parametrize("with_request", [True, False])
def test_a_record_is_computed_again_through_its_windows(tiny: Model, tmp_path: Path, with_request: bool) -> None:
    store = Store(tmp_path / "evidence")
    request = Request((LONG,), checks=(), windows=True)
    found = tiny.answer([request])[0]
    filed = store.file(found, asked=request if with_request else None)
    content = store.content(filed.header.id)
    assert isinstance(content, Content)
    assert content.asked == (decode(Request, request.to_json()) if with_request else None)
    result = replay.replay(tiny, filed.header, content)
    assert result.holds, result.sentence
    assert all(part.bitwise for part in result.parts)


def test_a_forecast_counts_windows(tiny: Model) -> None:
    tiny.explain(LONG, windows=True, checks=())
    asked = Request((LONG,), checks=(), windows=True)
    encoding = tiny.encode((LONG,), windows=True)
    assert costs.length(asked, encoding) == sum(map(len, encoding.windows)) > len(encoding.tokens.ids)
    assert costs.longest(encoding) == max(map(len, encoding.windows)) <= LIMIT
    whole, seen = (tiny.forecast(replace(asked, windows=wish, truncate=True)) for wish in (False, True))
    assert None not in (whole.seconds, seen.seconds, whole.memory, seen.memory)
    assert seen.seconds > 2 * whole.seconds  # type: ignore[operator]
    occlusion = replace(asked, methods=("occlusion",))
    case = case_of(tiny, LONG, windows=True)
    forward, _ = costs.passes(occlusion, case.n_units, costs.anew(encoding))
    (_, spent), *_ = drive.drive(tiny, [_both(case)], Meter())
    assert forward * len(encoding.windows) == pytest.approx(spent.forward, rel=0.5)


def _both(case: Case) -> Any:
    """What occlusion and the effects of words ask."""
    yield from find("occlusion").fn(case, find("occlusion").configured({}))
    return (yield from measure(case))


def test_texts_of_all_lengths_together_are_answered_as_alone(tiny: Model) -> None:
    texts = ["a good film", LONG, "dull", written(90, 3)]
    together = tiny.explain_batch(texts, windows=True, checks=())
    for text, found in zip(texts, together, strict=True):
        alone = tiny.explain(text, windows=True, checks=())
        assert np.abs(alone.attributions[0].scores - found.attributions[0].scores).max() < 1e-4
        assert alone.prediction.label == found.prediction.label


def test_an_answer_is_driven_alone_too(tiny: Model) -> None:
    case = case_of(tiny, LONG, windows=True)
    found = driven(tiny, find("gradient_shap").fn(case, find("gradient_shap").configured({"samples": 16})))
    assert np.isfinite(found.scores).all()


def test_the_page_offers_windows_where_a_text_is_cut(app: AppTest) -> None:
    app.run()
    app.text_area(key="text").set_value(LONG)
    finish(app)
    assert "stopped at character" in html_of(app)
    app.button(key="windows").click()
    finish(app)
    assert not app.exception
    assert "windows of up to 64 tokens" in html_of(app)
    assert app.session_state["job"].request.windows
    assert LONG not in str(app.query_params)
    app.session_state["one head"] = True
    finish(app)
    assert "seen through windows" in " ".join(i.value for i in app.info), "where heads look cannot be said"
    app.button(key="beginning").click()
    finish(app)
    assert "stopped at character" in html_of(app)
    app.button(key="windows").click()
    finish(app)
    app.text_area(key="text").set_value("a good film")
    finish(app)
    assert not app.session_state["job"].request.windows, "another text is read as usual"


def test_the_page_leads_back_where_windows_are_refused(app: AppTest) -> None:
    app.run()
    app.text_area(key="text").set_value(f"{LONG} {'x' * 90}")
    finish(app)
    app.button(key="windows").click()
    finish(app)
    assert any("a window holds" in w.value for w in app.warning)
    app.button(key="beginning").click()
    finish(app)
    assert "stopped at character" in html_of(app)


@pytest.mark.parametrize("code", ["timeout", "not_enough_memory"])
def test_the_page_leads_back_where_windows_take_too_much(
    app: AppTest, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    app.run()
    app.text_area(key="text").set_value(LONG)
    finish(app)
    engine = jobs.service()._engine
    real = engine.answer

    def answer(job: Job) -> Any:
        if getattr(job.request, "windows", False):
            raise ExplainError("Too much.", code=code)
        return real(job)

    monkeypatch.setattr(engine, "answer", answer)
    app.button(key="windows").click()
    finish(app)
    assert any("Too much" in w.value for w in app.warning)
    app.button(key="beginning").click()
    finish(app)
    assert "stopped at character" in html_of(app)


@pytest.mark.parametrize("method", ["lime", "kernel_shap", "shapley_sampling"])
def test_sets_are_drawn_from_so_many_words_and_no_more(tiny: Model, method: str) -> None:
    text = " ".join(["good"] * (MOST + 1))
    with pytest.raises(MethodError, match="sentences") as caught:
        tiny.explain(text, methods=[method], windows=True, checks=())
    assert caught.value.code == "too_many_words"
    assert tiny.explain(text, methods=[method], granularity="sentence", windows=True, checks=()).attributions
