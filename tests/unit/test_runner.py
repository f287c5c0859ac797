"""The two primitives under every method, values(rows) and gradients(rows), against torch by hand.

Also what may not change their numbers: chunks, padding, order, company. What may go wrong is in test_runner_faults.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import explain.model.runner
from explain.catalog import Request
from explain.engine import Model, load
from explain.model.chunks import Padding, chunks
from explain.model.rates import Rates
from explain.model.rows import Row
from explain.model.runner import Meter, Runner
from tests.rows import TARGETS, TEXTS, Lock, alike, disturb, equals, rows_of, same
from tests.toys import Sum, toy


@pytest.fixture
def fresh(tiny_folder: Path) -> Model:
    """The tiny model, loaded for one test that does something to it."""
    return load(str(tiny_folder))


def point(row: Row, table: torch.Tensor) -> torch.Tensor:
    """Where the row's embeddings are (1, T, D)."""
    if row.start is None or row.end is None:
        return table[torch.from_numpy(row.ids.copy())][None]
    start, end = (torch.from_numpy(a).to(table.dtype) for a in (row.start, row.end))
    return (start + row.alpha * (end - start))[None]


def value_at(module: Any, row: Row, embeds: torch.Tensor) -> torch.Tensor:
    """The target's value for embeddings (N, T, D), without Runner, task, mask or padding: (N,)."""
    types = torch.from_numpy(row.inputs["token_type_ids"].copy()).expand(len(embeds), -1)
    logits = module(inputs_embeds=embeds, token_type_ids=types).logits
    mine, other = logits[:, row.target.index], logits[:, 1 - (row.target.index or 0)]
    return {"logit": mine, "probability": torch.sigmoid(mine - other)}.get(row.target.kind, mine - other)


def by_hand(model: Model, row: Row) -> tuple[float, np.ndarray]:
    embeds = point(row, model.module.get_input_embeddings().weight).detach().requires_grad_(True)  # type: ignore[operator]
    value = value_at(model.module, row, embeds)[0]
    (slope,) = torch.autograd.grad(value, embeds)
    return float(value.detach()), slope[0].numpy()


def test_values_equal_a_direct_call(tiny: Model) -> None:
    for text in TEXTS:
        inputs = {n: torch.from_numpy(a.copy())[None] for n, a in tiny.encode(text).inputs.items()}
        with torch.no_grad():
            n, p = tiny.module(**inputs).logits[0].tolist()
        expected = [p - n, n - p, n, p - n, 1 / (1 + np.exp(p - n)), p - n]
        found = tiny.values([Row(tiny.encode(text).inputs, target) for target in TARGETS])
        assert found.dtype == np.float32
        assert np.allclose(found, expected, atol=1e-5)
        assert np.allclose(tiny.predict(text if len(text) == 2 else text[0]).logits, [n, p], atol=1e-5)  # type: ignore[arg-type]


def test_values_and_gradients_equal_autograd_by_hand(tiny: Model) -> None:
    rows = rows_of(tiny)
    values, (again, gradients) = tiny.values(rows), tiny.gradients(rows)
    expected = [by_hand(tiny, row) for row in rows]
    numbers = np.array([value for value, _ in expected])
    assert len(np.unique(numbers.round(3))) > len(rows) // 2  # they are not all alike, so an exchange would be seen
    assert alike(values, numbers)
    assert alike(again, numbers)
    for row, found, (_, slope) in zip(rows, gradients, expected, strict=True):
        assert found.dtype == np.float32
        assert found.shape == (len(row), tiny.info.d_model)
        assert alike(found, slope)


def test_gradients_equal_finite_differences(tiny: Model) -> None:
    """In double precision, along the gradient and along two directions that it did not choose."""
    exact = copy.deepcopy(tiny.module).double()
    random = torch.Generator().manual_seed(0)
    rows = rows_of(tiny)
    for row, slope in zip(rows, tiny.gradients(rows)[1], strict=True):
        at, gradient = point(row, exact.get_input_embeddings().weight.detach()), torch.from_numpy(slope).double()  # type: ignore[operator]
        others = torch.randn(2, *slope.shape, generator=random, dtype=torch.float64)
        ways = torch.cat([gradient[None], others])
        ways /= ways.flatten(1).norm(dim=1)[:, None, None]
        with torch.no_grad():
            up, down = (value_at(exact, row, at + step * ways) for step in (1e-5, -1e-5))
        expected = (ways * gradient).sum((1, 2))
        assert torch.allclose((up - down) / 2e-5, expected, rtol=1e-4, atol=2e-5 * float(gradient.norm()))


def test_padded_equals_unpadded(tiny: Model) -> None:
    """The longest and the shortest text in one pass, whichever comes first."""
    rows = rows_of(tiny, [TEXTS[1], TEXTS[2]])
    assert tiny.padding == "pad"
    assert list(chunks(rows, tiny.token_budget, "pad")) == [list(range(len(rows)))]
    alone = [tiny.gradients([row]) for row in rows]
    expected = np.concatenate([a for a, _ in alone]), [g for _, (g,) in alone]
    assert same(tiny.gradients(rows), expected)
    turned = tiny.gradients(rows[::-1])
    assert same((turned[0][::-1], turned[1][::-1]), expected)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), budget=st.integers(1, 400), padding=st.sampled_from(["pad", "equal", "single"]))
def test_no_budget_order_or_company_changes_the_numbers(
    tiny_folder: Path, data: st.DataObject, budget: int, padding: Padding
) -> None:
    model, rows, expected = alone(tiny_folder)
    chosen = data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1, max_size=12))
    model.token_budget, model.padding = budget, padding
    meter = Meter()
    values, gradients = model.gradients([rows[i] for i in chosen], meter)
    numbers, largest = np.array([expected[i][0] for i in chosen]), max(abs(value) for value, _ in expected)
    assert alike(values, numbers, largest=largest)
    assert alike(model.values([rows[i] for i in chosen]), numbers, largest=largest)
    assert all(alike(found, expected[i][1]) for i, found in zip(chosen, gradients, strict=True))
    assert meter.done == len(chosen)


_ALONE: dict[Path, tuple[Model, list[Row], list[tuple[float, np.ndarray]]]] = {}


def alone(folder: Path) -> tuple[Model, list[Row], list[tuple[float, np.ndarray]]]:
    """A model of its own, rows, and what each gives in a pass of its own; made once."""
    if folder not in _ALONE:
        model = load(str(folder))
        rows = rows_of(model)
        each = [model.gradients([row]) for row in rows]
        _ALONE[folder] = model, rows, [(float(v[0]), g[0]) for v, g in each]
    return _ALONE[folder]


@given(
    lengths=st.lists(st.integers(1, 60), max_size=40),
    budget=st.integers(1, 300),
    padding=st.sampled_from(["pad", "equal", "single"]),
)
def test_chunks_hold_every_row_once_within_the_budget(lengths: list[int], budget: int, padding: Padding) -> None:
    rows = [Row({"input_ids": np.zeros(n, dtype=np.int64)}, TARGETS[0]) for n in lengths]
    groups = list(chunks(rows, budget, padding))
    order = [i for group in groups for i in group]
    assert sorted(order) == list(range(len(rows)))
    assert [lengths[i] for i in order] == sorted(lengths)
    for group in groups:
        sizes = [lengths[i] for i in group]
        assert len(group) == 1 or len(group) * max(sizes) <= budget
        assert padding != "equal" or len(set(sizes)) == 1
        assert padding != "single" or len(group) == 1
    for one, two in pairwise(groups):  # no chunk was closed early
        joined = [lengths[i] for i in (*one, two[0])]
        assert (
            len(joined) * max(joined) > budget or padding == "single" or (padding == "equal" and len(set(joined)) > 1)
        )


@given(
    both=st.lists(st.tuples(st.integers(1, 60), st.integers(1, 60)), max_size=40),
    budget=st.integers(1, 300),
)
def test_chunks_of_two_stacks_are_padded_in_both(both: list[tuple[int, int]], budget: int) -> None:
    rows = [Row({"input_ids": np.zeros(a + b, dtype=np.int64)}, TARGETS[0], source=a) for a, b in both]
    for group in chunks(rows, budget, "pad"):
        padded = max(both[i][0] for i in group) + max(both[i][1] for i in group)
        assert len(group) == 1 or len(group) * padded <= budget


def test_progress_only_grows_and_arrives(fresh: Model) -> None:
    rows, steps = rows_of(fresh), list[int]()
    fresh.token_budget = 40
    meter = Meter(steps.append)
    fresh.values(rows, meter)
    fresh.gradients(rows, meter)
    assert all(a < b for a, b in pairwise(steps))
    assert len(steps) > 6
    assert len(rows) in steps
    assert steps[-1] == 2 * len(rows)
    assert fresh.values([], meter).shape == (0,)


class Caching(Sum):
    """Keeps a tensor from its first pass for all later ones, as lazily made position tables do."""

    kept: torch.Tensor | None = None

    def forward(self, input_ids: torch.Tensor, **rest: Any) -> Any:
        outputs = super().forward(input_ids, **rest)
        self.kept = torch.arange(1.0, 3.0) if self.kept is None else self.kept
        outputs.logits = outputs.logits * self.kept
        return outputs


def test_what_a_model_keeps_from_a_prediction_can_be_differentiated() -> None:
    model = toy(Caching())
    assert model.predict("dull").label in ("N", "P")
    (slope,) = model.gradients([Row(model.encode(("dull",)).inputs, TARGETS[2])])[1]
    assert np.allclose(slope, model.module.weight[0].detach().numpy())  # type: ignore[union-attr, operator]


def test_autocast_stays_near_float32(fresh: Model) -> None:
    rows = rows_of(fresh)
    exact = fresh.gradients(rows)
    rough = Model(fresh.module, fresh.tokenizer, fresh.task, fresh.info, autocast=torch.bfloat16)
    values, (again, gradients) = rough.values(rows), rough.gradients(rows)
    assert values.dtype == again.dtype == rough.embed(rows[0].ids).dtype == np.float32
    assert {g.dtype for g in gradients} == {np.dtype(np.float32)}
    assert not (values == exact[0]).all()  # it was really in use
    for found in (values, again):
        assert alike(found, exact[0], 0.1)
    assert all(alike(*pair, 0.3) for pair in zip(gradients, exact[1], strict=True))
    assert np.median([np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(gradients, exact[1], strict=True)]) > 0.99
    assert equals(fresh.gradients(rows), exact)  # and leaves no rounded weights behind


def test_tensors_reach_a_gpu_through_pinned_memory(fresh: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    array, calls = np.arange(6.0, dtype=np.float32).reshape(2, 3), list[object]()

    def pin(tensor: torch.Tensor) -> torch.Tensor:
        calls.append("pinned")
        return tensor

    def to(tensor: torch.Tensor, device: torch.device, non_blocking: bool = False) -> torch.Tensor:
        calls.append((device.type, non_blocking))
        return tensor

    monkeypatch.setattr(torch.Tensor, "pin_memory", pin)
    monkeypatch.setattr(torch.Tensor, "to", to)
    on_cpu = fresh.tensor(array)
    fresh.device = torch.device("cuda")
    assert torch.equal(fresh.tensor(array), on_cpu)
    assert calls == [("cpu", False), "pinned", ("cuda", True)]
    on_cpu[0, 0] = 7.0  # the record's array is not shared with torch
    assert array[0, 0] == 0.0


def test_the_forecast_grows_with_the_text_and_the_work(fresh: Model) -> None:
    short, long = (Request(texts=(text,), methods=("integrated_gradients",)) for text in ("dull", "dull, " * 20))
    assert fresh.forecast(short).seconds is None
    fresh.predict("dull")
    assert fresh.rates.backward is None
    guess = fresh.forecast(short).seconds
    assert guess is not None
    assert 0 < guess < fresh.forecast(long).seconds  # type: ignore[operator]
    both = replace(short, methods=("integrated_gradients", "occlusion"))
    assert guess < fresh.forecast(both).seconds  # type: ignore[operator]
    fresh.gradients(rows_of(fresh))
    assert fresh.rates.backward is not None
    assert fresh.forecast(short).seconds < fresh.forecast(long).seconds  # type: ignore[operator]
    for backward, measured in ((False, (0.5, 0.4, 99.0)), (True, (2.0, 88.0, 1.0))):  # one pass had to wait
        fresh.rates.last[backward].clear()
        fresh.rates.last[backward].extend((seconds, 1) for seconds in measured)
    assert Runner.forecast(fresh, 10, 3, 4) == 10 * (3 * 0.5 + 4 * 2.0)


def test_small_batches_count_for_little_beside_large_ones() -> None:
    rates = Rates()
    for _ in range(5):
        rates.learn(0.5, 10, False)  # 0.05 s a token
        rates.learn(1.0, 100, False)  # 0.01 s a token
    assert rates.forward == pytest.approx(0.01)


def test_waiting_for_others_does_not_spoil_the_forecast(fresh: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]

    def tick(seconds: float) -> None:
        clock[0] += seconds

    monkeypatch.setattr(explain.model.runner, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    disturb(fresh, lambda size: tick(2.0))
    rows = rows_of(fresh, [TEXTS[0]])
    fresh.lock = Lock(lambda: tick(1000.0))  # type: ignore[assignment]
    fresh.values(rows)
    assert fresh.rates.forward == pytest.approx(2.0 / (len(rows) * len(rows[0])))
