"""The worked toy against numbers that can be written down without a computer, and against torch."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from explain.errors import InputError
from explain.worked_toy import DOWN, UP, layer_norm, sinusoids, softmax, work

EYE = np.eye(3)


def test_one_hot_tokens_give_the_known_weights() -> None:
    toy, e = work(EYE, EYE, EYE), math.exp(1 / math.sqrt(3))
    assert np.array_equal(toy.products, EYE)
    assert np.allclose(toy.scores, EYE / math.sqrt(3))
    assert np.allclose(toy.weights, np.where(EYE == 1, e, 1) / (e + 2))
    assert [round(w, 3) for w in toy.weights[0]] == [0.471, 0.264, 0.264]
    assert np.array_equal(toy.attended, toy.weights)
    assert np.allclose(toy.summed[0], [1 + e / (e + 2), 1 / (e + 2), 1 / (e + 2)])
    assert np.allclose(toy.mean, 2 / 3)


def test_layer_norm_by_hand() -> None:
    normed, mean, deviation = layer_norm(np.array([[1.0, 2.0, 3.0]]), eps=0)
    assert mean[0] == 2
    assert deviation[0] == pytest.approx(math.sqrt(2 / 3))
    assert np.allclose(normed, [[-math.sqrt(1.5), 0, math.sqrt(1.5)]])


def test_sinusoids_by_hand() -> None:
    table = sinusoids(3, 4)
    assert np.allclose(table[0], [0, 1, 0, 1])
    assert np.allclose(table[1], [math.sin(1), math.cos(1), math.sin(0.01), math.cos(0.01)])
    assert np.allclose(table[2], [math.sin(2), math.cos(2), math.sin(0.02), math.cos(0.02)])
    assert np.allclose((sinusoids(20, 16) ** 2).sum(1), 8)


def test_every_step_equals_torch() -> None:
    q, k, v = (np.random.default_rng(i).standard_normal((3, 3)) for i in range(3))
    toy = work(q, k, v)
    tensors = [torch.from_numpy(m)[None] for m in (q, k, v)]
    attended = torch.nn.functional.scaled_dot_product_attention(*tensors)[0]
    assert np.allclose(toy.attended, attended)
    normed = torch.nn.functional.layer_norm(attended + tensors[2][0], (3,))
    assert np.allclose(toy.normed, normed)
    assert np.allclose(toy.hidden, torch.relu(normed @ torch.from_numpy(UP)))
    assert np.allclose(toy.output, toy.hidden @ DOWN)
    masked = torch.nn.functional.scaled_dot_product_attention(*tensors, is_causal=True)[0]
    assert np.allclose(work(q, k, v, causal=True).attended, masked)


def test_large_scores_do_not_overflow() -> None:
    assert softmax(np.array([1e5, 0.0])).tolist() == [1, 0]
    for bad in (np.nan, np.inf, 1e9):
        with pytest.raises(InputError, match="Expected numbers"):
            work(np.full((3, 3), bad), EYE, EYE)
