"""The road through a model: every number that is shown, recomputed here from the module's weights."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import gelu, silu
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    GPT2Config,
    GPT2ForSequenceClassification,
    LlamaConfig,
    LlamaForSequenceClassification,
    T5Config,
    T5ForSequenceClassification,
)

from explain.case import Ask
from explain.catalog import Request
from explain.engine import Model
from explain.errors import Cancelled, InputError, ModelError
from explain.lens import Direct
from explain.model.inside import kernel
from explain.road import Road, RoadRequest
from explain.tasks import tasks
from explain.wire import decode
from tests.cases import case_of
from tests.contract.test_methods import traces
from tests.tiny import word_piece
from tests.toys import toy

TEXT = "a good movie, but never very funny"
LAYER, HEAD, TOKEN = 1, 2, 4
EXACT = {"atol": 1e-5, "rtol": 1e-5}


def made(module: torch.nn.Module, layers: int = 2) -> Model:
    """A model around a random network, wide enough that no number is near zero."""
    for parameter in module.parameters():
        if parameter.ndim == 2:
            torch.nn.init.normal_(parameter, std=0.25)
        else:
            torch.nn.init.normal_(parameter, mean=0.3, std=0.3)
    info = replace(toy().info, n_layers=layers, n_heads=4, d_model=32, architecture=type(module).__name__)
    return Model(module, word_piece(), tasks()["text-classification"], info)


@pytest.fixture(scope="module")
def llama() -> Model:
    torch.manual_seed(1)
    tokenizer = word_piece()
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, num_labels=2, pad_token_id=0, max_position_embeddings=64,
    )  # fmt: skip
    return made(LlamaForSequenceClassification(config))


@pytest.fixture(scope="module")
def gpt2() -> Model:
    torch.manual_seed(2)
    tokenizer = word_piece()
    config = GPT2Config(
        vocab_size=len(tokenizer), n_embd=32, n_layer=2, n_head=4, n_positions=64, num_labels=2, pad_token_id=0,
    )  # fmt: skip
    return made(GPT2ForSequenceClassification(config))


@pytest.fixture(scope="module")
def bert() -> Model:
    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=len(word_piece()), hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
        max_position_embeddings=64, num_labels=2,
    )  # fmt: skip
    return made(BertForSequenceClassification(config))


def road_of(model: Model) -> Road:
    return model.road(TEXT, LAYER, HEAD, TOKEN)


def states(model: Model) -> list[np.ndarray]:
    """Hidden states from a plain call of transformers' own."""
    encoding = model.encode((TEXT,))
    inputs = {n: torch.from_numpy(a.copy())[None] for n, a in encoding.inputs.items()}
    with kernel(model.module, "sdpa"), torch.no_grad():
        return [h[0].numpy() for h in model.module(**inputs, output_hidden_states=True).hidden_states]


def split(x: torch.Tensor, heads: int) -> torch.Tensor:
    return x.reshape(len(x), heads, -1).transpose(0, 1)  # (H, T, d)


def softmax(x: np.ndarray) -> np.ndarray:
    wide = np.exp(x - x.max())
    return wide / wide.sum()


def test_bert_from_its_weights(bert: Model) -> None:
    road, seen = road_of(bert), states(bert)
    module: Any = bert.module
    base, block = module.bert.embeddings, module.bert.encoder.layer[LAYER]
    assert road.reasons == {}
    assert road.difference < 1e-5
    word, kind, place = (
        next(p for p in road.embedding.parts if p.kind == k) for k in ("word", "token type", "position")
    )
    assert (word.index, kind.index, place.index) == (int(road.tokens.ids[TOKEN]), 0, TOKEN)
    assert np.array_equal(word.vector, base.word_embeddings.weight[word.index].numpy())
    assert np.array_equal(place.vector, base.position_embeddings.weight[TOKEN].numpy())
    assert np.array_equal(kind.vector, base.token_type_embeddings.weight[0].numpy())
    total = word.vector + kind.vector + place.vector
    assert np.allclose(road.embedding.norm.before, total, **EXACT)
    assert np.allclose(road.embedding.entering, seen[0][TOKEN], **EXACT)
    assert road.embedding.unexplained == 0
    assert road.position.kind == "learned"
    assert np.array_equal(road.position.table[3], base.position_embeddings.weight[3].numpy())

    assert np.allclose(road.entering, seen[LAYER][TOKEN], **EXACT)
    x = torch.from_numpy(seen[LAYER])
    own, head = block.attention.self, road.attention
    query, key, value = (split(part(x), 4)[HEAD].numpy() for part in (own.query, own.key, own.value))
    assert np.allclose(head.query, query[TOKEN], **EXACT)
    assert np.allclose(head.key, key, **EXACT)
    assert np.allclose(head.value, value, **EXACT)
    scores = key @ query[TOKEN] / np.sqrt(8)
    assert np.allclose(head.scores, scores, **EXACT)
    assert head.visible.all()
    assert not head.bias.any()
    assert np.allclose(head.weights, softmax(scores), **EXACT)
    assert np.allclose(head.mixed, softmax(scores) @ value, **EXACT)
    dense = block.attention.output.dense
    columns = slice(HEAD * 8, HEAD * 8 + 8)
    assert np.allclose(head.projected, dense.weight[:, columns].numpy() @ head.mixed, **EXACT)
    (first, second), (one, two) = road.norms, road.sums
    assert set(one.terms) == {"what entered the block", "attention output"}
    assert np.allclose(one.terms["attention output"], head.output, **EXACT)
    assert np.allclose(one.total, road.entering + head.output, **EXACT)
    summed = block.attention.output.LayerNorm(torch.from_numpy(one.total.copy()))
    assert np.allclose(first.after, summed.numpy(), **EXACT)
    assert first.mean == pytest.approx(one.total.mean(), abs=1e-5)
    assert first.deviation == pytest.approx(one.total.std(), abs=1e-5)

    feed = road.feed_forward
    assert np.allclose(feed.given, first.after, **EXACT)
    before = block.intermediate.dense(summed)
    assert np.allclose(feed.before, before.numpy(), **EXACT)
    assert np.allclose(feed.hidden, gelu(before).numpy(), **EXACT)
    assert np.allclose(feed.output, block.output.dense(gelu(before)).numpy(), **EXACT)
    alone = [np.linalg.norm(block.output.dense.weight[:, n].numpy() * feed.hidden[n]) for n in range(64)]
    assert np.allclose(feed.lengths, alone, **EXACT)
    assert feed.activation == "GELUActivation"
    assert np.allclose(two.total, first.after + feed.output, **EXACT)
    assert np.allclose(second.after, road.leaving, **EXACT)
    assert np.allclose(road.leaving, seen[LAYER + 1][TOKEN], **EXACT)

    end = road.answer
    assert end.reads == 0
    pooled = np.tanh(module.bert.pooler.dense(torch.from_numpy(seen[-1][0])).numpy())
    assert np.allclose(end.vector, pooled, **EXACT)
    assert np.allclose(end.weight @ end.vector + end.bias, end.logits, **EXACT)
    assert np.allclose(end.logits, road.prediction.logits, **EXACT)
    assert np.allclose(softmax(end.logits), road.prediction.probs, **EXACT)


def test_llama_from_its_weights(llama: Model) -> None:
    road, seen = road_of(llama), states(llama)
    module: Any = llama.module
    block = module.model.layers[LAYER]
    assert road.reasons == {}
    (word,) = road.embedding.parts
    assert np.array_equal(word.vector, module.model.embed_tokens.weight[word.index].numpy())
    assert np.allclose(road.embedding.entering, word.vector, **EXACT)
    frequency = 1 / 10000 ** (np.arange(0, 8, 2) / 8)
    assert road.position.kind == "rotary"
    assert np.allclose(road.position.table, np.arange(len(road.tokens.ids))[:, None] * frequency, **EXACT)

    x = torch.from_numpy(seen[LAYER])
    normed = block.input_layernorm(x)
    first, second = road.norms
    assert first.kind == second.kind == "RMS norm"
    assert first.deviation == pytest.approx(np.sqrt((seen[LAYER][TOKEN] ** 2).mean()), abs=1e-5)
    assert np.allclose(first.after, normed[TOKEN].numpy(), **EXACT)
    own, head = block.self_attn, road.attention

    def turned(states_: torch.Tensor, heads: int) -> np.ndarray:
        """Rotary positions by complex numbers: pairs are (i, i + d / 2)."""
        parts = split(states_, heads).numpy()
        angles = np.arange(len(states_))[:, None] * frequency
        pairs = (parts[..., :4] + 1j * parts[..., 4:]) * np.exp(1j * angles)
        return np.concatenate([pairs.real, pairs.imag], -1)

    query, key = turned(own.q_proj(normed), 4)[HEAD], turned(own.k_proj(normed), 2)[HEAD // 2]
    value = split(own.v_proj(normed), 2)[HEAD // 2].numpy()
    assert np.allclose(head.query, query[TOKEN], **EXACT)
    assert np.allclose(head.key, key, **EXACT)
    assert np.allclose(head.value, value, **EXACT)
    assert np.allclose(head.scores, key @ query[TOKEN] / np.sqrt(8), **EXACT)
    assert head.visible.tolist() == [j <= TOKEN for j in range(len(road.tokens.ids))]
    assert np.allclose(head.weights[: TOKEN + 1], softmax(head.scores[: TOKEN + 1]), **EXACT)
    assert not head.weights[TOKEN + 1 :].any()
    assert np.allclose(head.mixed, head.weights @ value, **EXACT)
    assert np.allclose(head.projected, own.o_proj.weight[:, 16:24].numpy() @ head.mixed, **EXACT)

    one, two = road.sums
    assert np.allclose(one.total, road.entering + head.output, **EXACT)
    feed, mlp = road.feed_forward, block.mlp
    given = block.post_attention_layernorm(torch.from_numpy(one.total.copy()))
    assert np.allclose(feed.gate, mlp.gate_proj(given).numpy(), **EXACT)
    assert np.allclose(feed.before, mlp.up_proj(given).numpy(), **EXACT)
    assert np.allclose(feed.hidden, (silu(mlp.gate_proj(given)) * mlp.up_proj(given)).numpy(), **EXACT)
    assert np.allclose(two.total, one.total + feed.output, **EXACT)
    assert np.allclose(two.total, road.leaving, **EXACT)

    end, last = road.answer, len(road.tokens.ids) - 1
    assert end.reads == last
    assert np.allclose(end.vector, seen[-1][last], **EXACT)
    assert [s.kind for s in end.steps] == ["LlamaRMSNorm", "Linear"]
    assert np.allclose(module.score.weight.numpy() @ end.vector, road.prediction.logits, **EXACT)


def test_gpt2_from_its_weights(gpt2: Model) -> None:
    road, seen = road_of(gpt2), states(gpt2)
    block: Any = gpt2.module.transformer.h[LAYER]  # type: ignore[union-attr,index]
    assert road.reasons == {}
    assert [p.kind for p in road.embedding.parts] == ["word", "position", "token type"]  # it takes types for words
    assert np.allclose(sum(p.vector for p in road.embedding.parts), seen[0][TOKEN], **EXACT)
    both = block.attn.c_attn(block.ln_1(torch.from_numpy(seen[LAYER])))
    query, key, value = (split(part, 4)[HEAD].numpy() for part in both.split(32, -1))
    head = road.attention
    assert np.allclose(head.query, query[TOKEN], **EXACT)
    assert np.allclose(head.weights[: TOKEN + 1], softmax(key[: TOKEN + 1] @ query[TOKEN] / np.sqrt(8)), **EXACT)
    assert np.allclose(head.mixed, head.weights @ value, **EXACT)
    after = torch.from_numpy((road.entering + head.output)[None])
    assert np.allclose(road.feed_forward.before, block.mlp.c_fc(block.ln_2(after))[0].numpy(), **EXACT)
    assert np.allclose(road.feed_forward.output, block.mlp(block.ln_2(after))[0].numpy(), **EXACT)
    rows = block.mlp.c_proj.weight.numpy()  # this one is (in, out)
    assert np.allclose(
        road.feed_forward.lengths, np.abs(road.feed_forward.hidden) * np.linalg.norm(rows, axis=1), **EXACT
    )
    assert np.allclose(road.leaving, road.entering + head.output + road.feed_forward.output, **EXACT)


def test_relative_positions_are_seen_as_biases() -> None:
    torch.manual_seed(4)
    config = T5Config(
        vocab_size=len(word_piece()), d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4, num_labels=2,
        decoder_start_token_id=0, pad_token_id=0, eos_token_id=3,
    )  # fmt: skip
    model = made(T5ForSequenceClassification(config))
    road = model.road(TEXT, 0, HEAD, TOKEN)
    table = model.module.transformer.encoder.block[0].layer[0].SelfAttention  # type: ignore[union-attr,index]
    bias = table.compute_bias(len(road.tokens.ids), len(road.tokens.ids))[0, HEAD, TOKEN].numpy()  # type: ignore[operator]
    assert road.position.kind == "relative"
    assert np.allclose(road.attention.bias, bias, **EXACT)
    assert np.allclose(road.attention.weights, softmax(road.attention.scores + bias), **EXACT)
    assert len(road.sums) == 2


def test_sinusoidal_tables_are_told_from_learned_ones(bert: Model) -> None:
    own: Any = bert.module.bert.embeddings.position_embeddings  # type: ignore[union-attr]
    before = own.weight.data.clone()
    angles = np.arange(64)[:, None] / 10000 ** (np.arange(16) / 16)
    own.weight.data = torch.from_numpy(np.concatenate([np.sin(angles), np.cos(angles)], 1)).float()
    found = bert.road(TEXT, 0, 0, 1).position
    own.weight.data = before
    assert found.kind == "sinusoidal"
    assert found.table[2, 0] == pytest.approx(np.sin(2), abs=1e-6)


def test_neighbours_by_cosine(bert: Model) -> None:
    road = road_of(bert)
    table = bert.module.get_input_embeddings().weight.numpy()  # type: ignore[operator]
    own = table[road.tokens.ids[TOKEN]]
    cosine = table @ own / np.linalg.norm(table, axis=1) / np.linalg.norm(own)
    best = [i for i in np.argsort(-cosine) if i != road.tokens.ids[TOKEN]][:8]
    assert [n for n, _ in road.near] == bert.tokenizer.convert_ids_to_tokens([int(i) for i in best])
    assert np.allclose([c for _, c in road.near], cosine[best], atol=1e-5)


@pytest.mark.parametrize("name", ["bert", "llama", "gpt2"])
def test_nothing_is_left_behind_and_json_holds_it_all(name: str, request: pytest.FixtureRequest) -> None:
    model: Model = request.getfixturevalue(name)
    before = traces(model)
    road = road_of(model)
    assert traces(model) == before
    assert decode(Road, road.to_json()) == road
    assert all(np.isfinite(a).all() for a in arrays(road))
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(Cancelled):
        model.walk(RoadRequest(Request((TEXT,)), LAYER, HEAD, TOKEN), cancel=cancel)
    assert traces(model) == before


def arrays(record: Any) -> list[np.ndarray]:
    found = []
    for f in fields(record):
        value = getattr(record, f.name)
        for item in value if isinstance(value, tuple) else [value]:
            if is_dataclass(item):
                found += arrays(item)
            elif isinstance(item, np.ndarray) and item.dtype.kind == "f":
                found.append(item)
    return found


def test_what_is_not_there_is_said(bert: Model) -> None:
    for wrong in ((9, 0, 0), (0, 9, 0), (0, 0, 99), (-1, 0, 0)):
        with pytest.raises(InputError, match="There is no"):
            bert.road(TEXT, *wrong)
    with pytest.raises(ModelError, match="how many layers"):
        toy().road(TEXT, 0, 0, 0)
    for look in (toy().lens, toy().direct):
        with pytest.raises(ModelError, match="layers"):
            look(TEXT)


def test_many_people_get_equal_bits(bert: Model) -> None:
    alone = [a.tobytes() for a in arrays(road_of(bert))]
    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(road_of, bert) if i % 2 else pool.submit(bert.direct, TEXT) for i in range(8)]
        found = [job.result() for job in jobs]
    assert all([a.tobytes() for a in arrays(road)] == alone for road in found[1::2])
    assert all(np.array_equal(d.heads, found[0].heads) for d in found[2::2])


def test_errors_leave_nothing_behind(bert: Model) -> None:
    before = traces(bert)
    block: Any = bert.module.bert.encoder.layer[1]  # type: ignore[union-attr,index]

    def broken(*_: object, **__: object) -> None:
        raise ValueError("broken")

    block.output.forward = broken
    try:
        with pytest.raises(ModelError):
            road_of(bert)
    finally:
        del block.output.forward  # the class has it
    assert traces(bert) == before


def test_direct_contributions_add_up_with_a_linear_head(llama: Model) -> None:
    before = traces(llama)
    found = llama.direct(TEXT, target="P")
    parts = found.start + found.heads.sum() + found.feed_forward.sum()
    assert parts == pytest.approx(found.value, abs=1e-5), "no constants anywhere in this model"
    assert np.allclose(found.constants, 0, atol=1e-5)
    assert found.rest == pytest.approx(0, abs=1e-5)
    module: Any = llama.module
    state = torch.from_numpy(states_before_the_norm(llama)[-1])
    scale = float((state.square().mean() + module.model.norm.variance_epsilon).sqrt())
    row = (module.score.weight[1] - module.score.weight[0]) * module.model.norm.weight / scale
    heads = llama.road(TEXT, 1, HEAD, len(found.tokens.ids) - 1)
    given = torch.from_numpy(heads.attention.projected.copy())
    assert found.heads[1, HEAD] == pytest.approx(float(row @ given), abs=1e-5)
    written = torch.from_numpy(heads.feed_forward.output.copy())
    assert found.feed_forward[1] == pytest.approx(float(row @ written), abs=1e-5)
    assert decode(Direct, found.to_json()) == found
    assert traces(llama) == before


def states_before_the_norm(model: Model) -> np.ndarray:
    """What leaves the last block (T, D)."""
    return case_of(model, TEXT).evaluate(Ask([case_of(model, TEXT).row()], layer=1)).states[0]


def test_direct_contributions_of_an_encoder_are_its_slope(bert: Model) -> None:
    """By finite differences: move what a part writes, with the norm's scale held."""
    found, module = bert.direct(TEXT, target="P"), bert.module
    road, seen = bert.road(TEXT, 1, HEAD, 0), states(bert)
    gain = torch.from_numpy(road.norms[1].gain.copy())

    def value(moved: np.ndarray) -> float:
        x = torch.from_numpy((moved - moved.mean()).astype(np.float64)) / np.sqrt(road.norms[1].deviation ** 2 + 1e-12)
        state = seen[-1][0] + (x * gain).numpy()
        pooled = module.bert.pooler.dense(torch.from_numpy(state).float()).tanh()  # type: ignore[union-attr,operator]
        logits = module.classifier(pooled)  # type: ignore[operator]
        return float(logits[1] - logits[0])

    step, written = 1e-2, road.feed_forward.output
    slope = (value(step * written) - value(-step * written)) / (2 * step)
    assert found.feed_forward[1] == pytest.approx(slope, rel=2e-3, abs=2e-3)
    total = found.start + found.heads.sum() + found.constants.sum() + found.feed_forward.sum() + found.rest
    assert total == pytest.approx(found.value, abs=1e-5)


def test_direct_contributions_leave_only_the_last_norms_shift(gpt2: Model) -> None:
    found, module = gpt2.direct(TEXT, target="P"), gpt2.module
    difference = module.score.weight[1] - module.score.weight[0]  # type: ignore[union-attr,index,operator]
    assert found.rest == pytest.approx(float(difference @ module.transformer.ln_f.bias), abs=1e-5)  # type: ignore[union-attr,operator]
    total = found.start + found.heads.sum() + found.constants.sum() + found.feed_forward.sum() + found.rest
    assert total == pytest.approx(found.value, abs=1e-5)
    assert np.abs(found.constants).max() > 1e-3


def test_the_lens_reads_decoders_through_their_last_norm(llama: Model) -> None:
    found, seen, module = llama.lens(TEXT), states(llama), llama.module
    expected = [module.score(module.model.norm(torch.from_numpy(s[-1]))).numpy() for s in seen[:-1]]  # type: ignore[union-attr,operator]
    assert np.allclose(found.logits[:-1], expected, atol=1e-5)
    assert np.allclose(found.logits[-1], found.prediction.logits, atol=1e-5)
