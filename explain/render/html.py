"""Explanation → HTML fragments. The one module that escapes; class names are styled by assets/theme.css."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape

from explain import canonical
from explain.records import Check, Explanation, Notice, Status
from explain.render import palette
from explain.render.pieces import visible
from explain.render.sentences import percent, short

MARKDOWN = frozenset("\\`*_{}[]()<>#+-.!|~$:^&@")
CLASSES = 8
"""Outcomes with a bar of their own."""


def text(value: str) -> str:
    """Any text, shown literally: HTML is escaped and characters that act unseen become codes."""
    return escape(visible(value), quote=True)


def data(value: float, shown: str) -> str:
    """A number as people read it, with the exact one beside it for programs."""
    return f'<data value="{text(canonical.encode(value).decode())}">{text(shown)}</data>'


def verdict(title: str, lines: Iterable[str | None]) -> str:
    """The decision in one sentence, and what belongs to it."""
    rest = "".join(f"<p>{_whole(line)}</p>" for line in lines if line)
    return f'<section class="wb-verdict"><h2>{_whole(title)}</h2>{rest}</section>'


def _whole(value: str) -> str:
    """Any text, shown literally, whose lines do not end between a number and its percent sign."""
    return re.sub(r"[0-9.]+ %", r'<span class="wb-whole">\g<0></span>', text(value))


def classes(explanation: Explanation) -> str:
    """A bar for every outcome (the best few of many), with its number."""
    prediction = explanation.prediction
    ranked = prediction.ranked()
    if prediction.probs is None:
        return "".join(f'<p class="wb-number">{text(n)}: <b>{v:.4g}</b></p>' for n, v in ranked)
    decided = {prediction.labels[i] for i in prediction.decision}
    rows = "".join(
        f'<div class="wb-class{" wb-decided" if name in decided else ""}">'
        f'<span class="wb-name"><bdi>{text(short(name))}</bdi></span>'
        f'<span class="wb-track"><span style="width:{100 * share:.1f}%"></span></span>'
        f'<span class="wb-share">{percent(share)}</span></div>'
        for name, share in ranked[:CLASSES]
    )
    hidden = prediction.left_out + len(ranked) - CLASSES
    more = f'<p class="wb-more">and {hidden:,} more outcomes</p>' if hidden > 0 else ""
    return f'<div class="wb-classes" role="group" aria-label="Probability of each outcome">{rows}{more}</div>'


def notices(found: Sequence[Notice]) -> str:
    """What must be known about the input, each a line."""
    if not found:
        return ""
    rows = "".join(
        f'<li><span class="wb-mark wb-warn" aria-hidden="true">!</span>{text(n.message)}</li>' for n in found
    )
    return f'<ul class="wb-notices" aria-label="About the input">{rows}</ul>'


def questions(answers: Sequence[tuple[str, Status, Sequence[Check]]], *, running: bool = False) -> str:
    """The three questions, each with its worst status in front and every check's sentence below.

    While checks are `running` a status is only so far.
    """
    yet = " so far" if running else ""
    blocks = []
    for title, status, checks in answers:
        lines = "".join(
            f"<li>{_mark(c.status)}<span><b>{text(c.name.capitalize())}</b> {text(c.sentence)}</span></li>"
            for c in checks
        )
        blocks.append(
            f'<div class="wb-question"><h4>{_mark(status)}<span>{text(title)}</span>'
            f"<em>{palette.STATUS_WORD[status]}{yet if status != 'not checked' else ''}</em></h4><ul>{lines}</ul></div>"
        )
    return f'<div class="wb-questions">{"".join(blocks)}</div>'


def strip(rows: Sequence[tuple[str, str]], state: str) -> str:
    """How it was computed, and whether it is filed as evidence."""
    return f'<section class="wb-how"><p class="wb-state">{text(state)}</p>{terms(rows)}</section>'


def terms(rows: Iterable[tuple[str, str]]) -> str:
    """What each thing is, one below the other."""
    return f"<dl>{''.join(f'<div><dt>{text(k)}</dt><dd>{text(v)}</dd></div>' for k, v in rows)}</dl>"


def heading(title: str, line: str | None, level: int = 3) -> str:
    """A section's title and the sentence that belongs to it."""
    rest = f"<p>{text(line)}</p>" if line else ""
    minor = "" if level == 3 else " wb-minor"
    return f'<div class="wb-heading{minor}"><h{level}>{text(title)}</h{level}>{rest}</div>'


def markdown(value: str) -> str:
    """Any text for a widget that reads Markdown: every sign that could mean something is escaped.

    White space is one space, because lines and indents mean something too.
    """
    return "".join(f"\\{c}" if c in MARKDOWN else c for c in " ".join(visible(value).split()))


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Numbers behind a figure."""
    top = "".join(f"<th>{text(h)}</th>" for h in head)
    body = "".join("<tr>" + "".join(f"<td>{text(c)}</td>" for c in row) + "</tr>" for row in rows)
    return f'<table class="wb-table"><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>'


def bars(head: tuple[str, str, str], rows: Iterable[tuple[str, float, float | None]]) -> str:
    """Names with one or two shares each, as bars with their numbers."""
    found = list(rows)
    most = max((max(a, b or 0) for _, a, b in found), default=1) or 1

    def cell(share: float | None) -> str:
        if share is None:
            return "<td></td>"
        width = f"{7 * share / most:.2f}"
        return f'<td><span class="wb-bar" style="width:{width}rem"></span><span>{percent(share)}</span></td>'

    body = "".join(f"<tr><th><bdi>{text(name)}</bdi></th>{cell(a)}{cell(b)}</tr>" for name, a, b in found)
    top = "".join(f"<th>{text(h)}</th>" for h in head)
    return f'<table class="wb-table wb-bars"><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>'


def _mark(status: Status) -> str:
    kind = status.replace(" ", "-").replace("/", "")
    return f'<i class="wb-mark wb-{kind}" aria-label="{palette.STATUS_WORD[status]}">{palette.STATUS_MARK[status]}</i>'
