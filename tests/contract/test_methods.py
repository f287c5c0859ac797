"""What every attribution method owes: a new file in explain/methods/ is tested by being there."""

from __future__ import annotations

import inspect
import threading
from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from explain.engine import Model
from explain.errors import Cancelled, MethodError
from explain.methods import find, methods
from explain.records import Attribution
from tests.cases import case_of
from tests.tokenizers import KINDS, SAMPLES, trained
from tests.toys import Shifted, Sum, fitting, toy

NAMES = sorted(methods())
COMPLETE = [n for n in NAMES if "complete" in find(n).info.axioms]
PROBLEMS = {
    "single-label": ("A", "B", "C"),
    "binary": ("NO", "YES"),
    "multi-label": ("A", "B", "C"),
    "regression": ("stars",),
}
TEXT = "a good movie, but never very funny"
TEXTS = [TEXT, "dull", "the actor is charming and the ending is so very moving!", "a good, good, good film"]


def one(model: Model, name: str, text: str | tuple[str, str] = TEXT, **options: object) -> Attribution:
    options.setdefault("forced", True)  # what a gated method owes, it owes on every model
    return model.explain(text, methods=[name], checks=(), **options).attributions[0]  # type: ignore[arg-type]


def close(a: Attribution, b: Attribution, share: float = 1e-5) -> bool:
    """Equal within a share of the largest score."""
    largest = max(float(np.abs(a.scores).max()), 1e-9)
    return bool(np.abs(a.scores - b.scores).max() <= share * largest)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("problem", sorted(PROBLEMS))
@pytest.mark.parametrize("kind", KINDS)
def test_shape_and_finiteness(name: str, problem: str, kind: str) -> None:
    tokenizer = trained(kind)
    model = fitting(name, problem=problem, labels=PROBLEMS[problem], tokenizer=tokenizer)
    if find(name).why_not(model.info) is not None:
        assert (name, problem) == ("input_reduction", "regression"), "the one method that needs a decision"
        with pytest.raises(MethodError, match="decides nothing"):
            one(model, name)
        return
    for text in (SAMPLES["Latin"], SAMPLES["Arabic"], SAMPLES["Emoji"], (SAMPLES["Han"], SAMPLES["Thai"])):
        for granularity in ("word", "token"):
            limit, units = find(name).info.limit, case_of(model, text, granularity=granularity).n_units
            if limit is not None and units > limit:
                with pytest.raises(MethodError, match=f"at most {limit} words"):
                    model.explain(text, methods=[name], granularity=granularity, checks=())  # type: ignore[arg-type]
                continue
            result = model.explain(text, methods=[name], granularity=granularity, checks=(), forced=True)  # type: ignore[arg-type]
            found, tokens = result.attributions[0], result.tokens
            assert len(found.scores) == len(found.units) == len(found.unit_segment)
            assert len(found.unit_of) == len(tokens.ids)
            assert set(found.unit_of.tolist()) - {-1} == set(range(len(found.units)))
            assert np.isfinite(found.scores).all()
            assert np.isfinite([found.special, found.value_input]).all()
            assert found.method == name
            assert found.signed or (found.scores >= 0).all()
            assert found.evaluations.forward + found.evaluations.backward > 0
            assert type(result).__name__ == "Explanation"
            assert result.to_json()


@pytest.mark.parametrize("name", NAMES)
def test_equal_seeds_give_equal_numbers(name: str, tiny: Model) -> None:
    again = [one(tiny, name, seed=s) for s in (3, 3, 4)]
    assert again[0] == again[1]
    stochastic = find(name).info.stochastic
    assert (again[0].scores == again[2].scores).all() != stochastic
    assert (again[0].seed is not None) == stochastic
    assert (again[0].error is not None) == stochastic


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_labels_does_not_matter(name: str) -> None:
    order = [2, 0, 1]
    plain, turned = fitting(name, labels=("A", "B", "C")), fitting(name, labels=("C", "A", "B"))
    head = turned.module if isinstance(turned.module, Sum) else turned.module.classifier
    for parameter in (head.weight, head.bias):
        parameter.data = parameter.data[order]  # type: ignore[union-attr,index]
    assert close(one(plain, name, target="A"), one(turned, name, target="A"))


@pytest.mark.parametrize("name", [n for n in COMPLETE if find(n).why_not(toy().info) is not None])
def test_completeness_where_layers_are_needed(name: str) -> None:
    found = one(fitting(name), name, params={"tolerance": 0.001}, budget=4000)
    assert found.relative_residual is not None
    assert found.relative_residual <= 0.001


@pytest.mark.parametrize("name", [n for n in COMPLETE if find(n).why_not(toy().info) is None])
@pytest.mark.parametrize("problem", sorted(PROBLEMS))
def test_completeness_is_exact_on_a_linear_model(name: str, problem: str) -> None:
    model = toy(problem=problem, labels=PROBLEMS[problem][:2])
    found = one(model, name, quantity="log_odds")
    assert found.value_baseline is not None
    change = found.value_input - found.value_baseline
    assert abs(change - found.scores.sum(dtype=float) - found.special) <= 1e-5 * max(1, abs(change))
    module = model.module
    assert isinstance(module, Sum)
    tokens = model.encode((TEXT,)).tokens
    table, weight = module.table.weight.detach().numpy().astype(float), module.weight.detach().numpy().astype(float)
    direction = {"single-label": weight[-1] - weight[0], "regression": weight[0], "multi-label": weight[-1]}
    slope = direction.get(problem, weight[0])
    if problem in ("single-label", "binary") and found.target.index == 0:
        slope = -slope
    elif problem == "multi-label":
        slope = weight[found.target.index or 0]
    each = (table[tokens.ids] - table[model.tokenizer.mask_token_id]) @ slope  # (T,)
    expected = [each[found.unit_of == u].sum() for u in range(len(found.scores))]
    assert np.allclose(found.scores, expected, atol=1e-5)


@pytest.mark.parametrize("name", [n for n in NAMES if "dummy" in find(n).info.axioms])
def test_a_word_without_influence_scores_zero(name: str) -> None:
    module = Sum(2, steep=2.0)
    word = toy().tokenizer.convert_tokens_to_ids("movie")
    mask = toy().tokenizer.mask_token_id
    module.table.weight.data[word] = module.table.weight.data[mask]  # replacing it changes nothing
    if name == "input_x_gradient":
        module.table.weight.data[word] = 0  # this method's silent baseline
    found = one(toy(module), name)
    text = [TEXT[a:b] for a, b in found.units]
    assert abs(found.scores[text.index("movie")]) <= 1e-6
    assert np.abs(found.scores).max() > 1e-2


@pytest.mark.parametrize("name", NAMES)
def test_batch_of_one_equals_batch_of_many(name: str, tiny: Model) -> None:
    many = tiny.explain_batch(TEXTS, methods=[name], checks=(), forced=True)
    for text, result in zip(TEXTS, many, strict=True):
        assert close(result.attributions[0], one(tiny, name, text))


@pytest.mark.parametrize("name", NAMES)
def test_two_threads_agree(name: str, tiny: Model) -> None:
    alone = {text: one(tiny, name, text) for text in TEXTS}
    wrong: list[str] = []

    def work(text: str) -> None:
        for _ in range(3):
            if one(tiny, name, text) != alone[text]:
                wrong.append(text)

    threads = [threading.Thread(target=work, args=(t,)) for t in TEXTS[:2] * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def traces(model: Model) -> tuple[object, ...]:
    """All that a call might leave on a module."""
    hooks = [len(m._forward_hooks) + len(m._forward_pre_hooks) + len(m._backward_hooks) for m in model.module.modules()]
    parameters = [(p.grad is None, p.requires_grad, p.data_ptr()) for p in model.module.parameters()]
    modes = [m.training for m in model.module.modules()]
    attributes = [sorted(vars(m)) for m in model.module.modules()]
    return hooks, parameters, modes, attributes, torch.is_grad_enabled(), torch.get_rng_state().tolist()


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_left_behind(name: str, tiny: Model) -> None:
    before, numpy_state = traces(tiny), np.random.get_state()[1].tolist()  # type: ignore[index]
    one(tiny, name)
    assert traces(tiny) == before
    cancel = threading.Event()

    def stop(*_: object) -> None:
        cancel.set()

    with pytest.raises(Cancelled):
        tiny.explain(TEXT, methods=[name], forced=True, progress=stop, cancel=cancel)
    assert traces(tiny) == before
    assert np.random.get_state()[1].tolist() == numpy_state  # type: ignore[index]


@pytest.mark.parametrize("name", NAMES)
def test_parameters_say_what_they_take(name: str, tiny: Model) -> None:
    method = find(name)
    assert [p.name for p in method.info.params] == [f.name for f in fields(method.params)]
    for p in method.info.params:
        assert p.help
        values = list(p.choices) or ([p.default, TEXT] if p.kind == "text" else [p.low, p.high, p.default])
        for value in values:
            configured = method.configured({p.name: value})
            assert getattr(configured, p.name) == value
        for bad in ("nonsense" if p.kind != "text" else "x" * 10_001, 1e12, -1e12, None, [1]):
            with pytest.raises(MethodError):
                method.configured({p.name: bad})
        for choice in p.choices:
            text = {"baseline_text": "the ending is so very moving"} if choice == "text" else {}
            assert np.isfinite(one(tiny, name, params={p.name: choice, **text}).scores).all()
    with pytest.raises(MethodError, match="no parameter"):
        method.configured({"surprise": 1})


@pytest.mark.parametrize("name", NAMES)
def test_a_method_says_what_it_is(name: str) -> None:
    info = find(name).info
    assert all((info.title, info.family, info.summary, info.misleads, info.cite))
    assert (inspect.getmodule(find(name).fn).__doc__ or "").count("\n") >= 3  # type: ignore[union-attr]
    forward, backward = find(name).cost(10)
    assert forward + backward > 0


@pytest.mark.parametrize("name", NAMES)
def test_adding_a_function_of_the_text_to_all_logits_changes_nothing(name: str) -> None:
    plain, shifted = (fitting(name, labels=("A", "B", "C"), task=task) for task in (None, Shifted()))
    assert np.allclose(plain.predict(TEXT).probs, shifted.predict(TEXT).probs, atol=1e-6)
    assert not np.allclose(plain.predict(TEXT).logits, shifted.predict(TEXT).logits, atol=1e-2)
    assert close(one(plain, name), one(shifted, name), 1e-3)
    raw = one(plain, name, quantity="logit"), one(shifted, name, quantity="logit")
    untargeted = {"value_zeroing", "input_reduction"}  # no target; the decision, whatever quantity is asked for
    assert close(*raw, 1e-2) == (name in untargeted)


def test_unknown_methods_are_listed() -> None:
    with pytest.raises(MethodError, match="There are: integrated_gradients"):
        find("nonsense")


def test_not_applicable_says_why(tiny: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    import explain.work

    refused = replace(find("saliency"), why_not=lambda info: f"not for {info.architecture}.")
    monkeypatch.setattr(explain.work, "find", lambda name: refused)
    with pytest.raises(MethodError, match="not for Bert"):
        one(tiny, "saliency")
