"""Every architecture of transformers' masked language models: load → predict → integrated gradients → occlusion.

As `tests.architectures.test_coverage` for classifiers: a tiny random model of each is saved and loaded as anybody's
checkpoint would be. CI tries a seeded sample; `python -m tests.architectures.test_masked` tries all, prints the count
and every failure with its reason, and exits with 1 where less than `REQUIRED` of those that can be built work.
"""

from __future__ import annotations

import random
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForMaskedLM
from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES as MAPPING
from transformers.utils import logging

from explain.engine import load
from explain.tasks import tasks
from tests.architectures.outcome import failure
from tests.architectures.tiny import config, tokenizer

TEXT = "the film was never [MASK] and the ending is witty"
REQUIRED = 0.8
SAMPLE = 8

KNOWN: dict[str, str] = {
    "bart": "an encoder-decoder writes the text anew: another question",
    "mbart": "an encoder-decoder writes the text anew: another question",
    "mvp": "an encoder-decoder writes the text anew: another question",
    "reformer": "its backward pass refuses evaluation mode",
}
"""What is refused, and why."""
JUMPS: dict[str, str] = {}
"""Where the output jumps or its gradient is approximate, so that integrated gradients cannot add up."""


def explained(model_type: str, folder: Path) -> None:
    """Make, save, load, predict, attribute by gradients and by occlusion, and compare what must agree."""
    build(model_type, folder)
    model = load(str(folder), task="fill-mask")
    prediction = model.predict(TEXT)
    assert prediction.position == model.tokenizer(TEXT)["input_ids"].index(model.tokenizer.mask_token_id)
    result = model.explain(TEXT, methods=["integrated_gradients", "occlusion"], checks=(), budget=84)
    gradients, occlusion = result.attributions
    assert np.allclose(result.prediction.logits, prediction.logits, atol=1e-4)
    assert len(gradients.scores) == len(occlusion.scores) >= len(TEXT.split()) - 1
    assert gradients.value_input == pytest.approx(occlusion.value_input, abs=1e-3)
    if model_type not in JUMPS:
        assert gradients.relative_residual is not None
        assert gradients.exhausted or gradients.relative_residual <= 0.011
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.module.modules())


def build(model_type: str, folder: Path) -> None:
    """A tiny random model and its tokenizer in a folder; raises what transformers raises where it cannot be made."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        model = AutoModelForMaskedLM.from_config(config(model_type), dtype=torch.float32)
        for parameter in model.parameters():
            if parameter.ndim >= 2:
                parameter.normal_(std=0.15)
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    assert AutoConfig.from_pretrained(folder).model_type == model_type


def sample() -> list[str]:
    """Architectures that CI tries: drawn with a fixed seed from those that should work."""
    return sorted(random.Random(0).sample(sorted(set(MAPPING) - set(KNOWN)), SAMPLE))


@pytest.mark.parametrize("model_type", sample())
def test_architecture_is_explained(model_type: str, tmp_path: Path) -> None:
    explained(model_type, tmp_path)


def test_what_is_known_not_to_work_is_a_small_part() -> None:
    assert len(KNOWN) <= (1 - REQUIRED) * len(MAPPING)
    assert set(tasks()["fill-mask"].architectures()) == set(MAPPING) - {"bart", "mbart", "mvp"}


def main() -> int:
    """Print how many work of those that can be built, and each failure with its reason."""
    logging.set_verbosity_error()
    torch.set_num_threads(1)
    failed, unbuilt = {}, {}
    for model_type in sorted(MAPPING):
        with tempfile.TemporaryDirectory() as folder:
            try:
                build(model_type, Path(folder))
            except Exception as error:
                unbuilt[model_type] = f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0][:160]}"
                continue
            if reason := failure(explained, model_type, Path(folder)):
                failed[model_type] = reason
    built = len(MAPPING) - len(unbuilt)
    print(f"fill-mask: {built - len(failed)} of {built} architectures; {len(unbuilt)} cannot be built small here")
    for model_type, reason in (failed | unbuilt).items():
        print(f"  {model_type}: {reason}  [{KNOWN.get(model_type, 'unexpected')}]")
    return int(built - len(failed) < REQUIRED * built)


if __name__ == "__main__":
    sys.exit(main())
