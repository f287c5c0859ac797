"""Attention of every architecture: weights from the interface or the eager kernel, queries, keys and values.

A pass in which a layer is recorded computes attention in the open, so its answer must equal a plain one; weights must
be distributions. `python -m tests.architectures.test_heads` prints the counts and every failure with its reason.
"""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from explain.case import Ask
from explain.engine import load
from explain.errors import ExplainError
from explain.model.heads import observe
from explain.model.runner import Meter
from tests.architectures.tiny import architectures, build, tokenizer
from tests.cases import case_of

TEXT = "the film was never dull and the ending is brilliant"
WEIGHTS, PARTS = 115, 90
"""What users are promised, of transformers' 127 architectures; 117 and 93 were counted, a release may take some."""


def looked(model_type: str, folder: Path) -> tuple[bool, bool, str]:
    """Are there weights of every layer, are there queries, keys and values, and if not, why."""
    try:
        build(model_type).save_pretrained(folder)
        tokenizer().save_pretrained(folder)
        model = load(str(folder))
    except ExplainError as error:
        return False, False, str(error)
    except Exception as error:
        return False, False, f"transformers cannot build it: {str(error).splitlines()[0][:90]}"
    case = case_of(model, TEXT)
    plain, reason, parts = float(case.evaluate(Ask([case.row()])).values[0]), "", False
    try:
        values, (heads,) = observe(model, [case.row()], Meter(), 0, to_the_end=True)
        (short,) = case.evaluate(Ask([case.row()], heads=0)).heads  # the pass ends at its layer
        assert np.array_equal(short.weights, heads.weights)
        assert float(case.evaluate(Ask([case.row()])).values[0]) == plain, "an ended pass left something behind"
        off = abs(float(values[0]) - plain)
        sums = np.abs(heads.weights.sum(-1) - 1).max()
        parts = off <= 1e-4 * max(1, abs(plain)) and sums <= 1e-3
        reason = "" if parts else f"recorded pass is off by {off:.1g}, rows by {sums:.1g}"
    except ExplainError as error:
        reason = str(error)
    try:
        report = model.heads(TEXT, ablation="zero" if parts else None)
        return True, parts, reason or ("" if report.effects is not None else report.unmeasured)
    except ExplainError as error:
        return False, parts, f"{reason} {error}".strip()


@cache
def all_of_them() -> dict[str, tuple[bool, bool, str]]:
    """Every architecture's answer."""
    found = {}
    for model_type in architectures():
        with tempfile.TemporaryDirectory() as folder:
            found[model_type] = looked(model_type, Path(folder))
    return found


def test_promised_numbers() -> None:
    found = all_of_them().values()
    assert sum(weights for weights, _, _ in found) >= WEIGHTS
    assert sum(parts for _, parts, _ in found) >= PARTS


@pytest.mark.parametrize("model_type", ["bert", "gpt2", "llama", "t5", "gemma2"])
def test_common_architectures_have_both(model_type: str, tmp_path: Path) -> None:
    weights, parts, reason = looked(model_type, tmp_path)
    assert (weights, parts) == (True, True), reason


def main() -> None:
    """Print the counts, and each failure with its reason."""
    found = all_of_them()
    print(f"weights: {sum(w for w, _, _ in found.values())} of {len(found)}")
    print(f"queries, keys and values: {sum(p for _, p, _ in found.values())} of {len(found)}")
    for model_type, (weights, parts, reason) in found.items():
        if not weights or not parts:
            print(f"  {model_type}: weights {'yes' if weights else 'no'}, parts {'yes' if parts else 'no'}: {reason}")


if __name__ == "__main__":
    main()
