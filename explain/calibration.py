"""bfloat16 where it is as good as float32 on this model, and faster: measured at first use, off by default.

Methods whose scores are sums of values (occlusion, LIME, Shapley values) may be given torch's autocast to bfloat16,
whose numbers have 8 significant bits instead of 24. Everything else of an explanation stays in float32: integrated
gradients hold the sum of slopes against values to a hundredth, and would refine rounding; input reduction takes
decisions that a last digit may turn.

Measured on plain sentences, as for a gate: a word's effect (the value of the text less that of the text without the
word) is what these methods add up, so its error is what counts, and not that of the value.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
from jaxtyping import Float32

from explain.case import Ask, Case
from explain.drive import answer
from explain.errors import InputError, ModelError
from explain.methods import Method
from explain.model import views
from explain.model.rows import Row
from explain.model.runner import Meter, Runner
from explain.records import Notice

ALLOWED = 0.05
"""Largest error of a word's effect, as a share of its text's largest one: as much as integrated gradients allow a word
(`word_tolerance`), and as a replay allows bfloat16."""
FASTER = 1.1
"""Times the speed of float32 from which on it is worth an error; less is within what clocks differ by."""
HOPELESS = 0.5
"""Times the speed of float32 below which one text is enough: without instructions for it, it takes dozens of times."""
WRITTEN = "bfloat16"
"""What `Provenance.dtype` names where a method ran so."""
Posed = Callable[[], tuple[Runner, Sequence[Case]]]
"""Gives a model and plain sentences as questions to it."""


@dataclass(frozen=True)
class Calibration:
    """Whether bfloat16 is used on a model; `said` is what was measured, or why nothing was."""

    used: bool
    said: str


def chosen(runner: Runner, method: Method, posed: Posed, meter: Meter) -> tuple[Runner, Notice | None]:
    """The model that a method's rows are given to, and what is to be said of it; None where there is no choice.

    Raises:
        ModelError: the model cannot answer in float32 either.
    """
    if not runner.fast or not adds(method):
        return runner, None
    if WRITTEN not in runner.kept:
        try:
            runner.kept[WRITTEN] = measure(*posed(), meter)
        except InputError as error:
            runner.kept[WRITTEN] = Calibration(False, f"plain sentences cannot be asked about here ({error})")
    found: Calibration = runner.kept[WRITTEN]
    if not found.used:
        return runner, Notice("not_fast", f"bfloat16 was asked for and is not used: {found.said}")
    said = "Methods whose scores are sums of values were computed in bfloat16, all else in float32"
    return views.in_bfloat16(runner), Notice("fast", f"{said}: {found.said}")


def adds(method: Method) -> bool:
    """Whether a method's scores are sums of values: it takes no slopes, and they are no ranks, which have no sign."""
    return method.cost(1)[1] == 0 and method.info.signed


def measure(runner: Runner, cases: Sequence[Case], meter: Meter) -> Calibration:
    """Hold bfloat16 against float32 on each text and on the text without each word, turn about."""
    if runner.info.dtype != "float32":
        return Calibration(False, f"the model is held in {runner.info.dtype}, and it can only stand in for float32.")
    rough, errors, rates = views.in_bfloat16(runner), list[float](), list[float]()
    for case in cases:
        rows = [case.row(), *(case.without(word, "remove") for word in np.eye(case.n_units, dtype=bool))]
        both = (runner, rough)
        try:
            if not errors:  # what is made at first use is no part of the time
                for model in both:
                    timed(model, rows[:1], meter)
            found = {model: timed(model, rows, meter) for model in both[:: 1 if len(errors) % 2 else -1]}
        except ModelError as error:
            timed(runner, rows, meter)  # who cannot answer in float32 either says so himself
            return Calibration(False, f"this model cannot be run in it ({error})")
        effects, again = (found[model][0][0] - found[model][0][1:] for model in both)  # (U,) each
        largest = max(float(np.abs(effects).max()), float(np.finfo(np.float32).tiny))
        errors.append(float(np.abs(again - effects).max()) / largest)
        rates.append(found[runner][1] / found[rough][1])
        if rates[-1] < HOPELESS:
            break
    worst, speed = max(errors), median(rates)
    texts = f"{len(errors)} short text{'s' if len(errors) > 1 else ''}"
    return Calibration(
        worst <= ALLOWED and speed >= FASTER,
        f"over {texts} the effect of a word was off by at most {worst:.2%} of the largest ({ALLOWED:.0%} is allowed), "
        f"at {speed:.2f} times the speed of float32 ({FASTER:g} at least).",
    )


def timed(model: Runner, rows: Sequence[Row], meter: Meter) -> tuple[Float32[np.ndarray, "N"], float]:
    """The rows' values, and the seconds that they took."""
    began = time.perf_counter()
    values = answer(model, Ask(rows), meter).values
    return values, time.perf_counter() - began
