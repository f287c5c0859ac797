"""Explanation → terminal: the same words, tints and statuses as the page, for any Rich console."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from explain.catalog import MethodInfo, ModelCard
from explain.generation import Generation
from explain.heads import HeadMap
from explain.records import NORMAL, Explanation, Interactions, Status
from explain.render import computed, palette, sentences, tags, written
from explain.render import heads as drawing
from explain.render import pairs as pairing
from explain.render.pieces import pieces, visible
from explain.words import Word

STYLE: dict[Status, str] = {"pass": "green", "warn": "yellow", "fail": "bold red", "not checked": "dim", "n/a": "dim"}
ROWS = 20
"""Words in the table, by rank."""
PAIRS = 8
"""Pairs of words in their table, the strongest first."""


def explanation(found: Explanation) -> RenderableType:
    """Verdict, coloured words, table and checks of every attribution."""
    parts: list[RenderableType] = [Text(visible(sentences.verdict(found)), style="bold")]
    if all_of_them := tags.summary(found.prediction):
        parts.append(Text(visible(all_of_them)))
    for notice in found.warnings:
        parts.append(Text(f"! {visible(notice.message)}", style="yellow"))
    for index in range(len(found.attributions)):
        parts += _attribution(found, index)
    if found.interactions is not None:
        parts += _pairs(found, found.interactions)
    parts.append(Text())
    parts.append(_rows(computed.how(found), "How this was computed"))
    return Group(*parts)


def _attribution(found: Explanation, index: int) -> list[RenderableType]:
    attribution = found.attributions[index]
    lines = [sentences.reasons(found, index), sentences.without(found) if index == 0 else None]
    title = attribution.method.replace("_", " ").capitalize()
    parts: list[RenderableType] = [Text(), Text(title, style="bold underline")]
    parts += [Text(visible(line)) for line in lines if line]
    failed = [c for c in found.checks if c.status == "fail" and c.attribution == index]
    parts += [Text(f"{palette.STATUS_MARK['fail']} {visible(c.sentence)}", style=STYLE["fail"]) for c in failed]
    parts += [Text(), *(words(found, index, segment) for segment in range(len(found.tokens.texts)))]
    low, high = palette.sides(found, attribution)
    minus = Text.assemble(("− ", palette.ORANGE), (visible(low), "dim"), "   ") if attribution.signed else Text()
    legend = Text.assemble(minus, ("+ ", palette.BLUE), (visible(high), "dim"))
    parts += [legend, Text(sentences.meaning(found, index), style="dim"), Text(), _table(found, index)]
    for title, status, checks in sentences.questions(found, index):
        parts.append(Text(f"{palette.STATUS_MARK[status]} {title} {palette.STATUS_WORD[status]}", style=STYLE[status]))
        parts += [
            Text(f"    {palette.STATUS_MARK[c.status]} {c.name}: {visible(c.sentence)}", style="dim") for c in checks
        ]
    return parts


def words(found: Explanation, index: int = 0, segment: int = 0) -> Text:
    """The raw text, each scored word tinted and its sign marked; what was not read is struck through."""
    attribution = found.attributions[index]
    factor = palette.direction(found, attribution) / palette.scale_limit(attribution)
    failed = any(c.status == "fail" and c.attribution == index for c in found.checks)
    whole = [w.whole for w in found.words(index)]
    several = len(found.tokens.texts) > 1
    line = Text(f"{sentences.part(found, segment)}: " if several else "", style="dim")
    for piece in pieces(found.tokens, attribution, segment):
        shown = "".join(f"[{part}]" if code else part for part, code in piece.parts)
        if piece.unit is None:
            line.append(shown, style={"unread": "strike dim", "asked": "reverse"}.get(piece.kind, ""))
            continue
        tint = 0.0 if failed else max(-1.0, min(1.0, float(attribution.scores[piece.unit]) * factor))
        line.append(shown, style=f"{_style(tint)} underline" if whole[piece.unit] else _style(tint))
    return line


def _style(tint: float) -> str:
    """Blue or vermilion on black, stronger with the score; bold where it matters, so that sign is not colour alone."""
    if abs(tint) < 0.05:
        return ""
    base = palette.BLUE if tint > 0 else palette.ORANGE
    share = 0.25 + 0.75 * abs(tint)
    rgb = [round(int(base[i : i + 2], 16) * share) for i in (1, 3, 5)]
    weight = "bold " if tint > 0 else "italic "
    return f"{weight}#ffffff on #{rgb[0]:02x}{rgb[1]:02x}{rgb[2]:02x}"


def _table(found: Explanation, index: int) -> Table:
    attribution = found.attributions[index]
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("rank", "word", "score", "± error", "share", "without it"):
        table.add_column(name, justify="left" if name == "word" else "right", no_wrap=name != "word")
    ordered = sorted(found.words(index), key=lambda w: w.rank)
    ranks = [w.rank for w in ordered]
    for word in ordered[:ROWS]:
        tie = "=" if ranks.count(word.rank) > 1 else ""
        table.add_row(f"{word.rank}{tie}", Text(visible(word.name)), *_numbers(word, signed=attribution.signed))
    if len(ordered) > ROWS:
        table.add_row("", Text(f"and {len(ordered) - ROWS} more words", style="dim"))
    table.add_row("", Text("special tokens", style="dim"), sentences.signed(attribution.special))
    return table


def _numbers(word: Word, *, signed: bool) -> tuple[str, ...]:
    score = sentences.signed(word.score) if signed else f"{word.score:.3g}"
    off = word.numeric_error if word.error is None else NORMAL * word.error
    error = "" if off is None else f"{off:.1g}"
    if word.prob_without is not None:
        gone = sentences.percent(word.prob_without)
    else:
        gone = "" if word.without is None else sentences.signed(word.without)
    return score, error, f"{100 * word.share:.0f} %", gone + (" ≠" if word.contradicts else "")


def _pairs(found: Explanation, interactions: Interactions) -> list[RenderableType]:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("pair", "beyond apart", "± 95 %"):
        table.add_column(name, justify="left" if name == "pair" else "right", no_wrap=name != "pair")
    for pair, score, off in pairing.rows(found, interactions, PAIRS):
        table.add_row(Text(visible(pair)), score, off)
    lines = pairing.sentence(found, interactions), pairing.meaning(found, interactions)
    title = Text("Words that work together", style="bold underline")
    return [Text(), title, Text(visible(lines[0])), Text(visible(lines[1]), style="dim"), Text(), table]


def _rows(rows: list[tuple[str, str]], title: str) -> RenderableType:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, Text(visible(value)))
    return Group(Text(title, style="bold"), table)


def profile(seconds: Mapping[str, float]) -> RenderableType:
    """Where the time of a run went, with shares of the whole."""
    whole = sum(seconds.values())
    rows = [(stage, f"{spent:8.3f} s  {spent / whole:4.0%}") for stage, spent in seconds.items()]
    return _rows(rows, f"Where {whole:.2f} s went")


def methods(found: list[MethodInfo]) -> RenderableType:
    """Every method with its parameters and ranges."""
    parts: list[RenderableType] = []
    for info in found:
        parts += [Text.assemble((info.name, "bold"), f"  {info.title}"), Text(f"  {info.summary}")]
        parts += [Text(f"  {info.misleads}", style="dim"), Text(f"  {info.cite}", style="dim")]
        if info.claim is not None:
            parts.append(Text(f"  {sentences.claim(info.claim)}", style="dim" if info.claim.kept else "bold red"))
        for p in info.params:
            allowed = ", ".join(p.choices) if p.choices else f"{p.low:g} to {p.high:g}" if p.low is not None else p.kind
            parts.append(Text(f"    -p {p.name}={p.default}   {p.help} ({allowed})"))
        parts.append(Text())
    return Group(*parts)


def models(found: list[ModelCard]) -> RenderableType:
    """The models that come with Whyboard."""
    facts = ((c.name, (c.title, ", ".join(c.labels), c.licence, c.summary)) for c in found)
    rows = [(name, " · ".join(part for part in parts if part)) for name, parts in facts]
    return _rows(rows, "Bundled models (a Hub id or a folder works too)")


def generation(found: Generation, reasons: Sequence[Explanation] | None = None) -> RenderableType:
    """The text, each token that was written with its probability and its place among all, and what explains it."""
    own = f"\n{visible(found.text)}" if found.apart else visible(found.text[len(found.prompt) :])
    text = Text.assemble((visible(found.prompt), "dim"), own)
    names = ("token", "written", "log p", "probability", "place")
    parts: list[RenderableType] = [
        text,
        Text(),
        _listed(names, written.rows(found)),
        Text(written.summary(found), style="dim"),
    ]
    if reasons is not None:
        table = _listed(("token", "written", "largest scores", "missed"), written.reasons(found, reasons))
        parts += [Text(), table, Text(written.checked(found, reasons), style="dim")]
    return Group(*parts)


def _listed(names: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """A table of tokens; what may be long is wrapped."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in names:
        long = name in ("written", "largest scores")
        table.add_column(name, justify="left" if long else "right", no_wrap=not long)
    for row in rows:
        table.add_row(*(Text(visible(cell)) for cell in row))
    return table


def heads(report: drawing.Report) -> RenderableType:
    """Every head's effect as a grid, the largest ones in words, and the sentence on limits."""
    verdict = sentences.decided(report.prediction, report.model.problem)
    quantity = drawing.EFFECT if report.effects is not None else "special"
    data = drawing.grid(report, quantity, (0, 0))
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("layer", justify="right", style="dim")
    for head in range(len(data["shown"][0])):
        table.add_column(str(head), justify="right")
    for layer, (shown, tints) in enumerate(zip(data["shown"], data["tints"], strict=True)):
        cells = (Text(v.replace("0.", "."), style=_style(t)) for v, t in zip(shown, tints, strict=True))  # 80 columns
        table.add_row(str(layer), *cells)
    layer, head = drawing.strongest(report)
    return Group(
        Text(visible(verdict), style="bold"),
        Text(visible(drawing.meaning(report, quantity) + drawing.left_out(report)), style="dim"),
        Text(),
        table,
        Text(),
        Text(f"Layer {layer}, head {head}: {visible(drawing.about_head(report, layer, head))}"),
        Text(report.caveat, style="dim"),
    )


def head(found: HeadMap) -> RenderableType:
    """The strongest links of one head, and the sentence on limits."""
    table = Table("looks", "at", "weight", box=None, pad_edge=False, header_style="dim")
    for row in drawing.links(found, by="word", norms=False, specials=True):
        table.add_row(*(Text(cell) for cell in row))
    return Group(Text(drawing.name_of(found), style="bold"), table, Text(found.caveat, style="dim"))
