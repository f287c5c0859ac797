"""Questions with arguments of a wrong type or out of range: one sentence, before anything is computed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from explain.engine import Model
from explain.errors import InputError

TEXT = "a good movie"
WRONG = [-1, 10**30, True, 1.0, 1.5, float("nan"), np.int32(99), "1", [1], "x" * 10_000]


@pytest.mark.parametrize("wrong", WRONG, ids=lambda v: repr(v)[:12])
def test_numbers_of_layers_heads_and_tokens(tiny: Model, wrong: Any) -> None:
    for ask in (
        lambda: tiny.head(TEXT, wrong, 0),
        lambda: tiny.head(TEXT, 0, wrong),
        lambda: tiny.road(TEXT, wrong, 0, 1),
        lambda: tiny.road(TEXT, 0, wrong, 1),
        lambda: tiny.road(TEXT, 0, 0, wrong),
        lambda: tiny.heads(TEXT, ablation=None, masked=[wrong]),
    ):
        with pytest.raises(InputError) as error:
            ask()
        assert len(str(error.value)) < 200


def test_numpys_whole_numbers_are_whole(tiny: Model) -> None:
    one = np.int64(1)
    assert tiny.head(TEXT, one, one) == tiny.head(TEXT, 1, 1)
    assert tiny.road(TEXT, one, one, one).to_json()


@pytest.mark.parametrize("name", ["quantity", "granularity"])
@pytest.mark.parametrize("wrong", [None, 1, True, "probabilty", "x" * 10_000])
def test_words_that_are_not_offered(tiny: Model, name: str, wrong: Any) -> None:
    for ask in (tiny.lens, tiny.heads, tiny.explain):
        with pytest.raises(InputError, match=f"{name} must be one of") as error:
            ask(TEXT, **{name: wrong})
        assert len(str(error.value)) < 200
