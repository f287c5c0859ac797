"""Attention of an encoder, its decoder, and between both: against transformers' own weights, and the modules' parts."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from rich.console import Console
from scipy.special import softmax
from streamlit.testing.v1 import AppTest
from transformers import AutoModelForSeq2SeqLM

import explain
from explain import wire
from explain.attention.ablation import head_effects
from explain.attention.statistics import crossing
from explain.audit.records import Beside
from explain.audit.store import Store
from explain.case import Ask
from explain.catalog import Request
from explain.engine import Model
from explain.errors import ExplainError, InputError, ModelError
from explain.heads import HeadMap, HeadsRequest, StackReport, StackRequest, sides
from explain.methods.expected_gradients import BACKGROUND
from explain.model.inside import kernel
from explain.records import AttentionMaps, Kind
from explain.render import figures, heads, terminal
from explain.replay import replay
from explain.service import messages
from tests import rest
from tests.architectures.family import build
from tests.cases import case_of
from tests.conftest import dashboard, finish, html_of, undated
from tests.contract.test_methods import traces
from tests.tiny import writer_folder

TEXT = "the film was charmingly slow, and the actor was never boring."
WRITTEN = "a moving story and a witty plot"
BOTH = (TEXT, WRITTEN)
KINDS: tuple[Kind, ...] = get_args(Kind)
THEIRS = {"encoder": "encoder_attentions", "causal": "decoder_attentions", "cross": "cross_attentions"}
EVEN = ("the film was never dull", "the film was never dull and")
"""As many tokens are read as are written: shapes alone do not tell who looks at whom."""


def own(model: Model, texts: tuple[str, ...]) -> Any:
    """What transformers' own eager pass gives, weights of all layers included."""
    found = model.encode(texts)
    source, written = (torch.from_numpy(ids.copy())[None] for ids in np.split(found.tokens.ids, [found.source]))
    with torch.no_grad(), kernel(model.module, "eager"):
        return model.module(input_ids=source, decoder_input_ids=written, output_attentions=True)


@pytest.fixture(params=["bart", "t5", "marian", "encoder-decoder"])
def writer(request: pytest.FixtureRequest, tmp_path: Path) -> Model:
    """A tiny model of an architecture with an encoder and a decoder."""
    build(AutoModelForSeq2SeqLM, request.param, tmp_path)
    return explain.load(str(tmp_path), task="text2text-generation")


@pytest.mark.parametrize("texts", [BOTH, (TEXT,), EVEN], ids=["both texts", "nothing written", "equally long"])
def test_maps_are_transformers_own(writer: Model, texts: tuple[str, ...]) -> None:
    found = writer.explain(texts if len(texts) > 1 else texts[0], methods=["occlusion"], attention=True, checks=())  # type: ignore[arg-type]
    expected = own(writer, texts)
    maps = {(m.kind, m.layer): m for m in found.attention or ()}
    assert list(maps) == [(kind, layer) for layer in range(2) for kind in KINDS], "each once, layer after layer"
    for (kind, layer), one in maps.items():
        theirs = getattr(expected, THEIRS[kind])[layer][0].numpy()
        assert one.weights.shape == theirs.shape
        assert np.allclose(one.weights, theirs, atol=1e-5)
    assert wire.read(found.to_json()) == found


def test_rows_beside_longer_ones_keep_their_weights(writer: Model) -> None:
    cases = [case_of(writer, text) for text in (BOTH, "movie", (TEXT, "not"), ("a film", WRITTEN))]
    for kind in KINDS:
        rows = [case.row() for case in cases]
        together = cases[0].evaluate(Ask(rows, attention=True, kind=kind)).attention
        parts = cases[0].evaluate(Ask(rows, heads=1, kind=kind)).heads
        for case, row, weights, part in zip(cases, rows, together, parts, strict=True):
            theirs = getattr(own(writer, case.tokens.texts), THEIRS[kind])
            assert weights.shape[2:] == row.sides(kind)
            assert np.allclose(weights, torch.stack(theirs)[:, 0].numpy(), atol=1e-5)
            assert np.allclose(part.weights, weights[1], atol=1e-5)
            assert (part.query.shape[1], part.key.shape[1]) == row.sides(kind)


@pytest.mark.parametrize("texts", [BOTH, EVEN], ids=["longer", "equally long"])
@pytest.mark.parametrize("kind", KINDS)
def test_heads_are_what_the_module_computes(scribe: Model, kind: Kind, texts: tuple[str, str]) -> None:
    """From queries, keys and values to what is added to the decoder's vectors."""
    module, layer = part_of(scribe, kind, 1), 1
    kept: list[torch.Tensor] = []
    case = case_of(scribe, texts)
    plain = case.evaluate(Ask([case.row()])).values
    handle = module.register_forward_hook(lambda m, args, out: kept.append(out[0]))
    case.evaluate(Ask([case.row()]))
    handle.remove()
    (found,) = case.evaluate(Ask([case.row()], heads=layer, kind=kind)).heads
    assert found.logits is not None
    looking, seen = case.row().sides(kind)
    assert (looking == seen) is (texts == EVEN or kind != "cross")
    logits = found.query @ found.key.transpose(0, 2, 1) * found.scaling
    if kind == "causal":
        logits = np.where(np.tri(looking, dtype=bool), logits, -np.inf)
    assert found.weights.shape == (4, looking, seen)
    assert np.allclose(found.weights, softmax(logits, axis=-1), atol=1e-5)
    assert np.allclose(found.output, found.weights @ found.value, atol=1e-5)
    assert found.mixed is not None
    given = np.einsum("hij,hjd->id", found.weights, found.mixed) + module.out_proj.bias.detach().numpy()
    assert np.allclose(given, kept[0][0].detach().numpy(), atol=1e-5)
    assert case.evaluate(Ask([case.row()])).values == plain


def part_of(model: Model, kind: Kind, layer: int) -> Any:
    """BART's module that computes attention of a kind."""
    inner = model.module.model  # type: ignore[union-attr]
    stack = inner.encoder if kind == "encoder" else inner.decoder
    return stack.layers[layer].encoder_attn if kind == "cross" else stack.layers[layer].self_attn


@pytest.mark.parametrize("how", ["zero", "mean"])
@pytest.mark.parametrize("kind", KINDS)
def test_effects_equal_brute_force(scribe: Model, kind: Kind, how: str) -> None:
    """Replace a head's part of the output projection's input by hand, one head at a time."""
    case = case_of(scribe, BOTH)
    found = head_effects(case, how, 2, kind)  # type: ignore[arg-type]
    plain = case.evaluate(Ask([case.row()])).values[0]
    ordinary = [case.retold((text, WRITTEN)).row(case.target) for text in BACKGROUND.splitlines()]
    for layer, head in product(range(2), range(4)):
        part, dense = np.s_[..., head * 8 : (head + 1) * 8], part_of(scribe, kind, layer).out_proj
        vector = torch.zeros(8)
        if how == "mean":
            kept: list[torch.Tensor] = []
            handle = dense.register_forward_pre_hook(lambda m, args: kept.append(args[0][0][part].clone()))  # noqa: B023
            for row in ordinary:
                case.evaluate(Ask([row]))
            handle.remove()
            vector = torch.cat(kept).mean(0)

        def changed(module: object, args: tuple[torch.Tensor], part: Any = part, by: torch.Tensor = vector) -> object:
            other = args[0].clone()
            other[part] = by
            return (other,)

        handle = dense.register_forward_pre_hook(changed)
        without = case.evaluate(Ask([case.row()])).values[0]
        handle.remove()
        assert found[layer, head] == pytest.approx(plain - without, abs=1e-4)
    assert np.abs(found).max() > 1e-3


def test_where_the_decoder_looks_is_described_by_what_has_a_meaning_there() -> None:
    special, looking = np.array([True, False, False, False, True]), np.array([True, False, False])
    even, first, word = np.full((3, 5), 0.2), np.eye(5)[[0] * 3], np.eye(5)[[4, 1, 2]]
    found = crossing(np.stack([even, first, word]), looking, special)
    assert set(found) == {"special", "entropy"}
    assert found["special"] == pytest.approx([0.4, 1, 0]), "the decoder's first token, which is no word, does not count"
    allowed = np.ones((3, 5), dtype=bool)
    assert crossing(np.stack([even, first, word]), looking, special, allowed)["entropy"] == pytest.approx([1, 0, 0])
    begun = crossing(np.stack([even, first])[:, :1], looking[:1], special)
    assert begun["special"] == pytest.approx([0.4, 1]), "where nothing else is written, it does"


def test_reports_say_whose_heads_they_are(scribe: Model) -> None:
    before = traces(scribe)
    for kind in KINDS:
        report = scribe.heads(BOTH, kind=kind)
        assert (report.kind, report.schema) == (kind, "stack/1")
        assert report.effects is not None
        assert report.effects.shape == report.statistics["special"].shape == (2, 4)
        assert set(report.statistics) >= {"special", "entropy"}
        assert ("previous" in report.statistics) is (kind != "cross")
        assert report.difference < 1e-5
        assert wire.decode(StackReport, report.to_json()) == report
        assert messages.unpack(messages.pack(report)) == report
        head = scribe.head(BOTH, 1, 2, kind=kind)
        assert head.kind == kind
        assert np.allclose(head.weights.sum(-1), 1, atol=1e-5)
        assert wire.decode(HeadMap, head.to_json()) == head
        assert np.allclose(head.weights, own(scribe, BOTH)[THEIRS[kind]][1][0, 2].numpy(), atol=1e-5)
        mean = scribe.head(BOTH, 1, kind=kind)
        assert np.allclose(mean.weights, np.mean([scribe.head(BOTH, 1, h, kind=kind).weights for h in range(4)], 0))
    assert traces(scribe) == before
    asked = StackRequest(Request(BOTH), None, (), "cross")
    assert messages.unpack(messages.pack(asked)) == asked


def test_a_former_map_is_read(tiny: Model) -> None:
    now = json.loads(tiny.head("a good movie", 0, 1).to_json())
    then = {name: value for name, value in now.items() if name != "kind"} | {"schema": "head/1"}
    assert wire.decode(HeadMap, json.dumps(then)).kind is None
    with pytest.raises(InputError, match="newer Whyboard"):
        wire.decode(HeadMap, json.dumps(now | {"schema": "head/9"}))


def test_hidden_words_are_not_read(scribe: Model) -> None:
    report = scribe.heads(BOTH, kind="cross", ablation=None, masked=[1])
    assert report.tokens.strings.count("[MASK]") == 1
    written = scribe.heads((TEXT.replace("film", "[MASK]", 1), WRITTEN), kind="cross", ablation=None)
    assert np.allclose(report.statistics["entropy"], written.statistics["entropy"], atol=1e-5)


def test_a_continuation_is_what_is_written(scribe: Model) -> None:
    found = scribe.explain(TEXT, continuation=WRITTEN, attention=[1], methods=["occlusion"], checks=())
    expected = own(scribe, BOTH)
    for one in found.attention or ():
        assert np.allclose(one.weights, expected[THEIRS[one.kind]][1][0].numpy(), atol=1e-5)
    assert [m.kind for m in found.attention or ()] == list(KINDS)


def test_a_deeper_decoder_has_layers_of_its_own(tmp_path: Path) -> None:
    model = explain.load(str(writer_folder(tmp_path, decoder_layers=3)))
    assert model.info.n_layers == 3
    found = model.explain(BOTH, methods=["occlusion"], attention=True, checks=())
    known = [(m.layer, m.kind) for m in found.attention or ()]
    assert known == [*product((0, 1), KINDS), (2, "causal"), (2, "cross")]
    assert model.heads(BOTH, kind="encoder", ablation=None).statistics["special"].shape == (2, 4)
    assert model.heads(BOTH, kind="cross", ablation="zero").statistics["special"].shape == (3, 4)
    with pytest.raises(ExplainError, match="no attention layer 2"):
        model.head(BOTH, 2, 0, kind="encoder")
    with pytest.raises(InputError, match="no layer 3: this model has layers 0 to 2"):
        model.explain(BOTH, attention=[3])


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (lambda two, one: two.heads(BOTH), "of the encoder, of the decoder .causal. or between both .cross."),
        (lambda two, one: two.head(BOTH, 0, 1), "with one stack only"),
        (lambda two, one: one.heads(TEXT, kind="cross"), "A kind of attention is chosen of models that read"),
        (lambda two, one: one.head(TEXT, 0, 0, kind="encoder"), "Ask without one"),
        (lambda two, one: two.heads(BOTH, kind="decoder"), "kind must be one of encoder, causal, cross"),
        (lambda two, one: two.head(BOTH, 2, 0, kind="cross"), "no layer 2"),
        (lambda two, one: two.head(BOTH, 1, 4, kind="cross"), "no head 4"),
        (lambda two, one: two.explain(BOTH, attention=[2]), "no layer 2"),
    ],
)
def test_what_is_not_there_is_refused_with_advice(scribe: Model, tiny: Model, asked: Any, said: str) -> None:
    with pytest.raises(ExplainError, match=said):
        asked(scribe, tiny)


def test_positions_of_a_models_own_are_no_tokens(scribe: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("explain.model.rows.Row.sides", lambda row, kind: (2, 3) if kind == "cross" else (3, 3))
    with pytest.raises(ModelError, match="tokens of the text"):
        scribe.heads(BOTH, kind="cross")


@pytest.mark.parametrize("model_type", ["bigbird_pegasus", "nllb-moe"])
def test_a_pass_that_is_not_the_models_own_is_refused(model_type: str, tmp_path: Path) -> None:
    """Their decoders are given no mask in the pass that records heads, and look ahead there."""
    build(AutoModelForSeq2SeqLM, model_type, tmp_path)
    model = explain.load(str(tmp_path), task="text2text-generation")
    for kind in ("causal", "cross"):
        with pytest.raises(ModelError, match="attention=True") as error:
            model.heads(BOTH, kind=kind, ablation=None)
        assert error.value.code == "other_pass"
    with pytest.raises(ModelError, match="attention=True"):
        model.head(BOTH, 0, 0, kind="causal")
    assert len(model.explain(BOTH, methods=(), attention=[0]).attention or ()) == len(KINDS)


def test_what_is_filed_with_maps_is_repeated_and_reports_are_not_filed(scribe: Model, tmp_path: Path) -> None:
    store = Store(tmp_path / "evidence")
    request = Request(BOTH, methods=("occlusion",), attention=(0, 1), checks=())
    found = scribe.answer([request])[0]
    for asked in (request, None):
        entry = store.file(found, asked=asked)
        again = replay(scribe, entry.header, store.content(entry.header.id))
        assert again.holds
        assert any(part.name.startswith("attention") for part in again.parts)
    question = StackRequest(Request(BOTH), None, (), "cross")
    beside = Beside(question, scribe.look(question))  # type: ignore[arg-type]
    with pytest.raises(ExplainError):
        store.file(found, asked=request, beside=beside)


@pytest.mark.parametrize(
    "wrong",
    [
        AttentionMaps(0, (0,), np.ones((1, 3, 4), np.float32), "encoder"),
        AttentionMaps(0, (0,), np.ones((1, 3, 4), np.float32), "cross"),
        AttentionMaps(0, (0,), np.ones((1, 900, 900), np.float32), "causal"),
        AttentionMaps(0, (0, 1), np.ones((1, 3, 3), np.float32), "encoder"),
    ],
    ids=["no square", "other tokens", "too many", "heads without weights"],
)
def test_maps_of_tokens_that_are_not_there_are_refused(scribe: Model, wrong: AttentionMaps) -> None:
    found = scribe.explain(BOTH, methods=["occlusion"], attention=[0], checks=())
    with pytest.raises(InputError, match="attention between tokens that do not exist"):
        wire.read(replace(found, attention=(wrong,)).to_json())


def test_words_and_pictures_name_rows_and_columns_apart(scribe: Model) -> None:
    found = scribe.explain(BOTH, methods=["occlusion"], attention=[1], checks=())
    for one in found.attention or ():
        table, rows, columns = figures.merged(found, one, 0)
        assert table.shape == (len(rows), len(columns))
        assert np.allclose(table.sum(1), 1, atol=1e-5)
        text, written = ["[CLS]", "the", "film"], ["[CLS]", "a", "moving"]
        assert rows[:3] == (text if one.kind == "encoder" else written)
        assert columns[:3] == (written if one.kind == "causal" else text)
        drawn = figures.attention_heatmap(found, one, 0)
        assert np.shape(drawn.data[0].z) == table.shape
        assert (len(drawn.layout.yaxis.ticktext), len(drawn.layout.xaxis.ticktext)) == table.shape


def test_one_head_is_drawn_with_its_own_words(scribe: Model) -> None:
    head = scribe.head(BOTH, 1, 2, kind="cross")
    rows, columns = heads.named(head, "word", specials=False)
    assert [name for name, _, _ in rows] == WRITTEN.split()
    assert [name for name, _, _ in columns][:4] == ["the", "film", "was", "charmingly"]
    data = heads.head_map(head, by="word", norms=False, specials=False)
    assert (data["size"], len(data["columns"])) == (7, len(columns))
    assert data["names"] == WRITTEN.split()
    brute = [[head.weights[np.ix_(r, c)].sum(1).mean() for _, c, _ in columns] for _, r, _ in rows]
    table = heads._table(head, "word", norms=False, specials=False)[2]
    assert np.allclose(table, brute, atol=1e-6)
    looks, at, weight = heads.links(head, by="word", norms=False, specials=False)[0]
    assert (looks, at) in set(product(WRITTEN.split(), TEXT.replace(",", " ,").replace(".", " .").split()))
    assert float(weight) == pytest.approx(np.max(brute), abs=1e-3)
    best = np.unravel_index(int(head.weights.argmax()), head.weights.shape)
    said = heads.product_sentence(head, int(best[0]), int(best[1]))
    asks, answers = (part.strings[int(i)] for part, i in zip(head.sides, best, strict=True))
    assert f"“{asks}” asks, “{answers}” answers" in said
    assert f"{head.weights.max():.3f}" in said
    assert heads.name_of(head) == "Cross-attention: layer 1, head 2"
    assert heads.row_of(head, "word", False, int(head.tokens.words[2])) is None, "a word of the text is no row"
    begun = scribe.head(TEXT, 1, 2, kind="cross")
    assert [name for name, _, _ in heads.named(begun, "word", specials=False)[0]] == ["[CLS]"], "all there is"
    assert heads.head_map(begun, by="word", norms=False, specials=False)["size"] == 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("texts", [BOTH, TEXT], ids=["written", "nothing written"])
def test_reports_in_words(scribe: Model, kind: Kind, texts: Any) -> None:
    report = scribe.heads(texts, kind=kind, ablation="zero")
    out = io.StringIO()
    Console(width=200, file=out).print(terminal.heads(report))
    said = " ".join(out.getvalue().split())
    whose = {"encoder": "the encoder's heads", "causal": "decoder's own heads", "cross": "heads between both"}[kind]
    assert whose in said
    assert "are for models with one stack" in said
    assert "on special tokens" in heads.about_head(report, 1, 2)
    assert ("tokens far" in heads.about_head(report, 1, 2)) is (kind != "cross")
    for quantity in heads.quantities(report):
        drawn = heads.grid(report, quantity, (0, 0))
        assert np.shape(drawn["values"]) == (2, 4)
    assert dict(heads.how(report))["Attention"] == f"{heads.KINDS[kind].lower()}, 2 layers"


def test_tokens_of_one_stack_are_on_both_sides(tiny: Model) -> None:
    tokens = tiny.encode((TEXT,)).tokens
    count = len(tokens.ids)
    for kind in (None, "encoder", "causal"):
        assert sides(tokens, kind, (count, count)) == (tokens, tokens)  # type: ignore[arg-type]


def test_the_same_from_python_command_line_and_rest(scribe: Model, scribe_folder: Path, run: Any) -> None:
    mine = undated(scribe.explain(BOTH, attention=True, checks=()).to_json())
    name = ("--model", str(scribe_folder))
    code, out, _ = run("run", TEXT, "--pair", WRITTEN, "--attention", "all", "--no-checks", "--json", *name)
    assert code == 0
    with rest.client(rest.application(scribe_folder)) as web:
        body = {"inputs": {"text": TEXT, "text_pair": WRITTEN}, "parameters": {"attention": True, "checks": []}}
        answer = web.post("/v1/explain", json=body)
    assert mine == undated(out).strip() == undated(answer.text)
    code, out, _ = run("heads", TEXT, "--pair", WRITTEN, "--kind", "cross", "--json", *name)
    assert code == 0
    assert undated(out).strip() == undated(scribe.heads(BOTH, kind="cross").to_json())
    code, out, _ = run("heads", TEXT, "--pair", WRITTEN, "--kind", "cross", "--at", "1,2", *name)
    assert code == 0
    assert "Cross-attention: layer 1, head 2" in out
    for wrong, said in ((("--kind", "decoder"), "encoder, causal, cross"), ((), "--kind on the command line")):
        code, _, error = run("heads", TEXT, "--pair", WRITTEN, *wrong, *name)
        assert code == 2
        assert said in " ".join(error.split())


@pytest.fixture
def page(scribe_folder: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    return dashboard(scribe_folder, monkeypatch)


def test_the_attention_page_shows_all_three(page: AppTest, scribe: Model) -> None:
    page.run()
    page.text_area(key="text").set_value(TEXT)
    finish(page)
    page.switch_page("screens/attention_page.py").run()
    assert not page.exception
    assert page.segmented_control(key="kind").value == "cross"
    written = scribe.generate(TEXT, tokens=48).text
    assert any(c.value.replace("\\", "").startswith("The model writes: ") for c in page.caption)
    report = scribe.heads((TEXT, written), kind="cross")
    layer, head = heads.strongest(report)
    assert heads.about_head(report, layer, head) in html_of(page).replace("&#x27;", "'")
    page.text_area(key="pair").set_value(WRITTEN).run()
    for kind in KINDS:
        page.segmented_control(key="kind").set_value(kind).run()
        assert not page.exception
        report = scribe.heads(BOTH, kind=kind)
        assert heads.left_out(report).strip()[:30] in html_of(page).replace("&#x27;", "'")
        assert page.query_params["kind"] in (kind, [kind])
        chosen = tuple(page.session_state["open_head"])
        assert heads.about_head(report, *chosen) in html_of(page).replace("&#x27;", "'")


def test_a_link_opens_the_page_of_a_model_that_nobody_has_heard_of(page: AppTest, scribe: Model) -> None:
    finish(page)
    for heard in ("tasks", "job"):
        del page.session_state[heard]
    page.query_params["kind"] = "causal"
    page.switch_page("screens/attention_page.py").run()
    assert not page.exception
    assert page.segmented_control(key="kind").value == "causal"
    page.text_area(key="pair").set_value(WRITTEN).run()
    assert "The model writes" not in " ".join(c.value for c in page.caption), "what a person wrote is read"


def test_the_explain_page_shows_one_head_of_each(page: AppTest, scribe: Model) -> None:
    page.run()
    page.text_area(key="text").set_value(TEXT)
    for _ in range(3):
        finish(page)
    page.session_state["one head"] = True
    page.run()
    assert not page.exception
    for kind, name in (("cross", "Cross-attention"), ("encoder", "Encoder attention"), ("causal", "Causal attention")):
        page.segmented_control(key="kind").set_value(kind).run()
        assert not page.exception
        assert any(c.value.startswith(name) for c in page.caption), kind


def test_the_stack_question_is_one_of_its_own() -> None:
    plain, of_stack = HeadsRequest(Request(BOTH)), StackRequest(Request(BOTH))
    assert plain != of_stack
    assert (of_stack.kind, plain.digest == of_stack.digest) == ("cross", False)
