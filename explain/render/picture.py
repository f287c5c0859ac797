"""The scored words as a picture (SVG): one bar a word, with the numbers, and a footer that says what it is."""

from __future__ import annotations

import textwrap

from explain.records import Explanation
from explain.render import html, palette, sentences

WIDTH, ROW, LEFT, HALF = 760, 24, 220, 200
SHOWN = 40
"""Words with a bar of their own, the largest scores first to be kept."""
LINE, WIDE = 16, 118
"""Height of a line of the footer, and the most characters in one; what is longer goes on in the next."""
CUT = 28
"""The most characters of a word; what is longer ends in …"""
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
    lines = [line for one in below for line in textwrap.wrap(one, WIDE) or [""]]
    height = 96 + ROW * (len(kept) + 1) + LINE * (len(lines) - 1)
    middle = LEFT + HALF
    parts = [_label(16, 30, sentences.verdict(explanation), 17, "600")]
    if attribution is not None:
        said = f"Scores in {attribution.target.unit} of {attribution.target.name}; bars end at ± {limit:.3g}"
        parts.append(_label(16, 52, said, 12))
    for row, unit in enumerate(kept):
        word, y = words[unit], 70 + ROW * row
        signed = attribution is None or attribution.signed
        length = HALF * min(1.0, abs(word.score) / limit)
        colour = palette.BLUE if word.score * turn > 0 or not signed else palette.ORANGE
        x = middle if word.score >= 0 else middle - length
        parts.append(f'<rect x="{x:.1f}" y="{y + 4}" width="{length:.1f}" height="15" rx="2" fill="{colour}"/>')
        name = word.text if len(word.text) <= CUT else f"{word.text[: CUT - 1]}…"
        parts.append(_label(LEFT - 12, y + 16, name, 13, anchor="end"))
        parts.append(_label(middle + HALF + 14, y + 16, sentences.signed(word.score), 13))
    base = 70 + ROW * len(kept)
    if len(words) > len(kept):
        parts.append(
            _label(LEFT - 12, base + 14, f"and {len(words) - len(kept)} words with smaller scores", 12, anchor="end")
        )
    parts.append(f'<line x1="{middle}" x2="{middle}" y1="68" y2="{base}" stroke="#14202b"/>')
    for line, said in enumerate(reversed(lines)):
        parts.append(_label(16, height - 12 - LINE * line, said, 11))
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


def _label(x: int, y: int, value: str, size: int, weight: str = "400", anchor: str = "start") -> str:
    return (
        f'<text x="{x}" y="{y}" {FONT} font-size="{size}" font-weight="{weight}" text-anchor="{anchor}" fill="#14202b">'
        f"{html.text(value)}</text>"
    )
