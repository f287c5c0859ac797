"""DeepLIFT where it can be right, and the gate where it is not."""

from __future__ import annotations

import contextlib
import csv
import io
import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from captum.attr import DeepLift
from rich.console import Console
from streamlit.testing.v1 import AppTest
from torch import nn
from transformers.activations import ACT2FN

import explain
from explain import gate
from explain.case import Ask
from explain.checks.completeness import FAIL
from explain.engine import Model, load
from explain.errors import InputError, MethodError, ModelError
from explain.methods import find, methods
from explain.model import rescale
from explain.model.rescale import without_rule
from explain.render import spreadsheet, terminal
from tests.cases import case_of
from tests.conftest import choose, finish, html_of
from tests.contract.test_methods import traces
from tests.tiny import word_piece
from tests.toys import WIDTH, Sum, toy

TEXT = "a good movie, but never very funny"
GATED = [name for name, m in methods().items() if m.gated is not None]


class Layers(nn.Module):
    """Logits (N, C) from word vectors through linear layers and activations only: one for each word, one for the sum.

    `shared`: both activations are one module, used twice.
    """

    def __init__(self, activation: str = "gelu", classes: int = 2, *, shared: bool = False) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.table = nn.Embedding(len(word_piece()), WIDTH)
        self.word, self.sum, self.head = nn.Linear(WIDTH, 16), nn.Linear(16, 12), nn.Linear(12, classes)
        self.first = ACT2FN[activation]
        self.second = self.first if shared else ACT2FN[activation]
        self.config = SimpleNamespace(vocab_size=self.table.num_embeddings, num_labels=classes)

    def get_input_embeddings(self) -> nn.Embedding:
        """The word table."""
        return self.table

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None, **_: Any) -> Any:
        """Logits like a sequence classifier's."""
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        return SimpleNamespace(logits=self.after(self.table(input_ids), mask))

    def after(self, embeds: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Logits from word vectors (N, T, D)."""
        total = (self.first(self.word(embeds)) * mask[..., None]).sum(1)
        return self.head(self.second(self.sum(total)))  # type: ignore[no-any-return]


class Differ(nn.Module):
    """What Captum is given: word vectors in, the log-odds of class 1 out."""

    def __init__(self, layers: Layers) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, embeds: torch.Tensor) -> torch.Tensor:
        """Log-odds (N, 1)."""
        logits = self.layers.after(embeds, torch.ones(embeds.shape[:2]))
        return logits[:, 1:] - logits[:, :1]


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid"])
def test_equals_captum(activation: str) -> None:
    module = Layers(activation)
    module.table.weight.data *= 3
    model = toy(module)
    case = case_of(model, TEXT, target="P")
    start = case.baseline("mask")[1]
    ours = case.evaluate(Ask([case.point(start, 1.0)], gradients=True, rescaled=True)).gradients[0]
    inputs, baselines = torch.from_numpy(case.embeds.copy())[None], torch.from_numpy(start.copy())[None]
    theirs = DeepLift(Differ(module)).attribute(inputs, baselines, target=0)[0].detach().numpy()
    assert np.allclose((case.embeds - start) * ours, theirs, atol=1e-5), "as Captum"
    plain = case.evaluate(Ask([case.point(start, 1.0)], gradients=True)).gradients[0]
    assert not np.allclose((case.embeds - start) * plain, theirs, atol=1e-3), "the toy must be curved"


@pytest.mark.parametrize("activation", ["relu", "gelu", "gelu_new", "silu", "tanh"])
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("quantity", ["log_odds", "probability", "logit"])
def test_is_complete_where_every_module_is_covered(activation: str, shared: bool, quantity: str) -> None:
    model = toy(Layers(activation, 3, shared=shared), labels=("A", "B", "C"))
    result = model.explain(TEXT, methods=["deep_lift"], quantity=quantity, checks=["completeness"])  # type: ignore[arg-type]
    (found,), (check,) = result.attributions, result.checks
    assert abs(found.residual or 0) <= 1e-5
    assert check.status in ("pass", "warn")  # warn: so small a change of probability that there is little to divide
    assert result.warnings == () or all(n.code not in ("forced_method", "gated_method") for n in result.warnings)
    (claim,) = model.claims.values()
    assert claim.kept
    assert claim.reason == ""
    assert claim.residual < 1e-3
    assert without_rule(model.module) == []


def test_words_of_one_batch_do_not_meet() -> None:
    model = toy(Layers("gelu"))
    texts = ["dull", TEXT, "the ending is moving!"]
    many = model.explain_batch(texts, methods=["deep_lift"], checks=())
    for text, result in zip(texts, many, strict=True):
        alone = model.explain(text, methods=["deep_lift"], checks=()).attributions[0]
        assert np.allclose(result.attributions[0].scores, alone.scores, atol=1e-5)


def test_errors_leave_nothing_behind(tiny: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    case, before = case_of(tiny, TEXT), traces(tiny)
    ask = Ask([case.point(case.baseline("mask")[1], 1.0)], gradients=True, rescaled=True)
    case.evaluate(ask)
    assert traces(tiny) == before
    monkeypatch.setattr(rescale, "_mean_slope", lambda *_: 1 / 0)
    with pytest.raises(ModelError, match="division"):
        case.evaluate(ask)
    assert traces(tiny) == before


def test_only_methods_with_a_claim_are_gated() -> None:
    assert "deep_lift" in GATED
    assert "integrated_gradients" not in GATED, "it refines until its claim holds"
    assert all("complete" in find(name).info.axioms for name in GATED)


def test_refused_with_number_and_reason(tiny: Model) -> None:
    with pytest.raises(MethodError) as refused:
        tiny.explain(TEXT, methods=["deep_lift"])
    claim = tiny.claims["deep_lift", find("deep_lift").configured({})]
    assert refused.value.code == "gated"
    assert claim.residual > FAIL
    assert claim.texts == len(gate.PROBES)
    said = str(refused.value)
    assert f"{claim.residual:.1%}" in said
    assert all(part in said for part in ("LayerNorm and attention", "forced=True", "--force"))


def test_the_number_is_the_median_of_the_probes(tiny: Model) -> None:
    results = tiny.explain_batch(gate.PROBES, methods=["deep_lift"], checks=(), forced=True)
    each = [r.attributions[0].relative_residual for r in results]
    (claim,) = [c for (name, p), c in tiny.claims.items() if name == "deep_lift" and p.baseline == "auto"]
    assert claim.residual == pytest.approx(np.median(each), rel=1e-3)  # type: ignore[arg-type]


def test_a_function_that_is_no_module_is_found_out() -> None:
    with pytest.raises(MethodError, match="not a module of its own"):
        toy(Sum(2, steep=4.0)).explain(TEXT, methods=["deep_lift"])


def test_measured_once_for_each_parameter(tiny_folder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model, calls = explain.load(str(tiny_folder)), []
    real = gate.measure
    monkeypatch.setattr(gate, "measure", lambda *a: calls.append(a[2]) or real(*a))
    for baseline in ("mask", "mask", "pad", "mask"):
        with pytest.raises(MethodError):
            model.explain(TEXT, methods=["deep_lift"], params={"baseline": baseline})
    assert [p.baseline for p in calls] == ["mask", "pad"]
    model.explain(TEXT, checks=())
    assert len(calls) == 2, "a method without a gate measures nothing"


def test_forced_is_shown_and_said(tiny: Model) -> None:
    result = tiny.explain(TEXT, methods=["deep_lift"], forced=True, checks=["completeness"])
    notice = result.warnings[0]
    assert notice.code == "forced_method"
    claim = tiny.claims["deep_lift", find("deep_lift").configured({})]
    assert f"{claim.residual:.1%}" in notice.message
    assert explain.read(result.to_json()).warnings == result.warnings
    (check,) = result.checks
    assert check.status == "fail", "this toy's own text misses the total too"
    console = Console(width=200, record=True, file=io.StringIO(), color_system="truecolor", force_terminal=True)
    console.print(terminal.explanation(result))
    shown = console.export_text()
    assert notice.message[:60] in shown
    assert check.sentence in shown.split("rank")[0], "what failed stands above the words, as on the page"
    assert not any(span.style for span in terminal.words(result).spans), "words that miss their total have no colour"
    rows = list(csv.DictReader(io.StringIO(spreadsheet.words_csv(result))))
    assert any(check.sentence in r["text"] for r in rows)
    assert any(notice.message in r["text"] for r in rows)
    fine = tiny.explain(TEXT, checks=["completeness"])
    assert "forced_method" not in fine.to_json()
    assert len(list(csv.DictReader(io.StringIO(spreadsheet.words_csv(fine))))) == len(fine.words()) + 1


def test_beside_others_it_is_left_out_with_a_notice(tiny: Model) -> None:
    names = ["saliency", "deep_lift", "occlusion"]
    result = tiny.explain(TEXT, methods=names, checks=())
    assert [a.method for a in result.attributions] == ["saliency", "occlusion"]
    assert [n.code for n in result.warnings][:1] == ["gated_method"]
    assert "LayerNorm" in result.warnings[0].message
    forced = tiny.explain(TEXT, methods=names, checks=(), forced=True)
    assert [a.method for a in forced.attributions] == names
    assert forced.warnings[0].code == "forced_method"


def test_bad_texts_are_refused_before_anything_is_measured(tiny_folder: Any) -> None:
    model = explain.load(str(tiny_folder))
    with pytest.raises(InputError):
        model.explain("", methods=["deep_lift"])
    assert model.claims == {}


def test_command_line(run, tiny_folder: Any) -> None:  # type: ignore[no-untyped-def]
    code, _, err = run("run", TEXT, "--model", str(tiny_folder), "-m", "deep_lift", "--no-checks")
    assert code == 2
    assert "claims that its scores add up" in err
    code, out, _ = run("run", TEXT, "--model", str(tiny_folder), "-m", "deep_lift", "--no-checks", "--force", "--json")
    assert code == 0
    assert explain.read(out).warnings[0].code == "forced_method"
    code, out, _ = run("methods", "--model", str(tiny_folder))
    assert code == 0
    assert "Refused on this model" in out
    code, out, _ = run("methods", "--model", str(tiny_folder), "--json")
    listed = {m["name"]: m["claim"] for m in json.loads(out)}
    assert listed["deep_lift"]["kept"] is False
    assert listed["deep_lift"]["residual"] > FAIL
    assert listed["integrated_gradients"] is None
    code, out, _ = run("methods")
    assert "Refused on this model" not in out


def test_the_page_shows_it_anyway_when_asked(app: AppTest) -> None:
    app.query_params["method"] = "deep_lift"
    finish(app)
    assert not app.exception
    assert "claims that its scores add up" in app.warning[0].value.replace("\\", "")
    options = app.radio(key="pick.gradient").options
    assert [o[:14] for o in options if o.startswith(":gray[")] == [":gray[DeepLIFT"]
    next(b for b in app.button if b.label == "Show it anyway").click()
    finish(app)
    assert not app.exception
    job = app.session_state["job"]
    assert job.state == "done"
    assert job.request.forced
    assert "because it was forced" in html_of(app)
    choose(app, "saliency")
    finish(app)
    assert not app.session_state["job"].request.forced, "only what was forced is forced"


def test_a_model_that_reads_little_is_measured_on_cut_probes(tiny_folder: Any) -> None:
    model = load(str(tiny_folder))
    model = Model(model.module, model.tokenizer, model.task, replace(model.info, max_tokens=8))
    with contextlib.suppress(MethodError):  # the gate may refuse, but it has measured
        model.explain("good film", methods=["deep_lift"], checks=())
    ((claim),) = model.claims.values()
    assert claim.texts == len(gate.PROBES)
