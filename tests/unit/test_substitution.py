"""Exchanging what the embedding table returns: as if the table itself held other vectors, wherever it is asked.

That is also how it is proved: a copy of the model whose table does hold the other vectors answers a plain run, and
autograd with respect to the table's weight tells what the gradients add up to. Only a few of transformers'
architectures look ids up in another way than BERT; those are listed here, the toys do what none of them does.
"""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from explain.errors import ModelError
from explain.model import substitution
from explain.model.rows import Row
from explain.model.substitution import embedding_modules, lookup, substituted
from explain.records import Target
from tests.architectures import tiny as architectures
from tests.toys import Sum, toy

ARCHITECTURES = {
    "bert": "the ids themselves",
    "bart": "one weight behind three tables; the decoder asks for the ids shifted by its start token",
    "t5": "the same, started by padding",
    "t5gemma": "the decoder has a table of its own",
    "t5gemma2": "two tables, one weight",
    "ibert": "the table returns a scale beside the vectors",
    "longformer": "the ids are padded to the attention's window",
    "xlnet": "the ids are transposed",
}
SPECIALS = (architectures.PAD, architectures.CLS, architectures.SEP)


def plain(model: Any, ids: Tensor, mask: Tensor) -> Tensor:
    return model(input_ids=ids, attention_mask=mask).logits


def hooks(model: nn.Module) -> int:
    return sum(
        len(m._forward_hooks) + len(m._forward_pre_hooks) + len(m._forward_hooks_with_kwargs) for m in model.modules()
    )


def weights(model: Any) -> list[Tensor]:
    """Each distinct weight with a row for every word, in the order in which `lookup` joins them."""
    size = len(model.get_input_embeddings().weight)
    tables = [m for m in model.modules() if "Embedding" in type(m).__name__ and getattr(m, "weight", None) is not None]
    return list({id(table.weight): table.weight for table in tables if len(table.weight) == size}.values())


def with_other_vectors(model: Any, ids: Tensor) -> Any:
    """A copy whose tables hold other vectors for the words among `ids`, the same for all that is special."""
    other = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(1)
    words = torch.tensor(sorted(set(ids.flatten().tolist()) - set(SPECIALS)))
    with torch.no_grad():
        for weight in weights(other):
            weight[words] += 0.1 * torch.randn(len(words), weight.shape[1], generator=generator)
    return other


def test_tables_are_searched_for_once_and_again_when_they_were_exchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    model, searched = architectures.build("bart").requires_grad_(False), []
    found = substitution._searched
    monkeypatch.setattr(substitution, "_searched", lambda module: searched.append(module) or found(module))
    ids = torch.tensor([[architectures.CLS, 7, architectures.SEP]])
    before = lookup(model, ids)
    assert torch.equal(lookup(model, ids), before)
    assert embedding_modules(model)[0] is model.get_input_embeddings()
    assert len(searched) == 1
    table = model.get_input_embeddings()
    table.weight = nn.Parameter(table.weight * 2, requires_grad=False)  # the others keep the old one
    assert torch.allclose(lookup(model, ids)[..., : before.shape[-1]], before * 2)
    assert len(searched) == 2
    model.set_input_embeddings(nn.Embedding(*table.weight.shape, _weight=torch.ones_like(table.weight)))
    assert embedding_modules(model)[0] is model.get_input_embeddings()
    assert len(searched) == 3


@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_it_is_as_if_the_table_held_other_vectors(model_type: str) -> None:
    model = architectures.build(model_type).requires_grad_(False)
    ids, mask = architectures.tokens("a very good film with a witty story", "not bad at all", "a a a a")
    other = with_other_vectors(model, ids)
    with torch.no_grad():
        before, expected = plain(model, ids, mask), plain(other, ids, mask)
        embeds, exchanged = lookup(model, ids), lookup(other, ids)
        for wish, vectors in ((before, embeds), (expected, exchanged)):
            with substituted(model, ids, vectors) as seen:
                found = plain(model, ids, mask)
            assert torch.equal(found, wish)
            assert seen.used >= (ids != architectures.PAD).sum()
            assert seen.missed == 0
        assert torch.equal(plain(model, ids, mask), before)
    assert not torch.allclose(before, expected, atol=1e-3)
    assert not hooks(model)


@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_gradients_from_every_use_arrive(model_type: str) -> None:
    """Summed over the places of a word, they are the gradient of its row in the table."""
    model = architectures.build(model_type).requires_grad_(False)
    ids, mask = architectures.tokens("a very good film with a witty story", "not a bad film at all")
    embeds = lookup(model, ids).requires_grad_(True)
    with substituted(model, ids, embeds):
        value = plain(model, ids, mask)[:, 1].sum()
    (slope,) = torch.autograd.grad(value, embeds)
    tables = [weight.requires_grad_(True) for weight in weights(model)]
    expected = torch.autograd.grad(plain(model, ids, mask)[:, 1].sum(), tables)
    factor = float((embeds[0, 1, 0] / tables[0][ids[0, 1], 0]).detach())  # some tables scale what they hold
    for part, whole in zip(slope.split([t.shape[1] for t in tables], dim=-1), expected, strict=True):
        for word in set(ids.flatten().tolist()) - set(SPECIALS):
            here = factor * part[ids == word].sum(0)
            assert torch.allclose(here, whole[word], atol=1e-5 * float(whole.abs().max()), rtol=1e-3)
            assert here.abs().sum() > 0


class Reader(nn.Module):
    """Logits (N, 2) from the words and their order; `ask` says how it looks them up."""

    def __init__(self, ask: str = "") -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.table, self.second = nn.Embedding(12, 4), nn.Embedding(12, 4)
        self.table.weight.data = torch.randn(12, 4, generator=generator)
        self.second.weight = self.table.weight
        self.places = nn.Parameter(torch.randn(16, 4, generator=generator))
        self.head = nn.Parameter(torch.randn(4, 2, generator=generator))
        self.ask = ask

    def get_input_embeddings(self) -> nn.Embedding:
        return self.table

    def vectors(self, ids: Tensor) -> Tensor:
        if self.ask == "by name":
            return self.table(input=ids)
        if self.ask == "flat":
            return self.table(ids.reshape(-1)).reshape(*ids.shape, -1)
        if self.ask == "columns":
            return self.table(ids.T).transpose(0, 1)
        if self.ask == "columns by name":
            return self.table(input=ids.T).transpose(0, 1)
        if self.ask == "in place":
            return self.table(ids).mul_(2.0)
        if self.ask == "padded":
            return self.table(functional.pad(ids, (0, 3)))[:, : ids.shape[1]]
        if self.ask == "twice":
            return self.table(ids) + torch.sin(self.second(ids))
        if self.ask == "without the module":
            return functional.embedding(ids, self.table.weight)
        return self.table(ids)

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None, **_: Any) -> Any:
        found = self.vectors(input_ids)
        if self.ask == "a prompt":
            prompt = self.table(torch.full((len(found), 2), 11))
            found = found + prompt.mean(1, keepdim=True)
        if self.ask == "output layer":
            found = functional.layer_norm(found, (4,))
        mixed = torch.tanh(found * self.places[: found.shape[1]]).sum(1)  # (N, 4)
        return SimpleNamespace(logits=mixed @ self.head)


ASKS = ["", "by name", "flat", "columns", "columns by name", "in place", "padded", "twice", "a prompt"]
IDS = {
    "one row": [[3, 4, 5]],
    "one token": [[3]],
    "rows": [[3, 4, 5], [6, 7, 8], [3, 3, 9], [4, 5, 6]],
    "square": [[3, 4, 5], [6, 7, 8], [3, 3, 9]],
    "symmetric": [[3, 4, 5], [4, 7, 8], [5, 8, 9]],  # these ids do not tell rows from columns
    "all alike": [[3, 3, 3], [3, 3, 3], [3, 3, 3]],
}


@pytest.mark.parametrize("shape", IDS)
@pytest.mark.parametrize("ask", ASKS)
def test_however_the_table_is_asked(ask: str, shape: str) -> None:
    """Every position of every row has vectors of its own here, so none may land in another's place."""
    model = Reader(ask).requires_grad_(False)
    ids = torch.tensor(IDS[shape])
    embeds = lookup(model, ids) + torch.randn(*ids.shape, 4, generator=torch.Generator().manual_seed(2))
    oracle = Reader(ask).requires_grad_(False)  # an id for each position: the table can hold all vectors
    oracle.table = nn.Embedding.from_pretrained(
        torch.cat([embeds.reshape(-1, 4), model.table.weight[-1:]]), freeze=False
    )
    oracle.second = oracle.table
    own = torch.arange(ids.numel()).reshape(ids.shape)
    if ask == "a prompt":
        oracle.vectors = lambda ids: oracle.table(ids) + model.table.weight[11]  # type: ignore[method-assign]
        oracle.ask = ""
    expected = oracle(own).logits
    (slopes,) = torch.autograd.grad(expected[:, 0].sum(), oracle.table.weight)
    kept = embeds.clone().requires_grad_(True)
    with substituted(model, ids, kept) as seen:
        found = model(ids).logits
    (slope,) = torch.autograd.grad(found[:, 0].sum(), kept)
    assert torch.allclose(found, expected, atol=1e-6)
    assert torch.allclose(slope, slopes[: ids.numel()].reshape(slope.shape), atol=1e-6)
    assert torch.equal(kept, embeds)  # also where the model scales in place
    assert seen.used == ids.numel() * (2 if ask == "twice" else 1)
    assert seen.missed == (2 * len(ids) if ask == "a prompt" else 0)
    assert not hooks(model)


def test_a_weight_that_is_also_the_output_layer_is_left_alone() -> None:
    """A language model's head shares the table's weight, and is asked for vectors instead of ids."""

    class Tied(Reader):
        def __init__(self) -> None:
            super().__init__()
            self.output = nn.Linear(4, 12, bias=False)
            self.output.weight = self.table.weight

        def forward(self, input_ids: Tensor, **_: Any) -> Any:
            return SimpleNamespace(logits=self.output(self.vectors(input_ids).sum(1)))

    model, ids = Tied().requires_grad_(False), torch.tensor(IDS["rows"])
    assert len(embedding_modules(model)) == 3
    embeds = torch.randn(*ids.shape, 4, generator=torch.Generator().manual_seed(2))
    with substituted(model, ids, embeds) as seen:
        found = model(ids).logits
    assert torch.allclose(found, embeds.sum(1) @ model.table.weight.T)
    assert (seen.used, seen.missed) == (ids.numel(), 0)


def test_a_lookup_that_no_module_makes_is_noticed() -> None:
    ids = torch.tensor(IDS["rows"])
    model = Reader("without the module").requires_grad_(False)
    with substituted(model, ids, lookup(model, ids)) as seen:
        model(ids)
    assert (seen.used, seen.missed) == (0, 0)

    class Hidden(Sum):
        def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None, **rest: Any) -> Any:
            logits = functional.embedding(input_ids, self.table.weight).sum(1) @ self.weight.T
            return SimpleNamespace(logits=logits)

    runner = toy(Hidden())
    inputs = runner.encode(("a dull film",)).inputs
    row = Row(inputs, Target("logit", 0, "N", ""))
    path = Row(inputs, row.target, runner.embed(row.ids), runner.embed(row.ids), 1.0)
    assert np.isfinite(runner.values([row])).all()
    for call in (lambda: runner.gradients([row]), lambda: runner.values([path])):
        with pytest.raises(ModelError, match="Use occlusion") as caught:
            call()
        assert caught.value.code == "no_embeddings"


def test_a_model_without_a_table_is_told_so() -> None:
    for call in (embedding_modules, lambda model: lookup(model, torch.tensor([[1]]))):
        with pytest.raises(ModelError, match="Linear does not look its words up") as caught:
            call(nn.Linear(2, 2))
        assert caught.value.code == "no_embeddings"


def test_a_table_is_found_by_its_size_where_it_has_no_name() -> None:
    class Nameless(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.config = SimpleNamespace(vocab_size=12)
            self.places, self.words = nn.Embedding(16, 4), nn.Embedding(12, 4)

    model = Nameless()
    assert embedding_modules(model) == [model.words]


@pytest.mark.parametrize("ask", ["", "columns"])
def test_no_hook_is_left_after_an_error(ask: str) -> None:
    model, ids = Reader(ask).requires_grad_(False), torch.tensor(IDS["symmetric"])
    embeds = lookup(model, ids)

    def stumble() -> None:
        with substituted(model, ids, embeds):
            assert hooks(model)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        stumble()
    assert not hooks(model)
    model.places = nn.Parameter(torch.zeros(1, 5))  # now it fails where it is asked how it reads
    with pytest.raises(RuntimeError), substituted(model, ids, embeds):
        pytest.fail("not reached")
    assert not hooks(model)
