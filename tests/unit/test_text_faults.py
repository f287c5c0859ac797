"""Faults F01 to F18: any text, through any door, is refused with a sentence or explained, and nothing else breaks.

One table, three doors: Python, command line and page. After every fault the next good request must be
answered, byte for byte, as if nothing had happened.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

import explain
from explain.engine import Model
from explain.errors import InputError
from explain.notices import unseen
from explain.records import Explanation
from explain.render.pieces import visible
from tests.conftest import dashboard, finish, html_of, undated
from tests.hostile import EXPLAINED, REFUSED, SEEDS, SURROGATES

GOOD = "a good movie, but never very funny"


@dataclass
class Seen:
    """What came out of a door: a refusal or a record, and every string that was shown."""

    refusal: str | None = None
    code: str | None = None
    record: Explanation | None = None
    shown: list[str] = field(default_factory=list)
    pieces: list[tuple[str, str]] = field(default_factory=list)

    @property
    def notices(self) -> dict[str, Any]:
        """Where, by code; without the one about the decision."""
        assert self.record is not None, self.refusal
        return {n.code: n.spans for n in self.record.warnings if n.code != "small_margin"}


def python(model: Model, text: str, truncate: bool, _: bool) -> Seen:
    try:
        return Seen(record=model.explain(text, truncate=truncate))
    except InputError as error:
        return Seen(str(error), error.code)


def command_line(run: Any, text: str, truncate: bool, look: bool) -> Seen:
    options = ["run", "--truncate"] if truncate else ["run"]
    try:
        given, stdin = "-", (text + "\n").encode()
    except UnicodeEncodeError:  # bytes that a shell cannot decode arrive as lone surrogates
        given, stdin = text, b""
    code, out, err = run(*options, "--json", "--", given, stdin=stdin)
    assert "Traceback" not in err
    if code:
        assert (code, out) == (2, "")
        return Seen(" ".join(err.split()))
    return Seen(record=explain.read(out), shown=[run(*options, "--", given, stdin=stdin)[1]] if look else [])


def page(app: Any, text: str, _: bool, look: bool) -> Seen:  # the page always cuts
    app.text_area(key="text").set_value(text)
    (finish if look else AppTest.run)(app)
    assert not app.exception
    job = app.session_state["job"]
    assert job.wait(60)
    if not look:
        return Seen(record=job.result)
    if job.error is not None:
        assert not app.get("bidi_component"), "a refusal has no words"
        return Seen(app.warning[0].value.replace("\\", ""), job.error.code)
    view = json.loads(app.get("bidi_component")[0].proto.json)
    figures = [json.loads(f.proto.spec) for f in app.get("plotly_chart")]
    return Seen(
        record=job.result,
        shown=[html_of(app), *strings([view, figures])],
        pieces=[(p["kind"], "".join(part["t"] for part in p["parts"])) for p in view["segments"][0]["pieces"]],
    )


def strings(data: Any) -> Iterator[str]:
    """All strings in JSON data."""
    if isinstance(data, str):
        yield data
    for item in data.values() if isinstance(data, dict) else data if isinstance(data, list) else ():
        yield from strings(item)


@pytest.fixture(scope="module")
def canary(tiny: Model) -> str:
    """The answer to a good request before any fault."""
    return undated(tiny.explain(GOOD).to_json())


@pytest.fixture(scope="module")
def session(tiny_folder: Path) -> Iterator[AppTest]:
    """One session of the page, which meets all faults."""
    with pytest.MonkeyPatch.context() as patch:
        app = dashboard(tiny_folder, patch)
        app.query_params["text"] = "own"
        yield app.run()


@pytest.fixture(params=["python", "command line", "page"])
def door(request: pytest.FixtureRequest, tiny: Model, canary: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A way to ask the tiny model about a text, and then about the canary."""
    monkeypatch.setattr("explain.load", lambda *_, **__: tiny)
    monkeypatch.setattr("explain.engine.load", lambda *_, **__: tiny)
    if request.param == "python":
        ask, to = python, tiny
    elif request.param == "command line":
        ask, to = command_line, request.getfixturevalue("run")
    else:
        ask, to = page, request.getfixturevalue("session")

    def through(text: str, truncate: bool = False) -> Seen:
        seen = ask(to, text, truncate, True)
        after = ask(to, GOOD, False, False).record
        assert after is not None
        assert undated(after.to_json()) == canary, "the next request was harmed"
        return seen

    through.name = request.param  # type: ignore[attr-defined]
    return through


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_is_refused_at_every_door(door: Any, name: str) -> None:
    text, (code, sentence) = REFUSED[name]
    seen = door(text)
    assert seen.refusal is not None
    assert sentence in seen.refusal
    assert seen.code in (code, None), "the command line shows no codes"


@pytest.mark.parametrize("name", EXPLAINED)
def test_what_can_be_read_is_explained_at_every_door(door: Any, name: str) -> None:
    text, expected = EXPLAINED[name]
    seen = door(text)
    assert seen.notices == expected
    assert seen.record.tokens.texts == (text,), "the record holds what was sent"
    assert explain.read(seen.record.to_json()) == seen.record
    assert not any(unseen(shown) for shown in seen.shown), "a character acts without being seen"
    if door.name == "page":
        bare = re.sub(r"\[(U\+[0-9A-F]{4,6}|[0-9]+ marks)\]", r"\1", visible(text))  # the page sets codes off by style
        assert "".join(part for _, part in seen.pieces) == bare
    elif door.name == "command line":
        assert "".join(visible(text).split()) in "".join(seen.shown[0].split()), "lines break where the terminal ends"


def test_lone_surrogates_are_refused(door: Any) -> None:
    for text in SURROGATES:
        if door.name == "page":
            with pytest.raises(UnicodeEncodeError):  # no message to the page can carry one
                door(text)
            continue
        seen = door(text)
        assert "lone surrogate" in seen.refusal
        assert seen.code in ("invalid_unicode", None)


class Recorder:
    """A tokenizer that remembers the lengths of the texts it was given."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer, self.lengths = tokenizer, set[int]()

    def __call__(self, *texts: str, **options: Any) -> Any:
        self.lengths |= {len(t) for t in texts}
        return self.tokenizer(*texts, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.tokenizer, name)


@pytest.mark.parametrize("text", ["good " * 200_000, "x" * 1_000_000], ids=["words", "word"])
def test_length_is_looked_at_before_the_tokenizer(
    door: Any, tiny: Model, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    recorder = Recorder(tiny.tokenizer)
    monkeypatch.setattr(tiny, "tokenizer", recorder)
    assert "1,000,000" in door(text).refusal
    assert max(recorder.lengths, default=0) <= len(GOOD)
    assert recorder.lengths or door.name == "page"  # which may know the answer to the good text already


def test_ten_thousand_tokens_are_refused_or_cut_where_it_shows(door: Any) -> None:
    text = "good " * 9_998
    if door.name != "page":
        seen = door(text)
        assert seen.code in ("too_long", None)
        assert "10,000 tokens" in seen.refusal
        assert "64 are read" in seen.refusal
    seen = door(text, truncate=True)
    tokens = seen.record.tokens
    assert len(tokens.ids) == 64
    assert tokens.texts == (text,)
    assert tokens.truncated_at == 309
    assert seen.notices == {"truncated": ((309, len(text)),)}
    assert door.name == "python" or any("stopped at character 309 of 49,990" in s for s in seen.shown)
    if door.name == "page":
        assert seen.pieces[-1] == ("unread", text[309:])


def test_the_limit_is_exact(door: Any) -> None:
    fits = door(("good " * 62).strip())
    assert len(fits.record.tokens.ids) == 64
    assert fits.notices == {}
    over = door(("good " * 63).strip())
    if door.name == "page":
        assert over.notices == {"truncated": ((309, 314),)}
    else:
        assert over.code in ("too_long", None)
        assert "65 tokens" in over.refusal


BYTES = [(b"good \xff film", 5), (b"caf\xe9", 3), ("good".encode("utf-16"), 0), (b"good \xe2\x82", 5)]


@pytest.mark.parametrize(("sent", "byte"), BYTES, ids=["stray byte", "Latin-1", "UTF-16", "cut character"])
def test_bytes_that_are_not_utf8_are_refused_with_their_place(
    run: Any, tiny_folder: Path, canary: str, sent: bytes, byte: int
) -> None:
    options = ("run", "-", "--json", "--model", str(tiny_folder))
    code, out, err = run(*options, stdin=sent)
    assert (code, out) == (2, "")
    assert f"not UTF-8 (byte {byte})" in err
    assert undated(run(*options, stdin=GOOD.encode())[1]) == canary + "\n"


HARDEST = ("\n", "((a+)+)+", "e\u0301", "👩\u200d", "🇩\u0301")
SENT = [("python", seed) for seed in SEEDS] + [(door, s) for door in ("command line", "page") for s in HARDEST]


@pytest.mark.parametrize(("door", "seed"), SENT, indirect=["door"])
def test_pathological_texts_are_read_or_refused(door: Any, seed: str) -> None:
    text = (seed * 4_000)[:4_000]
    seen = door(text, truncate=True)
    if seen.refusal is None:
        assert seen.record.tokens.texts == (text,)
    else:
        assert "nothing that the model can read" in seen.refusal


def test_thirty_thousand_flags_do_not_hang(door: Any) -> None:
    text = "🇩🇪" * 30_000  # minutes, when `regex` was left alone with them
    assert door(text).record.tokens.texts == (text,)
