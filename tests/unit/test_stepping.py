"""Stepping through what a model wrote: masking, other questions and models meanwhile, and a model that is busy."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from explain.alignment import AlignRequest
from explain.audit.store import Store
from explain.continuing import continued
from explain.dashboard import continuation, panels
from explain.engine import Model
from explain.errors import Cancelled
from explain.generation import GenerateRequest, Generation
from explain.model.meter import Meter
from explain.model.runner import Runner
from tests.conftest import dashboard, finish, html_of

MAIL = "zebra@example.org"
PROMPT = "Once upon a time there was a"
SAID = "identifiers are masked first, and what the model wrote holds some"


@pytest.fixture
def tale(teller_folder: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    """The dashboard on the tiny causal model."""
    return asked(dashboard(teller_folder, monkeypatch), PROMPT)


@pytest.fixture
def letter(scribe_folder: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    """The dashboard on the tiny model that writes about a text."""
    return dashboard(scribe_folder, monkeypatch)


def asked(page: AppTest, text: str) -> AppTest:
    """The page, after it explained a text."""
    finish(page)
    page.run()
    page.text_area(key="text").set_value(text)
    finish(page)
    return page.run()


def pills(page: AppTest) -> Any:
    """The written tokens."""
    return next(g for g in page.button_group if g.key and g.key.startswith("written "))


def shown(page: AppTest) -> str:
    """All words of the page that a model may have written: what is drawn, said, and to be chosen."""
    groups = [str(o) for g in page.button_group if g.key and g.key.startswith("written ") for o in g.options]
    return "\n".join([html_of(page), *(c.value for c in page.caption), *groups])


def masked(page: AppTest) -> bool:
    """Whether the page says that tokens cannot be explained while masking is on."""
    assert not page.exception
    return any(SAID in c.value.lower() for c in page.caption)


def writing(monkeypatch: pytest.MonkeyPatch, model: Model, *pieces: str) -> None:
    """Let the page's model write these pieces, whatever it is asked."""
    made = model.generate(PROMPT, tokens=len(pieces))
    assert len(made.ids) == len(pieces)

    def answered(question: GenerateRequest, model: str) -> Generation:
        whole = np.ones(len(pieces), dtype=bool)
        return replace(made, prompt=question.prompt, pieces=pieces, readable=whole)

    monkeypatch.setattr("explain.dashboard.continuation._answered", answered)


def test_what_was_masked_stays_told_after_a_step(
    tale: AppTest, teller: Model, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    own = Store(tmp_path / "evidence")
    monkeypatch.setattr("explain.dashboard.evidence.opened", lambda: own)
    writing(monkeypatch, teller, " king", " and")
    tale.toggle(key="masking").set_value(True)
    asked(tale, f"Write to {MAIL} and +49 30 1234567 about a")
    tale.button(key="write").click().run()
    tale.button(key="step N").click()
    finish(tale)
    next(b for b in tale.button if b.label == "File").click()
    tale.run()
    assert not masked(tale)
    content = own.content(own.read(1).header.id)
    assert content.explanation.tokens.texts == ("Write to [EMAIL] and [PHONE] about a king",)
    assert content.masking is not None
    assert [kind for *_, kind in content.masking.spans] == ["EMAIL", "PHONE"]
    tale.text_area(key="text").set_value(f"Write to [EMAIL] and [PHONE] about a king, or {MAIL}")
    finish(tale)
    (spans,) = [r.spans for t, r in tale.session_state["deidentified"].items() if t[0].endswith("or [EMAIL]")]
    assert [kind for *_, kind in spans] == ["EMAIL", "PHONE", "EMAIL"], "those of before, and the new one"


def test_a_token_behind_what_would_be_masked_is_not_asked_about(
    tale: AppTest, teller: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing(monkeypatch, teller, " mail", " to", " zebra", "@example.org", " now")
    tale.button(key="write").click().run()
    assert len(pills(tale).options) == 5
    assert not masked(tale)
    assert "zebra" in shown(tale)
    tale.toggle(key="masking").set_value(True)
    finish(tale)
    assert len(pills(tale).options) == 2, "the last is explained with the address before it, which no token is part of"
    assert masked(tale)
    assert "zebra" not in shown(tale)
    assert "example" not in shown(tale)
    assert shown(tale).count("[EMAIL]") == 2, "in the table, for each of its tokens"
    tale.button(key="step N").click()
    finish(tale)
    assert tale.session_state["job"].request.texts == (f"{PROMPT} mail",)
    assert tale.button(key="step N").disabled
    assert masked(tale)


def test_a_chosen_token_is_let_go_once_what_the_model_wrote_is_masked(
    letter: AppTest, scribe: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing(monkeypatch, scribe, "a", f" {MAIL}", " plot")
    asked(letter, PROMPT)
    pills(letter).set_value(2)
    finish(letter)
    request = letter.session_state["job"].request
    assert (request.texts, request.place) == ((PROMPT, f"a {MAIL} plot"), 2)
    assert pills(letter).value == 2
    letter.toggle(key="masking").set_value(True)
    finish(letter)
    letter.run()
    request = letter.session_state["job"].request
    assert (request.texts, request.place) == ((PROMPT, "a [EMAIL] plot"), None), "at 2 another token stands now"
    assert masked(letter)
    assert MAIL not in shown(letter)
    assert "align" not in {b.key for b in letter.button}, "which would ask about what was written"
    assert continuation.UNALIGNED in [c.value for c in letter.caption]


def test_an_identifier_at_the_beginning_leaves_nothing_to_choose(
    tale: AppTest, teller: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing(monkeypatch, teller, f" {MAIL}", " now")
    tale.toggle(key="masking").set_value(True)
    finish(tale)
    tale.button(key="write").click().run()
    assert masked(tale)
    assert MAIL not in shown(tale)
    assert not [g for g in tale.button_group if g.key and g.key.startswith("written ")]


def test_a_step_leaves_what_may_follow(tale: AppTest) -> None:
    tale.button(key="write").click().run()
    tale.text_input(key="followed").set_value("the end")
    finish(tale)
    tale.text_input(key="instead").set_value("an end")
    finish(tale)
    assert tale.session_state["job"].request.continuation == "the end"
    written = tale.session_state["written"]
    pills(tale).set_value(1)
    finish(tale)
    assert not tale.exception
    request = tale.session_state["job"].request
    assert (request.texts, request.continuation, request.contrast) == ((written.prefix(1),), None, None)


def test_another_model_is_not_given_what_one_wrote(letter: AppTest) -> None:
    asked(letter, PROMPT)
    pills(letter).set_value(2)
    finish(letter)
    assert letter.text_area(key="pair").value
    letter.selectbox(key="model").set_value("sentiment")
    finish(letter)
    assert not letter.exception
    assert letter.session_state["job"].request.texts == (PROMPT,)
    letter.text_area(key="pair").set_value("of a person")
    letter.selectbox(key="model").set_value("tales")
    finish(letter)
    assert letter.session_state["pair"] == "of a person", "what a person wrote stays"


def test_a_busy_model_can_be_asked_again(letter: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    real, busy = panels.answered, {GenerateRequest, AlignRequest}
    monkeypatch.setattr(panels, "answered", lambda q, *a: None if type(q) in busy else real(q, *a))
    asked(letter, PROMPT)
    busy.discard(GenerateRequest)
    letter.button(key="write again").click().run()
    assert pills(letter).options
    letter.button(key="align").click().run()
    busy.clear()
    letter.button(key="align again").click().run()
    assert not letter.exception
    assert "Every written token beside the words" not in html_of(letter), "it is measured, and said what was"


def test_words_are_shown_before_a_model_has_written(letter: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []

    def noted(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *a, **o: order.append(name) or real(*a, **o)

    for name in ("words", "answered", "how"):
        monkeypatch.setattr(panels, name, noted(name, getattr(panels, name)))
    asked(letter, PROMPT)
    assert order[-3:] == ["words", "how", "answered"]


@pytest.mark.parametrize("name", ["teller", "scribe"])
def test_a_cancel_is_heard_while_what_was_written_is_read_again(name: str, request: pytest.FixtureRequest) -> None:
    """The last pass is over by then; a thousand tokens take long to be read."""
    model: Model = request.getfixturevalue(name)
    made, stop = model.generate(PROMPT, tokens=1).provenance, threading.Event()
    meter = Meter(lambda done: stop.set() if done == 6 else None, stop)
    with pytest.raises(Cancelled):
        continued(model, GenerateRequest(PROMPT, 6), meter, made)
    assert meter.done == 6


def test_a_source_is_read_once(scribe: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[tuple[str, ...]] = []
    real = Runner.encode
    monkeypatch.setattr(Runner, "encode", lambda self, texts, **o: read.append(texts) or real(self, texts, **o))
    assert len(scribe.generate(PROMPT, tokens=8).ids) > 1
    assert len(read) == 1
