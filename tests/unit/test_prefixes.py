"""Rows that begin alike: the numbers of each alone, from fewer passes, and only where a model looks back."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from explain.continuing import _pieces
from explain.engine import Model, load
from explain.errors import Cancelled, InputError, ModelError
from explain.generation import Generation
from explain.model import ends, prefixes
from explain.model.meter import Meter
from explain.model.rows import Row
from explain.records import Target
from tests.rows import left, same
from tests.tiny import STORIES

PROMPT = "Once upon a time there was a"
LOGIT = Target("logit", 3, "", "")


@pytest.fixture(scope="module")
def written(teller: Model) -> Generation:
    """As if the model had written a story that it was tokenized for; what it would write is seldom read the same."""
    whole = np.array(teller.tokenizer(STORIES[0])["input_ids"])
    start = len(teller.tokenizer(PROMPT)["input_ids"])
    pieces, readable = _pieces(teller, PROMPT, whole, start, Meter())
    found, count = teller.generate(PROMPT, tokens=1), len(whole) - start
    numbers = {"log_probs": np.zeros(count, np.float32), "ranks": np.ones(count, np.int32)}
    return replace(found, ids=whole[start:], pieces=pieces, readable=np.array(readable), **numbers)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Padded tokens of every pass."""
    plain, sizes = Model.call, list[int]()

    def call(self: Model, rows: list[Row], *args: Any, **options: Any) -> Any:
        sizes.append(len(rows) * max(map(len, rows)))
        return plain(self, rows, *args, **options)

    monkeypatch.setattr(Model, "call", call)
    yield sizes


def growing(model: Model, seed: int = 0) -> list[Row]:
    """Beginnings of one text on one path, at several points of it, as they are, and another text's; shuffled."""
    random = np.random.default_rng(seed)
    ids = random.integers(1, 300, 18)
    start, end = (random.normal(0, 0.4, (18, model.info.d_model)).astype(np.float32) for _ in range(2))
    rows = []
    for n in (9, 15, 16, 17, 18, 18):
        inputs, target = {"input_ids": ids[:n]}, replace(LOGIT, index=int(random.integers(0, 300)))
        rows.append(Row(inputs, target))
        for alpha in (0.2, 0.7, 1.0):
            rows.append(Row(inputs, target, start=start[:n].copy(), end=end[:n], alpha=alpha))
        rows.append(Row(inputs, target, start=end[:n], end=start[:n], alpha=0.6))
        rows.append(Row(inputs, target, start=start[:n], end=end[:n], alpha=0.2, places=(n - 2,)))
    rows.append(Row({"input_ids": ids[::-1].copy()}, LOGIT))
    return [rows[i] for i in random.permutation(len(rows))]


def test_each_row_gets_the_numbers_that_it_gets_alone(teller_folder: Path, read: list[int]) -> None:
    teller = load(str(teller_folder))  # nobody has tried longer rows on it
    rows = growing(teller)
    expected = ends.gradients(teller, rows, Meter())
    apart = sum(read)
    del read[:]
    found = prefixes.gradients(teller, rows, Meter())
    assert same(found, expected)
    assert np.allclose(prefixes.values(teller, rows, Meter()), expected[0], atol=1e-5)
    assert sum(read) < apart, "both kinds of shared passes together, and the trial before them"
    assert teller.kept[prefixes.KNOWN] == 18


@given(
    st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=8), min_size=1, max_size=12), st.sampled_from([0, 0.8])
)
def test_every_row_is_in_one_chain_and_begins_its_longest(texts: list[list[int]], near: float) -> None:
    rows = [Row({"input_ids": np.array(text)}, LOGIT) for text in texts]
    chains = prefixes.nested(rows, near)
    assert sorted(i for chain in chains for i in chain) == list(range(len(rows)))
    for chain in chains:
        longest = texts[chain[0]]
        assert all(texts[i] == longest[: len(texts[i])] and len(texts[i]) >= near * len(longest) for i in chain)
    if near == 0:
        heads = [tuple(texts[chain[0]]) for chain in chains]
        assert len(set(heads)) == len(heads)
        assert not any(a != b and b[: len(a)] == a for a in heads for b in heads), "none could have joined another"


@pytest.mark.parametrize("change", ["ids", "types", "alpha", "start", "end"])
def test_rows_that_differ_in_anything_share_nothing(change: str) -> None:
    vectors = np.ones((4, 2), dtype=np.float32)
    ids, kinds = np.arange(4), np.zeros(4, dtype=np.int64)
    long = Row({"input_ids": ids, "token_type_ids": kinds}, LOGIT, start=vectors, end=2 * vectors, alpha=0.5)
    inputs = {"input_ids": ids[:3] + (change == "ids"), "token_type_ids": kinds[:3] + (change == "types")}
    parts = {"start": vectors[:3] + (change == "start"), "end": 2 * vectors[:3] - (change == "end")}
    other = Row(inputs, LOGIT, **parts, alpha=0.25 if change == "alpha" else 0.5)
    assert len(prefixes.nested([long, other], 0)) == 2
    assert len(prefixes.nested([long, replace(long, inputs={n: a[:3] for n, a in long.inputs.items()})], 0)) == 1
    assert len(prefixes.nested([long, Row({n: a[:3] for n, a in long.inputs.items()}, LOGIT)], 0)) == 2


def test_a_generation_is_explained_as_each_token_alone(teller: Model, written: Generation, read: list[int]) -> None:
    together = teller.explain_generation(written)
    shared = sum(read)
    del read[:]
    assert len(together) == len(written.explainable) > 5
    for i, one in zip(written.explainable, together, strict=True):
        alone = teller.explain(written.prefix(i), target=int(written.ids[i]), checks=("completeness",))
        (mine,), (its,) = one.attributions, alone.attributions
        assert np.allclose(mine.scores, its.scores, atol=1e-5 * max(1, float(np.abs(its.scores).max())))
        assert mine.value_input == pytest.approx(its.value_input, abs=1e-5)
        assert mine.evaluations.digest == its.evaluations.digest
        assert np.array_equal(mine.path, its.path)  # type: ignore[arg-type]
        assert mine.relative_residual is not None
        assert mine.relative_residual <= 0.01
        assert one.effects is not None
        assert alone.effects is not None
        assert np.allclose(one.effects.without, alone.effects.without, atol=1e-5)
        assert [c.name for c in one.checks] == ["completeness"]
    assert shared < 0.7 * sum(read)


def test_only_some_tokens_and_other_checks(teller: Model, written: Generation) -> None:
    first, last = written.explainable[1], written.explainable[-1]
    found = teller.explain_generation(written, places=(last, first), checks=None, granularity="token")
    assert [e.tokens.texts[0] for e in found] == [written.prefix(last), written.prefix(first)]
    assert {"completeness", "baseline", "comprehensiveness"} <= {c.name for c in found[0].checks}
    assert found[0].attributions[0].granularity == "token"
    assert teller.explain_generation(written, places=()) == []


@pytest.mark.parametrize("place", [-1, 99, "1", 0.5])
def test_a_token_that_was_not_written_is_refused(teller: Model, written: Generation, place: Any) -> None:
    with pytest.raises(InputError) as caught:
        teller.explain_generation(written, places=(place,))
    assert caught.value.code == "bad_place"


def test_what_another_model_wrote_is_refused(teller: Model, written: Generation) -> None:
    other = replace(written, model=replace(written.model, weights_sha256="0" * 64))
    with pytest.raises(InputError, match="other weights"):
        teller.explain_generation(other)


@pytest.fixture
def ahead(teller_folder: Path) -> Model:
    """A model whose first block also sees the mean of the whole text."""
    model = load(str(teller_folder))
    model.module.model.layers[0].register_forward_hook(  # type: ignore[union-attr,operator]
        lambda block, args, output: output + output.mean(1, keepdim=True)
    )
    model.padding = model._probe_padding()
    return model


def test_a_model_that_looks_ahead_reads_each_row_alone(ahead: Model, written: Generation) -> None:
    assert ahead.padding == "equal"
    rows = growing(ahead)
    expected = ends.gradients(ahead, rows, Meter())
    assert same(prefixes.gradients(ahead, rows, Meter()), expected)
    assert ahead.kept[prefixes.KNOWN] == 0
    i = written.explainable[-1]
    alone = ahead.explain(written.prefix(i), target=int(written.ids[i]), checks=())
    found = ahead.explain_generation(written)[-1]
    assert np.allclose(found.attributions[0].scores, alone.attributions[0].scores, atol=1e-4)


def test_longer_rows_are_tried_again(teller_folder: Path) -> None:
    """Some models change their positions where a text is long."""
    model = load(str(teller_folder))
    model.module.model.layers[0].register_forward_hook(  # type: ignore[union-attr,operator]
        lambda block, args, output: output * (1.5 if output.shape[1] > 10 else 1.0)
    )
    short = [Row({"input_ids": np.arange(1, n)}, LOGIT) for n in (5, 6, 7, 8)]
    long = [Row({"input_ids": np.arange(1, n)}, LOGIT) for n in (9, 10, 11, 12, 13)]
    assert np.allclose(prefixes.values(model, short, Meter()), ends.values(model, short, Meter()), atol=1e-5)
    assert model.kept[prefixes.KNOWN] == 7
    apart = [float(ends.values(model, [row], Meter())[0]) for row in long]
    model.padding = "single"  # a batch holds rows of one length, as it does for models of this kind
    assert np.allclose(prefixes.values(model, long, Meter()), apart, atol=1e-5)
    assert model.kept[prefixes.KNOWN] == 0


def test_a_model_that_keeps_every_output_is_read_at_the_right_places(teller_folder: Path) -> None:
    model = load(str(teller_folder))
    rows = growing(model)
    expected = prefixes.gradients(model, rows, Meter())
    plain = model.module.forward

    def stubborn(logits_to_keep: int = 0, **inputs: Any) -> Any:
        return plain(**inputs)

    model.module.forward = stubborn  # type: ignore[method-assign]
    assert same(prefixes.gradients(model, rows, Meter()), expected)
    model.module.forward = lambda **inputs: plain(**inputs)  # type: ignore[method-assign]
    assert same(prefixes.gradients(model, rows, Meter()), expected)


def test_progress_counts_rows_and_a_cancelled_one_stops(teller: Model) -> None:
    rows, heard = growing(teller), list[int]()
    prefixes.gradients(teller, rows, Meter(progress=heard.append))
    assert heard[-1] == len(rows)
    stop = threading.Event()
    before = left(teller)
    with pytest.raises(Cancelled):
        prefixes.gradients(teller, rows, Meter(progress=lambda done: stop.set(), cancel=stop))
    assert left(teller) == before


def test_memory_that_runs_out_halves_the_batch(teller_folder: Path) -> None:
    model = load(str(teller_folder))
    rows = growing(model)
    expected, plain = prefixes.gradients(model, rows, Meter()), model.module.forward

    def forward(**inputs: Any) -> Any:
        if len(inputs["input_ids"]) > 1:
            raise torch.OutOfMemoryError("out of memory")
        return plain(**inputs)

    model.module.forward = forward  # type: ignore[method-assign]
    meter = Meter()
    assert same(prefixes.gradients(model, rows, meter), expected)
    assert meter.halved > 0


def test_memory_that_runs_out_in_the_trial_is_no_property_of_the_model(teller_folder: Path) -> None:
    model = load(str(teller_folder))
    rows, plain = growing(model), model.module.forward
    expected = ends.gradients(model, rows, Meter())

    def forward(**inputs: Any) -> Any:
        if torch.is_grad_enabled():
            raise torch.OutOfMemoryError("out of memory")
        return plain(**inputs)

    model.module.forward = forward  # type: ignore[method-assign]
    assert np.allclose(prefixes.values(model, rows, Meter()), expected[0], atol=1e-5), "which takes no gradient"
    with pytest.raises(ModelError) as caught:
        prefixes.gradients(model, rows, Meter())
    assert caught.value.code == "out_of_memory"
    assert prefixes.KNOWN not in model.kept
    model.module.forward = plain  # type: ignore[method-assign]
    assert same(prefixes.gradients(model, rows, Meter()), expected)
    assert model.kept[prefixes.KNOWN] == 18, "tried again, once there was memory"


def test_one_text_alone_shares_nothing(teller: Model, read: list[int]) -> None:
    """Its rows are other points of a path, so none begins another."""
    assert prefixes._chains(teller, [row for row in growing(teller) if len(row) == 9], 0.8) is None
    assert not read
