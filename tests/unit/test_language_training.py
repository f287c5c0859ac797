"""Training a language model: repeated rows ask only what can be known, and an interruption changes nothing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from explain import training
from explain.engine import load
from explain.errors import InputError, ModelError
from explain.training.corpus import END, IGNORED, Corpus, encode
from explain.training.muon import Muon, orthogonal
from tests.tiny import STORIES, story_tokenizer

RECIPE = """
task = "text-generation"
seed = 0
steps = 4
rows = 4
learning_rate = 0.01
weight_decay = 0.1
warmup = 1
cooling = 0.5
report = 2
[data]
folder = "data"
[model]
vocabulary = 300
context = 24
width = 16
inner = 24
layers = 2
heads = 2
[repeats]
share = 0.5
shortest = 3
longest = 8
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A recipe with data beside it."""
    (tmp_path / "recipe.toml").write_text(RECIPE)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.txt").write_text(f"\n{END}\n".join(STORIES * 4))
    (tmp_path / "data" / "dev.txt").write_text(STORIES[2])
    return tmp_path


def corpus(share: float = 0.5) -> Corpus:
    """Four sentences, many times."""
    tokenizer = story_tokenizer()
    plan = {"model": {"context": 24}, "repeats": {"share": share, "shortest": 3, "longest": 8}}
    return Corpus.of(encode(tokenizer, f"\n{END}\n".join(STORIES * 4)), tokenizer.eos_token_id, plan)


def test_a_row_begins_with_the_end_sign_and_each_target_is_the_next_token() -> None:
    inputs, targets = next(corpus(share=0).batches(6, seed=1))
    assert (inputs[:, 0] == 0).all()
    assert (inputs[:, 1:] == targets[:, :-1]).all()
    assert (targets != IGNORED).all()


def test_repeated_rows_count_the_second_copy_and_not_the_first() -> None:
    batches = corpus(share=1).batches(8, seed=1)
    for inputs, targets in (next(batches) for _ in range(5)):
        for row, wanted in zip(inputs, targets, strict=True):
            hidden = np.flatnonzero(wanted == IGNORED)
            assert len(hidden) >= 3
            start = int(hidden[0])
            copies = [
                second
                for second in range(start + 3, 24)
                if wanted[second] == IGNORED
                and row[second + 1 : second + 4].tolist() == row[start + 1 : start + 4].tolist()
            ]
            assert copies or len(row) - hidden[-1] < 5
            for second in copies[:1]:
                assert wanted[second + 1] == row[start + 2]


def test_the_rows_of_a_step_do_not_depend_on_where_the_run_began() -> None:
    whole = corpus().batches(4, seed=0)
    later = corpus().batches(4, seed=0, first=3)
    fourth = [next(whole) for _ in range(4)][3]
    assert all(np.array_equal(a, b) for a, b in zip(fourth, next(later), strict=True))


def test_an_interrupted_run_ends_in_the_same_model(home: Path) -> None:
    lines: list[str] = []
    whole = training.train(home / "recipe.toml", out=home / "whole", progress=lines.append)

    def fall(line: str) -> None:
        if "step 2" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        training.train(home / "recipe.toml", out=home / "parts", progress=fall)
    assert (home / "parts" / "checkpoint" / "state.safetensors").is_file()
    again = training.train(home / "recipe.toml", out=home / "parts", progress=lines.append)
    assert isinstance(whole, training.language.Report)
    assert isinstance(again, training.language.Report)
    assert again.weights_sha256 == whole.weights_sha256
    assert again.dev_perplexity == whole.dev_perplexity
    assert not (home / "parts" / "checkpoint").exists()
    assert json.loads(lines[-1])["steps"] == 4

    model = load(str(home / "parts"))
    assert model.info.problem == "next-token"
    assert model.predict("Once upon a").probs is not None


def test_a_checkpoint_of_another_model_is_refused(home: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        training.train(home / "recipe.toml", out=home / "out", progress=lambda line: _stop())
    (home / "recipe.toml").write_text(RECIPE.replace("width = 16", "width = 32"))
    with pytest.raises(ModelError, match="another model"):
        training.train(home / "recipe.toml", out=home / "out")


def _stop() -> None:
    raise KeyboardInterrupt


def test_missing_data_and_unknown_tasks_are_said(home: Path) -> None:
    with pytest.raises(InputError, match=r"train\.txt"):
        training.train(home / "recipe.toml", data=home)
    (home / "recipe.toml").write_text('task = "translation"')
    with pytest.raises(InputError, match="translation"):
        training.train(home / "recipe.toml")


@pytest.mark.parametrize("shape", [(8, 20), (20, 8), (12, 12)])
def test_an_orthogonal_update_has_singular_values_near_one(shape: tuple[int, int]) -> None:
    found = torch.linalg.svdvals(orthogonal(torch.randn(shape, generator=torch.Generator().manual_seed(0))))
    assert float(found.min()) > 0.5
    assert float(found.max()) < 1.3


def test_muon_finds_a_minimum() -> None:
    wanted = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    weight = torch.zeros(6, 4, requires_grad=True)
    optimizer = Muon([weight], lr=0.05, weight_decay=0.0)
    for _ in range(200):
        optimizer.zero_grad()
        (weight - wanted).square().sum().backward()
        optimizer.step()
    assert float((weight - wanted).detach().abs().max()) < 0.2
