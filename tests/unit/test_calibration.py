"""bfloat16 for methods whose scores are sums of values, where it is as good and faster. Nothing here is timed."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import explain
from explain import calibration, doctor, replay
from explain.audit.store import Store
from explain.candidates import Candidates
from explain.case import Ask
from explain.catalog import Request
from explain.drive import answer
from explain.engine import Model
from explain.errors import Cancelled, ModelError
from explain.methods import methods
from explain.model import loading
from explain.model.rows import Row
from explain.model.runner import Meter, Runner
from explain.records import Explanation
from explain.settings import Settings
from tests.cases import case_of
from tests.toys import Sum, toy

TEXT = "a good movie, but never very funny"
ADDING = [name for name, m in methods().items() if calibration.adds(m)]


class Steep(Sum):
    """The same sum beside a thousand that is taken off again: all that bfloat16 knows of it is the thousand."""

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None, **_: Any) -> Any:
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        total = (self.table(input_ids) * mask[..., None]).sum(1) + 1_000
        return SimpleNamespace(logits=total @ self.weight.T - 1_000 * self.weight.sum(1))


class Unable(Sum):
    """A sum that has no kernel for autocast."""

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None, **rest: Any) -> Any:
        if torch.is_autocast_enabled("cpu"):
            raise RuntimeError("not implemented for 'BFloat16'")
        return super().forward(input_ids, attention_mask, **rest)


def hurried(model: Model) -> Model:
    """The same model, asked to be fast, that remembers nothing."""
    other = copy.copy(model)
    other.fast, other.kept = True, {}
    return other


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], list[str]]:
    """Make bfloat16 so many times as fast as float32; the list says in which of them rows were answered."""

    def at(speed: float) -> list[str]:
        seen = list[str]()

        def timed(model: Runner, rows: Sequence[Row], meter: Meter) -> tuple[Any, float]:
            seen.append("float32" if model.autocast is None else "bfloat16")
            return answer(model, Ask(rows), meter).values, 1.0 if model.autocast is None else 1 / speed

        monkeypatch.setattr(calibration, "timed", timed)
        return seen

    return at


def said(found: Explanation) -> dict[str, str]:
    return {n.code: n.message for n in found.warnings if n.code in ("fast", "not_fast")}


def alike(one: Explanation, two: Explanation) -> bool:
    """Are all numbers the same to the bit?"""
    pairs = zip(one.attributions, two.attributions, strict=True)
    return one.effects == two.effects and all(np.array_equal(a.scores, b.scores) for a, b in pairs)


def test_nothing_changes_unless_somebody_asks(clock: Callable[[float], list[str]]) -> None:
    seen, model = clock(2.0), toy()
    found = model.explain(TEXT, methods=["occlusion"], checks=())
    assert not model.fast
    assert (seen, said(found), found.provenance.dtype) == ([], {}, "float32")


def test_what_is_as_good_and_faster_is_taken(clock: Callable[[float], list[str]]) -> None:
    seen, model = clock(2.0), toy()
    asked: dict[str, Any] = {"methods": ["integrated_gradients", "occlusion"], "checks": ("completeness",)}
    plain, fast = model.explain(TEXT, **asked), hurried(model).explain(TEXT, **asked)
    assert set(seen) == {"float32", "bfloat16"}
    assert fast.provenance.dtype == "float32; bfloat16: occlusion"
    assert "2.00 times the speed" in said(fast)["fast"]
    assert "not_fast" not in said(fast)
    (slopes, values), (exact, whole) = fast.attributions, plain.attributions
    assert np.array_equal(slopes.scores, exact.scores), "what takes slopes is not touched"
    assert fast.effects == plain.effects
    assert fast.prediction == plain.prediction
    assert not np.array_equal(values.scores, whole.scores), "it was really in use"
    assert np.abs(values.scores - whole.scores).max() <= calibration.ALLOWED * np.abs(whole.scores).max()


@pytest.mark.parametrize("speed", [1.0, 0.9])
def test_what_is_not_faster_is_refused(clock: Callable[[float], list[str]], speed: float) -> None:
    clock(speed)
    model = toy()
    found = hurried(model).explain(TEXT, methods=["occlusion"], checks=())
    assert f"{speed:.2f} times the speed of float32 (1.1 at least)" in said(found)["not_fast"]
    assert found.provenance.dtype == "float32"
    assert alike(found, model.explain(TEXT, methods=["occlusion"], checks=()))


def test_one_text_is_enough_where_it_is_hopeless(clock: Callable[[float], list[str]]) -> None:
    seen = clock(0.03)
    found = hurried(toy()).explain(TEXT, methods=["occlusion"], checks=())
    assert seen.count("bfloat16") == 2, "once to warm up, once on a clock"
    assert "over 1 short text the effect" in said(found)["not_fast"]


def test_what_is_off_by_more_is_refused(clock: Callable[[float], list[str]]) -> None:
    clock(9.0)
    model = toy(Steep())
    found = hurried(model).explain(TEXT, methods=["occlusion"], checks=())
    assert "(5% is allowed)" in said(found)["not_fast"]
    assert found.provenance.dtype == "float32"
    assert alike(found, model.explain(TEXT, methods=["occlusion"], checks=()))


def test_what_cannot_run_is_refused_in_words(clock: Callable[[float], list[str]]) -> None:
    clock(9.0)
    found = hurried(toy(Unable())).explain(TEXT, methods=["occlusion"], checks=())
    assert "not implemented for 'BFloat16'" in said(found)["not_fast"]
    broken = hurried(toy())
    broken.module.table.weight.data[:] = torch.nan  # type: ignore[union-attr, operator]
    with pytest.raises(ModelError, match="NaN"):
        broken.explain(TEXT, methods=["occlusion"], checks=())


def test_only_float32_is_exchanged(clock: Callable[[float], list[str]]) -> None:
    seen, model = clock(9.0), hurried(toy(Sum().double()))
    model.info = replace(model.info, dtype="float64")
    found = model.explain(TEXT, methods=["occlusion"], checks=())
    assert "held in float64" in said(found)["not_fast"]
    assert seen == []


def test_what_decides_or_takes_slopes_stays_in_float32(clock: Callable[[float], list[str]]) -> None:
    seen = clock(9.0)
    assert {"occlusion", "lime", "kernel_shap", "partition_shap", "exact_shapley", "shapley_sampling"} == set(ADDING)
    found = hurried(toy()).explain(TEXT, methods=["input_reduction", "saliency"], checks=())
    assert (seen, said(found), found.provenance.dtype) == ([], {}, "float32")


def test_a_model_is_measured_once(clock: Callable[[float], list[str]]) -> None:
    seen, model = clock(2.0), hurried(toy())
    first = model.explain(TEXT, methods=["occlusion", "lime"], checks=())
    count = len(seen)
    again = model.explain(TEXT, methods=["lime"], checks=())
    assert len(seen) == count
    assert first.provenance.dtype == "float32; bfloat16: occlusion, lime"
    assert [n.code for n in first.warnings].count("fast") == 1
    assert said(again) == said(first)


@pytest.mark.parametrize("name", ADDING)
def test_every_method_that_adds_values_can_be_fast(clock: Callable[[float], list[str]], name: str) -> None:
    clock(2.0)
    model = toy()
    plain, fast = (m.explain(TEXT, methods=[name], checks=()) for m in (model, hurried(model)))
    assert fast.provenance.dtype == f"float32; bfloat16: {name}"
    (one,), (two,) = plain.attributions, fast.attributions
    assert np.abs(one.scores - two.scores).max() <= calibration.ALLOWED * np.abs(one.scores).max()


@pytest.mark.parametrize("task", ["teller", "scribe", "filler", "tagger", "answerer", "inferrer"])
def test_every_task_can_be_asked(
    task: str, request: pytest.FixtureRequest, clock: Callable[[float], list[str]]
) -> None:
    clock(2.0)
    model = hurried(request.getfixturevalue(task))
    texts = {"answerer": ("Who is good?", "The film is good."), "filler": (f"a good {model.tokenizer.mask_token}",)}
    about: dict[str, Any] = {"candidates": Candidates(("good", "bad"))} if task == "inferrer" else {}
    asked = Request(texts.get(task, ("The film is good.",)), methods=("occlusion",), checks=(), **about)
    found = model.answer([asked])[0]
    assert "of the largest (5% is allowed)" in "".join(said(found).values())


def test_whoever_cancels_does_not_wait_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def timed(model: Runner, rows: Sequence[Row], meter: Meter) -> Any:
        raise Cancelled("The explanation was cancelled.")

    monkeypatch.setattr(calibration, "timed", timed)
    model = hurried(toy())
    with pytest.raises(Cancelled):
        model.explain(TEXT, methods=["occlusion"], checks=())
    assert calibration.WRITTEN not in model.kept


def test_the_clock_is_read_around_the_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter([3.0, 3.5])
    monkeypatch.setattr(calibration, "time", SimpleNamespace(perf_counter=lambda: next(ticks)))
    model = toy()
    row = case_of(model, TEXT).row()
    values, seconds = calibration.timed(model, [row], Meter())
    assert (values.tolist(), seconds) == (model.values([row]).tolist(), 0.5)


def test_it_is_asked_for_by_an_option_or_a_setting(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not explain.load(str(tiny_folder)).fast
    assert explain.load(str(tiny_folder), fast=True).fast
    monkeypatch.setenv("EXPLAIN_FAST", "true")
    on = Settings()  # type: ignore[call-arg]
    for module in (loading, doctor):
        monkeypatch.setattr(module, "settings", lambda: on)
    assert explain.load(str(tiny_folder)).fast
    assert not explain.load(str(tiny_folder), fast=False).fast
    assert "bfloat16" in doctor.fast().found


def test_the_command_line_has_it(run: Any, tiny_folder: Path, clock: Callable[[float], list[str]]) -> None:
    clock(0.03)
    asked = ("run", TEXT, "--model", str(tiny_folder), "-m", "occlusion", "--no-checks", "--json")
    for option, codes in ((("--fast",), {"not_fast"}), ((), set())):
        code, out, _ = run(*asked, *option)
        assert code == 0
        assert set(said(explain.read(out))) == codes
    code, out, _ = run("doctor", "--json")
    assert {one["about"]: one["found"] for one in json.loads(out)}["EXPLAIN_FAST"] == "off"
    code, out, _ = run("settings")
    assert "EXPLAIN_FAST" in out


def test_a_replay_says_which_of_them_ran_so(tmp_path: Path, clock: Callable[[float], list[str]]) -> None:
    clock(2.0)
    model, store = toy(), Store(tmp_path / "evidence")
    asked = Request((TEXT,), methods=("occlusion",), checks=())
    entry = store.file(hurried(model).answer([asked])[0], asked=asked)
    content = store.content(entry.header.id)
    same = replay.replay(hurried(model), entry.header, content)
    assert (same.holds, same.tolerance, same.environment) == (True, 0, ())
    other = replay.replay(model, entry.header, content)
    assert other.environment == ("dtype float32 instead of float32; bfloat16: occlusion",)
    assert other.tolerance == replay.TOLERANCE["bfloat16"]
    assert 0 < max(p.difference for p in other.parts) <= other.tolerance
