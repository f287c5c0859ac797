"""Every architecture of transformers' question answering: load → predict → integrated gradients → occlusion.

As `tests.architectures.test_masked`: CI tries a seeded sample; `python -m tests.architectures.test_answers` tries all,
prints the count and every failure with its reason, and exits with 1 where too few of those that can be built work.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForQuestionAnswering
from transformers.models.auto.modeling_auto import MODEL_FOR_QUESTION_ANSWERING_MAPPING_NAMES as MAPPING

from explain.engine import load
from explain.tasks import tasks
from tests.architectures.family import REQUIRED, agree, build, count, sample
from tests.architectures.tiny import JUMPS

TASK = "question-answering"
TEXTS = ("was the film bad ?", "the film was never bad and the ending is witty")

ENDS = 2
"""Outputs of the head: a start and an end."""
KNOWN: dict[str, str] = {
    "canine": "hashes every character into eight tables: no table holds a vector a token",
    "layoutlmv2": "needs the package detectron2 for its image half, even for text alone",
    "longformer": "finds the question by three separators; the tokenizer of these tests writes two",
    "lxmert": "answers about pictures",
    "reformer": "its backward pass refuses evaluation mode, and its hashing draws new random rotations at every call",
}
"""What does not work, and why."""


def explained(model_type: str, folder: Path) -> None:
    """Make, save, load, predict, attribute by gradients and by occlusion, and compare what must agree."""
    build(AutoModelForQuestionAnswering, model_type, folder, ENDS)
    model = load(str(folder), task=TASK)
    prediction, ids = model.predict(TEXTS), model.tokenizer(*TEXTS)["input_ids"]
    assert prediction.answering is not None
    best = prediction.answering.answers[0]
    assert TEXTS[1][best.start : best.end] == best.words
    with torch.no_grad():
        kinds = {n: torch.tensor([v]) for n, v in model.tokenizer(*TEXTS).items() if n == "token_type_ids"}
        outputs = model.module(torch.tensor([ids]), **kinds)
    alone = float(outputs.start_logits[0, best.first] + outputs.end_logits[0, best.last])
    assert prediction.logits[0] == pytest.approx(alone, abs=1e-3)
    agree(model, TEXTS, prediction, jumps=model_type in JUMPS, atol=1e-3)


@pytest.mark.parametrize("model_type", sample(MAPPING, KNOWN))
def test_architecture_is_explained(model_type: str, tmp_path: Path) -> None:
    explained(model_type, tmp_path)


def test_what_is_known_not_to_work_is_a_small_part() -> None:
    assert len(KNOWN) <= (1 - REQUIRED) * len(MAPPING)
    assert set(tasks()[TASK].architectures()) == set(MAPPING)


def main() -> int:
    """Print how many work of those that can be built, and each failure with its reason."""
    return count(TASK, MAPPING, KNOWN, AutoModelForQuestionAnswering, explained, ENDS)


if __name__ == "__main__":
    sys.exit(main())
