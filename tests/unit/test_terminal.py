"""The terminal shows what the page shows: raw text, signs, statuses; hostile text stays text."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest
from rich.console import Console

import explain
from explain.engine import Model
from explain.records import Explanation
from explain.render import palette, sentences, terminal

HOSTILE = "good [bold]movie[/bold] \x1b[31m</script> \u202e done"


def shown(renderable: object, width: int = 300, colour: bool = False) -> str:
    """What a terminal of this width receives."""
    console = Console(
        file=io.StringIO(), width=width, force_terminal=colour, color_system="truecolor" if colour else None
    )
    console.print(renderable)
    return console.file.getvalue()  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def result(tiny: Model) -> Explanation:
    return tiny.explain("a good movie, but never very funny", methods=["integrated_gradients", "saliency"])


def test_everything_is_there(result: Explanation) -> None:
    text = shown(terminal.explanation(result))
    assert sentences.verdict(result) in text
    for word in result.words():
        assert word.text in text
        assert sentences.signed(word.score) in text
    for check in result.checks:
        assert check.sentence in text
        assert palette.STATUS_MARK[check.status] in text


def test_the_text_is_reproduced_and_tinted_by_sign(result: Explanation) -> None:
    result = replace(result, checks=())  # a failed check takes the colour away
    line = terminal.words(result)
    assert line.plain == result.tokens.texts[0]
    attribution, turn = result.attributions[0], palette.direction(result, result.attributions[0])
    styles = {line.plain[s.start : s.end]: str(s.style) for s in line.spans}
    for (start, end), score in zip(attribution.units.tolist(), attribution.scores.tolist(), strict=True):
        word = line.plain[start:end]
        if abs(score) * 1.0 / palette.scale_limit(attribution) >= 0.05 and line.plain.count(word) == 1:
            assert styles[word].startswith("bold" if score * turn > 0 else "italic")


def test_control_characters_and_markup_do_nothing(tiny: Model) -> None:
    text = shown(terminal.explanation(tiny.explain(HOSTILE, checks=())), colour=True)
    assert "\x1b[31m" not in text
    assert "\u202e" not in text
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    assert "[bold]movie[/bold] [U+001B][31m</script> [U+202E] done" in plain


def test_a_cut_text_shows_what_was_not_read(tiny: Model) -> None:
    found = tiny.explain("a good movie " * 60, checks=(), truncate=True)
    line = terminal.words(found)
    assert line.plain == found.tokens.texts[0]
    assert any("strike" in str(s.style) and s.start == found.tokens.truncated_at for s in line.spans)


def test_narrow_terminals_keep_every_number(result: Explanation) -> None:
    text = shown(terminal.explanation(result), width=60)
    for word in result.words():
        assert sentences.signed(word.score) in text


def test_lists(result: Explanation) -> None:
    text = shown(terminal.methods(explain.list_methods()))
    for info in explain.list_methods():
        assert info.name in text
        for p in info.params:
            assert f"-p {p.name}={p.default}" in text
    assert "sentiment" in shown(terminal.models(explain.list_models()))
