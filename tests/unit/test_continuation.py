"""A whole continuation: its log-probability by hand, two against each other, and the continuation as the question."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import processors

import explain
from explain.case import Case
from explain.catalog import Request
from explain.engine import Model, load
from explain.errors import InputError, MethodError
from explain.model import views
from explain.render import computed, pieces, sentences
from explain.work import Work
from tests import continued

PROMPT = "Once upon a time there was a king"
PROMPTS = (PROMPT, "The wolf said", "the water of life was in the wood", "a poor woman, who had three sons,")
END, OTHER = "who had one little daughter", "and the wolf said: where"


def by_hand(model: Model, ids: list[int], count: int) -> float:
    """The sum of the log-probabilities of the last `count` tokens, one plain pass for each, from the module alone."""
    total = 0.0
    for at in range(len(ids) - count, len(ids)):
        with torch.no_grad():
            logits = model.module(input_ids=torch.tensor([ids[:at]]), use_cache=False).logits[0, -1].double()
        total += float(torch.log_softmax(logits, -1)[ids[at]])
    return total


def read(model: Model, prompt: str, end: str) -> tuple[list[int], int]:
    """Ids of both, and how many tokens the end has."""
    whole, before = (model.tokenizer(text)["input_ids"] for text in (f"{prompt} {end}", prompt))
    assert whole[: len(before)] == before
    return whole, len(whole) - len(before)


def case_of(model: Model, **about: Any) -> Case:
    question = Request((about.pop("text", PROMPT),), **{"continuation": END, **about})
    return Work(model, [question]).case(question, "Reading")


def test_the_score_is_the_sum_of_hand_computed_log_probabilities(teller: Model) -> None:
    for prompt in PROMPTS:
        found = teller.explain(prompt, continuation=END, checks=())
        expected = by_hand(teller, *read(teller, prompt, END))
        assert found.prediction.logits[0] == pytest.approx(expected, abs=1e-3)
        assert found.attributions[0].value_input == pytest.approx(expected, abs=1e-3)
        assert found.model.problem == "continuation"


def test_it_is_the_log_probability_of_what_the_model_wrote(tales: Model) -> None:
    written = tales.generate(PROMPT, tokens=8)
    assert written.readable[-1]
    found = tales.explain(PROMPT, methods=["occlusion"], continuation=written.text[len(PROMPT) :], checks=())
    assert found.attributions[0].value_input == pytest.approx(written.log_prob, abs=1e-3)


def test_a_contrast_is_a_difference_and_with_itself_nothing(teller: Model) -> None:
    one, two = (teller.explain(PROMPT, continuation=a, contrast=b, checks=()) for a, b in ((END, OTHER), (OTHER, END)))
    expected = by_hand(teller, *read(teller, PROMPT, END)) - by_hand(teller, *read(teller, PROMPT, OTHER))
    assert one.attributions[0].value_input == pytest.approx(expected, abs=1e-3)
    assert one.target.name == f"“{END}” rather than “{OTHER}”"
    assert np.allclose(one.attributions[0].scores, -two.attributions[0].scores, atol=1e-3)
    for method in ("integrated_gradients", "occlusion", "saliency", "shapley_sampling"):
        same = teller.explain(PROMPT, methods=[method], continuation=END, contrast=END, checks=())
        (mine,) = same.attributions
        assert mine.value_input == 0
        assert not mine.scores.any(), method
        assert mine.special == 0


@pytest.mark.parametrize("contrast", [None, OTHER])
def test_scores_add_up_alone_and_in_a_batch(teller: Model, contrast: str | None) -> None:
    together = teller.explain_batch(PROMPTS, continuation=END, contrast=contrast, checks=())
    for prompt, found in zip(PROMPTS, together, strict=True):
        (mine,) = found.attributions
        assert (mine.relative_residual or 0) <= 0.01
        alone = teller.explain(prompt, continuation=END, contrast=contrast, checks=()).attributions[0]
        assert np.allclose(mine.scores, alone.scores, atol=1e-3)


def test_occlusion_is_direct_calls(teller: Model) -> None:
    found = teller.explain(PROMPT, methods=["occlusion"], params={"replacement": "remove"}, continuation=END, checks=())
    ids, count = read(teller, PROMPT, END)
    (mine,) = found.attributions
    for unit, score in enumerate(mine.scores):
        kept = [i for at, i in enumerate(ids) if mine.unit_of[at] != unit]
        assert score == pytest.approx(by_hand(teller, ids, count) - by_hand(teller, kept, count), abs=2e-3)


def test_every_method_and_check_leaves_the_continuation_alone(teller: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    ends = [read(teller, PROMPT, end)[0][-read(teller, PROMPT, end)[1] :] for end in (END, OTHER)]
    teller.explain(PROMPT, methods=["deep_lift"], checks=(), forced=True)  # its claim, on probes that nobody wrote
    call, seen = Model.call, []

    def watched(self: Model, rows: Any, embeds: Any = None, **options: Any) -> Any:
        for row in rows:
            assert any(row.ids[-len(end) :].tolist() == end for end in ends)
            seen.append(row)
        return call(self, rows, embeds, **options)

    monkeypatch.setattr(Model, "call", watched)
    about: dict[str, Any] = {"continuation": END, "checks": (), "forced": True, "budget": 48}
    for info in explain.list_methods():
        if info.name == "input_reduction":  # there is no decision to keep
            continue
        found = teller.explain("The wolf went into the wood", methods=[info.name], **about)
        assert np.isfinite(found.attributions[0].scores).all(), info.name
        assert (found.attributions[0].unit_of[found.tokens.segment == 1] == -1).all(), info.name
    about |= {"checks": explain.list_checks(), "rationale": ["wolf"], "interactions": True, "contrast": OTHER}
    about["budget"] = 512  # enough to add up
    found = teller.explain("The wolf went into the wood", **about)
    assert not [c for c in found.checks if c.name == "completeness" and c.status == "fail"]
    assert len(seen) > 1_000


def test_what_looks_inside_refuses_two_continuations(teller: Model) -> None:
    """It sees one at a time: scores of the first alone under the name of both would be wrong, and look right."""
    about: dict[str, Any] = {"continuation": END, "contrast": OTHER}
    refused = set()
    for info in explain.list_methods():
        try:
            teller.explain(PROMPT, methods=[info.name], checks=(), forced=True, budget=48, **about)
        except MethodError as error:
            assert error.code in ("several_continuations", "not_decided"), info.name
            refused.add(info.name)
    inside = {"attention_gradient", "deep_lift", "layer_conductance", "layer_integrated_gradients", "value_zeroing"}
    assert refused - {"input_reduction"} == inside
    with pytest.raises(MethodError, match="compares two"):
        teller.heads(PROMPT, **about)


def test_a_methods_claim_is_that_of_the_next_token(teller_folder: Path) -> None:
    """Probes are nobody's text: no continuation is written behind them, and no view remembers another claim."""
    plain, asked = load(str(teller_folder)), load(str(teller_folder))
    plain.explain(PROMPT, methods=["deep_lift"], checks=(), forced=True)
    asked.explain(PROMPT, methods=["deep_lift"], continuation=END, checks=(), forced=True)
    assert list(asked.claims) == list(plain.claims)
    assert [c.residual for c in asked.claims.values()] == [c.residual for c in plain.claims.values()]


def test_a_text_without_its_words_still_has_a_token_to_read(teller_folder: Path) -> None:
    model = load(str(teller_folder))
    model.tokenizer.backend_tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)  # no special token
    case = case_of(model, text="wolf")
    row = case.without(np.ones(case.n_units, dtype=bool), "remove")
    assert len(row) == 1 + len(row.tails[0]["input_ids"])
    found = model.explain("wolf", methods=["occlusion"], params={"replacement": "remove"}, continuation=END, checks=())
    ids = [case.filler("remove")[1], *case.encoding.tails[0]["input_ids"].tolist()]
    expected = found.attributions[0].value_input - by_hand(model, ids, len(ids) - 1)
    assert found.attributions[0].scores[0] == pytest.approx(expected, abs=1e-3)


def test_how_a_continuation_is_joined_to_the_text(teller: Model) -> None:
    for written, ends in ((END, f" {END}"), (f" {END}", f" {END}"), (", and", ", and")):
        assert case_of(teller, continuation=written).tokens.texts == (PROMPT, ends)
    with pytest.raises(InputError) as caught:  # 'king' and 'kingdom' begin with other tokens, or with the same
        case_of(teller, text="a ki", continuation="…ng who")
    assert caught.value.code == "other_tokens"


def test_the_continuation_is_shown_as_the_question(teller: Model) -> None:
    found = teller.explain(PROMPT, continuation=END, contrast=OTHER, checks=())
    (asked,) = [p for p in pieces.pieces(found.tokens, found.attributions[0], 1) if p.kind == "asked"]
    assert asked.raw == END
    assert sentences.verdict(found).startswith("The model gives what follows a log-probability of −")
    assert "The continuation is the question" in sentences.meaning(found)
    assert dict(computed.how(found))["Explained"] == f"log-probability of “{END}” rather than “{OTHER}”"


@pytest.mark.parametrize(
    ("about", "code"),
    [
        ({"continuation": " "}, "empty_continuation"),
        ({"continuation": END * 10}, "too_long"),
        ({"continuation": END, "target": "king"}, "bad_target"),
        ({"continuation": END, "quantity": "probability"}, "bad_target"),
        ({"continuation": END, "contrast": 3}, "bad_continuation"),
        ({"continuation": END, "place": 1}, "bad_place"),
        ({"continuation": END, "candidate_labels": ["a"]}, "bad_continuation"),
    ],
)
def test_what_cannot_be_asked_is_refused(teller: Model, about: dict[str, Any], code: str) -> None:
    with pytest.raises(InputError) as caught:
        teller.explain(PROMPT, checks=(), **about)
    assert caught.value.code == code


def test_other_models_are_refused(tiny: Model, filler: Model) -> None:
    for model in (tiny, filler):
        with pytest.raises(InputError, match="how likely a continuation is") as caught:
            model.explain("a good film", continuation=END)
        assert caught.value.code == "bad_task"


def test_a_record_is_repeated_to_the_bit(teller: Model, tmp_path: Path) -> None:
    continued.is_repeated_to_the_bit(teller, tmp_path / "evidence", PROMPT, END, OTHER)


def test_the_same_record_from_python_command_line_and_rest(teller: Model, teller_folder: Path, run: Any) -> None:
    continued.is_the_same_on_three_faces(teller, teller_folder, run, PROMPT, END, OTHER)


def test_a_continuation_is_no_conversation_whatever_its_words(teller: Model) -> None:
    continued = teller.asked(Request(("x",), continuation="roles", contrast="user"))
    assert continued.continuations == ("roles", "user")
    assert views.talking(teller, ("user",)) is not continued
    assert views.talking(teller, ("user",)).continuations == ()
