"""The Inside page's logic and its drawings, without a browser."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from explain.dashboard import further
from explain.render import road as render
from tests.conftest import finish


@pytest.fixture
def inside(app: AppTest) -> AppTest:
    """The page, once its questions are answered."""
    finish(app)
    app.switch_page("screens/inside_page.py").run()
    return app


@pytest.mark.parametrize("step", render.STEPS)
def test_every_step_opens(app: AppTest, step: str) -> None:
    finish(app)
    app.query_params["step"] = step
    app.switch_page("screens/inside_page.py").run()
    assert not app.exception, app.exception
    assert len(app.get("html")) > 4


@pytest.mark.parametrize("choice", further.CHOICES)
def test_every_further_look(inside: AppTest, choice: str) -> None:
    inside.segmented_control(key="further").set_value(choice).run()
    assert not inside.exception, inside.exception
