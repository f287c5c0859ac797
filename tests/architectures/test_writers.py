"""Every architecture of transformers with an encoder and a decoder: load → predict → integrated gradients → occlusion.

As `tests.architectures.test_masked`: CI tries a seeded sample; `python -m tests.architectures.test_writers` tries all,
prints the count and every failure with its reason, and exits with 1 where too few of those that can be built work.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForSeq2SeqLM

from explain.engine import load
from explain.tasks import tasks
from tests.architectures.family import REQUIRED, agree, build, count, sample
from tests.architectures.tiny import JUMPS

TASK = "text2text-generation"
TEXTS = ("the film was never bad and the ending is witty", "a good story")
MAPPING = tasks()[TASK].architectures()

KNOWN: dict[str, str] = {
    "audioflamingo3": "listens to sound, and has no decoder beside an encoder of text",
    "fsmt": "its decoder does not say where it looks words up, so there are no gradients there; occlusion works",
    "musicflamingo": "listens to sound, and cannot be built small here",
}
"""What does not work, and why."""


def explained(model_type: str, folder: Path) -> None:
    """Make, save, load, predict, attribute by gradients and by occlusion, and compare what must agree."""
    build(AutoModelForSeq2SeqLM, model_type, folder)
    model = load(str(folder), task=TASK)
    prediction, encoding = model.predict(TEXTS), model.encode(TEXTS)
    source, decoded = np.split(encoding.tokens.ids, [encoding.source])
    with torch.no_grad():
        both = torch.from_numpy(source.copy())[None], torch.from_numpy(decoded.copy())[None]
        alone = model.module(input_ids=both[0], decoder_input_ids=both[1]).logits[0, -1].numpy()
    assert prediction.indices is not None
    assert np.allclose(prediction.logits, alone[list(prediction.indices)], atol=1e-3)
    agree(model, TEXTS, prediction, jumps=model_type in JUMPS)


@pytest.mark.parametrize("model_type", sample(MAPPING, KNOWN))
def test_architecture_is_explained(model_type: str, tmp_path: Path) -> None:
    explained(model_type, tmp_path)


def test_what_is_known_not_to_work_is_a_small_part() -> None:
    assert len(KNOWN) <= (1 - REQUIRED) * len(MAPPING)


def main() -> int:
    """Print how many work of those that can be built, and each failure with its reason."""
    return count(TASK, MAPPING, KNOWN, AutoModelForSeq2SeqLM, explained)


if __name__ == "__main__":
    sys.exit(main())
