"""Every architecture of transformers' sequence classification: load → predict → integrated gradients → occlusion.

A tiny random model is made from each configuration, saved and loaded as anybody's checkpoint would be. What
cannot be explained is listed with its reason in `KNOWN` and must say so in a sentence.
`python -m tests.architectures.test_coverage` prints the count and every failure.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest

from explain.engine import load
from explain.errors import MethodError, ModelError
from tests.architectures.outcome import failure
from tests.architectures.tiny import DEAF, JUMPS, architectures, build, tokenizer
from tests.architectures.tiny import KNOWN as REFUSED

TEXT = "the film was never dull and the ending is brilliant"
TASK, MAPPING = "text-classification", architectures()
KNOWN = REFUSED | DEAF
"""What does not work, and why."""
REQUIRED = 100


def explained(model_type: str, folder: Path) -> None:
    """Make, save, load, predict, attribute by gradients and by occlusion, and compare what must agree."""
    build(model_type).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    model = load(str(folder))
    prediction = model.predict(TEXT)
    result = model.explain(TEXT, methods=["integrated_gradients", "occlusion"], checks=(), budget=84)
    gradients, occlusion = result.attributions
    assert np.allclose(result.prediction.logits, prediction.logits, atol=1e-4)
    assert len(gradients.scores) == len(occlusion.scores) >= len(TEXT.split())  # some score white space too
    assert gradients.value_input == pytest.approx(occlusion.value_input, abs=1e-3)
    if model_type not in JUMPS:
        assert gradients.relative_residual is not None
        assert gradients.exhausted or gradients.relative_residual <= 0.011
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.module.modules())


@pytest.mark.parametrize("model_type", [m for m in MAPPING if m not in KNOWN])
def test_architecture_is_explained(model_type: str, tmp_path: Path) -> None:
    explained(model_type, tmp_path)


@pytest.mark.parametrize("model_type", sorted(REFUSED))
def test_what_cannot_be_explained_says_so(model_type: str, tmp_path: Path) -> None:
    try:
        build(model_type)
    except Exception as error:
        pytest.skip(f"transformers itself cannot build it: {error}")
    with pytest.raises((ModelError, MethodError)):
        explained(model_type, tmp_path)


@pytest.mark.parametrize("model_type", sorted(DEAF))
def test_words_without_influence_score_nothing(model_type: str, tmp_path: Path) -> None:
    build(model_type).save_pretrained(tmp_path)
    tokenizer().save_pretrained(tmp_path)
    (found,) = load(str(tmp_path)).explain(TEXT, methods=["occlusion"], checks=()).attributions
    assert np.allclose(found.scores, 0, atol=1e-6)


def test_at_least_a_hundred() -> None:
    assert len(MAPPING) - len(KNOWN) >= REQUIRED


def main() -> None:
    """Print 'N of M architectures', and each failure with its reason."""
    failed = dict(DEAF)
    for model_type in (m for m in MAPPING if m not in DEAF):
        with tempfile.TemporaryDirectory() as folder:
            if reason := failure(explained, model_type, Path(folder)):
                failed[model_type] = reason
    print(f"{len(MAPPING) - len(failed)} of {len(MAPPING)} architectures")
    for model_type, reason in failed.items():
        print(f"  {model_type}: {reason}  [{KNOWN.get(model_type, 'unexpected')}]")


if __name__ == "__main__":
    main()
