"""Sentences first, then words where it matters: which are opened, what the units are, what scores add up to."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from math import factorial, inf
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from explain import costs, replay
from explain.audit.store import Store
from explain.catalog import Progress, Request
from explain.engine import Model
from explain.methods.exact_shapley import LIMIT
from explain.outline import MOST, opened
from explain.records import Explanation
from explain.render import computed, picture, reasons, report, spreadsheet
from explain.units import sentence_spans
from tests import rest
from tests.cases import case_of
from tests.conftest import dashboard, finish, html_of, undated
from tests.toys import Sum, toy

SENTENCES = (
    "A good film.",
    "The plot is dull.",
    "It was so slow.",
    "A brilliant actor!",
    "Never a boring one.",
    "Hate.",
)
TEXT = " ".join(SENTENCES)
SHORT = "A good film. So dull and slow. Hate it."
ALIKE = " ".join(["A good film was so dull and slow."] * 40)


class Counting(Sum):
    """The sum of embeddings, which knows how many texts it was asked about."""

    asked = 0

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None, **more: Any) -> Any:
        self.asked += len(input_ids)
        return super().forward(input_ids, attention_mask, **more)


def whole(found: Explanation) -> list[str]:
    """The sentences that were scored as a whole."""
    return [w.text for w in found.words() if w.whole]


@pytest.fixture(scope="module")
def found(tiny: Model) -> Explanation:
    return tiny.explain(TEXT, granularity="hierarchical", checks=("completeness", "stability"))


@pytest.mark.parametrize(
    ("moved", "expected"),
    [
        ([1.0], [0]),
        ([0.0, 0.0, 0.0], [0]),  # nothing matters: one is opened all the same
        ([1.0, -9.0, 2.0], [1]),
        ([3.0, -3.0, 3.0, 3.0], [0, 1]),  # as many matter as much: the first of them
        ([1.0] * 40, [0, 1, 2, 3, 4]),  # no more than MOST
    ],
)
def test_the_fewest_sentences_that_hold_half_of_all_changes(moved: list[float], expected: list[int]) -> None:
    assert opened(np.array(moved)) == expected
    assert len(expected) <= MOST


def hand(model: Model, text: str, index: int) -> Callable[[list[list[tuple[int, int]]]], np.ndarray]:
    """Log-odds of a label by plain torch, with the tokens of each list of character spans replaced by [MASK]."""
    read = model.tokenizer(text, return_offsets_mapping=True)
    ids, offsets = torch.tensor(read["input_ids"]), read["offset_mapping"]

    def log_odds(hidden: list[list[tuple[int, int]]]) -> np.ndarray:
        rows = ids.repeat(len(hidden), 1)  # (N, T)
        for row, spans in zip(rows, hidden, strict=True):
            for t, (start, end) in enumerate(offsets):
                if end > start and any(a <= start and end <= b for a, b in spans):
                    row[t] = model.tokenizer.mask_token_id
        with torch.no_grad():
            z = model.module(input_ids=rows, attention_mask=torch.ones_like(rows)).logits.double()
        return (z[:, index] - z[:, 1 - index]).numpy()

    return log_odds


def test_the_sentences_that_move_the_answer_most_are_opened(tiny: Model, found: Explanation) -> None:
    value = hand(tiny, TEXT, found.target.index or 0)
    places = [(TEXT.index(s), TEXT.index(s) + len(s)) for s in SENTENCES]
    moved = value([[]])[0] - value([[place] for place in places])
    inner = {SENTENCES[i] for i in opened(moved)}
    assert 0 < len(inner) < len(SENTENCES)
    assert whole(found) == [s for s in SENTENCES if s not in inner]
    units = [w.text for w in found.words() if not w.whole]
    assert units == [w.text for s in SENTENCES if s in inner for w in tiny.explain(s, methods=["saliency"]).words()]
    (notice,) = [n for n in found.warnings if n.code == "outline"]
    assert [TEXT[a:b] for a, b in notice.spans] == whole(found)
    assert f"{len(whole(found))} of {len(SENTENCES)}" in notice.message


def test_scores_add_up_to_the_change_that_they_explain(found: Explanation) -> None:
    mine = found.attributions[0]
    assert mine.method == "integrated_gradients"
    change = mine.value_input - (mine.value_baseline or 0.0)
    assert mine.scale
    assert float(mine.scores.sum(dtype=np.float64)) + mine.special == pytest.approx(change, abs=0.01 * mine.scale)
    said = {c.name: c for c in found.checks}
    assert said["completeness"].status in ("pass", "warn")  # a warning: text and baseline are nearly the same to it
    assert said["stability"].status == "n/a"
    assert "sentences that are scored whole" in said["stability"].sentence


def test_shapley_values_are_those_of_a_sum_over_all_sets(tiny: Model) -> None:
    """Brute force, with plain torch: sentences and words are the players."""
    found = tiny.explain(SHORT, methods=["exact_shapley"], granularity="hierarchical", checks=())
    words = found.words()
    n, players = len(words), [(w.start, w.end) for w in words]
    assert whole(found)
    assert n > len(whole(found)) + 1
    sets = [[p for u, p in enumerate(players) if not mask >> u & 1] for mask in range(2**n)]  # what is hidden
    value = hand(tiny, SHORT, found.target.index or 0)(sets)
    for u, word in enumerate(words):
        score = 0.0
        for mask in range(2**n):
            if not mask >> u & 1:
                size = mask.bit_count()
                weight = factorial(size) * factorial(n - size - 1) / factorial(n)
                score += weight * (value[mask | 1 << u] - value[mask])
        assert word.score == pytest.approx(score, abs=1e-4)
    assert sum(w.score for w in words) == pytest.approx(value[-1] - value[0], abs=1e-4)


@pytest.mark.parametrize("method", ["integrated_gradients", "occlusion", "input_x_gradient", "shapley_sampling"])
def test_on_a_sum_the_scores_are_those_of_the_words_and_their_sums(method: str) -> None:
    """Every score is known there: a word has its own, a sentence the sum of its words'."""
    model = toy(Sum(2))
    spans = case_of(model, TEXT).units.spans.tolist()
    plain = model.explain(TEXT, methods=[method], checks=()).attributions[0]
    found = model.explain(TEXT, methods=[method], granularity="hierarchical", checks=())
    assert 1 < len(whole(found)) < len(found.words()) < len(plain.scores)
    for word in found.words():
        inside = [u for u, (start, end) in enumerate(spans) if word.start <= start and end <= word.end]
        assert (len(inside) > 1) is word.whole
        assert word.score == pytest.approx(float(plain.scores[inside].sum()), abs=1e-4)


def test_it_is_the_question_that_names_the_sentences_as_phrases(tiny: Model, found: Explanation) -> None:
    asked = tiny.explain(TEXT, phrases=whole(found), checks=())
    assert asked.attributions[0] == found.attributions[0]
    assert asked.effects == found.effects
    assert whole(asked) == []  # nobody chose them for how little they move


def test_a_long_text_takes_a_fraction_of_the_passes() -> None:
    asked = {}
    for grain in ("word", "hierarchical"):
        module = Counting(2)
        result = toy(module).explain(ALIKE, methods=["occlusion"], granularity=grain, windows=True, checks=())  # type: ignore[arg-type]
        asked[grain] = module.asked, result.attributions[0].evaluations.forward, len(result.words())
    assert asked["word"][2] == 40 * 9
    assert asked["hierarchical"][2] == 35 + 5 * 9
    assert asked["hierarchical"][0] < asked["word"][0] / 2.5  # with the first look at the sentences
    assert asked["hierarchical"][1] < asked["word"][1] / 2.5


def test_a_forecast_knows_how_few_units_there_are() -> None:
    model = toy(Sum(2))
    encoding = model.encode((ALIKE,), windows=True)
    few, plain = (
        Request((ALIKE,), ("occlusion",), granularity=grain, windows=True, checks=())  # type: ignore[arg-type]
        for grain in ("hierarchical", "word")
    )
    assert (costs.units(few, encoding), costs.units(plain, encoding)) == ((40, 35 + 5 * 9), (40 * 9, 40 * 9))
    assert costs.passes(few, 80)[0] == costs.passes(plain, 80)[0] + 81


def test_only_what_is_sure_to_be_refused_is_forecast_as_refused(tiny: Model) -> None:
    """How many words are scored is known once sentences were weighed; there are as many units as sentences at least."""

    def asked(text: str) -> Request:
        return Request((text,), ("exact_shapley",), granularity="hierarchical", windows=True, checks=())

    assert tiny.forecast(asked(ALIKE)).seconds == inf
    few = " ".join(SENTENCES[:3])
    least, likely = costs.units(asked(few), tiny.encode((few,)))
    assert least == 3 < LIMIT < likely
    assert tiny.forecast(asked(few)).seconds != inf
    joined = "אני אוהב.את זה."  # a word goes across the sentence's end
    assert len(sentence_spans(joined)) == 2
    assert costs.units(asked(joined), tiny.encode((joined,)))[0] == 1


def test_one_sentence_is_its_words(tiny: Model) -> None:
    one, other = (tiny.explain("a good film", granularity=grain, checks=()) for grain in ("word", "hierarchical"))  # type: ignore[arg-type]
    assert one.attributions == other.attributions
    assert one.warnings == other.warnings


def test_a_phrase_stays_one_where_its_sentence_is_opened(tiny: Model, found: Explanation) -> None:
    inner = next(s for s in SENTENCES if s not in whole(found) and " " in s)
    phrase = " ".join(inner.split()[:2])
    again = tiny.explain(TEXT, granularity="hierarchical", phrases=[phrase], checks=())
    assert [w.whole for w in again.words() if w.text == phrase] == [False]


def test_of_a_pair_each_text_has_its_sentences(tiny: Model) -> None:
    result = tiny.explain((TEXT, SHORT), methods=["occlusion"], granularity="hierarchical", checks=())
    notices = [n for n in result.warnings if n.code == "outline"]
    marked = [result.tokens.texts[n.segment][a:b] for n in notices for a, b in n.spans]
    assert marked == whole(result)
    assert {n.segment for n in notices} == {w.segment for w in result.words() if w.whole}


def test_a_batch_is_its_texts(tiny: Model, found: Explanation) -> None:
    texts = [SHORT, "a good film", TEXT]
    together = tiny.explain_batch(texts, granularity="hierarchical", checks=("completeness", "stability"))
    assert [len(r.words()) for r in together][2] == len(found.words())
    assert together[2].attributions[0].scores == pytest.approx(found.attributions[0].scores, abs=1e-4)
    assert together[2].warnings == found.warnings


def test_the_decision_is_shown_before_sentences_are_weighed(tiny: Model) -> None:
    heard: list[tuple[str, bool]] = []

    def listen(progress: Progress, partial: Explanation | None) -> None:
        heard.append((progress.stage, partial is not None))

    tiny.explain(TEXT, granularity="hierarchical", checks=(), progress=listen)
    assert heard.index(("Predicting", True)) < heard.index(("Weighing sentences", False))


def test_a_long_text_is_the_same_on_every_face(tiny: Model, tiny_folder: Path, run: Any) -> None:
    text = " ".join([TEXT] * 5)
    result = tiny.explain(text, granularity="hierarchical", windows=True, checks=())
    assert [n.code for n in result.warnings][:2] == ["outline", "windows"]
    assert result.attributions[0].relative_residual < 0.01  # type: ignore[operator]
    asked = ("--granularity", "hierarchical", "--windows", "--no-checks", "--json")
    code, out, _ = run("run", text, "--model", str(tiny_folder), *asked)
    assert code == 0
    assert undated(out.strip()) == undated(result.to_json())
    web = rest.client(rest.application(tiny_folder))
    parameters = {"granularity": "hierarchical", "windows": True, "checks": []}
    answer = web.post("/v1/explain", json={"inputs": text, "parameters": parameters})
    assert undated(answer.text) == undated(result.to_json())


def test_a_sentence_scored_as_a_whole_is_marked_everywhere(found: Explanation, tiny_folder: Path, run: Any) -> None:
    names = [f"Sentence: {s}" for s in whole(found)]
    shown = reasons.payload(found)
    assert [w["text"] for w in shown["words"] if w["whole"]] == names
    html = report.report(found)
    assert html.count('class="wb-sentence"') == len(names)
    rows = list(csv.DictReader(io.StringIO(spreadsheet.words_csv(found))))
    assert [row["text"] for row in rows if row["whole"] == "True"] == whole(found)
    assert picture.picture(found).count("Sentence: ") == len(names)
    code, out, _ = run("run", TEXT, "--model", str(tiny_folder), "--granularity", "hierarchical", "--no-checks")
    assert code == 0
    for name in names:
        assert name in html
        assert name in out
    assert f"as a whole: {len(names)} sentences" in dict(computed.how(found))["Units"]


def test_the_page_offers_it(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = dashboard(tiny_folder, monkeypatch)
    app.query_params["granularity"] = "hierarchical"
    app.session_state["settings"] = True
    app.run()
    assert not app.exception
    (control,) = [c for c in app.button_group if c.label == "Score by"]
    assert (control.value, list(control.options)[-1]) == ("hierarchical", "sentences first")


def test_windows_on_the_page_begin_with_sentences(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = dashboard(tiny_folder, monkeypatch)
    app.run()
    app.text_area(key="text").set_value(" ".join([TEXT] * 5))
    finish(app)
    assert app.session_state["job"].request.granularity == "word"
    app.button(key="windows").click()
    finish(app)
    assert not app.exception
    assert app.session_state["job"].request.granularity == "hierarchical"
    assert "masked by itself first" in html_of(app)
    app.button(key="beginning").click()
    finish(app)
    assert app.session_state["job"].request.granularity == "word"


@pytest.mark.parametrize("with_request", [True, False])
def test_a_record_is_computed_again_with_the_units_that_were_chosen(
    tiny: Model, tmp_path: Path, with_request: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = Request((TEXT,), granularity="hierarchical", checks=())
    result = tiny.answer([request])[0]
    store = Store(tmp_path / "evidence")
    filed = store.file(result, asked=request if with_request else None)
    content = store.content(filed.header.id)
    monkeypatch.setattr("explain.outline.SHARE", 0.99)  # as if near ties fell otherwise there
    assert len(tiny.answer([request])[0].words()) != len(result.words())
    again = replay.replay(tiny, filed.header, content)
    assert again.holds, again.sentence
    assert content.asked == (request if with_request else None)
