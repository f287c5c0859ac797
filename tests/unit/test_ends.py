"""How a text begins and ends: by the checkpoint's own settings, as transformers' `generate` reads them."""

from __future__ import annotations

from collections.abc import Collection
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
import torch

import explain
from explain.engine import Model
from explain.generation import Generation
from explain.model import generating
from tests.tiny import llama_folder, settled, writer_folder

PROMPT = "Once upon a time there was a"
TEXT = "the film was charmingly slow, and the actor was never boring."
END, PAD = 3, 0
WIDTHS = (1, 2, 3, 5)


def theirs(model: Model, text: str, tokens: int, width: int, ends: Collection[int]) -> list[int]:
    """What transformers writes, without what every text begins with, and up to where it ends."""
    ids = torch.tensor([model.tokenizer(text)["input_ids"]])
    options = {"max_new_tokens": tokens, "num_beams": width, "do_sample": False, "use_cache": False}
    if not model.begin:
        options["pad_token_id"] = PAD
    said = model.module.generate(ids, attention_mask=torch.ones_like(ids), **options)[0].tolist()  # type: ignore[operator]
    return list(takewhile(lambda i: i not in ends, said[len(model.begin) or ids.shape[1] :]))


def likely(model: Model, text: str, count: int) -> list[int]:
    """Tokens that the model writes here and there, and so would end texts."""
    found: list[int] = []
    for seed in range(12):
        found += model.generate(text, tokens=6, seed=seed).ids.tolist()
    return sorted(set(found), key=lambda i: (-found.count(i), i))[1 : 1 + count]


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("count", [1, 3, 8])
def test_a_text_ends_at_any_of_several_tokens(seed: int, count: int, tmp_path: Path) -> None:
    for folder, text in ((llama_folder(tmp_path / "a", seed=seed), PROMPT), (writer_folder(tmp_path / "b"), TEXT)):
        ends = likely(explain.load(str(folder)), text, count)
        model = explain.load(str(settled(folder, eos_token_id=ends if count > 1 else ends[0])))
        assert generating.ends(model.module, model.tokenizer) == set(ends)
        stopped = set()
        for width in WIDTHS:
            for tokens in (3, 9):
                found = model.generate(text, tokens=tokens, num_beams=width)
                assert found.ids.tolist() == theirs(model, text, tokens, width, ends), (width, tokens)
                assert not set(found.ids.tolist()) & set(ends)
                stopped.add(found.stopped)
        assert "end" in stopped or count < 8


def test_a_drawn_text_ends_at_any_of_them(tmp_path: Path) -> None:
    ends = likely(explain.load(str(llama_folder(tmp_path))), PROMPT, 8)
    model = explain.load(str(settled(tmp_path, eos_token_id=ends)))
    found = [model.generate(PROMPT, tokens=20, seed=seed) for seed in range(6)]
    assert {"end"} <= {one.stopped for one in found}
    assert not {i for one in found for i in one.ids.tolist()} & set(ends)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("tokens", [1, 2, 5, 9])
def test_where_the_last_token_must_be_an_end_one_fewer_is_written(width: int, tokens: int, tmp_path: Path) -> None:
    model = explain.load(str(settled(writer_folder(tmp_path), forced_eos_token_id=END)))
    found = model.generate(TEXT, tokens=tokens, num_beams=width)
    assert found.ids.tolist() == theirs(model, TEXT, tokens, width, {END})
    assert len(found.ids) < tokens
    assert found.stopped == ("length" if len(found.ids) == tokens - 1 else "end")
    assert len(found.log_probs) == len(found.ids)


@pytest.mark.parametrize("width", WIDTHS)
def test_what_a_text_must_begin_with_counts_as_a_token_of_it(width: int, tmp_path: Path) -> None:
    for forced in (9, 12):
        settings = {"forced_bos_token_id": forced, "eos_token_id": [END, 20, 31]}
        model = explain.load(str(settled(writer_folder(tmp_path / str(forced)), **settings)))
        assert model.begin == (2, forced)
        for tokens in (2, 8):
            found = model.generate(TEXT, tokens=tokens, num_beams=width)
            assert found.ids.tolist() == theirs(model, TEXT, tokens + 1, width, {END, 20, 31})


@pytest.mark.parametrize("start", [7, [7]])
def test_a_decoder_starts_where_its_settings_say(start: Any, tmp_path: Path) -> None:
    model = explain.load(str(settled(writer_folder(tmp_path), decoder_start_token_id=start)))
    assert model.begin == (7,)
    for width in WIDTHS[:2]:
        assert model.generate(TEXT, tokens=6, num_beams=width).ids.tolist() == theirs(model, TEXT, 6, width, {END})


def test_settings_that_say_nothing_leave_it_to_the_tokenizer(teller: Model) -> None:
    class Silent:
        config = type("Config", (), {"eos_token_id": None})()

    assert generating.ends(Silent(), teller.tokenizer) == {teller.tokenizer.eos_token_id}
    assert not generating.cut(Silent())
    assert generating.begin(Silent()) == ()


def test_what_was_written_up_to_an_end_is_explained(tmp_path: Path) -> None:
    model = explain.load(str(settled(writer_folder(tmp_path), forced_eos_token_id=END, eos_token_id=[END, 20])))
    found: Generation = model.generate(TEXT, tokens=5)
    each = model.explain_generation(found, methods=("occlusion",))
    assert [e.target.index for e in each] == found.ids[list(found.explainable)].tolist()
