"""The road through common architectures: every part is found, and adds up, without naming one in the code.

`python -m tests.architectures.test_road` prints what is found in each of transformers' architectures, and why not.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from pathlib import Path

import pytest

from explain.engine import load
from explain.errors import ExplainError
from explain.road import Road
from tests.architectures.tiny import architectures, build, tokenizer

TEXT = "the film was never dull and the ending is brilliant"
PARTS = ("embedding", "attention", "sums", "norms", "feed_forward", "answer")


def road_of(model_type: str, folder: Path) -> Road:
    """Token 3 in layer 1, head 1 of a tiny model."""
    build(model_type).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return load(str(folder)).road(TEXT, 1, 1, 3)


@pytest.mark.parametrize(
    ("model_type", "position"),
    [
        ("bert", "learned"),
        ("distilbert", "learned"),
        ("gpt2", "learned"),
        ("llama", "rotary"),
        ("gemma2", "rotary"),
        ("olmo2", "rotary"),
        ("gpt_neox", "rotary"),
        ("gptj", "rotary"),
        ("t5", "relative"),
    ],
)
def test_common_architectures_show_every_part(model_type: str, position: str, tmp_path: Path) -> None:
    road = road_of(model_type, tmp_path)
    assert road.reasons == {}
    assert all(getattr(road, part) for part in PARTS)
    assert road.position.kind == position
    assert road.difference < 1e-5


@pytest.mark.parametrize("model_type", ["bloom", "mobilebert", "mixtral"])
def test_what_is_hidden_has_a_reason(model_type: str, tmp_path: Path) -> None:
    road = road_of(model_type, tmp_path)
    missing = {part for part in PARTS if not getattr(road, part)}
    assert missing <= road.reasons.keys()
    assert road.reasons


def main(wanted: list[str]) -> None:
    """Print the counts, and each failure with its reason."""
    counts: Counter[str] = Counter()
    for model_type in wanted or architectures():
        with tempfile.TemporaryDirectory() as folder:
            try:
                road = road_of(model_type, Path(folder))
            except ExplainError as error:
                print(f"  {model_type}: {error}")
                continue
            except Exception as error:
                print(f"  {model_type}: cannot be built: {str(error).strip().splitlines()[:1]}")
                continue
        counts.update(["road", *(part for part in PARTS if getattr(road, part))])
        if road.reasons:
            print(f"  {model_type}: {'; '.join(road.reasons.values())}")
    print(dict(counts))


if __name__ == "__main__":
    main(sys.argv[1:])
