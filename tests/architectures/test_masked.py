"""Every architecture of transformers' masked language models: load → predict → integrated gradients → occlusion.

As `tests.architectures.test_coverage` for classifiers: a tiny random model of each is saved and loaded as anybody's
checkpoint would be. CI tries a seeded sample; `python -m tests.architectures.test_masked` tries all, prints the count
and every failure with its reason, and exits with 1 where less than `REQUIRED` of those that can be built work.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from transformers import AutoModelForMaskedLM
from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES as MAPPING

from explain.engine import load
from explain.tasks import tasks
from tests.architectures.family import REQUIRED, agree, build, count, sample

TASK = "fill-mask"
TEXT = "the film was never [MASK] and the ending is witty"

KNOWN: dict[str, str] = {
    "bart": "an encoder-decoder writes the text anew: another question",
    "mbart": "an encoder-decoder writes the text anew: another question",
    "mvp": "an encoder-decoder writes the text anew: another question",
    "reformer": "its backward pass refuses evaluation mode",
}
"""What is refused, and why."""


def explained(model_type: str, folder: Path) -> None:
    """Make, save, load, predict, attribute by gradients and by occlusion, and compare what must agree."""
    build(AutoModelForMaskedLM, model_type, folder)
    model = load(str(folder), task=TASK)
    prediction = model.predict(TEXT)
    assert prediction.position == model.tokenizer(TEXT)["input_ids"].index(model.tokenizer.mask_token_id)
    agree(model, TEXT, prediction)


@pytest.mark.parametrize("model_type", sample(MAPPING, KNOWN))
def test_architecture_is_explained(model_type: str, tmp_path: Path) -> None:
    explained(model_type, tmp_path)


def test_what_is_known_not_to_work_is_a_small_part() -> None:
    assert len(KNOWN) <= (1 - REQUIRED) * len(MAPPING)
    assert set(tasks()[TASK].architectures()) == set(MAPPING) - {"bart", "mbart", "mvp"}


def main() -> int:
    """Print how many work of those that can be built, and each failure with its reason."""
    return count(TASK, MAPPING, KNOWN, AutoModelForMaskedLM, explained)


if __name__ == "__main__":
    sys.exit(main())
