"""What every attribution method owes to every family of tasks: a new task joins with one line in `FAMILIES`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from explain.candidates import candidates
from explain.engine import Model
from explain.errors import MethodError
from explain.methods import find, methods
from explain.tasks import tasks
from tests.contract.test_methods import close, traces

FAMILIES: dict[str, tuple[str, tuple[Any, Any]]] = {
    "fill-mask": ("filler", ("the film is [MASK] and slow", "[MASK] movie")),
    "question-answering": ("answerer", (("the film ?", "a slow plot and a witty ending"), ("a movie", "never dull !"))),
    "text-classification": ("tiny", ("the film is good and slow", "movie")),
    "text-generation": ("teller", ("Once upon a time", "The king said")),
    "text2text-generation": ("scribe", (("the film is good and slow", "a witty plot"), "movie")),
    "token-classification": ("tagger", ("the film is charmingly slow", "movie !")),
    "zero-shot-classification": ("chooser", ("the film is good and slow", "movie")),
}
"""Task → fixture of its tiny model, and two texts of different length."""
NAMES = sorted(methods())
ONE_STACK = {"attention_gradient", "layer_conductance", "layer_integrated_gradients", "value_zeroing"}
"""Methods that look at layers, of which an encoder with a decoder has two stacks."""
COMPLETE = {n for n in NAMES if "complete" in find(n).info.axioms}


@pytest.fixture
def chooser(inferrer: Model) -> Model:
    """The tiny model of inference, asked which of two labels fits."""
    return inferrer.among(candidates(("funny", "very dull")))


@pytest.fixture
def family(request: pytest.FixtureRequest) -> tuple[Model, tuple[Any, Any]]:
    """The tiny model of a task, and its texts."""
    fixture, texts = FAMILIES[request.param]
    return request.getfixturevalue(fixture), texts


def explained(model: Model, name: str, texts: tuple[Any, ...], **options: Any) -> list[Any]:
    if model.candidates is not None:  # methods that look inside the model are about one hypothesis at a time
        options = {"quantity": "logit", **options}
    return model.explain_batch(texts, methods=[name], checks=(), forced=True, budget=256, **options)


def test_no_task_is_left_out() -> None:
    assert set(FAMILIES) == set(tasks())


@pytest.mark.parametrize("family", sorted(FAMILIES), indirect=True)
@pytest.mark.parametrize("name", NAMES)
def test_every_method_explains_every_task(name: str, family: tuple[Model, tuple[Any, Any]]) -> None:
    model, texts = family
    if model.info.writes and name in ONE_STACK:
        with pytest.raises(MethodError, match="two stacks of layers"):
            explained(model, name, texts)
        return
    assert find(name).why_not(model.info) is None
    before = traces(model)
    together = explained(model, name, texts)
    assert traces(model) == before
    for text, result in zip(texts, together, strict=True):
        (found,) = result.attributions
        (again,) = explained(model, name, (text,))[0].attributions
        assert np.isfinite(found.scores).all()
        assert np.isfinite([found.special, found.value_input]).all()
        assert set(found.unit_of.tolist()) - {-1} == set(range(len(found.units)))
        assert found.target.position == result.prediction.position == again.target.position
        assert close(found, again, 1e-3 if find(name).info.stochastic else 1e-4)
        if name in COMPLETE and not found.exhausted and not find(name).gated:
            assert found.relative_residual is not None
            assert found.relative_residual <= 0.011
        assert result.to_json()
