"""Notes on the model: what a copy that learned nothing explains, whether the model learned, and which texts are odd."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification

from explain.case import Ask, Case, Steps
from explain.checks import Found, randomisation
from explain.checks._background import SENTENCES, cases
from explain.checks.learned import learned
from explain.checks.out_of_distribution import NEIGHBOUR, TEXTS, _distance, out_of_distribution
from explain.engine import Model
from explain.errors import InputError
from explain.model.redraw import deal_anew, redrawn
from explain.records import Attribution, Check
from tests.cases import case_of, run
from tests.tiny import word_piece
from tests.toys import toy

TEXT = "a good movie and never very funny was charming"


def checked(model: Model, fn: Any, text: str = TEXT, name: str = "occlusion") -> Check:
    model.kept.clear()
    attribution = model.explain(text, methods=[name], checks=()).attributions[0]
    (found,) = run(model, fn(case_of(model, text), attribution, Found()))
    return found


def bert(spread: float | None) -> Model:
    """An untrained BERT, as transformers initialises it, or with wider weights."""
    plain, tokenizer = toy(), word_piece()
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16
    )
    module = BertForSequenceClassification(config)
    for parameter in module.parameters():
        if spread is not None and parameter.ndim == 2:
            torch.nn.init.normal_(parameter, std=spread)
    return Model(module, tokenizer, plain.task, plain.info)


def test_dealt_weights_are_the_same_numbers_elsewhere(tiny: Model) -> None:
    other, again, third = redrawn(tiny, 1), redrawn(tiny, 1), redrawn(tiny, 2)
    table = tiny.module.get_input_embeddings().weight  # type: ignore[operator]
    moved = 0
    for (name, was), now, same, else_ in zip(
        tiny.module.named_parameters(), *(m.module.parameters() for m in (other, again, third)), strict=True
    ):
        assert torch.equal(was.flatten().sort().values, now.flatten().sort().values)
        assert torch.equal(now, same)
        if was is table:
            assert torch.equal(was, now)
        elif was.unique().numel() > 10:
            moved += 1
            assert not torch.equal(was, now), name
            assert not torch.equal(now, else_), name
        assert was.data_ptr() != now.data_ptr()
    assert moved > 10
    assert type(other) is Model
    assert other.kept == {}
    assert other.lock is tiny.lock


def test_shared_weights_stay_shared() -> None:
    module = torch.nn.ModuleDict({"a": torch.nn.Linear(4, 4), "b": torch.nn.Linear(4, 4)})
    module["b"].weight = module["a"].weight
    deal_anew(module, 0)
    assert module["a"].weight is module["b"].weight


def test_the_copy_answers_otherwise_and_the_model_as_before(tiny: Model) -> None:
    before = tiny.predict(TEXT).logits
    assert not np.allclose(redrawn(tiny, 0).predict(TEXT).logits, before, atol=1e-2)
    assert (tiny.predict(TEXT).logits == before).all()


def fixed(case: Case, params: Any) -> Steps[Attribution]:
    """A method that does not look at the model: longer words score higher."""
    answer = yield Ask([case.row()])
    lengths = case.units.spans[:, 1] - case.units.spans[:, 0]
    return case.attribution(unit_scores=lengths.astype(float), value_input=float(answer.values[0]))


def test_a_method_that_ignores_the_model_is_told(tiny: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    info = SimpleNamespace(name="fixed", limit=None)
    method = SimpleNamespace(info=info, fn=fixed, configured=lambda values: None)
    monkeypatch.setattr(randomisation, "find", lambda name: method)
    found = checked(tiny, randomisation.randomisation)
    assert found.status == "warn"
    assert found.value == pytest.approx(1)
    assert found.details["entropy_rise"] == pytest.approx([0] * len(found.details["entropy_rise"]))
    assert "not about this text" in found.sentence


def test_a_method_that_looks_is_not_and_the_text_does_not_matter(sentiment: Model) -> None:
    found = checked(sentiment, randomisation.randomisation, "A stirring, funny film.", "input_x_gradient")
    assert found.status == "pass"
    assert found.value < found.yardstick + 0.2  # type: ignore[operator]
    assert checked(sentiment, randomisation.randomisation, "What a bore.", "input_x_gradient") == found


def test_it_is_the_plain_explanation_of_the_same_label_on_both(tiny: Model) -> None:
    """One entry recomputed from outside: the model's own label, explained by the model and by a copy."""
    found = checked(tiny, randomisation.randomisation)
    probe = randomisation.PROBES[2]
    known = tiny.explain(probe, methods=["occlusion"], checks=())
    copy: Any = redrawn(tiny, 1)
    other = copy.explain(probe, methods=["occlusion"], target=known.prediction.label, checks=())
    ranks = [np.argsort(np.argsort(np.abs(r.attributions[0].scores))) for r in (known, other)]
    expected = np.corrcoef(*ranks)[0, 1]
    assert found.details["correlations"][len(randomisation.PROBES) + 2] == pytest.approx(expected, abs=1e-6)


def test_entropy_is_between_one_word_and_all() -> None:
    assert randomisation._entropy(np.array([0.0, 3.0, 0.0])) == 0
    assert randomisation._entropy(np.ones(5)) == pytest.approx(np.log(5))
    assert randomisation._entropy(np.zeros(3)) == 0


@pytest.mark.parametrize("spread", [None, 0.3])
def test_an_untrained_model_gets_its_warning(spread: float | None) -> None:
    found = checked(bert(spread), learned)
    assert found.status == "warn"
    assert "untrained" in found.sentence
    assert "not about this text" in found.sentence


def test_a_trained_model_does_not(sentiment: Model) -> None:
    found = checked(sentiment, learned, "A stirring, funny film.")
    assert found.status == "pass"
    logits = np.array([p.logits for p in sentiment.predict_batch(list(SENTENCES))], dtype=float)
    assert found.value == pytest.approx((logits - logits.mean(1, keepdims=True)).std(0).max(), abs=1e-4)
    assert found.value > 10 * found.yardstick  # type: ignore[operator]


def test_distance_is_to_the_kth_nearest() -> None:
    line = np.array([[0.0], [1.0], [3.0], [7.0]])
    assert _distance(np.array([[0.0], [10.0]]), line, 2).tolist() == [1.0, 7.0]


def test_strangeness_equals_brute_force(tiny: Model) -> None:
    found, case = checked(tiny, out_of_distribution), case_of(tiny, TEXT)

    def state(text: str) -> np.ndarray:
        inputs = {k: torch.tensor([v]) for k, v in tiny.tokenizer(text).items()}
        with torch.no_grad():
            hidden = tiny.module(**inputs, output_hidden_states=True).hidden_states[-1][0]
        mean = hidden.double().mean(0).numpy()
        return mean / np.linalg.norm(mean)

    background = np.array([state(s) for s in SENTENCES])
    own = [np.sort(np.linalg.norm(background - s, axis=1)) for s in background]
    limit = np.quantile([d[NEIGHBOUR] for d in own], 0.95)
    assert found.details["limit"] == pytest.approx(limit, abs=1e-4)
    itself = np.sort(np.linalg.norm(background - state(TEXT), axis=1))[NEIGHBOUR - 1]
    assert found.details["text"] == pytest.approx(itself, abs=1e-4)

    rng = np.random.default_rng([0, case.n_units])
    sizes = rng.integers(1, case.n_units, TEXTS)
    gone = np.argsort(rng.random((TEXTS, case.n_units)), axis=1) < sizes[:, None]
    far = []
    for units in gone:
        text = " ".join("[MASK]" if out else word for word, out in zip(TEXT.split(), units, strict=True))
        far.append(np.sort(np.linalg.norm(background - state(text), axis=1))[NEIGHBOUR - 1])
    assert found.details["beyond"]["mask"] == pytest.approx(np.mean(np.array(far) > limit), abs=0.026)
    assert found.details["median"]["mask"] == pytest.approx(np.median(far), abs=1e-4)


def answers(model: Model, texts: list[str]) -> Iterator[Check]:
    for text in texts:
        yield checked(model, out_of_distribution, text)


def test_strange_and_ordinary_texts_are_told_apart(sentiment: Model) -> None:
    plain, odd, masked = answers(
        sentiment,
        [
            "We waited an hour for a table, and then the soup was cold.",
            "zxq qqq vvv ## ## ;; ;; ;; 0 0 0 0 0 0",
            "good good good good good good good good good good good good",
        ],
    )
    assert plain.status in ("pass", "warn")
    assert plain.details["text"] <= plain.details["limit"]
    assert "not checked" in (odd.status, masked.status)


def test_a_model_without_layers_is_not_asked() -> None:
    assert checked(toy(), out_of_distribution).status == "n/a"


def test_no_room_for_a_copy_is_no_end_of_the_explanation(tiny: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(module: Any, memo: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr(type(tiny.module), "__deepcopy__", full, raising=False)
    tiny.kept.clear()
    checks = tiny.explain(TEXT, methods=["occlusion"], checks=["learned", "randomisation"]).checks
    assert [c.status for c in checks] == ["n/a", "n/a"]
    assert all("no room" in c.sentence for c in checks)
    assert not tiny.kept


def test_the_background_is_the_same_whatever_was_asked(tiny: Model) -> None:
    """A contrast that is some sentence's own label is nothing to that sentence."""
    plain = case_of(tiny, "a good film")
    label = plain.prediction.label
    other = next(name for name in tiny.info.labels if name != label)
    asked = case_of(tiny, "a good film", target=label, contrast=other, quantity="probability")
    labels = [[c.prediction.label for c in cases(c0.retold, 1)] for c0 in (plain, asked)]
    assert labels[0] == labels[1]
    assert len(labels[0]) == len(SENTENCES)
    assert {other, label} == set(labels[0]), "else this test could not fail"


def test_only_sentences_that_are_too_long_are_left_out(tiny: Model) -> None:
    def refuse(texts: tuple[str, ...], **changes: object) -> Case:
        raise InputError("no", code=code)

    code = "too_long"
    assert cases(refuse, 1) == []
    code = "bad_target"
    with pytest.raises(InputError):
        cases(refuse, 1)
