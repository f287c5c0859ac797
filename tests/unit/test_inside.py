"""Looking inside a pass: states, attention and their gradients agree with plain torch, and nothing is left behind."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from explain.case import Ask, Case
from explain.engine import Model
from explain.errors import ModelError
from explain.model.inside import blocks, kernel
from explain.model.rows import Row
from tests.cases import case_of
from tests.contract.test_methods import traces
from tests.toys import toy

TEXT = "a good movie, but never very funny"
OTHER = "dull"


def forward(model: Model, case: Case, **options: object) -> torch.Tensor:
    """Log-odds of POSITIVE from a plain call of the module."""
    inputs = {k: torch.from_numpy(v.copy())[None] for k, v in case.encoding.inputs.items()}
    outputs = model.module(**inputs, **options)
    logits = outputs.logits
    return logits[0, 1] - logits[0, 0], outputs  # type: ignore[return-value]


@pytest.fixture
def case(tiny: Model) -> Case:
    return case_of(tiny, TEXT, target="POSITIVE")


@pytest.mark.parametrize("layer", [0, 1])
def test_states_and_their_gradients(tiny: Model, case: Case, layer: int) -> None:
    before = traces(tiny)
    found = case.evaluate(Ask([case.row(), case.row()], gradients=True, layer=layer))
    with kernel(tiny.module, "sdpa"):  # takes transformers' own hooks away again
        _, outputs = forward(tiny, case, output_hidden_states=True)  # type: ignore[misc]
    assert np.allclose(found.states[0], outputs.hidden_states[layer + 1][0].detach(), atol=1e-5)
    grabbed: list[torch.Tensor] = []

    def grab(_: object, __: object, output: torch.Tensor | tuple[torch.Tensor, ...]) -> object:
        plain = output[0] if isinstance(output, tuple) else output
        grabbed.append(plain.detach().requires_grad_(True))
        return (grabbed[-1], *output[1:]) if isinstance(output, tuple) else grabbed[-1]

    handle = blocks(tiny.module, 2)[layer].register_forward_hook(grab)
    value, _ = forward(tiny, case)  # type: ignore[misc]
    handle.remove()
    (expected,) = torch.autograd.grad(value, grabbed[0])
    assert np.allclose(found.gradients[1], expected[0], atol=1e-5)
    assert np.allclose(found.values, float(value.detach()), atol=1e-5)
    assert traces(tiny) == before


def test_layers_are_those_beside_the_tokens_table() -> None:
    """Two towers of as many layers, as models of text and pictures have them; and an encoder beside its decoder."""
    tower = torch.nn.ModuleDict({"layers": torch.nn.ModuleList(torch.nn.Linear(4, 4) for _ in range(2))})
    layers = torch.nn.ModuleList(torch.nn.Linear(4, 4) for _ in range(2))
    text = torch.nn.ModuleDict({"table": torch.nn.Embedding(9, 4), "layers": layers})
    both = torch.nn.ModuleDict({"pictures": tower, "text": text})
    both.get_input_embeddings = lambda: text["table"]  # type: ignore[assignment]
    assert blocks(both, 2) == list(text["layers"])
    stacks = torch.nn.ModuleDict({"table": text["table"], "encoder": tower, "decoder": text})
    stacks.get_input_embeddings = lambda: text["table"]  # type: ignore[assignment]
    assert blocks(stacks, 2) == list(tower["layers"])


def test_a_point_between_states_stands_in_for_the_block(tiny: Model, case: Case) -> None:
    short = case_of(tiny, OTHER, target="POSITIVE")
    plain = case.evaluate(Ask([case.row(), short.row()], layer=1))
    zero = np.zeros_like(plain.states[0])
    rows = [Row(case.encoding.inputs, case.target, zero, plain.states[0], a, layer=1) for a in (0.0, 0.25, 1.0)]
    found = case.evaluate(Ask(rows, layer=1))
    assert found.values[2] == pytest.approx(plain.values[0], abs=1e-5)
    assert np.allclose(found.states[1], 0.25 * plain.states[0], atol=1e-6)
    assert found.states[0].max() == 0
    assert plain.states[1].shape[0] == len(short.tokens.ids), "padding is cut off"


def test_attention_and_its_gradients(tiny: Model, case: Case) -> None:
    before = traces(tiny)
    short = case_of(tiny, OTHER, target="POSITIVE")
    found = case.evaluate(Ask([case.row(), short.row()], gradients=True, attention=True))
    with kernel(tiny.module, "eager"):
        inputs = {k: torch.from_numpy(v.copy())[None] for k, v in case.encoding.inputs.items() if k != "input_ids"}
        embeds = torch.from_numpy(case.embeds.copy())[None].requires_grad_(True)
        outputs = tiny.module(inputs_embeds=embeds, output_attentions=True, **inputs)
        value = outputs.logits[0, 1] - outputs.logits[0, 0]
        expected = torch.autograd.grad(value, outputs.attentions)
    for layer in range(2):
        assert np.allclose(found.attention[0][layer], outputs.attentions[layer][0].detach(), atol=1e-5)
        assert np.allclose(found.gradients[0][layer], expected[layer][0], atol=1e-5)
    t = len(short.tokens.ids)
    assert found.attention[1].shape == (2, 4, t, t)
    assert np.allclose(found.attention[1].sum(-1), 1, atol=1e-5)
    assert traces(tiny) == before


def test_a_muted_token_gives_nothing_to_the_others(tiny: Model, case: Case) -> None:
    before = traces(tiny)
    rows = [Row(case.encoding.inputs, case.target, muted=m) for m in (None, 2, 5)]
    found = case.evaluate(Ask(rows, layer=0))
    plain = case.evaluate(Ask([case.row()], layer=0)).states[0]
    assert np.allclose(found.states[0], plain, atol=1e-5)
    attend = tiny.module.bert.encoder.layer[0].attention  # type: ignore[union-attr,index]
    inputs = {k: torch.from_numpy(v.copy())[None] for k, v in case.encoding.inputs.items()}
    weights = case.evaluate(Ask([case.row()], attention=True)).attention[0][0]  # (H, T, T)
    with torch.no_grad():
        hidden = tiny.module.bert.embeddings(input_ids=inputs["input_ids"], token_type_ids=inputs["token_type_ids"])  # type: ignore[union-attr,operator]
        value = attend.self.value(hidden)[0].view(len(weights[0]), 4, -1).transpose(0, 1)  # type: ignore[union-attr,operator]
        value[:, 2] = 0
        mixed = (torch.from_numpy(weights) @ value).transpose(0, 1).reshape(1, len(weights[0]), -1)
        layer = tiny.module.bert.encoder.layer[0]  # type: ignore[union-attr,index]
        summed = layer.attention.output(mixed, hidden)  # type: ignore[union-attr,operator]
        expected = layer.output(layer.intermediate(summed), summed)[0]  # type: ignore[union-attr,operator]
    assert np.allclose(found.states[1], expected, atol=1e-5)
    assert traces(tiny) == before


def test_what_cannot_be_looked_into_says_so() -> None:
    case = case_of(toy(), TEXT)
    with pytest.raises(ModelError, match="layers"):
        case.evaluate(Ask([case.row()], layer=0))
    with pytest.raises(ModelError):
        case.evaluate(Ask([case.row()], attention=True))


def test_errors_leave_nothing_behind(tiny: Model, case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    before = traces(tiny)
    monkeypatch.setattr(Model, "score", lambda self, outputs, rows: 1 / 0)
    for ask in (Ask([case.row()], layer=1, gradients=True), Ask([case.row()], attention=True, gradients=True)):
        with pytest.raises(ModelError):
            case.evaluate(ask)
    with pytest.raises(ModelError):
        case.evaluate(Ask([Row(case.encoding.inputs, case.target, muted=1)], layer=0))
    monkeypatch.undo()
    assert traces(tiny) == before
    assert tiny.module.config._attn_implementation == "sdpa"
