"""What a run will hold in memory: counted, held against the process, and refused where it will not fit."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from explain import costs
from explain.catalog import Request
from explain.checks import checkers
from explain.engine import Model, load
from explain.errors import MethodError, ModelError
from explain.methods.exact_shapley import LIMIT
from explain.model import memory
from explain.model.memory import Pass, Size
from explain.settings import Settings

TEXT, LONG = "a good film", " ".join(["good"] * 40)
MEGABYTE = 10**6


@pytest.fixture
def fresh(tiny_folder: Path) -> Model:
    """The tiny model, of which nothing was learned yet."""
    return load(str(tiny_folder))


def test_counts_what_is_there_at_once_and_not_what_was_given() -> None:
    given = torch.ones(1000)

    def run() -> torch.Tensor:
        view = given[:10].add_(1)  # nothing new
        first = torch.cat([given, given])  # 8,000 bytes
        second = first * 2  # 8,000 more
        del first
        return second + view.sum()  # 4 and 8,000, while the first are gone

    assert memory._counted(run) == 16_004
    wide = torch.ones(1000, requires_grad=True)
    kept = memory._counted(lambda: ((wide * 2).sigmoid() * wide).sum().backward())
    assert kept >= 3 * 4_000, "what the backward pass needs stays until then"


@pytest.mark.parametrize("kind", [Pass(), Pass(backward=True), Pass(maps=True), Pass(backward=True, maps=True)])
def test_short_passes_tell_what_long_ones_hold(fresh: Model, kind: Pass, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "rise", lambda run: math.nan)
    size = memory.learn(fresh, [kind])[kind]
    assert size is not None
    for rows, tokens in ((1, 48), (3, 60)):
        counted = memory._counted(lambda n=rows, t=tokens: memory._once(fresh, memory._rows(fresh, n, t), kind))  # type: ignore[misc]
        ratio = size.of(rows, tokens) / (memory.USUAL * counted)
        assert 0.95 < ratio < (1.5 if kind.maps else 1.05)
    assert size.square > 0 or not kind.maps


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says how far a process's memory rose")
def test_sees_how_far_the_process_rises() -> None:
    assert memory.rise(lambda: np.ones(100 * MEGABYTE, np.uint8)) == pytest.approx(100 * MEGABYTE, rel=0.1)


def test_what_the_kernels_take_beside_is_learned_within_bounds(fresh: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for rise in (0.0, 10.0**12, math.nan):
        memory._known.pop(fresh.module, None)
        monkeypatch.setattr(memory, "rise", lambda run, rise=rise: rise)
        size = memory.learn(fresh, [Pass()])[Pass()]
        assert size is not None
        found.append(size.of(1, 64))
    assert found == [pytest.approx(found[0] * f, rel=1e-6) for f in (memory.LEAST, memory.MOST, memory.USUAL)]


def test_nothing_is_forecast_before_it_is_known_and_more_for_more(fresh: Model) -> None:
    short, long = Request((TEXT,), checks=()), Request((LONG,), checks=())
    assert fresh.forecast(short).memory is None
    fresh.answer([short])
    few, many = fresh.forecast(short).memory, fresh.forecast(long).memory
    assert few is not None
    assert many is not None
    assert memory.weights(fresh.module) < few < many
    assert fresh.forecast(Request((TEXT,), ("attention_gradient",), checks=())).memory is None, "not counted yet"
    fresh.explain(TEXT, methods=["attention_gradient"], checks=())
    assert fresh.forecast(Request((TEXT,), ("attention_gradient",), checks=())).memory is not None
    assert fresh.forecast(Request((LONG,), ("exact_shapley",))).memory is None, "it will be refused"
    copied = [name for name, c in checkers().items() if c.copies]
    assert copied == ["learned", "randomisation"]
    plain, copying = (fresh.forecast(Request((TEXT,), checks=some)).memory or 0 for some in ((), (copied[0],)))
    assert copying >= plain + memory.weights(fresh.module)


def test_many_texts_fill_a_batch_and_no_more(fresh: Model) -> None:
    request = Request((TEXT,), checks=())
    fresh.answer([request])
    encoding = fresh.encode((TEXT,))
    size, tokens = memory.size(fresh, Pass(backward=True)), len(encoding.tokens.ids)
    assert size is not None
    rows = fresh.token_budget // tokens
    _, backward = costs.passes(request, 3)
    most = size.of(rows, tokens) + 4 * 64 * backward * tokens * fresh.info.d_model
    assert costs.beside(fresh, request, encoding, 3, texts=64) == most
    assert costs.beside(fresh, request, encoding, 3) < most  # type: ignore[operator]


def test_what_will_not_fit_is_refused_before_it_starts(fresh: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh.explain(TEXT, checks=())
    needed = costs.beside(fresh, Request((TEXT,), checks=()), fresh.encode((TEXT,)), 3)
    assert needed is not None
    monkeypatch.setattr(memory, "free", lambda runner: needed * 2)
    monkeypatch.setattr(costs, "settings", lambda: Settings(memory_share=0.5))
    fresh.explain(TEXT, checks=())
    monkeypatch.setattr(costs, "settings", lambda: Settings(memory_share=0.49))
    monkeypatch.setattr(fresh, "decide", lambda *a: pytest.fail("it started"))
    with pytest.raises(
        ModelError, match=r"memory beside the model's weights, and it may take 49% of the \d+ MB"
    ) as error:
        fresh.explain(TEXT, checks=())
    assert error.value.code == "not_enough_memory"
    with pytest.raises(ModelError):
        fresh.explain_batch(["a", LONG], checks=())


def test_a_method_that_takes_few_words_is_counted_by_words(fresh: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """More tokens than it takes words are no reason not to look."""
    monkeypatch.setattr(memory, "free", lambda runner: 1)
    few = " ".join(["charmingly"] * (LIMIT - 2))
    assert len(fresh.encode((few,)).tokens.ids) - 2 > LIMIT
    with pytest.raises(ModelError) as refused:
        fresh.explain(few, methods=["exact_shapley"], checks=())
    assert refused.value.code == "not_enough_memory"
    with pytest.raises(MethodError, match=f"at most {LIMIT} words"):
        fresh.explain(LONG, methods=["exact_shapley"], checks=())


def test_where_nothing_is_known_nothing_is_refused(fresh: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free", lambda runner: None)
    fresh.explain(TEXT, checks=())
    memory._known.pop(fresh.module)
    monkeypatch.setattr(memory, "free", lambda runner: 1)
    monkeypatch.setattr(memory, "_once", lambda *a: fresh.module.no_such_part)
    fresh.explain(TEXT, checks=())
    assert memory.size(fresh, Pass()) is None
    assert fresh.forecast(Request((TEXT,), checks=())).memory is None


def test_shared_weights_count_once(fresh: Model) -> None:
    module = torch.nn.Linear(10, 10, bias=False)
    tied = torch.nn.ModuleList([module, torch.nn.Linear(10, 10, bias=False)])
    assert memory.weights(tied) == 800
    tied[1].weight = module.weight
    assert memory.weights(tied) == 400


def test_sizes_in_words() -> None:
    assert [costs.spoken(n) for n in (1, 5.2 * MEGABYTE, 2_340 * MEGABYTE)] == ["1 MB", "6 MB", "2.3 GB"]
    assert Size(1, 2, 3).of(2, 10) == 2 * (1 + 20 + 300)
