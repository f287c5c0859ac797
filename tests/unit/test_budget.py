"""The benchmark that chooses the token budget: its rule on figures that nobody measured; it changes nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from explain.engine import Model
from tests.benchmarks import budget

FOUND = {
    "seconds": {
        "a": {"256": 1.3, "512": 1.04, "1024": 1.0, "2048": 1.2},
        "b": {"256": 2.0, "512": 2.08, "1024": 2.0, "2048": 2.0},
    },
    "held": {"256": 2**20, "512": 2**21, "1024": 2**22, "2048": 2**23},
    "texts": 3,
    "tokens": 64,
    "machine": "a machine",
}


def test_the_smallest_budget_that_is_near_the_best_everywhere_is_chosen() -> None:
    seconds = FOUND["seconds"]
    assert budget.best(seconds) == 512  # type: ignore[arg-type]
    assert budget.best({**seconds, "c": {"256": 1, "512": 1.06, "1024": 1, "2048": 1}}) == 1_024  # type: ignore[dict-item]
    far = {"a": {"256": 1.0, "512": 3.0}, "b": {"256": 2.0, "512": 1.0}}
    assert budget.best(far) == 256, "where none is near: the one that does the least harm"


def test_the_readme_says_what_was_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "RESULTS", tmp_path / "budget.json")
    budget.RESULTS.write_text(json.dumps(FOUND), "utf-8")
    said = budget.markdown()
    assert f"is 512 tokens, and the default is {budget.DEFAULT:,}" in said
    assert "| 512 | 1.04 s | 2.08 s | 1.04 | 2 MB |" in said
    monkeypatch.setattr(budget, "DEFAULT", 512)
    assert "is 512 tokens, which is the default" in budget.markdown()
    assert "| **512** |" in budget.markdown()


def test_the_readme_names_the_default_and_what_is_tried() -> None:
    text = " ".join((Path(__file__).resolve().parents[2] / "README.md").read_text("utf-8").split())
    assert f"`EXPLAIN_TOKEN_BUDGET` padded tokens ({budget.DEFAULT:,})" in text
    assert f"budgets from {min(budget.BUDGETS)} to {max(budget.BUDGETS):,} on one processor thread" in text


def test_every_budget_is_measured_and_the_models_own_stays(tiny: Model) -> None:
    before = tiny.token_budget
    found = budget.measure(tiny, ["a good film", "a dull plot, but so funny"], 1, (64, 256))
    assert tiny.token_budget == before
    assert set(found) == set(budget.works(tiny, ["a"]))
    assert all(set(times) == {"64", "256"} and min(times.values()) > 0 for times in found.values())
    assert budget.best(found) in (64, 256)
    assert budget.held(tiny, 64, (64, 256))["256"] > budget.held(tiny, 64, (64, 256))["64"]
