"""What every check owes, whatever the method: a new file in explain/checks/ is tested by being there."""

from __future__ import annotations

import gc
import inspect
import threading
import weakref
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from explain.checks import checkers, randomisation
from explain.engine import Model
from explain.errors import Cancelled
from explain.methods import methods
from explain.model.redraw import redrawn
from explain.model.rows import Row
from explain.model.runner import Runner
from explain.records import Explanation
from tests.conftest import undated
from tests.contract.test_methods import traces

CHECKS, METHODS = sorted(checkers()), sorted(methods())
TEXT = "a good movie and never very funny was charming"
LONG = "the actor was witty and stirring but slow and never brilliant while every story is tedious , boring or stupid"
JARGON = {"AOPC", "epsilon", "tensor", "IG", "Spearman", "AUPRC", "eMPRT", "kNN", "embedding", "L2"}
CLAIMS = {"caused", "causes", "because", "important", "trusted", "safe"}
PAYS = {"baselines": "integrated_gradients", "baseline": "integrated_gradients"}
"""Methods whose cost is held against the forecast; for the others one of a fixed cost."""


def costs(name: str) -> bool:
    """Whether a check makes passes of its own."""
    return checkers()[name].passes(8, 20, "occlusion", (10, 10), kept=()) != (0, 0)


def everything(model: Model, method: str, **options: Any) -> Explanation:
    options = {"checks": CHECKS, "rationale": ["charming", "funny"], "budget": 16, "forced": True, **options}
    return model.explain(TEXT, methods=[method], **options)


@pytest.fixture(scope="module", autouse=True)
def few_probes(tiny: Model) -> Iterator[None]:
    """Two probes do what six do, sooner; what the model remembers of them is no other test's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(randomisation, "PROBES", randomisation.PROBES[:2])
        patch.setattr(randomisation, "TIMES", 2 * (1 + randomisation.COPIES))
        yield
    tiny.kept.clear()


@pytest.fixture(scope="module")
def found(tiny: Model) -> dict[str, Explanation]:
    """Every method with every check."""
    tiny.kept.clear()
    return {method: everything(tiny, method) for method in METHODS}


def numbers(value: Any) -> Iterator[float]:
    """All numbers in nested details."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for inner in value:
            yield from numbers(inner)
    elif isinstance(value, (int, float)):
        yield float(value)


@pytest.mark.parametrize("method", METHODS)
def test_every_check_answers_every_method(found: dict[str, Explanation], method: str) -> None:
    result = found[method]
    assert len({c.name for c in result.checks}) == len(CHECKS), "removal gives two, agreement none for one method"
    for check in result.checks:
        assert check.sentence.endswith(".")
        assert check.sentence[0].isupper()
        words = {w.strip(".,;:()“”") for w in check.sentence.split()}
        assert not words & (JARGON | CLAIMS), check.sentence
        known = [v for v in (check.value, check.yardstick, check.threshold, *(check.interval or ())) if v is not None]
        assert np.isfinite([*known, *numbers(check.details)]).all()
        assert (check.value is None) == (check.status == "n/a"), f"{check.name}: {check.status}"
    assert result.to_json()


@pytest.mark.parametrize("method", ["integrated_gradients", "shapley_sampling"])
def test_equal_seeds_give_equal_checks(found: dict[str, Explanation], tiny: Model, method: str) -> None:
    tiny.kept.clear()  # computed again, not remembered
    assert undated(everything(tiny, method).to_json()) == undated(found[method].to_json())
    other = everything(tiny, method, seed=1)
    assert other.checks != found[method].checks


@pytest.mark.parametrize("name", CHECKS)
def test_a_check_says_what_it_is(name: str) -> None:
    checker = checkers()[name]
    assert checker.question is not None
    assert checker.summary.endswith(".")
    assert checker.stage
    assert (inspect.getmodule(checker.fn).__doc__ or "").count("\n") >= 3  # type: ignore[union-attr]


@pytest.mark.parametrize("name", CHECKS)
def test_a_check_has_one_question(found: dict[str, Explanation], tiny: Model, name: str) -> None:
    checks = tiny.explain(TEXT, methods=["occlusion", "lime"], checks=[name], rationale=["funny"]).checks
    assert {c.question for c in checks} == {checkers()[name].question}


@pytest.mark.parametrize("name", [n for n in CHECKS if costs(n)])
def test_the_forecast_is_right_within_a_factor_of_two(tiny: Model, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    method = PAYS.get(name, "input_x_gradient" if name == "max_sensitivity" else "occlusion")
    passes = {False: 0, True: 0}
    real = Runner.chunked

    def counted(self: Runner, rows: Sequence[Row], *rest: Any, backward: bool = False) -> Any:
        passes[backward] += len(rows)
        return real(self, rows, *rest, backward=backward)

    monkeypatch.setattr(Runner, "chunked", counted)

    def spent(*checks: str) -> tuple[Explanation, int]:
        tiny.kept.clear()
        passes.update({False: 0, True: 0})
        result = tiny.explain(LONG if name == "stability" else TEXT, methods=[method], checks=checks)
        return result, sum(passes.values())

    result, alone = spent()
    cost = result.attributions[0].evaluations
    about = (len(result.words()), 20, method, (cost.forward, cost.backward))
    forecast = sum(checkers()[name].passes(*about, kept=()))
    asked = spent(name)[1] - alone
    assert asked / 2 <= forecast <= 2 * asked
    if checkers()[name].known(method, tiny.kept):  # it measured something that every text of the model shares
        passes.update({False: 0, True: 0})
        tiny.explain(LONG if name == "stability" else TEXT, methods=[method], checks=[name])
        again = sum(checkers()[name].passes(*about, kept=tiny.kept))
        assert again < forecast
        assert sum(passes.values()) - alone <= 2 * again


@pytest.mark.parametrize("name", CHECKS)
def test_nothing_is_left_behind(tiny: Model, name: str) -> None:
    before, state = traces(tiny), np.random.get_state()[1].tolist()  # type: ignore[index]
    tiny.kept.clear()
    tiny.explain(TEXT, checks=[name], rationale=["funny"])
    assert traces(tiny) == before
    cancel, stage = threading.Event(), checkers()[name].stage
    tiny.kept.clear()
    if costs(name):
        with pytest.raises(Cancelled):
            tiny.explain(
                TEXT, checks=[name], cancel=cancel, progress=lambda now, _: cancel.set() if now.stage == stage else None
            )
        assert not tiny.kept
    assert traces(tiny) == before
    assert np.random.get_state()[1].tolist() == state  # type: ignore[index]


def test_copies_of_the_model_are_gone_afterwards(tiny: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[weakref.ref[Any]] = []

    def recorded(runner: Runner, seed: int) -> Runner:
        other = redrawn(runner, seed)
        made.append(weakref.ref(other.module))
        return other

    monkeypatch.setattr("explain.work.redrawn", recorded)
    tiny.kept.clear()
    everything(tiny, "occlusion")
    assert made
    gc.collect()
    assert [ref() for ref in made] == [None] * len(made)
    before = len(made)
    tiny.explain("the plot is so dull", methods=["occlusion"], checks=["randomisation", "learned"])
    assert len(made) == before, "what is about the model is found out once"
    tiny.explain("so dull", methods=["occlusion"], params={"replacement": "remove"}, checks=["randomisation"])
    assert len(made) > before, "another parameter is another method"


@pytest.mark.parametrize("text", ["dull", "so dull", "😀", "日本語", ("a good film", "the plot is slow")])
def test_short_strange_and_paired_texts_are_answered(tiny: Model, text: Any) -> None:
    for method in ("integrated_gradients", "occlusion"):
        for granularity in ("word", "token", "sentence"):
            result = tiny.explain(text, methods=[method], checks=CHECKS, granularity=granularity, rationale=[(0, 1)])
            assert all(c.sentence.endswith(".") for c in result.checks)
            assert result.to_json()
