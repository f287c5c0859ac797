"""The Inside page's logic and its drawings, without a browser: every shown number against the record's arrays."""

from __future__ import annotations

import json
import re
from math import erf

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from explain.dashboard import further
from explain.engine import Model
from explain.render import further as more
from explain.render import road as render
from explain.render import road_figures as figures
from explain.render import worked
from explain.road import Road
from explain.worked_toy import work
from tests.conftest import finish, html_of

TEXT = "a good movie, but unbelievably funny"
HOSTILE = "</script><img src=x onerror=alert(1)> good <b>movie</b> $x^2$"
TITLES = {
    "data": "Data: the text",
    "preprocessing": "Pre-processing:",
    "embedding": "Embedding: from",
    "attention": "Self-attention: layer 0, head 0",
    "norm": "Add &amp; norm",
    "feed_forward": "Feed-forward: the neurons",
    "output": "Output layer: from",
    "prediction": "The decision is",
}
SAID = {
    "Layer by layer": "own head",
    "Direct contributions": "On the direct path",
    "Paths of the words": "moves farthest",
    "Exchange states": "",
    "Worked toy": "0.471",
}


@pytest.fixture(scope="module")
def road(tiny: Model) -> Road:
    return tiny.road(TEXT, 1, 2, 2)


def shown(cell: str) -> float:
    """A number as a table shows it."""
    return float(cell.replace("−", "-").replace(",", ""))


def test_the_road_is_encoded_once(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    real = Road.to_json
    monkeypatch.setattr(Road, "to_json", lambda self: made.append(self.digest) or real(self))
    opened(app).run()
    assert not app.exception
    assert made == [app.session_state["encoded"][0]]


def opened(app: AppTest, step: str = "attention") -> AppTest:
    """The page at one step, once its questions are answered."""
    finish(app)
    app.query_params["step"] = step
    return app.switch_page("screens/inside_page.py").run()


@pytest.mark.parametrize("step", render.STEPS)
def test_every_step_opens(app: AppTest, step: str) -> None:
    page = opened(app, step)
    assert not page.exception, page.exception
    assert TITLES[step] in html_of(page)


def test_every_further_look(app: AppTest) -> None:
    page = opened(app)
    for choice in further.CHOICES:
        page.segmented_control(key="further").set_value(choice).run()
        assert not page.exception, page.exception
        assert SAID[choice] in html_of(page)


def test_states_are_exchanged_once_a_word_is_changed(app: AppTest) -> None:
    page = opened(app)
    page.text_area(key="text").set_value("a good movie").run()
    page.segmented_control(key="further").set_value("Exchange states").run()
    assert "Change a word" in page.info[0].value
    page.text_input(key="patch_other").set_value("a bad movie").run()
    assert not page.exception
    assert "exchanges move the answer" in html_of(page)
    page.text_input(key="patch_other").set_value("bad").run()
    assert "equally many tokens" in page.warning[0].value


def test_pickers_and_the_address(app: AppTest) -> None:
    page = opened(app)
    page.slider(key="inside_layer").set_value(1).run()
    page.slider(key="inside_head").set_value(3).run()
    assert not page.exception
    assert "Self-attention: layer 1, head 3" in html_of(page)
    assert page.query_params["layer"] in ("1", ["1"])
    page.text_area(key="text").set_value("dull").run()
    assert not page.exception
    assert "dull" not in str(page.query_params)


def test_errors_are_sentences(app: AppTest) -> None:
    page = opened(app)
    page.text_area(key="text").set_value("   ").run()
    assert not page.exception
    assert "nothing that the model can read" in page.warning[0].value.replace("\\", "")


def test_the_attention_table_adds_up(road: Road) -> None:
    head = road.attention
    assert head is not None
    rows = render.attention_rows(road)
    table = np.array([[shown(c) for c in row[1:]] for row in rows])
    assert np.allclose(table[:, 0], head.key @ head.query, atol=5e-4)
    assert np.allclose(table[:, 1], table[:, 0] / np.sqrt(8), atol=1e-3)
    raised = np.exp(table[:, 1] + table[:, 2])
    assert np.allclose(table[:, 3], raised / raised.sum(), atol=1e-3)
    assert np.allclose(table[:, 5], head.weights * np.linalg.norm(head.value, axis=1), atol=1e-3)
    figure = figures.weights(head, road.tokens)
    assert np.allclose(figure.data[0].y, head.weights)
    assert sum(figure.data[0].y) == pytest.approx(1, abs=1e-5)


def test_tables_hold_the_records_numbers(road: Road) -> None:
    feed, norms = road.feed_forward, road.norms
    assert feed is not None
    rows = [[shown(c) for c in row] for row in render.neuron_rows(road)]
    assert [int(r[0]) for r in rows] == np.argsort(-feed.lengths)[:12].tolist()
    assert all(r[2] == pytest.approx(feed.hidden[int(r[0])], abs=6e-4) for r in rows)
    for row, step in zip(render.norm_rows(norms), norms, strict=True):
        before, spread, centred, one, after = (shown(c) for c in (row[1], row[2], row[3], row[4], row[5]))
        assert before == pytest.approx(step.before.mean(), abs=6e-4)
        assert spread == pytest.approx(step.before.std(), abs=6e-4)
        assert (centred, one) == pytest.approx((0, 1), abs=1e-3)
        assert after == pytest.approx(step.after.mean(), abs=6e-4)
    for row, z, p in zip(render.prediction_rows(road), road.prediction.logits, road.prediction.probs, strict=True):  # type: ignore[arg-type]
        assert shown(row[1]) == pytest.approx(z, abs=6e-4)
        assert shown(row[3]) == pytest.approx(p, abs=6e-5)
    answer = road.answer
    assert answer is not None
    for name, weight, value, product in render.product_rows(road):
        assert shown(weight) == pytest.approx(answer.weight[road.target.index or 0, int(name.split()[1])], abs=6e-5)
        assert shown(weight) * shown(value) == pytest.approx(shown(product), abs=1e-3)
    for row in render.answer_rows(road):
        assert shown(row[1]) + shown(row[2]) == pytest.approx(shown(row[3]), abs=2e-3)


def numbers(formula: str) -> list[float]:
    return [float(n) for n in re.findall(r"-?\d+\.\d+", formula)]


def test_worked_numbers_are_right(road: Road) -> None:
    *terms, total = numbers(worked.add(road))
    assert sum(terms) == pytest.approx(total, abs=2e-3)
    *terms, total = numbers(worked.embedding(road))
    assert sum(terms) == pytest.approx(total, abs=3e-3)
    gain, x, mean, spread, after = numbers(worked.norm(road.norms[0]))  # no shift here, so none is written
    assert gain * (x - mean) / spread == pytest.approx(after, abs=1e-2)
    product, bias, z = numbers(worked.logit(road))
    assert product + bias == pytest.approx(z, abs=2e-3)
    total, p = numbers(worked.probability(road))
    assert 1 / total == pytest.approx(p, abs=1e-3)
    before, after = numbers(worked.neuron(road))
    assert 0.5 * before * (1 + erf(before / np.sqrt(2))) == pytest.approx(after, abs=2e-3)


def test_the_diagram_names_every_step(road: Road) -> None:
    data = render.diagram(road, "attention")
    assert [s["id"] for s in data["steps"]] == list(render.STEPS)
    assert data["token"] == 2
    assert [t["text"] for t in data["tokens"]][:3] == ["[CLS]", "a", "good"]
    assert data["steps"][3]["number"] == f"{road.attention.weights.max():.2f}"  # type: ignore[union-attr]


def test_patch_and_lens_say_their_numbers(tiny: Model) -> None:
    found = tiny.patch(TEXT, TEXT.replace("good", "bad"))
    layer, token = np.unravel_index(np.abs(found.into).argmax(), found.into.shape)
    assert f"after layer {layer}" in more.patch_sentence(found)
    assert f"{abs(found.into[layer, token]):.2f}" in more.patch_sentence(found)
    strong = np.abs(found.into) > 0.1 * abs(found.value - found.other_value)
    assert more.control_sentence(found, found.into, found.control_into).startswith(f"{strong.sum()} of {strong.size}")
    lens = tiny.lens(TEXT)
    assert shown(more.lens_table(lens)[1][-1][1]) == pytest.approx(lens.values[-1], abs=6e-4)
    direct = tiny.direct(TEXT)
    table = np.array([[shown(c) for c in row[1:]] for row in more.direct_table(direct)[1]])
    assert np.allclose(table[:, 0], direct.feed_forward, atol=6e-4)
    assert np.allclose(table[:, 1:], direct.heads, atol=6e-4)


def test_the_toy_shows_the_known_weights() -> None:
    steps = more.toy_steps(work(np.eye(3), np.eye(3), np.eye(3)))
    assert steps[1][3][0] == ("猫", "0.471", "0.264", "0.264")
    assert "0.471" in steps[1][1]


def test_hostile_text_is_escaped(tiny: Model) -> None:
    found = tiny.road(HOSTILE, 0, 0, 3)
    for html in (
        render.marked_text(found),
        render.table(("token", "place", "id", "characters"), render.token_rows(found), 3),
        render.table(("", "", "", "", "", "", ""), render.attention_rows(found)),
        render.neighbours(found.near),
    ):
        assert "<img" not in html
        assert "<b>movie" not in html
    assert "&lt;" in render.marked_text(found)
    joined = re.sub(r"</?(p|mark)[^>]*>", "", render.marked_text(found))
    assert joined == HOSTILE.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def test_command_line(run, tiny_folder, tiny: Model) -> None:  # type: ignore[no-untyped-def]
    def undated_of(text: str) -> dict[str, object]:
        return {k: v for k, v in json.loads(text).items() if k != "provenance"}

    where = ("--model", str(tiny_folder))
    for arguments, ours in (
        (("--at", "1,2,3"), tiny.road(TEXT, 1, 2, 3)),
        ((), tiny.lens(TEXT)),
        (("--direct",), tiny.direct(TEXT)),
        (("--other", "a bad movie, but unbelievably funny"), tiny.patch(TEXT, "a bad movie, but unbelievably funny")),
    ):
        code, out, _ = run("inside", TEXT, *where, *arguments, "--json")
        assert code == 0
        assert undated_of(out) == undated_of(ours.to_json())
        code, out, _ = run("inside", TEXT, *where, *arguments)
        assert code == 0
        assert "layer 1" in out or "layer norm" in out
    for wrong in ("9,0,0", "1,2", "x"):
        code, _, err = run("inside", TEXT, *where, f"--at={wrong}")
        assert code == 2
        assert err.strip()


@pytest.mark.parametrize("place", ["layer", "head"])
def test_an_edited_address_falls_back_to_what_the_model_has(app: AppTest, place: str) -> None:
    finish(app)
    app.query_params[place] = "999"
    app.switch_page("screens/inside_page.py").run()
    assert not app.exception
    slider = app.slider(key=f"inside_{place}")
    assert slider.value == slider.max


def test_a_model_with_fewer_layers_falls_back_to_its_last(app: AppTest) -> None:
    finish(app)
    app.session_state["inside_layer"] = 7  # as left by a deeper model
    app.switch_page("screens/inside_page.py").run()
    assert not app.exception
    assert app.slider(key="inside_layer").value == 1
