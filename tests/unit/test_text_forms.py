"""Hostile text below the doors: how it is cut into units, what is noticed, what it costs, and how it is shown."""

from __future__ import annotations

import io
import itertools
import sys
from collections.abc import Callable
from html import unescape
from html.parser import HTMLParser
from types import FrameType, SimpleNamespace
from typing import Any

import pytest
import regex
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from rich.console import Console

from explain.engine import Model
from explain.errors import InputError
from explain.model.encoding import encode
from explain.notices import notices, unseen
from explain.records import Explanation, Granularity, Tokens
from explain.render import figures, html, reasons, terminal
from explain.render.pieces import Piece, pieces, visible
from explain.units import Units, units_of, word_spans
from tests.hostile import LOOKALIKES, PAYLOADS, SEEDS
from tests.tokenizers import KINDS, trained

PICTURES = ["😂", "❤", "👍", "🔥", "👩", "👨", "👧", "🏳", "👁", "♀", "⚕", "🌈", "🦰"]
PERSONS = st.tuples(st.sampled_from(PICTURES), st.sampled_from(["", "\ufe0f", "🏻", "🏿"])).map("".join)
FAMILIES = st.lists(PERSONS, min_size=1, max_size=4).map("\u200d".join)
FLAGS = st.text(st.characters(min_codepoint=0x1F1E6, max_codepoint=0x1F1FF), min_size=2, max_size=5)
KEYS = st.sampled_from("0123456789#*").map(lambda c: c + "\ufe0f\u20e3")
SCOTLAND = "🏴" + "".join(chr(0xE0000 + ord(c)) for c in "gbsct") + "\U000e007f"
PARTS = st.one_of(FAMILIES, FLAGS, KEYS, st.sampled_from([SCOTLAND, "good", "film", " ", ".", "e\u0301"]))
EMOJI = st.lists(PARTS, min_size=1, max_size=12).map("".join)


def read(kind: str, text: str, limit: int = 512, granularity: Granularity = "word") -> tuple[Tokens, Units]:
    """Tokens and units of a text, cut at the limit; texts without content count as not tried."""
    try:
        tokens = encode(trained(kind), (text,), limit, truncate=True).tokens
    except InputError as error:
        assume(error.code != "no_content_tokens")
        raise
    return tokens, units_of((text,), tokens.segment, tokens.offsets, tokens.special, granularity)


def shown(tokens: Tokens, units: Units) -> list[Piece]:
    """The text as the page cuts it."""
    return pieces(tokens, SimpleNamespace(units=units.spans, unit_segment=units.segment), 0)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("granularity", ["word", "token"])
@settings(max_examples=80, deadline=None)
@given(text=EMOJI)
def test_no_character_that_people_see_is_torn_apart(kind: str, granularity: Granularity, text: str) -> None:
    tokens, units = read(kind, text, granularity=granularity)
    spans = units.spans.tolist()
    clusters = [m.span() for m in regex.finditer(r"\X", text)]
    for start, end in clusters:
        touching = [(a, b) for a, b in spans if a < end and start < b]
        assert len(touching) <= 1
        assert all(a <= start and end <= b for a, b in touching if not text[start].isspace())
    assert len(spans) <= len(clusters)
    assert "".join(p.raw for p in shown(tokens, units)) == text


@settings(max_examples=200, deadline=None)
@given(text=EMOJI)
def test_emoji_are_not_taken_for_hidden_characters(text: str) -> None:
    assert unseen(text) == []
    assert visible(text) == text


@settings(max_examples=300, deadline=None)
@given(text=st.text(st.sampled_from([*"🇩🇪🇩🇪🇩🇪a1. '\n", "\u0301", "\u200d", "\u200b", "👩"]), max_size=12))
def test_flags_keep_the_word_boundaries_of_unicode(text: str) -> None:
    boundary = regex.compile(r"\b", flags=regex.WORD | regex.VERSION1)
    edges = sorted({0, len(text), *(m.start() for m in boundary.finditer(text))})
    pieces = [text[a:b].strip() for a, b in itertools.pairwise(edges)]
    assert [text[a:b] for a, b in word_spans(text)] == [p for p in pieces if p]


@pytest.mark.parametrize("pair", LOOKALIKES)
def test_lookalikes_are_noticed(tiny: Model, pair: str) -> None:
    assert len(LOOKALIKES) >= 50
    latin, other = (tiny.explain(f"a gr{c}at film", methods=["saliency"], checks=()) for c in pair)
    assert "mixed_scripts" not in {n.code for n in latin.warnings}
    assert [n.spans for n in other.warnings if n.code == "mixed_scripts"] == [((2, 7),)]


@pytest.mark.parametrize(("unknown", "severe"), [(1, False), (2, False), (3, True), (10, True)])
def test_three_unknown_tokens_in_ten_are_too_many(tiny: Model, unknown: int, severe: bool) -> None:
    found = tiny.explain(" ".join(["好"] * unknown + ["good"] * (10 - unknown)), checks=())
    codes = {n.code for n in found.warnings if "unknown" in n.code}
    assert codes == {"mostly_unknown" if severe else "unknown_tokens"}


def test_each_text_of_a_pair_has_its_own_notices(tiny: Model) -> None:
    found = tiny.explain(("good 好 film is so funny", "[SEP] 好\u200b"), checks=())
    assert {(n.code, n.segment, n.spans) for n in found.warnings if n.code != "small_margin"} == {
        ("unknown_tokens", 0, ((5, 6),)),
        ("mostly_unknown", 1, ((6, 7),)),
        ("typed_special_tokens", 1, ((0, 5),)),
        ("invisible_characters", 1, ((7, 8),)),
    }


def test_only_the_end_of_the_last_text_is_cut(tiny: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    found = tiny.explain(("good film", "bad " * 100), checks=(), truncate=True)
    assert found.tokens.offsets[found.tokens.segment == 0].max() == len("good film")
    assert found.tokens.truncated_at == found.tokens.offsets[found.tokens.segment == 1].max() == 235
    with pytest.raises(InputError, match="first text alone") as refused:
        tiny.explain(("good " * 100, "bad film"), truncate=True)
    assert refused.value.code == "too_long"
    monkeypatch.setattr(tiny.tokenizer, "truncation_side", "left")
    alone = tiny.explain("good " * 100, checks=(), truncate=True)
    assert alone.tokens.offsets[1].tolist() == [0, 4]
    assert alone.tokens.truncated_at == 309
    assert tiny.tokenizer.truncation_side == "left", "the tokenizer is left as it was found"


def test_a_word_that_was_read_in_part_is_shown_in_part() -> None:
    text = "x" * 600
    tokens, units = read("byte_level", text, limit=64)
    assert [(p.kind, p.raw) for p in shown(tokens, units)] == [
        ("word", text[: tokens.truncated_at]),
        ("unread", text[tokens.truncated_at :]),
    ]


def steps(call: Callable[[], object]) -> int:
    """Instructions that our own code executes in a call: a count, the same on every machine."""
    count = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal count
        if "/explain/" not in frame.f_code.co_filename.replace("\\", "/"):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("seed", SEEDS)
def test_work_grows_no_faster_than_the_text(tiny: Model, seed: str) -> None:
    calm = tiny.explain("a good film", checks=())

    def work(length: int) -> Callable[[], None]:
        text = (seed * length)[:length]

        def call() -> None:
            for granularity in ("word", "token"):
                tokens, units = read("byte_level", text, limit=10**6, granularity=granularity)  # type: ignore[arg-type]
                shown(tokens, units)
            notices(tiny.info, tokens, calm.prediction, calm.target, 1, {0, 2, 3})

        return call

    steps(work(8))  # caches
    assert steps(work(800)) < 2.5 * steps(work(400))


class Reader(HTMLParser):
    """What a browser would make of a fragment: its tags, and the text between them."""

    def __init__(self, fragment: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.feed(fragment)
        self.close()

    def handle_starttag(self, tag: str, _: Any) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.mark.parametrize("payload", PAYLOADS)
def test_markup_is_literal_in_html_and_markdown(payload: str) -> None:
    literal = visible(payload)
    page = Reader(html.verdict(payload, [payload]) + html.table([payload], [[payload]]))
    assert page.tags == ["section", "h2", "p", "table", "thead", "tr", "th", "tbody", "tr", "td"]
    assert page.texts == [literal] * 4
    marked = Reader(MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(html.markdown(payload)))
    assert marked.tags == ["p"]
    assert "".join(marked.texts).split() == literal.split()


@pytest.fixture(scope="module")
def explained(tiny: Model) -> list[Explanation]:
    return tiny.explain_batch(PAYLOADS, checks=())


def test_markup_is_literal_in_words_figures_and_terminal(explained: list[Explanation]) -> None:
    assert len(explained) >= 200
    for found in explained:
        literal = visible(found.tokens.texts[0])
        view = reasons.payload(found)
        parts = [part for p in view["segments"][0]["pieces"] for part in p["parts"]]
        assert "".join(f"[{part['t']}]" if part["code"] else part["t"] for part in parts) == literal
        figure = figures.waterfall(found)
        assert figure is not None
        for (name, _), label in zip(figures.steps(found), figure.layout.yaxis.ticktext, strict=True):
            assert not set("<>$") & set(label)
            assert unescape(label) == (name if len(name) <= 24 else name[:23] + "…")
        console = Console(file=io.StringIO(), width=200, force_terminal=True, color_system=None)
        console.print(terminal.explanation(found))
        printed = console.file.getvalue()  # type: ignore[attr-defined]
        assert all(line in printed for line in literal.split("\n"))
        assert not unseen(printed)
