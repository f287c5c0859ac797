"""Models that read several tokens, through a decoder, through windows or past a mask: what is said must stay true."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    ModernBertConfig,
    ModernBertForSequenceClassification,
    T5Config,
    T5ForSequenceClassification,
)

from explain.engine import Model
from explain.errors import ModelError
from explain.render import road as render
from explain.render import worked
from explain.road import Road
from tests.tiny import word_piece
from tests.unit.test_road import EXACT, LAYER, TEXT, made


@pytest.fixture(scope="module")
def pooled() -> Model:
    """An encoder whose head reads the mean of all tokens; tokens look at two neighbours on each side."""
    torch.manual_seed(5)
    config = ModernBertConfig(
        vocab_size=len(word_piece()), hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=64, num_labels=2, pad_token_id=0, cls_token_id=2, sep_token_id=3, bos_token_id=2,
        eos_token_id=3, classifier_pooling="mean", layer_types=["sliding_attention"] * 2, local_attention=4,
    )  # fmt: skip
    return made(ModernBertForSequenceClassification(config))


@pytest.fixture(scope="module")
def t5() -> Model:
    """An encoder whose states only a decoder reads."""
    torch.manual_seed(6)
    config = T5Config(
        vocab_size=len(word_piece()), d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4, num_labels=2,
        decoder_start_token_id=0, pad_token_id=0, eos_token_id=3,
    )  # fmt: skip
    return made(T5ForSequenceClassification(config))


def chains(road: Road) -> bool:
    """Is every step given what the one before made, and the head what the last one made?"""
    steps = road.answer.steps
    vectors = [
        *((a.made, b.given) for a, b in zip(steps, steps[1:], strict=False)),
        (steps[-1].made, road.answer.logits),
    ]
    return all(np.allclose(a, b, atol=1e-4) for a, b in vectors)


def test_a_mean_of_tokens_is_not_one_of_them(pooled: Model) -> None:
    road = pooled.road(TEXT, LAYER, 0, 5)
    assert road.answer.reads is None
    assert chains(road)
    assert [s.name for s in road.answer.steps] == ["head.dense", "head.act", "head.norm", "classifier"]
    assert "not one token's state" in render.output_sentence(road)


def test_a_decoders_place_is_no_token_of_the_block(t5: Model) -> None:
    road = t5.road(TEXT, LAYER, 0, 5)
    assert road.answer.decoder
    assert road.answer.reads == len(road.tokens.ids) - 1, "the end of the text"
    assert chains(road)
    assert "decoder's state" in render.output_sentence(road)
    with pytest.raises(ModelError, match="decoder") as refused:
        t5.direct(TEXT)
    assert refused.value.code == "no_direct"


def test_gate_and_neurons_of_one_matrix(pooled: Model) -> None:
    road, block = pooled.road(TEXT, LAYER, 0, 5), pooled.module.model.layers[LAYER]  # type: ignore[union-attr,index]
    feed, mlp = road.feed_forward, block.mlp  # type: ignore[union-attr]
    assert np.allclose(feed.given, road.norms[-1].after, **EXACT)
    gate, before = mlp.Wi(torch.from_numpy(feed.given.copy())).chunk(2)
    assert np.allclose(feed.gate, gate.detach().numpy(), **EXACT)
    assert np.allclose(feed.before, before.detach().numpy(), **EXACT)
    assert "W_g" in worked.feed_forward(feed)


def test_no_formula_for_what_was_not_seen(pooled: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    own: Any = pooled.module.model.layers[LAYER].mlp  # type: ignore[union-attr,index]
    monkeypatch.setattr(own, "forward", lambda x: own.Wo(torch.sin(own.Wi(x)[..., :48])))  # no module shows the sine
    road = pooled.road(TEXT, LAYER, 0, 5)
    assert road.feed_forward.before is None
    assert worked.feed_forward(road.feed_forward) == r"y = W_2\,h + b_2"
    assert "not seen" in road.reasons["neurons"]
