"""What goes wrong while rows are evaluated: memory, errors, cancelling, broken weights. Nothing may stay behind."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from explain.engine import Model, load
from explain.errors import Cancelled, ModelError
from explain.model.chunks import halving
from explain.model.rows import Row
from explain.model.runner import Meter
from tests.rows import TARGETS, TEXTS, Failing, Lock, alike, disturb, equals, left, rows_of, same
from tests.toys import Sum, toy

OUT_OF_MEMORY: dict[str, Callable[[], BaseException]] = {
    "torch": lambda: torch.OutOfMemoryError("Allocation on device failed."),
    "CUDA": lambda: RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    "cuBLAS": lambda: RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    "Windows": lambda: RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes."),
    "Python": MemoryError,
}


@pytest.fixture
def fresh(tiny_folder: Path) -> Model:
    """The tiny model, loaded for one test that does something to it."""
    return load(str(tiny_folder))


@pytest.mark.parametrize("where", ["forward", "backward"])
@pytest.mark.parametrize("kind", [*OUT_OF_MEMORY, "real"])
def test_out_of_memory_is_halved_away(fresh: Model, kind: str, where: str) -> None:
    rows, sizes = rows_of(fresh, [TEXTS[0]] * 3)[:8], list[int]()
    values, gradients = fresh.values(rows), fresh.gradients(rows)

    def attempt(size: int) -> None:
        sizes.append(size)
        if size > 2 and kind == "real":
            torch.empty(1 << 50)  # a petabyte: whatever this torch says on this machine
        if size > 2:
            raise OUT_OF_MEMORY[kind]()

    disturb(fresh, attempt, where)
    meter, steps = Meter(), list[int]()
    meter.progress = steps.append
    assert same(fresh.gradients(rows, meter), gradients)
    assert sizes == [8, 4, 2, 2, 4, 2, 2]
    assert meter.halved == 3
    assert steps == [2, 4, 6, 8]
    if where == "forward":
        assert alike(fresh.values(rows, meter), values)
        assert meter.halved == 6
        assert steps == [2, 4, 6, 8, 10, 12, 14, 16]


@pytest.mark.parametrize("where", ["forward", "backward"])
def test_one_row_that_does_not_fit_is_said(fresh: Model, where: str) -> None:
    rows, meter = rows_of(fresh), Meter()

    def attempt(_: int) -> None:
        raise OUT_OF_MEMORY["CUDA"]()

    disturb(fresh, attempt, where)
    before = left(fresh)
    with pytest.raises(ModelError, match="does not fit into memory even alone") as caught:
        fresh.gradients(rows, meter)
    assert caught.value.code == "out_of_memory"
    assert meter.halved > 0
    assert meter.done == 0
    assert left(fresh) == before


def test_a_failed_try_is_forgotten_before_the_next(fresh: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """Halving would not help if the traceback kept the large chunk's tensors, or the device its cache."""
    emptied, tensors = list[bool](), list[weakref.ref[torch.Tensor]]()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: emptied.append(all(t() is None for t in tensors)))

    def attempt(size: int) -> None:
        large = torch.zeros(size)
        tensors.append(weakref.ref(large))
        if size > 2:
            raise OUT_OF_MEMORY["torch"]()

    disturb(fresh, attempt)
    fresh.gradients(rows_of(fresh, [TEXTS[0]] * 3)[:4])
    assert emptied == [True]


@pytest.mark.parametrize(
    "error", [RuntimeError("sizes do not match"), ValueError("out of memory of words"), KeyError()]
)
def test_other_errors_are_not_taken_for_memory(fresh: Model, error: Exception) -> None:
    sizes, meter = list[int](), Meter()

    def attempt(size: int) -> None:
        sizes.append(size)
        raise error

    with pytest.raises(type(error)):
        halving(lambda group: attempt(len(group)), [1, 2, 3], sizes.append)
    assert sizes == [3]
    disturb(fresh, attempt)
    for call in (fresh.values, fresh.gradients):
        sizes.clear()
        with pytest.raises(ModelError, match="BertForSequenceClassification cannot be run on this") as caught:
            call(rows_of(fresh, [TEXTS[0]]), meter)
        assert caught.value.code == "run_failed"
        assert caught.value.__cause__ is error
        assert sizes == [3]
    assert meter.halved == 0


POINTS = ["embeddings", "encoder.layer.0.attention.self", "encoder.layer.1", "encoder.layer.1.output", "pooler"]


@pytest.mark.parametrize("where", ["forward", "backward"])
@pytest.mark.parametrize("name", [*(f"bert.{point}" for point in POINTS), "dropout", "classifier"])
def test_an_error_inside_the_model_leaves_nothing_behind(fresh: Model, name: str, where: str) -> None:
    rows, part = rows_of(fresh), fresh.module.get_submodule(name)
    expected, before, plain = fresh.gradients(rows), left(fresh), part.forward

    def stumble(_: int) -> None:
        raise ZeroDivisionError("a model's own code")

    def broken(*args: Any, **kwargs: Any) -> Any:
        if where == "forward":
            stumble(0)
        output = plain(*args, **kwargs)
        first, *rest = output if isinstance(output, tuple) else (output,)
        first = Failing.apply(first, stumble) if first.requires_grad else first
        return (first, *rest) if isinstance(output, tuple) else first

    part.forward = broken
    for call in (lambda: fresh.gradients(rows), lambda: fresh.values(rows))[: 2 if where == "forward" else 1]:
        with pytest.raises(ModelError, match="a model's own code"):
            call()
    del part.forward
    assert left(fresh) == before
    assert equals(fresh.gradients(rows), expected)


def test_an_error_inside_the_table_leaves_nothing_behind(fresh: Model) -> None:
    rows, table = rows_of(fresh), fresh.module.get_input_embeddings()  # type: ignore[operator]
    expected, before = fresh.gradients(rows), left(fresh)

    def broken(_: torch.Tensor) -> torch.Tensor:
        raise ZeroDivisionError("a table's own code")

    table.forward = broken
    for call in (fresh.gradients, fresh.values, lambda some: fresh.embed(some[0].ids)):
        with pytest.raises(ModelError, match="a table's own code"):
            call(rows)
    del table.forward
    assert left(fresh) == before
    assert equals(fresh.gradients(rows), expected)


def test_stopping_the_process_leaves_nothing_behind(fresh: Model) -> None:
    rows, stops = rows_of(fresh), [KeyboardInterrupt(), SystemExit()]
    expected = fresh.gradients(rows)

    def attempt(_: int) -> None:
        if stops:
            raise stops.pop()

    disturb(fresh, attempt)
    before = left(fresh)
    for stop in (SystemExit, KeyboardInterrupt):
        with pytest.raises(stop):
            fresh.gradients(rows)
        assert left(fresh) == before
    assert equals(fresh.gradients(rows), expected)


@pytest.mark.parametrize("allowed", [0, 1, 3])
@pytest.mark.parametrize("call", [Model.values, Model.gradients])
def test_cancelling_stops_before_the_next_chunk(fresh: Model, call: Callable[..., Any], allowed: int) -> None:
    rows, sizes, cancel = rows_of(fresh), list[int](), threading.Event()
    fresh.padding = "single"
    disturb(fresh, sizes.append)
    before, meter = left(fresh), Meter(lambda done: cancel.set() if done == allowed else None, cancel)
    meter.advance(0)
    with pytest.raises(Cancelled):
        call(fresh, rows, meter)
    assert len(sizes) == allowed == meter.done
    assert left(fresh) == before
    call(fresh, rows, Meter())
    assert len(sizes) == allowed + len(rows)  # somebody else is not stopped


def test_who_is_cancelled_while_waiting_does_not_run(fresh: Model) -> None:
    rows, sizes, cancel = rows_of(fresh), list[int](), threading.Event()
    disturb(fresh, sizes.append)
    fresh.lock = Lock(cancel.set)  # type: ignore[assignment]
    with pytest.raises(Cancelled):
        fresh.gradients(rows, Meter(cancel=cancel))
    assert not sizes


def test_a_listener_that_fails_leaves_nothing_behind(fresh: Model) -> None:
    def progress(_: int) -> None:
        raise ZeroDivisionError

    before = left(fresh)
    with pytest.raises(ZeroDivisionError):
        fresh.gradients(rows_of(fresh), Meter(progress))
    assert left(fresh) == before


@pytest.mark.parametrize("part", ["", "bert.encoder.layer.1", "dropout"])
def test_training_mode_is_refused(fresh: Model, part: str) -> None:
    """Also where only a part of the model is in it, which its own flag does not tell."""
    rows = rows_of(fresh)
    fresh.module.get_submodule(part).train()
    for call in (fresh.values, fresh.gradients, lambda _: fresh.predict("dull")):
        with pytest.raises(ModelError, match="training mode") as caught:
            call(rows)
        assert caught.value.code == "training_mode"
    fresh.module.eval()
    assert fresh.values(rows).any()


@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_weights_that_are_not_numbers_are_refused(fresh: Model, poison: float) -> None:
    rows = rows_of(fresh)
    fresh.module.get_parameter("bert.encoder.layer.1.output.dense.weight")[0, 0] = poison
    for call in (fresh.values, fresh.gradients, lambda _: fresh.predict("dull")):
        with pytest.raises(ModelError, match="NaN or infinity") as caught:
            call(rows)
        assert caught.value.code == "non_finite"


class Rooted(Sum):
    """Its value is finite where its slope is not: a root at zero."""

    def forward(self, input_ids: torch.Tensor, **rest: Any) -> Any:
        outputs = super().forward(input_ids, **rest)
        first = self.table(input_ids)[:, :, 0]
        outputs.logits = outputs.logits + (first - first.detach()).abs().sum(1, keepdim=True).sqrt()
        return outputs


def test_a_slope_that_is_not_a_number_is_refused() -> None:
    model = toy(Rooted())
    rows = [Row(model.encode(text).inputs, TARGETS[2]) for text in TEXTS]
    assert np.isfinite(model.values(rows)).all()
    with pytest.raises(ModelError, match="NaN or infinity"):
        model.gradients(rows)
