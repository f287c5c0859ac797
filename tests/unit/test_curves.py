"""The pictures of cost against length and batch are drawn from the figures, and from nothing else."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from itertools import pairwise
from typing import Any

import pytest
import torch

from explain.engine import Model
from explain.model.runner import Runner
from tests.benchmarks import curves, scaling, throughput
from tests.benchmarks.counted import operations, watched

SVG = "{http://www.w3.org/2000/svg}"


def cost(seconds: float, count: float) -> dict[str, float]:
    return {"seconds": seconds, "operations": count}


@pytest.fixture
def found() -> dict[str, Any]:
    """Figures that nobody measured."""
    lengths = [
        {"tokens": t, "predict": cost(t / 1e4, t * 1e6), "explain": cost(t / 100, t * 1e8)} for t in (16, 64, 256)
    ]
    batch = [{"texts": n, "seconds": 1 / n, "inside": 0.5 / n, "operations": 1e9, "padding": 0.02} for n in (1, 4, 16)]
    made = {"rate": 1e10, "machine": "a machine", "limit": 256, "weights_sha256": "0"}
    return {"length": lengths, "long": [{**lengths[-1], "tokens": 512}], "batch": batch, "made": made}


@pytest.mark.parametrize("theme", curves.THEMES)
def test_every_point_is_drawn_where_it_belongs(found: dict[str, Any], theme: str) -> None:
    tree = ET.fromstring(curves.drawn(found, theme))
    dots = tree.findall(f"{SVG}circle")
    assert len(dots) == 2 * 4 + 3
    assert len([line for line in tree.findall(f"{SVG}polyline") if line.get("stroke-dasharray")]) >= 2 * 2 + 1
    first = [(float(d.get("cx", 0)), float(d.get("cy", 0))) for d in dots[:3]]
    steps = [(b[0] - a[0], b[1] - a[1]) for a, b in pairwise(first)]
    assert steps[0] == pytest.approx(steps[1], abs=0.2), "a power law is a straight line"
    assert steps[0][0] > 0 > steps[0][1]
    inside = (0 < x < curves.WIDTH and 0 < y < curves.HEIGHT for x, y in first)
    assert all(inside)
    assert {d.get("fill") for d in dots} == {curves.THEMES[theme].explain, curves.THEMES[theme].predict}


def test_a_changed_figure_changes_picture_and_table(found: dict[str, Any]) -> None:
    before = curves.drawn(found, "light"), curves.report(found)
    found["batch"][1]["seconds"] *= 1.5
    after = curves.drawn(found, "light"), curves.report(found)
    assert before[0] != after[0]
    assert before[1] != after[1]
    assert "| 4 | 0.375 | 3.8 | 33% | 2.0% |" in after[1]


def test_operations_of_attention_are_counted_in_both_directions() -> None:
    shape = 2, 3, 10, 4
    q, k, v = (torch.randn(*shape, requires_grad=True) for _ in range(3))
    product = 2 * 2 * 3 * 10 * 10 * 4
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.FLASH_ATTENTION):
        forward = operations(lambda: torch.nn.functional.scaled_dot_product_attention(q, k, v))
        both = operations(lambda: torch.nn.functional.scaled_dot_product_attention(q, k, v).sum().backward())
    assert forward == 2 * product
    assert both == 7 * product, "scores again, and four products of the backward pass"


def test_what_is_measured_are_the_passes_that_are_said(tiny: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scaling, "ENOUGH", 0.0)
    (few, many) = scaling.by_length(tiny, [16, 32])
    assert (few["tokens"], many["tokens"]) == (16, 32)
    for what in ("predict", "explain"):
        assert many[what]["operations"] > 1.9 * few[what]["operations"]
    assert few["explain"]["operations"] > 21 * few["predict"]["operations"]
    (alone, both) = scaling.by_batch(tiny, ["a good film", "a dull plot"] * 2, [1, 4])
    assert 0 <= both["padding"] < 0.1
    assert 0 < alone["inside"] < alone["seconds"]
    assert alone["operations"] == pytest.approx(both["operations"], rel=0.2)
    before = Runner._values, Runner._gradients
    with watched() as (values, gradients):
        tiny.explain("a good film", checks=())
    assert values.rows > 0
    assert gradients.passes > 0
    assert (Runner._values, Runner._gradients) == before


def test_a_method_without_slopes_is_held_against_itself_in_bfloat16() -> None:
    found = throughput.forward_only(["a good film", "a dull plot"], "occlusion")
    row = throughput._forward(found)
    assert ("refused" in row) != found["used"]
    assert row.count("|") == 5
    if found["used"]:  # as the machine has it
        assert found["bfloat16"]["texts"] == found["float32"]["texts"] == 2
        assert 0 < found["median error"] <= found["largest error"]


def test_a_row_for_bfloat16_that_was_allowed() -> None:
    rates = {"of bfloat16 product": 0.6, "texts a second": 30.0}, {"texts a second": 20.0}
    found = {"used": True, "method": "occlusion", "bfloat16": rates[0], "float32": rates[1]}
    row = throughput._forward({**found, "median error": 0.01, "error of 95 %": 0.02})
    assert row.endswith("| 60% | at least 50% | yes |")
    assert "1.50 times as many texts" in row
