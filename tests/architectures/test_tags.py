"""Every architecture of transformers' token classifiers: load → predict → integrated gradients → occlusion.

As `tests.architectures.test_masked`: CI tries a seeded sample; `python -m tests.architectures.test_tags` tries all,
prints the count and every failure with its reason, and exits with 1 where too few of those that can be built work.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForTokenClassification
from transformers.models.auto.modeling_auto import MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES as MAPPING

from explain.engine import load
from explain.tasks import tasks
from tests.architectures.family import REQUIRED, agree, build, count, sample
from tests.architectures.tiny import JUMPS

TASK = "token-classification"
TEXT = "the film was never bad and the ending is witty"

KNOWN: dict[str, str] = {
    "bros": "needs the place of every word on a page",
    "canine": "hashes every character into eight tables: no table holds a vector a token",
    "gpt-sw3": "a name for GPT-2, whose configuration says so",
    "layoutlmv2": "needs the package detectron2 for its image half, even for text alone",
}
"""What does not work, and why."""


def explained(model_type: str, folder: Path) -> None:
    """Make, save, load, predict, attribute by gradients and by occlusion, and compare what must agree."""
    build(AutoModelForTokenClassification, model_type, folder)
    model = load(str(folder), task=TASK)
    prediction, ids = model.predict(TEXT, place=3), model.tokenizer(TEXT)["input_ids"]
    assert prediction.tagging is not None
    tags = prediction.tagging.tags  # some tokenizer classes read this vocabulary otherwise, and lose letters
    assert len(tags) >= len(TEXT.split()) - 1
    assert all(t.word == TEXT[t.start : t.end] for t in tags)
    assert prediction.position == tags[3].token
    with torch.no_grad():
        alone = model.module(torch.tensor([ids])).logits[0, prediction.position].numpy()
    assert np.allclose(prediction.logits, alone, atol=1e-4)
    agree(model, TEXT, prediction, jumps=model_type in JUMPS, place=3)


@pytest.mark.parametrize("model_type", sample(MAPPING, KNOWN))
def test_architecture_is_explained(model_type: str, tmp_path: Path) -> None:
    explained(model_type, tmp_path)


def test_what_is_known_not_to_work_is_a_small_part() -> None:
    assert len(KNOWN) <= (1 - REQUIRED) * len(MAPPING)
    assert set(tasks()[TASK].architectures()) == set(MAPPING)


def main() -> int:
    """Print how many work of those that can be built, and each failure with its reason."""
    return count(TASK, MAPPING, KNOWN, AutoModelForTokenClassification, explained)


if __name__ == "__main__":
    sys.exit(main())
