"""The lens against transformers' own head, and patching against hand-made exchanges."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
import torch

from explain.catalog import Request
from explain.engine import Model
from explain.errors import Cancelled, InputError
from explain.lens import Lens, LensRequest, Patch
from explain.model.inside import kernel
from explain.probes.lens import projected
from explain.probes.patching import DRAWS
from explain.wire import decode
from tests.contract.test_methods import traces

TEXT, OTHER = "a good movie, but never very funny", "a bad movie, but never very funny"


def hidden(model: Model, text: str) -> list[torch.Tensor]:
    """Hidden states (1, T, D) from a plain call."""
    inputs = {n: torch.from_numpy(a.copy())[None] for n, a in model.encode((text,)).inputs.items()}
    with kernel(model.module, "sdpa"), torch.no_grad():
        return list(model.module(**inputs, output_hidden_states=True).hidden_states)


def test_the_head_reads_every_layer(tiny: Model) -> None:
    before = traces(tiny)
    found, module = tiny.lens(TEXT), tiny.module
    expected = np.stack(
        [module.classifier(module.bert.pooler(h))[0].numpy() for h in hidden(tiny, TEXT)]  # type: ignore[operator,union-attr]
    )
    assert np.allclose(found.logits, expected, atol=1e-5)
    assert found.values[-1] == pytest.approx(found.answer, abs=1e-5)
    assert np.allclose(found.logits[-1], found.prediction.logits, atol=1e-5)
    top = found.target.index
    assert np.allclose(found.values, expected[:, top] - expected[:, 1 - top], atol=1e-5)
    assert decode(Lens, found.to_json()) == found
    assert traces(tiny) == before


def test_points_are_principal_components(tiny: Model) -> None:
    states = np.stack([h[0].numpy() for h in hidden(tiny, TEXT)])
    flat = states.reshape(-1, states.shape[-1]).astype(float)
    flat -= flat.mean(0)
    left, sizes, _ = np.linalg.svd(flat, full_matrices=False)
    points, shares = projected(states)
    assert np.allclose(np.abs(points.reshape(-1, 2)), np.abs(left[:, :2] * sizes[:2]), atol=1e-5)
    assert shares == pytest.approx(tuple((sizes**2 / (sizes**2).sum())[:2]))
    assert np.allclose(tiny.lens(TEXT).points, points, atol=1e-5)


def test_patching_equals_exchanging_by_hand(tiny: Model) -> None:
    before = traces(tiny)
    found = tiny.patch(TEXT, OTHER, target="POSITIVE")
    mine, theirs = hidden(tiny, TEXT), hidden(tiny, OTHER)
    module: Any = tiny.module

    def value(layer: int, state: torch.Tensor) -> float:
        for block in module.bert.encoder.layer[layer + 1 :]:
            out = block(state)
            state = out[0] if isinstance(out, tuple) else out
        logits = module.classifier(module.bert.pooler(state))[0]
        return float(logits[1] - logits[0])

    assert found.value == pytest.approx(value(1, mine[2]), abs=1e-5)
    for layer, token in ((0, 2), (0, 0), (1, 0), (1, 3), (0, 5)):
        for into, a, b, start in (
            (found.into, mine, theirs, found.value),
            (found.back, theirs, mine, found.other_value),
        ):
            state = a[layer + 1].clone()
            state[:, token] = b[layer + 1][:, token]
            assert into[layer, token] == pytest.approx(value(layer, state) - start, abs=1e-5)
    assert found.into[1, 0] == pytest.approx(found.other_value - found.value, abs=1e-5), "[CLS] holds all at the end"
    assert found.back[1, 0] == pytest.approx(found.value - found.other_value, abs=1e-5)
    assert np.allclose(found.into[1, 1:], 0, atol=1e-5)
    moved = []
    noise = np.random.default_rng([0, 1]).standard_normal((DRAWS, *mine[2][0].shape))
    for draw in noise[:, 0]:
        far = float((theirs[2] - mine[2])[0, 0].norm())
        state = mine[2].clone()
        state[0, 0] += torch.from_numpy(draw / np.linalg.norm(draw) * far).float()
        moved.append(abs(value(1, state) - found.value))
    assert found.control_into[1, 0] == pytest.approx(np.mean(moved), abs=1e-5)
    assert decode(Patch, found.to_json()) == found
    assert tiny.patch(TEXT, OTHER, target="POSITIVE").into.tolist() == found.into.tolist()
    assert traces(tiny) == before


def test_equal_texts_change_nothing(tiny: Model) -> None:
    found = tiny.patch(TEXT, TEXT)
    assert np.allclose([found.into, found.back, found.control_into, found.control_back], 0, atol=1e-5)


def test_what_cannot_be_exchanged_says_so(tiny: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="equally many tokens"):
        tiny.patch(TEXT, "dull")
    monkeypatch.setattr("explain.probes.patching.LONGEST", 3)
    with pytest.raises(InputError, match="up to 3 tokens"):
        tiny.patch(TEXT, OTHER)
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(Cancelled):
        tiny.walk(LensRequest(Request((TEXT,))), cancel=cancel)


@pytest.mark.filterwarnings("ignore:invalid value")
def test_states_that_are_all_the_same_differ_in_no_direction() -> None:
    points, shares = projected(np.ones((3, 2, 4), np.float32))
    assert not points.any()
    assert shares == (0.0, 0.0)
