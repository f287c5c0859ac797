"""A whole translation or summary: its log-probability by hand, two against each other, and it as the question."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from streamlit.testing.v1 import AppTest

import explain
from explain import wire
from explain.engine import Model
from explain.errors import MethodError
from explain.render import pieces, sentences
from explain.replay import inferred
from tests import continued
from tests.conftest import dashboard, finish
from tests.tiny import WORDS, settled, writer_folder

TEXT = "the film was charmingly slow, and the actor was never boring."
END, OTHER = "a moving story and a witty plot", "the actor was dull"


def by_hand(model: Model, source: list[int], end: str, gone: tuple[int, ...] = ()) -> float:
    """The sum of the log-probabilities of what is written, one pass for each token; tokens `gone` are masked."""
    read = [4 if at in gone else i for at, i in enumerate(source)]
    decoded, total = list(model.begin), 0.0
    for token in model.tokenizer(end, add_special_tokens=False)["input_ids"]:
        with torch.no_grad():
            said = model.module(input_ids=torch.tensor([read]), decoder_input_ids=torch.tensor([decoded]))
        total += float(torch.log_softmax(said.logits[0, -1].double(), -1)[token])
        decoded.append(token)
    return total


def ids_of(model: Model, text: str = TEXT) -> list[int]:
    found: list[int] = model.tokenizer(text)["input_ids"]
    return found


def test_fifty_texts_add_up_to_the_sum_of_hand_computed_log_probabilities(scribe: Model) -> None:
    draw = np.random.default_rng(0)
    worst = 0.0
    for _ in range(50):
        text, end = (" ".join(draw.choice(WORDS[:36], int(draw.integers(2, 9)))) for _ in range(2))
        found = scribe.explain(text, continuation=end, checks=())
        expected, (mine,) = by_hand(scribe, ids_of(scribe, text), end), found.attributions
        assert found.prediction.logits[0] == pytest.approx(expected, abs=1e-3)
        assert mine.value_input == pytest.approx(expected, abs=1e-3)
        assert not mine.exhausted
        worst = max(worst, mine.relative_residual or 0)
    assert worst <= 0.01


def test_it_is_the_log_probability_of_what_the_model_wrote(scribe: Model) -> None:
    for width in (1, 3):
        written = scribe.generate(TEXT, tokens=8, num_beams=width)
        assert written.readable[-1]
        found = scribe.explain(TEXT, methods=["saliency"], continuation=written.text, checks=())
        assert found.attributions[0].value_input == pytest.approx(written.log_prob, abs=1e-3)


def test_a_contrast_is_a_difference_and_with_itself_nothing(scribe: Model) -> None:
    one, two = (scribe.explain(TEXT, continuation=a, contrast=b, checks=()) for a, b in ((END, OTHER), (OTHER, END)))
    expected = by_hand(scribe, ids_of(scribe), END) - by_hand(scribe, ids_of(scribe), OTHER)
    assert one.attributions[0].value_input == pytest.approx(expected, abs=1e-3)
    assert (one.attributions[0].relative_residual or 0) <= 0.01
    assert one.target.name == f"“{END}” rather than “{OTHER}”"
    assert np.allclose(one.attributions[0].scores, -two.attributions[0].scores, atol=1e-3)
    for method in ("integrated_gradients", "occlusion"):
        (same,) = scribe.explain(TEXT, methods=[method], continuation=END, contrast=END, checks=()).attributions
        assert same.value_input == 0
        assert not same.scores.any()


def test_occlusion_is_direct_calls(scribe: Model) -> None:
    (mine,) = scribe.explain(TEXT, methods=["occlusion"], continuation=END, checks=()).attributions
    source, whole = ids_of(scribe), by_hand(scribe, ids_of(scribe), END)
    for unit, score in enumerate(mine.scores):
        gone = tuple(np.flatnonzero(mine.unit_of == unit).tolist())
        assert score == pytest.approx(whole - by_hand(scribe, source, END, gone), abs=2e-3)


def test_what_is_written_before_is_evidence_too(scribe: Model) -> None:
    before, rest = "a moving story", "and a witty plot"
    assert f"{before} {rest}" == END
    found = scribe.explain((TEXT, before), continuation=rest, methods=["integrated_gradients", "occlusion"], checks=())
    source = ids_of(scribe)
    expected = by_hand(scribe, source, END) - by_hand(scribe, source, before)
    gradients, occlusion = found.attributions
    assert gradients.value_input == pytest.approx(expected, abs=1e-3)
    assert (gradients.relative_residual or 0) <= 0.01
    assert found.tokens.texts == (TEXT, before, f" {rest}")
    assert [sentences.part(found, s) for s in range(3)] == ["Text", "Written so far", "Continuation"]
    assert set(gradients.unit_segment.tolist()) == {0, 1}
    ids = scribe.tokenizer(END, add_special_tokens=False)["input_ids"]
    story = gradients.unit_of[len(source) + 3]  # behind the start token, 'a' and 'moving'
    masked = log_p_of(scribe, source, [2, *ids[:2], 4, *ids[3:]])
    assert occlusion.scores[story] == pytest.approx(expected - float(masked[3:].sum()), abs=2e-3)
    assert wire.read(found.to_json()) == found
    assert scribe.answer([inferred(found)])[0].tokens == found.tokens


def log_p_of(model: Model, source: list[int], decoded: list[int]) -> torch.Tensor:
    """Log-probability of each token of the end that follows what the decoder reads, from one pass of the module."""
    ids = model.tokenizer(END, add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        said = model.module(input_ids=torch.tensor([source]), decoder_input_ids=torch.tensor([decoded]))
    return torch.log_softmax(said.logits[0].double(), -1)[torch.arange(len(ids)), torch.tensor(ids)]


def test_several_texts_at_once_are_what_each_is_alone(scribe: Model) -> None:
    texts = (TEXT, "movie", "a film and a story")
    for text, found in zip(
        texts, scribe.explain_batch(texts, continuation=END, contrast=OTHER, checks=()), strict=True
    ):
        alone = scribe.explain(text, continuation=END, contrast=OTHER, checks=()).attributions[0]
        assert np.allclose(found.attributions[0].scores, alone.scores, atol=1e-3)


def test_what_every_text_begins_with_and_a_cut_text(tmp_path: Path) -> None:
    model = explain.load(str(settled(writer_folder(tmp_path), forced_bos_token_id=9)))
    found = model.explain(TEXT, methods=["saliency"], continuation=END, checks=())
    assert found.attributions[0].value_input == pytest.approx(by_hand(model, ids_of(model), END), abs=1e-3)
    cut = model.explain("a film and " * 40, methods=["saliency"], continuation=END, truncate=True, checks=())
    (notice,) = [n for n in cut.warnings if n.code == "truncated"]
    assert notice.segment == 0
    assert wire.read(cut.to_json()) == cut


def test_every_method_and_check_leaves_what_is_written_alone(scribe: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    ends = [scribe.tokenizer(end, add_special_tokens=False)["input_ids"] for end in (END, OTHER)]
    scribe.explain(TEXT, methods=["deep_lift"], checks=(), forced=True)  # its claim, on probes that nobody wrote
    call, seen = Model.call, []

    def watched(self: Model, rows: Any, embeds: Any = None, **options: Any) -> Any:
        for row in rows:
            assert any(row.ids[row.source :].tolist() == [2, *end] for end in ends)
            seen.append(row)
        return call(self, rows, embeds, **options)

    monkeypatch.setattr(Model, "call", watched)
    about: dict[str, Any] = {"continuation": END, "checks": (), "forced": True, "budget": 48}
    refused = set()
    for info in explain.list_methods():
        if info.name == "input_reduction":  # there is no decision to keep
            continue
        try:
            found = scribe.explain("the film was slow", methods=[info.name], **about)
        except MethodError as error:
            assert "two stacks of layers" in str(error)
            refused.add(info.name)
            continue
        assert np.isfinite(found.attributions[0].scores).all(), info.name
        assert (found.attributions[0].unit_of[found.tokens.segment == 1] == -1).all(), info.name
    assert refused == {
        "attention_gradient", "layer_conductance", "layer_integrated_gradients", "value_zeroing"
    }  # fmt: skip
    about |= {"checks": explain.list_checks(), "rationale": ["slow"], "interactions": True, "contrast": OTHER}
    found = scribe.explain("the film was slow", **(about | {"budget": 512}))
    assert not [c for c in found.checks if c.name == "completeness" and c.status == "fail"]
    assert len(seen) > 500


def test_it_is_shown_as_the_question(scribe: Model) -> None:
    found = scribe.explain(TEXT, continuation=END, contrast=OTHER, checks=())
    assert (found.model.task, found.model.problem, found.model.writes) == ("text2text-generation", "continuation", True)
    assert found.tokens.texts == (TEXT, END)
    (asked,) = [p for p in pieces.pieces(found.tokens, found.attributions[0], 1) if p.kind == "asked"]
    assert asked.raw == END
    assert sentences.verdict(found).startswith("The model gives what follows a log-probability of −")
    assert "The continuation is the question" in sentences.meaning(found)


def test_a_record_is_repeated_to_the_bit(scribe: Model, tmp_path: Path) -> None:
    continued.is_repeated_to_the_bit(scribe, tmp_path / "evidence", TEXT, END, OTHER)


def test_the_same_record_from_python_command_line_and_rest(scribe: Model, scribe_folder: Path, run: Any) -> None:
    continued.is_the_same_on_three_faces(scribe, scribe_folder, run, TEXT, END, OTHER)


@pytest.fixture
def page(scribe_folder: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    """The dashboard on the tiny model that writes about a text."""
    return dashboard(scribe_folder, monkeypatch)


def test_the_page_asks_about_a_whole_text(page: AppTest, scribe: Model) -> None:
    finish(page)
    page.run()
    page.text_area(key="text").set_value(TEXT)
    page.text_area(key="pair").set_value("a story")
    page.text_input(key="followed").set_value(END)
    finish(page)
    page.run()
    assert not page.exception
    job = page.session_state["job"]
    assert (job.request.texts, job.request.continuation) == ((TEXT,), END)
    expected = by_hand(scribe, ids_of(scribe), END)
    assert job.result.attributions[0].value_input == pytest.approx(expected, abs=1e-3)
    assert page.text_input(key="followed").label == "What may be written"
