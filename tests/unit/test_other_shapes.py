"""Models that read several tokens, through a decoder, through windows or past a mask: what is said must stay true."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers.processors import TemplateProcessing
from transformers import (
    ElectraConfig,
    ElectraForSequenceClassification,
    GptOssConfig,
    GptOssForSequenceClassification,
    ModernBertConfig,
    ModernBertForSequenceClassification,
    T5Config,
    T5ForSequenceClassification,
)

from explain.engine import Model, load
from explain.errors import InputError, ModelError
from explain.model.encoding import masked
from explain.model.heads import observe
from explain.model.runner import Meter
from explain.render import further, heads, worked
from explain.render import road as render
from explain.render import road_sentences as say
from explain.render.sentences import signed
from explain.road import Road
from explain.worked_toy import work
from tests.cases import case_of
from tests.tiny import bert_folder, word_piece
from tests.unit.test_road import EXACT, LAYER, TEXT, made
from tests.unit.test_road import gpt2 as gpt2


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
        *((a.made, b.given) for a, b in pairwise(steps)),
        (steps[-1].made, road.answer.logits),
    ]
    return all(np.allclose(a, b, atol=1e-4) for a, b in vectors)


def test_a_mean_of_tokens_is_not_one_of_them(pooled: Model) -> None:
    road = pooled.road(TEXT, LAYER, 0, 5)
    assert road.answer.reads is None
    assert chains(road)
    assert [s.name for s in road.answer.steps] == ["head.dense", "head.act", "head.norm", "classifier"]
    assert "not one token's state" in say.output_sentence(road)


def test_a_decoders_place_is_no_token_of_the_block(t5: Model) -> None:
    road = t5.road(TEXT, LAYER, 0, 5)
    assert road.answer.decoder
    assert road.answer.reads == len(road.tokens.ids) - 1, "the end of the text"
    assert chains(road)
    assert "decoder's state" in say.output_sentence(road)
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


def test_rollout_is_of_what_is_read(pooled: Model, t5: Model) -> None:
    report = pooled.heads(TEXT, ablation=None)
    count = len(report.tokens.ids)
    assert report.position is None
    assert report.flow is None
    assert report.read == tuple(range(count))
    shares = [rolled for _, rolled, _ in heads.shares(report, "token")]
    assert shares == pytest.approx(report.rollout.mean(0).tolist(), abs=1e-6)
    assert f"the {count} positions" in heads.through_layers(report)
    report = t5.heads(TEXT, ablation=None)
    assert report.decoder_layers == 2
    assert "a decoder reads" in heads.through_layers(report)
    assert "are not shown" in heads.left_out(report)
    assert "decoder and head" in further.lens_sentence(t5.lens(TEXT))


def test_cross_attention_of_equal_length_is_not_a_layer(t5: Model) -> None:
    row = case_of(t5, TEXT).row()
    with pytest.raises(ModelError, match="has 4"):  # two of the encoder, two of the decoder
        observe(t5, [row], Meter(), 4, to_the_end=True)


def test_a_window_hides_earlier_and_later_tokens(pooled: Model) -> None:
    said = say.attention_sentence(pooled.road(TEXT, 0, 0, 5))
    hidden = ~pooled.road(TEXT, 0, 0, 5).attention.visible
    assert f"{hidden[:5].sum()} earlier and {hidden[6:].sum()} later tokens are masked." in said
    assert say.mask_sentence(np.ones(3, bool), 2) == "Nothing is masked: this token may look at every token."


def test_products_biases_and_masks_lead_to_the_weight(pooled: Model, t5: Model) -> None:
    head = t5.head(TEXT, 0, 1)
    count = len(head.tokens.ids)
    table = t5.module.transformer.encoder.block[0].layer[0].SelfAttention  # type: ignore[union-attr,index]
    bias = table.compute_bias(count, count)[0, 1].detach().numpy()  # type: ignore[operator]
    logits = head.query @ head.key.T * head.scaling + bias
    assert np.allclose(np.exp(logits - head.total[:, None]), head.weights, **EXACT)
    assert f"a bias of {signed(float(bias[1, 4]))} makes that" in heads.product_sentence(head, 1, 4)
    found = pooled.head(TEXT, 0, 1)
    logits = found.query @ found.key.T * found.scaling
    weights = np.where(found.visible, np.exp(logits - found.total[:, None]), 0)
    assert np.allclose(weights, found.weights, **EXACT)
    assert "a bias" not in heads.product_sentence(found, 1, 1)
    assert "a mask forbids" in heads.product_sentence(found, 1, 8)


def test_a_sinks_share_is_given_to_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(7)
    config = GptOssConfig(
        vocab_size=len(word_piece()), hidden_size=32, intermediate_size=32, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=8, num_local_experts=2, num_experts_per_tok=1, num_labels=2, pad_token_id=0,
        max_position_embeddings=64, initializer_range=0.2,
    )  # fmt: skip
    model = made(GptOssForSequenceClassification(config))
    head = model.head(TEXT, 1, 2)
    assert head.sink is not None
    assert head.sink.max() > 0.05
    assert np.allclose(head.weights.sum(-1) + head.sink, 1, atol=1e-5)
    step = model.road(TEXT, 1, 2, 4).attention
    assert step.sink == pytest.approx(float(head.sink[4]), abs=1e-5)
    assert "to no token" in say.attention_sentence(model.road(TEXT, 1, 2, 4))
    assert model.heads(TEXT).position == len(head.tokens.ids) - 1


def test_effects_that_were_not_measured_are_no_zeros(pooled: Model) -> None:
    report = pooled.heads("a good movie", ablation=None)
    for quantity in (heads.EFFECT, "duplicate"):
        data = heads.grid(report, quantity, (0, 0))
        assert {shown for row in data["shown"] for shown in row} == {"–"}
        assert not np.any(data["tints"])


def test_the_largest_pair_of_pieces_is_the_one_explained(pooled: Model) -> None:
    head = pooled.head("a good movie, but unbelievably funny", 0, 0)
    rows, columns = (
        g for _, g, _ in heads.labels(head.tokens, "word") if len(g) > 1 or head.tokens.strings[g[0]] == "but"
    )
    query, key, said = heads.largest_pair(head, rows, columns)
    assert head.weights[query, key] == head.weights[np.ix_(rows, columns)].max()
    assert f"of {len(rows) * len(columns)} pairs" in said


def test_the_filler_is_never_the_padding_token(pooled: Model) -> None:
    own = word_piece()
    own.mask_token, own.unk_token, own.eos_token, own.bos_token = None, own.pad_token, None, None
    hidden = masked(pooled.encode((TEXT,)), (1,), own)
    assert own.pad_token_id not in hidden.tokens.ids


def test_pairs_are_refused_in_words(pooled: Model) -> None:
    with pytest.raises(InputError, match="pairs cannot be patched"):
        pooled.patch(("good film", "bad film"), "bad film")  # type: ignore[arg-type]


def test_one_logit_keeps_its_own_label(tmp_path: Path) -> None:
    config: Any = {"id2label": {0: "TOXIC"}, "label2id": {"TOXIC": 0}}
    model = load(str(bert_folder(tmp_path, num_labels=1, problem_type="multi_label_classification", **config)))
    road = model.road("a good movie", 0, 0, 1, target="not TOXIC")
    assert road.target.index == 0
    index, shown = render.explained(road)
    assert (index, shown) == (0, "TOXIC")
    product = float(road.answer.weight[0] @ road.answer.vector + road.answer.bias[0])
    assert product == pytest.approx(float(road.answer.logits[0]), abs=1e-5)
    assert "the logit of TOXIC" in worked.products(road, shown)


def test_tables_of_another_width_are_named(tmp_path: Path) -> None:
    torch.manual_seed(8)
    config = ElectraConfig(
        vocab_size=len(word_piece()), embedding_size=16, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=4, max_position_embeddings=64, num_labels=2,
    )  # fmt: skip
    road = made(ElectraForSequenceClassification(config)).road(TEXT, 0, 0, 2)
    assert road.embedding is None
    assert "16 numbers wide" in road.reasons["embedding"]
    assert "not shown here" in say.embedding_sentence(road)


def test_a_text_of_one_token(gpt2: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    template = TemplateProcessing(single="$A", pair="$A $B", special_tokens=[])
    own = word_piece()
    own.backend_tokenizer.post_processor = template
    monkeypatch.setattr(gpt2, "tokenizer", own)
    road = gpt2.road("film", 0, 0, 0)
    assert road.position.kind == "learned"
    assert "position" in [p.kind for p in road.embedding.parts]
    report = gpt2.heads("film", ablation=None)
    assert report.kind == "encoder", "nothing is hidden from the one token"
    assert "entropy" not in report.statistics


def test_sentences_about_layers_claim_what_was_measured(gpt2: Model) -> None:
    lens, road = gpt2.lens(TEXT, quantity="probability"), gpt2.road(TEXT, 0, 0, 1)
    moved = replace(lens, values=np.array([0.227, 0.91, 0.783], np.float32))
    assert "from layer 0 on" in further.lens_sentence(moved).replace("after ", "")
    assert "final side" not in further.lens_sentence(gpt2.lens(TEXT, quantity="logit"))
    assert "in this picture" in further.paths_sentence(lens, road)
    assert "norms of the stream" in gpt2.direct(TEXT).caveat


def test_the_toys_formula_has_every_term_that_is_not_masked() -> None:
    query = np.eye(3)
    query[0, 2] = 1e4
    assert further._first_weight(work(query, np.eye(3), np.eye(3))).count("e^") == 4
    assert further._first_weight(work(query, np.eye(3), np.eye(3), causal=True)).count("e^") == 2
