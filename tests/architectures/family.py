"""What the tests of all architectures of one head share: making each small, and counting what works."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoConfig
from transformers.utils import logging

from explain.engine import Model
from explain.records import Prediction
from tests.architectures.outcome import failure
from tests.architectures.tiny import config, tokenizer

REQUIRED = 0.8
"""The share of the architectures that can be built which must work."""
SAMPLE = 8


def build(auto_class: Any, model_type: str, folder: Path, labels: int = 3) -> None:
    """A tiny random model and its tokenizer in a folder; raises what transformers raises where it cannot be made."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        model = auto_class.from_config(config(model_type, labels), dtype=torch.float32)
        for parameter in model.parameters():
            if parameter.ndim >= 2:
                parameter.normal_(std=0.15)
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    assert AutoConfig.from_pretrained(folder).model_type == model_type


def agree(
    model: Model, text: Any, prediction: Prediction, *, jumps: bool = False, atol: float = 1e-4, **about: Any
) -> None:
    """Attribute by gradients and by occlusion: both explain the decision, and the first adds up unless it `jumps`."""
    result = model.explain(text, methods=["integrated_gradients", "occlusion"], checks=(), budget=84, **about)
    gradients, occlusion = result.attributions
    words = (text if isinstance(text, str) else " ".join(text)).split()
    assert np.allclose(result.prediction.logits, prediction.logits, atol=atol)
    assert len(gradients.scores) == len(occlusion.scores) >= len(words) - 1
    assert gradients.value_input == pytest.approx(occlusion.value_input, abs=1e-3)
    if not jumps:
        assert gradients.relative_residual is not None
        assert gradients.exhausted or gradients.relative_residual <= 0.011
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.module.modules())


def sample(mapping: Collection[str], known: Collection[str]) -> list[str]:
    """Architectures that CI tries: drawn with a fixed seed from those that should work."""
    return sorted(random.Random(0).sample(sorted(set(mapping) - set(known)), SAMPLE))


def count(
    task: str,
    mapping: Collection[str],
    known: Mapping[str, str],
    auto_class: Any,
    explained: Callable[[str, Path], object],
    labels: int = 3,
) -> int:
    """Print each failure with its reason, and how many work of those that can be built; 1 where they are too few."""
    logging.set_verbosity_error()
    torch.set_num_threads(1)
    built = works = 0
    for model_type in sorted(mapping):
        with tempfile.TemporaryDirectory() as folder:
            try:
                build(auto_class, model_type, Path(folder), labels)
                built += 1
                reason = failure(explained, model_type, Path(folder))
            except Exception as error:
                said = (str(error).strip().splitlines() or [""])[0][:160]
                reason = f"cannot be built small here: {type(error).__name__}: {said}"
        works += reason is None
        if reason is not None:
            print(f"  {model_type}: {reason}  [{known.get(model_type, 'unexpected')}]", flush=True)
    print(f"{task}: {works} of {built} architectures; {len(mapping) - built} cannot be built small here")
    return int(works < REQUIRED * built)
