"""The comparison of methods: its measurements are the removal check's, its sentences fixed, its rule as stated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from explain.engine import Model
from tests.benchmarks.comparison import FEW, MEASURES, PILOT, Row, agreement, best, costly, intervals, summary, table
from tests.benchmarks.methods import draw, measure, plan, reporting

TEXT = "the actor is so moving but never dull"
TEXTS = [f"sentence {i}" for i in range(60)]


def made(method: str, text: str, gain: float, passes: int, scores: list[float]) -> Row:
    """A row as `measure` writes it, of a method that is so much better than random orders in every measurement."""
    aopc = {m: 1 - gain if m.startswith("sufficiency") else 1 + gain for m in MEASURES}
    cost = {"seconds": 0.5, "forward": passes, "gradient": 0}
    return {"method": method, "text": text, "scores": [scores], "aopc": aopc, **cost}


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    gains = {"random": (0, 0), "occlusion": (0.5, 10), "partition_shap": (0.95, 100), "kernel_shap": (1, 400)}
    found = [made(m, t, g, p, [0.3, 0.2, -0.5]) for m, (g, p) in gains.items() for t in TEXTS]
    found += [made("lime", t, 1.0, 501, [3, 2, 1]) for t in TEXTS[:FEW]]
    return found + [made("exact_shapley", t, 1.0, 4096, [0.1, 0.2, -0.9]) for t in TEXTS[:7]]


def test_the_measurements_are_the_removal_checks(tiny: Model) -> None:
    row = next(r for r in measure(tiny, TEXT, ["random", "occlusion"]) if r["method"] == "occlusion")
    result = tiny.explain(TEXT, methods=["occlusion"], checks=("removal",))
    assert row["scores"][0] == pytest.approx(result.attributions[0].scores.tolist(), abs=1e-6)
    assert row["forward"] == result.attributions[0].evaluations.forward
    for check in result.checks:
        for m in check.details["measurements"]:
            how = "remove" if m["replacement"] == "deletion" else m["replacement"]
            assert row["aopc"][f"{check.name}, {m['scale']}, {how}"] == pytest.approx(m["ours"], abs=1e-5)


def test_sentences_are_of_one_half_and_always_the_same(tmp_path: Path) -> None:
    file = tmp_path / "dev.tsv"
    file.write_text("text\tlabel\n" + "".join(f"a sentence of number {i}\t1\nshort {i}\t0\n" for i in range(200)))
    texts = draw(file, 50)
    assert len(set(texts)) == 50
    assert all(reporting(t) and t.startswith("a sentence") for t in texts)
    assert texts == draw(file, 80)[:50]
    assert texts != sorted(texts)
    assert 70 < len(draw(file, 1000)) < 130


def test_costly_methods_are_measured_on_few(tiny: Model, rows: list[Row]) -> None:
    assert costly(rows, TEXTS) == {"lime"}  # exact Shapley values are limited by the words they take
    wanted = list(plan(tiny, TEXTS, ["occlusion", "lime"], rows))
    assert all(names == ["occlusion", "lime"] for _, names in wanted[:PILOT])
    later = {name: [text for text, names in wanted if name in names] for name in ("occlusion", "lime")}
    assert set(later["occlusion"]) == set(TEXTS)
    assert set(later["lime"]) >= set(TEXTS[:FEW])


def test_the_cheapest_method_with_nine_tenths_is_best(rows: list[Row]) -> None:
    found = summary(rows, TEXTS)
    methods = found["methods"]
    assert {n: each["sentences"] for n, each in methods.items()} == {
        "random": 60, "occlusion": 60, "partition_shap": 60, "kernel_shap": 60, "lime": 40, "exact_shapley": 7
    }  # fmt: skip
    assert methods["occlusion"]["margin"] == pytest.approx([0.5] * 3)
    assert methods["random"]["margin"] == [0, 0, 0]
    assert best(found) == "partition_shap"
    assert methods["occlusion"]["less_best"] == pytest.approx([-0.45] * 3)
    assert table(found, "log-odds").splitlines()[-1].startswith("| Random orders | 60 |")
    assert "°" not in table(found, "log-odds")
    worse = [made("saliency", t, -0.1, 1, [1, 2, 3]) for t in TEXTS]
    assert table(summary(rows + worse, TEXTS), "log-odds").count("°") == 4


def test_agreement_with_exact_values() -> None:
    exact = made("exact_shapley", "", 1, 1, [0.1, 0.2, -0.9])
    assert agreement("occlusion", made("occlusion", "", 1, 1, [0.2, 0.3, 0.1]), exact) == (pytest.approx(1), 0)
    assert agreement("occlusion", made("occlusion", "", 1, 1, [0.2, 0.1, -3]), exact) == (pytest.approx(0.5), 1)
    assert agreement("saliency", made("saliency", "", 1, 1, [0.1, 0.2, 0.9]), exact) == (pytest.approx(1), 1)
    assert agreement("saliency", made("saliency", "", 1, 1, [1, 1, 1]), exact)[0] == 0


def test_intervals_hold_the_mean_at_the_stated_rate() -> None:
    rng = np.random.default_rng(5)
    held = [low <= 1 <= high for _, low, high in intervals(rng.normal(1, 2, (40, 150)))]
    assert 0.9 <= np.mean(held) <= 0.98
