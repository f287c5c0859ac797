"""The settings of the Explain page: drawn only where they are open, and never forgotten."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from explain.catalog import Request
from tests.conftest import choose, finish

SET = {"phrases": "good movie", "rationale": "good", "granularity": "token", "quantity": "logit", "fixed": False}


def asked(app: AppTest) -> Request:
    """What the page asks."""
    found = app.session_state["job"].request
    assert isinstance(found, Request)
    return found


def shut(app: AppTest) -> AppTest:
    """Close the settings, and look again."""
    app.session_state["settings"] = False
    return finish(app)


def test_closed_settings_are_not_drawn_and_ask_the_same(app: AppTest) -> None:
    finish(app)
    before = asked(app)
    assert app.multiselect(key="beside") is not None
    shut(app)
    with pytest.raises(KeyError):
        app.multiselect(key="beside")
    assert asked(app).digest == before.digest


def test_what_was_set_stays_when_the_settings_are_closed_and_opened(app: AppTest) -> None:
    finish(app)
    app.session_state["text"] = "a good movie"
    finish(app)
    choose(app, "occlusion")
    for key, value in SET.items():
        app.session_state[key] = value
    app.session_state["p.occlusion.replacement"] = "remove"
    app.session_state["beside"] = ["saliency"]
    finish(app)
    before = asked(app)
    assert before.params == {"occlusion": {"replacement": "remove"}}
    assert (before.methods, before.granularity, before.quantity) == (("occlusion", "saliency"), "token", "logit")
    assert before.phrases
    assert before.rationale
    for _ in range(2):
        assert asked(shut(app)).digest == before.digest
    app.session_state["settings"] = True
    finish(app)
    assert asked(app).digest == before.digest
    assert app.selectbox(key="p.occlusion.replacement").value == "remove"
    assert app.multiselect(key="beside").value == ["saliency"]


def test_what_methods_cost_is_asked_only_where_it_is_shown(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    asked_for: list[object] = []
    monkeypatch.setattr("explain.dashboard.jobs.forecasts", lambda *a: asked_for.append(a) or {})
    finish(app)
    assert asked_for
    asked_for.clear()
    shut(app)
    assert not asked_for


def test_an_outcome_that_the_model_has_not_is_its_decision(app: AppTest) -> None:
    finish(app)
    shut(app)
    app.session_state["target"] = "nothing of it"
    assert asked(finish(app)).target is None
    app.session_state["target"] = label = app.session_state["job"].result.prediction.labels[0]
    assert asked(finish(app)).target == label
