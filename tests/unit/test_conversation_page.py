"""Conversations on the Explain page: messages with roles, the filled template, and the answer token by token."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from explain.catalog import Request
from explain.dashboard import conversation
from explain.engine import Model
from explain.generation import Generation
from explain.messages import answered
from explain.service import Service
from tests.conftest import dashboard, finish, html_of
from tests.engines import Inline
from tests.talking import TEMPLATE, saying

WORDS = ("said", "for the king", "the wolf", "to the king", "a time", "there was a", "and", "upon")


@pytest.fixture
def page(speaker_folder: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    """The page, once it is known that its model reads conversations, with one about a wolf."""
    found = dashboard(speaker_folder, monkeypatch)
    finish(found)
    found.run()
    found.segmented_control(key="form").set_value("Conversation")
    finish(found)
    return says(found, 0, "user", "look for the wolf")


def numbers(page: AppTest) -> list[int]:
    """The messages' own numbers, in order."""
    return list(page.session_state["turns"])


def told(model: Model) -> tuple[str, Generation]:
    """A message to which the model's likeliest answer has tokens that can be asked about, and that answer."""
    each = (f"{first} {second}" for first in ("look", "the wolf", "king", "go") for second in WORDS)
    answers = ((text, model.generate([{"role": "user", "content": text}], tokens=24)) for text in each)
    return next((text, found) for text, found in answers if len(found.explainable) > 1)


def says(page: AppTest, place: int, role: str, content: str) -> AppTest:
    """The page after somebody wrote a message."""
    number = numbers(page)[place]
    page.selectbox(key=f"role {number}").set_value(role)
    page.text_area(key=f"content {number}").set_value(content)
    finish(page)
    page.run()
    assert not page.exception
    return page


def asked(page: AppTest) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What the page asked about last."""
    request = page.session_state["job"].request
    assert isinstance(request, Request)
    return request.texts, request.roles


def test_only_models_with_a_template_are_offered_one(
    page: AppTest, teller_folder: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert page.segmented_control(key="form").value == "Conversation"
    for folder in (teller_folder, tiny_folder):
        other = dashboard(folder, monkeypatch)
        finish(other)
        other.run()
        assert not [c for c in other.segmented_control if c.key == "form"]


def test_who_reads_conversations(speaker_folder: Path, teller_folder: Path, scribe_folder: Path) -> None:
    own = Service(Inline())
    for folder, talks in ((speaker_folder, True), (teller_folder, False), (scribe_folder, False)):
        assert not own.talks(str(folder)), "not known before it is loaded"
        assert own.info(str(folder)).wait(60)
        assert own.talks(str(folder)) == talks
    own.stop(0)


def test_a_conversation_is_asked_about_and_its_template_is_shown(page: AppTest, speaker: Model) -> None:
    assert asked(page) == (("look for the wolf",), ("user",))
    found = page.session_state["job"].result
    mine = speaker.explain([{"role": "user", "content": "look for the wolf"}])
    assert found.attributions == mine.attributions
    assert found.tokens.rendered == mine.tokens.rendered
    assert [c.value for c in page.code] == [mine.tokens.rendered]
    assert "The most likely next token is" in html_of(page)
    assert not [a for a in page.text_area if a.key in ("text", "pair")]
    assert not [i for i in page.text_input if i.key == "followed"], "one question at a time"


def test_messages_are_added_and_removed(page: AppTest) -> None:
    (first,) = numbers(page)
    assert page.button(key=f"remove {first}").disabled, "the only one"
    page.button(key="add message").click()
    finish(page)
    second = numbers(page)[1]
    assert page.selectbox(key=f"role {second}").value == "assistant", "who speaks next"
    assert asked(page) == (("look for the wolf",), ("user",)), "a message without words is left out"
    assert conversation.LEFT_OUT in [c.value for c in page.caption]
    says(page, 1, "assistant", "The")
    assert asked(page) == (("look for the wolf", "The"), ("user", "assistant"))
    page.button(key="add message").click()
    finish(page)
    assert page.selectbox(key=f"role {numbers(page)[2]}").value == "user"
    says(page, 2, "user", "king")
    page.button(key=f"remove {first}").click()
    finish(page)
    assert asked(page) == (("The", "king"), ("assistant", "user"))
    assert page.text_area(key=f"content {second}").value == "The", "the others stay as they are"
    assert page.text_area(key=f"content {second}").label == "Message 1"


def test_an_empty_conversation_is_said_in_words(page: AppTest) -> None:
    says(page, 0, "user", " ")
    assert asked(page) == (("",), ("user",))
    assert [w.value for w in page.warning] == ["Message 1 is empty or no text\\. Write it, or leave the message out\\."]
    says(page, 0, "system", "The king said.")
    assert asked(page) == (("The king said.",), ("system",))
    assert not page.warning


def test_a_template_that_refuses_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    strict = "{% if messages[0].role != 'user' %}{{ raise_exception('Begin with the user.') }}{% endif %}" + TEMPLATE
    page = dashboard(saying(tmp_path, strict), monkeypatch)
    finish(page)
    page.run()
    page.segmented_control(key="form").set_value("Conversation")
    finish(page)
    says(page, 0, "system", "The king said.")
    assert "Begin with the user" in page.warning[0].value


def test_an_example_puts_its_messages_in_place(page: AppTest) -> None:
    before = numbers(page)
    pills = next(g for g in page.button_group if g.key and g.key.startswith("conversations "))
    pills.set_value("With a rule")
    finish(page)
    assert asked(page) == tuple(zip(*((c, r) for r, c in conversation.EXAMPLES["With a rule"]), strict=True))
    assert not set(before) & set(numbers(page)), "no widget shows an old value"


def test_a_text_comes_back_as_it_was_and_so_does_the_conversation(page: AppTest) -> None:
    text = page.session_state["kept"]["text"]
    page.segmented_control(key="form").set_value("Text")
    finish(page)
    assert page.text_area(key="text").value == text
    assert asked(page) == ((text,), ())
    page.segmented_control(key="form").set_value("Conversation")
    finish(page)
    assert asked(page) == (("look for the wolf",), ("user",))


def test_an_address_holds_no_message(page: AppTest) -> None:
    says(page, 0, "user", "Once upon a time there was a")  # also not as the example that it is elsewhere
    found: Any = page.query_params["text"]
    assert found in ("own", ["own"])
    assert "wolf" not in str(page.query_params) + str(dict(page.query_params))


def test_messages_are_masked_first(page: AppTest) -> None:
    page.toggle(key="masking").set_value(True)
    finish(page)
    says(page, 0, "user", "write to zebra@example.org")
    assert asked(page) == (("write to [EMAIL]",), ("user",))


def test_an_answer_is_written_and_stepped_through(page: AppTest, speaker: Model) -> None:
    assert "How the conversation goes on" in html_of(page)
    text, expected = told(speaker)
    says(page, 0, "user", text)
    page.button(key="write").click().run()
    assert not page.exception
    written = page.session_state["written"]
    assert written.ids.tolist() == expected.ids.tolist()
    second = written.explainable[1]
    page.button(key="step N").click()
    finish(page)
    page.run()
    assert asked(page) == answered((text,), ("user",), "".join(written.pieces[:second]))
    assert page.text_area(key=f"content {numbers(page)[-1]}").value == "".join(written.pieces[:second])
    assert page.session_state["job"].result.prediction.outcome(0) == written.ids[second]
    assert page.session_state["written"] is written, "nothing was written anew"
    page.button(key="step P").click()
    finish(page)
    assert asked(page) == ((text,), ("user",))
