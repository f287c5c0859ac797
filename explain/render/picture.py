"""The scored words as a picture (SVG): one bar a word, with the numbers, and a footer that says what it is."""

from __future__ import annotations

from explain.records import Explanation
from explain.render import html, palette, sentences
from explain.render.lines import fitting, wrapped

WIDTH, ROW, LEFT, HALF = 760, 24, 220, 200
SHOWN = 40
"""Words with a bar of their own, the largest scores first to be kept."""
LINE, SMALL, NAME, TITLE = 16, 11, 13, 17
"""Height of a line of small print, and the sizes of letters: there, in words and their scores, in the decision."""
MARGIN, BOLD = 16, 1.1
"""Room at the sides, and how much wider bold letters are."""
FONT = 'font-family="system-ui, DejaVu Sans, sans-serif"'


def picture(explanation: Explanation, *footer: str, index: int = 0) -> str:
    """A self-contained SVG; text is escaped, and nothing is loaded from anywhere. `footer` are lines that say what it
    is as evidence; none: that it is not filed.
    """
    attribution = explanation.attributions[index] if index < len(explanation.attributions) else None
    words = explanation.words(index) if attribution is not None else []
    kept = sorted(sorted(range(len(words)), key=lambda u: -abs(words[u].score))[:SHOWN])
    limit = palette.scale_limit(attribution) if attribution is not None else 1.0
    turn = palette.direction(explanation, attribution) if attribution is not None else 1
    below = [*(footer or ("NOT FILED – view only",)), *_how(explanation, index)]
    lines = [line for one in below for line in wrapped(one, (WIDTH - 2 * MARGIN) / SMALL)]
    room = WIDTH - 2 * MARGIN
    above = [(line, TITLE, "600") for line in wrapped(sentences.verdict(explanation), room / TITLE / BOLD)]
    if attribution is not None:
        of = sentences.outcome(attribution.target)
        said = f"Scores in {attribution.target.unit} of {of}; bars end at ± {limit:.3g}"
        above += [(line, 12, "400") for line in wrapped(said, room / 12)]
    top, parts = 8, []
    for line, size, weight in above:
        top += size + 5
        parts.append(_label(MARGIN, top, line, size, weight))
    top += 18
    more = f"and {len(words) - len(kept):,} words with smaller scores" if len(words) > len(kept) else None
    middle, base = LEFT + HALF, top + ROW * len(kept)
    height = base + (ROW if more else 0) + LINE * (len(lines) + 1)
    for row, unit in enumerate(kept):
        word, y = words[unit], top + ROW * row
        signed = attribution is None or attribution.signed
        length = HALF * min(1.0, abs(word.score) / limit)
        colour = palette.BLUE if word.score * turn > 0 or not signed else palette.ORANGE
        x = middle if word.score >= 0 else middle - length
        parts.append(f'<rect x="{x:.1f}" y="{y + 4}" width="{length:.1f}" height="15" rx="2" fill="{colour}"/>')
        name = fitting(word.name, (LEFT - 12 - MARGIN) / NAME)
        parts.append(_label(LEFT - 12, y + 16, name, NAME, anchor="end"))
        parts.append(_label(middle + HALF + 14, y + 16, sentences.signed(word.score), NAME))
    if more:
        parts.append(_label(MARGIN, base + 16, more, 12))
    parts.append(f'<line x1="{middle}" x2="{middle}" y1="{top - 2}" y2="{base}" stroke="#14202b"/>')
    for row, said in enumerate(reversed(lines)):
        parts.append(_label(MARGIN, height - 12 - LINE * row, said, SMALL))
    alt = html.text(f"{sentences.verdict(explanation)} {sentences.reasons(explanation) or ''}".strip())
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'role="img"><title>{alt}</title><rect width="{WIDTH}" height="{height}" fill="#fff"/>{"".join(parts)}</svg>\n'
    )


def _how(explanation: Explanation, index: int) -> list[str]:
    """What the checks found, the digests, and model, method and versions, a line each."""
    model, made = explanation.model, explanation.provenance
    methods = [a.method.replace("_", " ") for a in explanation.attributions[index : index + 1]]
    versions = [f"{k} {v}" for k, v in sorted(made.versions.items()) if k in ("explain", "whyboard", "torch")]
    found = [f"{title} {palette.STATUS_WORD[status]}" for title, status, _ in sentences.questions(explanation, index)]
    return [
        f"checks: {' · '.join(found)}",
        f"weights SHA-256 {model.weights_sha256}",
        f"tokenizer SHA-256 {model.tokenizer_sha256}",
        " · ".join([f"{model.id} @ {model.revision}", *methods, *versions]),
    ]


def _label(x: float, y: float, value: str, size: int, weight: str = "400", anchor: str = "start") -> str:
    return (
        f'<text x="{x}" y="{y}" {FONT} font-size="{size}" font-weight="{weight}" text-anchor="{anchor}" fill="#14202b">'
        f"{html.text(value)}</text>"
    )
