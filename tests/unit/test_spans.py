"""Parts of a text that are named: where they stand, and how little is looked at to find them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from explain import asking, spans
from explain.engine import Model
from explain.errors import InputError
from explain.generation import Generation
from explain.rest import asks
from explain.units import word_spans
from tests import rest

PARTS = st.text(alphabet="ab .'", min_size=1, max_size=5)


def places(text: str, want: str) -> Iterator[tuple[int, int, int]]:
    """Where a part stands, one character after the other."""
    starts, ends = zip(*word_spans(text), strict=True) if text.strip() else ((), ())
    at, want = 0, want.strip()
    while want and at < len(text):
        if text.startswith(want, at) and at in starts and at + len(want) in ends:
            yield 0, at, at + len(want)
            at += len(want)
        else:
            at += 1


@given(st.text(alphabet="ab .'", max_size=40), PARTS)
def test_they_are_found_where_words_begin_and_end(text: str, want: str) -> None:
    theirs = tuple(places(text, want))
    try:
        assert spans.found((text,), [want]) == theirs
    except InputError as error:
        assert (error.code, theirs) == ("no_such_span", ())


def test_the_words_of_a_text_are_found_once_for_all_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    monkeypatch.setattr(spans, "word_spans", lambda text: read.append(text) or word_spans(text))
    wanted = ["a", "film", "plot", (0, 1), (1, 0, 1)]
    assert len(spans.found(("a film", "a plot"), wanted)) == 6
    assert read == ["a film", "a plot"]
    spans.found(("a film",), [(0, 1)])
    assert len(read) == 2, "positions need no words"


def test_what_stands_at_too_many_places_is_refused() -> None:
    assert len(spans.found(("a " * spans.MOST,), ["a"])) == spans.MOST
    for wanted in (["a"], [(0, 1)] * (spans.MOST + 1)):
        with pytest.raises(InputError, match="more than 10,000 places") as caught:
            spans.found(("a " * (spans.MOST + 1),), wanted)
        assert caught.value.code == "too_many"
    with pytest.raises(InputError, match="more than 10,000 places"):
        asking.request(("a " * 6_000,), phrases=["a"], rationale=["a"])


def test_a_long_word_is_looked_at_once() -> None:
    room = spans.Room()
    with pytest.raises(InputError, match="does not contain"):
        spans.found(("a" * 100_000,), ["a"], room)
    assert room.looks == spans.LOOKS - 1
    with pytest.raises(InputError, match="at too many inside words"):
        spans.found(("ab " * 4,), ["a"], spans.Room(looks=3))


def test_parts_of_all_tokens_are_counted_together(teller: Model) -> None:
    found = teller.generate("a king", tokens=1)
    twice = replace(
        found,
        prompt="a " * 6_000,
        ids=found.ids.repeat(2),
        pieces=(" a", " a"),
        log_probs=found.log_probs.repeat(2),
        ranks=found.ranks.repeat(2),
        readable=found.readable.repeat(2) | True,
    )
    assert isinstance(twice, Generation)
    assert len(asking.tokens(twice, [1], phrases=["a"]).requests[0].phrases) == 6_001
    with pytest.raises(InputError) as caught:
        asking.tokens(twice, phrases=["a"])
    assert caught.value.code == "too_many"


@pytest.mark.parametrize("path", ["/v1/explain", "/v1/forecast", "/v1/models/{name}:explain"])
def test_they_are_looked_for_beside_the_event_loop(
    path: str, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside: list[bool] = []

    def seen(*about: Any) -> Any:
        try:
            asyncio.get_running_loop()
            beside.append(False)
        except RuntimeError:
            beside.append(True)
        raise InputError("Enough was seen.", code="seen")

    monkeypatch.setattr(asks, "explanations", seen)
    with rest.client(rest.application(tiny_folder)) as web:
        said = web.post(
            path.replace("{name}", tiny_folder.name), json={"instances" if "{" in path else "inputs": ["a"]}
        )
    assert said.json()["code"] == "seen"
    assert beside == [True]
