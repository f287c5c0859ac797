"""The page's logic, without a browser."""

from __future__ import annotations

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from explain import list_methods
from explain.dashboard.examples import EXAMPLES, FIRST
from explain.records import Explanation
from explain.service import Service
from explain.settings import Settings
from tests.conftest import MAIN, choose, finish, html_of
from tests.engines import Blocked


def linked(app: AppTest, name: str) -> str:
    """A value in the page's address."""
    found = app.query_params[name]
    return found[0] if isinstance(found, list) else found


def test_first_run_explains_the_example(app: AppTest) -> None:
    finish(app)
    assert not app.exception
    assert app.text_area(key="text").value == EXAMPLES[FIRST]
    assert "The model reads this as" in html_of(app)
    assert "Does this picture match the model?" in html_of(app)
    assert app.session_state["job"].state == "done"


def test_nothing_is_recomputed_that_did_not_change(app: AppTest) -> None:
    finish(app)
    before = app.session_state["job"]
    app.toggle(key="fixed").set_value(False).run()
    app.button[0].click().run()
    assert app.session_state["job"] is before
    assert linked(app, "scale") == "free"


def test_heads_are_asked_once_somebody_looks(app: AppTest) -> None:
    finish(app)
    assert "Where heads look" in html_of(app)
    assert "asides" not in app.session_state, "nothing is computed that nobody sees"
    assert not [s for s in app.slider if s.key in ("layer", "head")]
    app.session_state["one head"] = True
    app.run()
    assert len(app.session_state["asides"]) == 1
    app.slider(key="layer").set_value(1).run()
    assert len(app.session_state["asides"]) == 2
    assert "Rows sum to 1" in "\n".join(c.value for c in app.caption)
    assert not app.exception


def test_an_answer_is_encoded_once(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    real = Explanation.to_json
    monkeypatch.setattr(Explanation, "to_json", lambda self: made.append(self.digest) or real(self))
    finish(app)
    found = app.session_state["job"].result
    app.run()
    assert made == [found.digest]
    assert app.session_state["encoded"] == (found.digest, real(found).encode())
    app.text_area(key="text").set_value("A dull film.")
    finish(app)
    app.run()
    assert made == [found.digest, app.session_state["job"].result.digest]


def test_a_new_question_starts_a_new_job(app: AppTest) -> None:
    finish(app)
    before = app.session_state["job"]
    choose(app, "occlusion")
    assert app.session_state["job"] is not before
    assert app.session_state["job"].request.methods == ("occlusion",)
    assert linked(app, "method") == "occlusion"
    app.selectbox(key="p.occlusion.replacement").set_value("remove")
    finish(app)
    assert app.session_state["job"].request.params == {"occlusion": {"replacement": "remove"}}
    assert linked(app, "p.replacement") == "remove"


@pytest.mark.parametrize("name", [m.name for m in list_methods()])
def test_every_method_has_its_controls(app: AppTest, name: str) -> None:
    app.query_params["method"] = name
    finish(app)
    assert not app.exception
    info = next(m for m in list_methods() if m.name == name)
    keys = {w.key for w in [*app.selectbox, *app.number_input, *app.toggle, *app.text_input]}
    needless = {p.name for p in info.params if p.name.endswith("_text")}
    assert {f"p.{name}.{p.name}" for p in info.params if p.name not in needless} <= keys
    for text in needless:  # asked for once it is needed
        app.selectbox(key=f"p.{name}.{text.removesuffix('_text')}").set_value("text").run()
        assert f"p.{name}.{text}" in {w.key for w in app.text_input}


def test_families_can_be_looked_through_without_computing(app: AppTest) -> None:
    finish(app)
    before = app.session_state["job"]
    app.segmented_control(key="family").set_value("perturbation").run()
    assert app.session_state["job"] is before
    radio = app.radio(key="pick.perturbation")
    assert radio.value is None
    assert "Occlusion (leave one out)".replace("(", "\\(").replace(")", "\\)") in radio.options
    app.run()
    assert "occlusion" in app.session_state["forecasts"][1]
    assert app.session_state["forecasts"][1]["occlusion"].seconds > 0
    assert any("MB of memory" in said for said in app.radio(key="pick.perturbation").proto.captions)


def test_parts_of_the_text_can_be_scored_as_one(app: AppTest) -> None:
    finish(app)
    app.text_input(key="phrases").set_value("funny film; nowhere in it")
    finish(app)
    request = app.session_state["job"].request
    assert [request.texts[0][a:b] for _, a, b in request.phrases] == ["funny film"]
    assert any("does not contain" in c.value.replace("\\", "") for c in app.caption)
    assert "funny film" in [w.text for w in app.session_state["job"].result.words()]
    assert "funny" not in str(app.query_params)


def test_an_edited_example_is_no_example(app: AppTest) -> None:
    finish(app)
    assert app.session_state["example"] == FIRST
    app.text_area(key="text").set_value("A dull film.")
    finish(app)
    assert app.session_state["example"] is None
    assert app.text_area(key="text").value == "A dull film."


def test_an_example_chosen_before_the_edit_does_not_come_back(app: AppTest) -> None:
    finish(app)
    app.session_state["edits"] = 1  # the text was edited; the browser has not heard of it and sends its choice again
    app.button_group(key="examples 0").set_value("Mixed")
    app.text_area(key="text").set_value("A dull film.")
    finish(app)
    assert app.text_area(key="text").value == "A dull film."


def test_methods_stand_beside_each_other_and_a_thorough_check_is_asked_for(app: AppTest) -> None:
    app.query_params["beside"] = "occlusion,nonsense"
    finish(app)
    assert app.session_state["job"].request.methods == ("integrated_gradients", "occlusion")
    assert linked(app, "beside") == "occlusion"
    assert "The same words by other methods" in html_of(app)
    next(b for b in app.button if b.label == "Check thoroughly").click()
    finish(app)
    request = app.session_state["job"].request
    assert request.orders == 200
    assert "infidelity" in (request.checks or ())
    assert not app.exception
    assert "Infidelity" in html_of(app)
    shown = {e.label for e in app.expander}
    assert {"Where they agree", "The same method against every baseline", "Taking words out: the curves"} <= shown
    assert "deletion area" not in html_of(app)  # what nobody looks at is not drawn
    assert "words whose sign turns" not in html_of(app)
    app.session_state["curves"] = app.session_state["every baseline"] = True
    finish(app)
    assert "deletion area" in html_of(app)
    assert "words whose sign turns" in html_of(app)


def test_labels_become_targets(app: AppTest) -> None:
    finish(app)
    app.run()
    assert app.selectbox(key="target").options[1:] == ["NEGATIVE", "POSITIVE"]
    app.selectbox(key="target").set_value("NEGATIVE")
    app.selectbox(key="contrast").set_value("POSITIVE")
    finish(app)
    target = app.session_state["job"].result.target
    assert (target.kind, target.index, target.contrast) == ("contrast", 0, 1)


def test_links_restore_settings_and_never_hold_text(app: AppTest) -> None:
    app.query_params["example"] = "Negated"
    app.query_params["granularity"] = "token"
    app.query_params["quantity"] = "probability"
    app.query_params["p.tolerance"] = "0.5"
    app.query_params["p.baseline"] = "nonsense"
    finish(app)
    request = app.session_state["job"].request
    assert request.texts == (EXAMPLES["Negated"],)
    assert request.granularity == "token"
    assert request.quantity == "probability"
    assert request.params == {"integrated_gradients": {"tolerance": 0.5}}
    app.text_area(key="text").set_value("a private thought about the movie")
    finish(app)
    assert "private" not in str(app.query_params)
    assert linked(app, "text") == "own"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "The text is empty"),
        ("   ", "nothing that the model can read"),
        ("x" * 100_001, "at most 100,000 are read"),
    ],
)
def test_what_cannot_be_read_gets_a_sentence(app: AppTest, text: str, sentence: str) -> None:
    finish(app)
    app.text_area(key="text").set_value(text)
    finish(app)
    assert not app.exception
    assert sentence in app.warning[0].value.replace("\\", "")


def test_an_unknown_model_gets_a_sentence(app: AppTest) -> None:
    app.query_params["model"] = "no such/model"
    app.session_state["trusted"] = "no such/model"
    finish(app)
    assert not app.exception
    assert "no model" in app.warning[0].value.replace("\\", "")


def test_a_link_alone_loads_no_model(app: AppTest, tmp_path: Path) -> None:
    app.query_params["model"] = str(tmp_path)
    app.run()
    assert not app.exception
    assert "Press Explain to load the model" in app.info[0].value.replace("\\", "")
    assert "job" not in app.session_state
    app.button[0].click()
    finish(app)
    assert app.session_state["job"].error.code == "no_config"


def test_a_long_text_is_cut_and_says_so(app: AppTest) -> None:
    app.query_params["example"] = "Too long"
    finish(app)
    assert "What follows had no influence" in html_of(app)


def test_busy_gets_a_sentence(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Blocked()
    own = Service(engine, Settings(queue=1))
    own.warm("x")
    assert engine.began.wait(10)
    own.warm("x")
    monkeypatch.setattr("explain.dashboard.jobs.service", lambda: own)
    app.run()
    own.stop(0)
    assert "waiting already" in app.warning[0].value.replace("\\", "")


def test_app_is_found_by_streamlit() -> None:
    source = (MAIN.parents[2] / "app.py").read_text("utf-8")
    assert "\napp = st.App(" in source, "`streamlit run` looks for this literal"
    assert hasattr(st, "App")
