"""What a text can be compared with: every baseline is what its name says, and specials stay."""

from __future__ import annotations

import numpy as np
import pytest

from explain.engine import Model
from explain.errors import MethodError
from tests.cases import case_of

TEXT = "a good movie, but never very funny"


def test_mean_is_the_vocabularys_average(tiny: Model) -> None:
    case = case_of(tiny, TEXT)
    name, start = case.baseline("mean")
    table = tiny.module.get_input_embeddings().weight.numpy()  # type: ignore[operator]
    special = case.tokens.special
    assert name == "mean"
    assert np.allclose(start[~special], table[: len(tiny.tokenizer)].mean(0), atol=1e-6)
    assert (start[special] == case.embeds[special]).all()


@pytest.mark.parametrize("other", ["dull", "the actor is charming and the ending is so very moving and warm"])
def test_a_text_is_laid_over_and_cut_or_filled(tiny: Model, other: str) -> None:
    case = case_of(tiny, TEXT)
    name, start = case.baseline("text", other)
    ids = tiny.tokenizer(other, add_special_tokens=False)["input_ids"]
    content = np.flatnonzero(~case.tokens.special)
    expected = (ids + [tiny.tokenizer.mask_token_id] * len(content))[: len(content)]
    assert name == "text"
    assert np.allclose(start[content], case.embed(np.array(expected)), atol=1e-6)


def test_the_same_text_explains_nothing(tiny: Model) -> None:
    found = tiny.explain(TEXT, params={"baseline": "text", "baseline_text": TEXT}, checks=()).attributions[0]
    assert np.abs(found.scores).max() == 0
    assert found.value_baseline == found.value_input


def test_no_text_is_a_sentence(tiny: Model) -> None:
    with pytest.raises(MethodError, match="needs a text"):
        tiny.explain(TEXT, params={"baseline": "text"})
