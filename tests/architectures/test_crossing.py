"""Attention of every architecture with an encoder and a decoder: its maps are transformers' own, its parts make them.

CI tries a few; `python -m tests.architectures.test_crossing` tries all, and prints the counts and every failure with
its reason.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from transformers import AutoModelForSeq2SeqLM
from transformers.utils import logging

from explain.case import Ask
from explain.engine import load
from explain.errors import ExplainError
from explain.model.heads import observe
from explain.model.inside import kernel, maps_of
from explain.model.runner import Meter
from explain.records import Kind
from tests.architectures.family import build
from tests.architectures.test_writers import MAPPING, TASK, TEXTS
from tests.cases import case_of

KINDS: tuple[Kind, ...] = get_args(Kind)


def looked(model_type: str, folder: Path) -> tuple[list[Kind], list[Kind], list[str]]:
    """Of which kinds the weights are transformers' own, of which there are queries, keys and values, and why not."""
    build(AutoModelForSeq2SeqLM, model_type, folder)
    model = load(str(folder), task=TASK)
    case, reasons = case_of(model, TEXTS), []
    row, maps, parts = case.row(), [], []
    plain = float(case.evaluate(Ask([row])).values[0])
    both = {name: torch.from_numpy(ids.copy())[None] for name, ids in (
        ("input_ids", row.ids[: row.source]), ("decoder_input_ids", row.ids[row.source :]))}  # fmt: skip
    with torch.no_grad(), kernel(model.module, "eager"):
        theirs = model.module(**both, output_attentions=True)
    for kind in KINDS:
        expected = [a[0].float().numpy() for a in maps_of(theirs, kind) if isinstance(a, torch.Tensor)]
        try:
            found = case.evaluate(Ask([row], attention=True, kind=kind)).attention[0]
            assert len(found) == len(expected) > 0
            for a, b in zip(found, expected, strict=True):
                assert a.shape == b.shape, f"{kind}: weights {b.shape}, not {a.shape}"
                assert np.allclose(a, b, atol=1e-5)
            model.head(TEXTS, 0, 0, kind=kind)
            maps.append(kind)
            for layer in range(len(expected)):
                values, (heads,) = observe(model, [row], Meter(), layer, to_the_end=True, kind=kind)
                assert np.allclose(heads.weights, expected[layer], atol=1e-4), f"{kind}: other weights in layer {layer}"
                assert abs(float(values[0]) - plain) <= 1e-4 * max(1, abs(plain)), f"{kind}: another answer"
            assert model.heads(TEXTS, kind=kind, ablation="zero").effects is not None
            parts.append(kind)
        except (ExplainError, AssertionError) as error:
            reasons.append(f"{kind}: {(str(error).splitlines() or ['other weights'])[0][:110]}")
    return maps, parts, reasons


@pytest.mark.parametrize("model_type", ["bart", "encoder-decoder", "marian", "pegasus", "t5"])
def test_common_architectures_have_all_three(model_type: str, tmp_path: Path) -> None:
    maps, parts, reasons = looked(model_type, tmp_path)
    assert (maps, parts) == (list(KINDS), list(KINDS)), reasons


def test_streams_are_no_map_of_tokens(tmp_path: Path) -> None:
    """ProphetNet's decoder asks in several streams, whose first rows looked like a map; its encoder's do not add up."""
    maps, _, reasons = looked("prophetnet", tmp_path)
    assert maps == ["causal"]
    assert any("no distribution" in reason for reason in reasons if reason.startswith("encoder"))
    assert any("12 rows for 4 tokens" in reason for reason in reasons if reason.startswith("cross"))


def test_weights_that_are_no_tensors_are_refused(tmp_path: Path) -> None:
    maps, _, reasons = looked("pegasus_x", tmp_path)
    assert "encoder" not in maps
    assert any("gives no attention weights" in reason for reason in reasons if reason.startswith("encoder"))


def test_weights_of_a_window_are_refused(tmp_path: Path) -> None:
    build(AutoModelForSeq2SeqLM, "led", tmp_path)
    with pytest.raises(ExplainError, match="no distribution"):
        load(str(tmp_path), task=TASK).explain(TEXTS, attention=True, checks=(), methods=["occlusion"])


def main() -> None:
    """Print the counts, and each failure with its reason."""
    logging.set_verbosity_error()
    torch.set_num_threads(1)
    whole = {"maps": 0, "parts": 0}
    built = 0
    for model_type in sorted(MAPPING):
        with tempfile.TemporaryDirectory() as folder:
            try:
                maps, parts, reasons = looked(model_type, Path(folder))
            except Exception as error:
                print(
                    f"  {model_type}: {type(error).__name__}: {(str(error).splitlines() or [''])[0][:110]}", flush=True
                )
                continue
        built += 1
        whole["maps"] += len(maps) == len(KINDS)
        whole["parts"] += len(parts) == len(KINDS)
        if reasons:
            print(f"  {model_type}: {'; '.join(reasons)}", flush=True)
    print(f"weights of all three kinds: {whole['maps']} of {built}; queries, keys, values, effects: {whole['parts']}")


if __name__ == "__main__":
    main()
