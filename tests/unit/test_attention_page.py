"""The Attention page's logic and its drawings, without a browser."""

from __future__ import annotations

import base64
import json
import threading

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from explain.engine import Model
from explain.errors import Cancelled
from explain.heads import HeadMap, HeadsReport
from explain.model.heads import surveyed
from explain.model.rows import Row
from explain.model.runner import Meter
from explain.records import Target
from explain.render import heads
from tests.conftest import finish, html_of

HOSTILE = "</script><img src=x onerror=alert(1)> good <b>movie</b>"


@pytest.fixture(scope="module")
def report(tiny: Model) -> HeadsReport:
    return tiny.heads("a good movie, but unbelievably funny")


@pytest.fixture(scope="module")
def head(tiny: Model) -> HeadMap:
    return tiny.head("a good movie, but unbelievably funny", 1, 2)


@pytest.fixture
def attention(app: AppTest) -> AppTest:
    """The page, once its questions are answered."""
    finish(app)
    app.switch_page("screens/attention_page.py").run()
    return app


def test_the_page_shows_every_head_and_opens_one(attention: AppTest) -> None:
    assert not attention.exception
    shown = html_of(attention)
    assert "Jain &amp; Wallace" in shown
    assert "Every head at a glance" in shown
    assert "Through all layers" in shown
    assert "takes" in shown
    assert "Layer" in shown


def test_masking_identifiers_and_hiding_words_are_two_things(app: AppTest) -> None:
    finish(app)
    app.toggle(key="masking").set_value(True).run()
    app.switch_page("screens/attention_page.py").run()
    assert not app.exception
    assert app.multiselect(key="masked").value == []


def test_the_text_is_kept_between_pages(attention: AppTest) -> None:
    attention.text_area(key="text").set_value("a very dull ending")
    attention.run()
    assert not attention.exception
    assert "dull" not in str(attention.query_params)
    attention.switch_page("screens/explain_page.py").run()
    assert attention.text_area(key="text").value == "a very dull ending"


def test_other_quantities_and_ablations(attention: AppTest) -> None:
    for quantity in heads.QUANTITIES:
        attention.segmented_control(key="heads_by").set_value(quantity).run()
        assert not attention.exception
        assert quantity.capitalize() in html_of(attention)
    attention.segmented_control(key="ablation").set_value("zero").run()
    assert "nothing (zeros)" in html_of(attention)


def test_a_long_text_is_shown_before_its_effects(attention: AppTest) -> None:
    attention.text_area(key="text").set_value("a very dull ending " * 20).run()
    assert not attention.exception
    assert attention.segmented_control(key="heads_by").value == "entropy"
    next(b for b in attention.button if b.label == "Measure what each head does").click().run()
    assert not attention.exception
    assert attention.segmented_control(key="heads_by").value == "effect"
    assert "it takes" in html_of(attention)


def test_errors_are_sentences(attention: AppTest) -> None:
    attention.text_area(key="text").set_value("   ").run()
    assert not attention.exception
    assert "nothing that the model can read" in attention.warning[0].value.replace("\\", "")


def test_the_grid_holds_the_records_numbers(report: HeadsReport) -> None:
    data = heads.grid(report, heads.EFFECT, (0, 0))
    assert report.effects is not None
    assert np.allclose(data["values"], report.effects, atol=1e-4)
    assert np.abs(data["tints"]).max() == pytest.approx(1, abs=1e-3)
    layer, place = heads.strongest(report)
    assert abs(report.effects[layer, place]) == np.abs(report.effects).max()
    assert "place 1 of 8 heads" in heads.about_head(report, layer, place)
    assert (
        heads.grid(report, "entropy", (0, 0))["values"]
        == np.round(report.statistics["entropy"].astype(float), 4).tolist()
    )


@pytest.mark.parametrize("by", ["word", "token"])
@pytest.mark.parametrize("specials", [True, False])
def test_the_map_holds_the_records_numbers(head: HeadMap, by: heads.By, specials: bool) -> None:
    data = heads.head_map(head, by=by, norms=False, specials=specials)
    steps = np.frombuffer(base64.b64decode(data["values"]), dtype="<u2").reshape(data["size"], data["size"])
    groups = [g for _, g, special in heads.labels(head.tokens, by) if specials or not special]
    expected = np.array([[head.weights[np.ix_(a, b)].sum(1).mean() for b in groups] for a in groups])
    assert np.allclose(steps / 65535 * data["largest"], expected, atol=2e-5)
    if specials:
        assert np.allclose(expected.sum(1), 1, atol=1e-5)
    else:
        assert (expected.sum(1) < 1).all()
    assert len(data["names"]) == data["size"] == len(groups)
    if by == "word" and not specials:
        assert data["names"] == ["a", "good", "movie", ",", "but", "unbelievably", "funny"]


def test_merged_groups_need_not_be_neighbours() -> None:
    values = np.random.default_rng(0).dirichlet(np.ones(5), 5)
    groups: list[tuple[int, ...]] = [(3, 0), (2,), (1, 4)]
    brute = [[values[np.ix_(rows, columns)].sum(1).mean() for columns in groups] for rows in groups]
    assert np.allclose(heads.merged(values, groups, groups), brute)


def test_links_and_products(head: HeadMap) -> None:
    rows = heads.links(head, by="token", norms=False, specials=True)
    assert float(rows[0][2]) == pytest.approx(float(head.weights.max()), abs=1e-3)
    listed = [float(value) for *_, value in rows]
    assert listed == sorted(listed, reverse=True)
    assert listed == pytest.approx(np.sort(head.weights.ravel())[::-1][: heads.LINKS].tolist(), abs=6e-4)
    figure = heads.products(head, 1, 2)
    assert head.query is not None
    assert head.key is not None
    assert sum(figure.data[0].y) == pytest.approx(float(head.query[1] @ head.key[2]) * (head.scaling or 0), abs=2e-3)


def test_shares_add_up(report: HeadsReport) -> None:
    rows = heads.shares(report)
    assert sum(r for _, r, _ in rows) == pytest.approx(1, abs=1e-4)
    assert sum(f or 0 for _, _, f in rows) == pytest.approx(1, abs=1e-4)


def test_a_long_text_stays_small(sentiment: Model) -> None:
    """512 tokens: the whole page's data for one head and all heads is far below 5 MB."""
    text = "the film is a good film " * 100
    report, head = sentiment.heads(text, ablation=None, truncate=True), sentiment.head(text, 0, 0, truncate=True)
    size = len(json.dumps(heads.head_map(head, by="token", norms=False, specials=True)))
    size += len(json.dumps(heads.grid(report, "entropy", (0, 0))))
    assert len(report.tokens.ids) == 512
    assert report.flow is None
    assert size < 1_000_000


def test_hostile_text_is_escaped(tiny: Model) -> None:
    from explain.render import html

    shown = html.bars(("word", "rollout", "flow"), heads.shares(tiny.heads(HOSTILE, ablation=None)))
    assert "<img" not in shown
    assert "&lt;" in shown


def test_command_line(run, tiny_folder, tiny: Model) -> None:  # type: ignore[no-untyped-def]
    text = "a good movie"
    code, out, _ = run("heads", text, "--model", str(tiny_folder), "--json")
    assert code == 0
    found, ours = json.loads(out), json.loads(tiny.heads(text).to_json())
    assert {k: v for k, v in found.items() if k != "provenance"} == {k: v for k, v in ours.items() if k != "provenance"}
    code, out, _ = run("heads", text, "--model", str(tiny_folder), "--at", "1,2", "--json")
    assert json.loads(out) == json.loads(tiny.head(text, 1, 2).to_json())
    for arguments, words in (((), "place 1 of 8 heads"), (("--at", "0,1"), "Layer 0, head 1")):
        code, out, _ = run("heads", text, "--model", str(tiny_folder), *arguments)
        assert code == 0
        assert words in " ".join(out.split())
    for wrong in ("9,0", "x", "9", "-1,2", "1,2,3"):
        code, _, err = run("heads", text, "--model", str(tiny_folder), f"--at={wrong}")
        assert code == 2
        assert err.strip()


def test_hidden_words_change_the_decision_that_is_shown(attention: AppTest) -> None:
    before = html_of(attention)
    attention.multiselect(key="masked").set_value([1]).run()
    assert not attention.exception
    assert "Without having read “stirring”. [MASK] stands there instead." in html_of(attention)
    assert html_of(attention) != before
    attention.segmented_control(key="combine").set_value("Mean of the layer's heads").run()
    assert not attention.exception


def test_an_edited_address_opens_a_head(attention: AppTest) -> None:
    for head in ("9" * 5000 + ",1", "99999999,1", "-1,2", "\u0663,1", "1"):
        del attention.session_state["open_head"]
        attention.query_params["head"] = head
        attention.run()
        assert not attention.exception, head[:20]


def test_a_cancelled_survey_ends_at_the_next_layer(tiny: Model) -> None:
    cancel, seen = threading.Event(), []

    def summary(weights: np.ndarray, *_: object) -> None:
        seen.append(weights)
        cancel.set()

    encoding = tiny.encode(("a good movie",))
    row = Row(encoding.inputs, Target(kind="logit", index=0, name="", unit=""))
    with pytest.raises(Cancelled):
        surveyed(tiny, row, Meter(cancel=cancel), summary)
    assert len(seen) == 1 < tiny.info.n_layers
    assert tiny.module.config._attn_implementation == tiny.info.kernel  # type: ignore[union-attr]
