"""An explanation, filed or not, as one HTML file: no script, nothing from elsewhere, the same on paper.

Every number stands in a `data` element whose `value` is the exact number of the record, so that a program can read
the report back and compare it.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from functools import cache

from explain import bundled
from explain.audit.building import LIMITS
from explain.audit.records import Content, Environment, Header, Purpose, Who
from explain.records import Attribution, Explanation
from explain.render import computed, html, palette, sentences, tags
from explain.render.pieces import Piece, pieces
from explain.render.reasons import direction

NOT_FILED = "Whyboard report (not filed)"
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"


@dataclass(frozen=True)
class Said:
    """Something that was added to a record later: what, by whom, when, and in which words."""

    kind: str
    who: str
    when: str
    words: str


@dataclass(frozen=True)
class Filing:
    """What a report says about the record it shows.

    `header` is None while the record is being filed, since its place in the chain is not known yet. `digest` is the
    envelope's SHA-256, `commitment` the content's keyed one, `fingerprint` that of the signing key (None: unsigned).
    """

    content: Content
    who: Who
    purpose: Purpose
    commitment: str
    fingerprint: str | None
    header: Header | None = None
    digest: str | None = None
    said: tuple[Said, ...] = ()


def report(explanation: Explanation, filing: Filing | None = None) -> str:
    """The whole document; without a filing it says that nothing was filed."""
    lines = (tags.summary(explanation.prediction), sentences.reasons(explanation), sentences.without(explanation))
    title = f"Whyboard report {filing.content.id}, events: {len(filing.said)}" if filing else NOT_FILED
    body = "".join(
        [
            _head(filing),
            f"<main><h1>{html.text(sentences.verdict(explanation))}</h1>",
            *(f"<p>{html.text(line)}</p>" for line in lines if line),
            html.classes(explanation),
            html.notices(explanation.warnings),
            *(_attribution(explanation, index) for index in range(len(explanation.attributions))),
            _numbers(explanation),
            *(_questions(explanation, index) for index in range(len(explanation.attributions))),
            _beside(filing) if filing is not None else "",
            _limits(filing),
            _case(filing) if filing is not None else "",
            f"<h2>How this was computed</h2>{html.terms(_how(explanation))}",
            _provenance(filing) if filing is not None else "",
            "</main>",
            _foot(filing),
        ]
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" '
        f'content="{POLICY}"><meta name="viewport" content="width=device-width, initial-scale=1"><title>'
        f"{html.text(title)}</title><style>{_style()}</style></head><body>{body}</body></html>\n"
    )


@cache
def _style() -> str:
    return (bundled.shipped("assets") / "report.css").read_text("utf-8")


def state(filing: Filing | None) -> str:
    """What may be claimed about this page as evidence."""
    if filing is None:
        return "NOT FILED – view only, neither stored nor signed"
    number = f"FILED as record {filing.header.sequence}" if filing.header is not None else "FILED"
    return f"{number} · {f'signed by key {filing.fingerprint[:16]}…' if filing.fingerprint else 'UNSIGNED'}"


def unreviewed(filing: Filing) -> str:
    """What stands where no review does; a page that is filed with its record cannot know of those that follow."""
    return "not reviewed" if filing.header is not None else "not reviewed when filed; reviews are later records"


def _head(filing: Filing | None) -> str:
    record = f"Record {filing.content.id}" if filing is not None else "No record"
    kind = "wb-filed" if filing is not None and filing.fingerprint else "wb-open"
    return (
        f"<header><b>Whyboard – why the model decided so</b><span>{html.text(record)}</span></header>"
        f'<p class="wb-state {kind}">{html.text(state(filing))}</p>'
        "<p>Contains the text that was explained, which may be personal data.</p>"
    )


def _attribution(explanation: Explanation, index: int) -> str:
    attribution = explanation.attributions[index]
    title = "Why: the score of each word" if index == 0 else f"Beside it: {attribution.method.replace('_', ' ')}"
    parts = [f"<h2>{html.text(title)}</h2><p>{html.text(sentences.meaning(explanation, index))}</p>"]
    whole = {u for u, word in enumerate(explanation.words(index)) if word.whole}
    limit, turn = palette.scale_limit(attribution), palette.direction(explanation, attribution)
    for segment, text in enumerate(explanation.tokens.texts):
        cells = "".join(
            _piece(p, attribution, limit, turn, whole) for p in pieces(explanation.tokens, attribution, segment)
        )
        name = f"<b>{html.text(sentences.part(explanation, segment))}</b> " if len(explanation.tokens.texts) > 1 else ""
        parts.append(f'<p class="wb-text" dir="{direction(text)}">{name}{cells}</p>')
    low, high = map(sentences.short, palette.sides(explanation, attribution))
    left, right = ("+", "−") if turn < 0 else ("−", "+")  # colours belong to classes, numbers to the explained one
    ends = (palette.ORANGE if attribution.signed else "#ffffff", palette.BLUE)
    fade = f"background:linear-gradient(90deg,{_mixed(ends[0], 1)},#ffffff,{_mixed(ends[1], 1)})"
    unit, name = html.text(attribution.target.unit), html.text(sentences.outcome(attribution.target))
    parts.append(
        f'<div class="wb-legend"><span>{html.text(low)} {left}{limit:.3g}</span><i style="{fade}"></i>'
        f"<span>{right}{limit:.3g} {html.text(high)}</span></div>"
        f"<p>Scores are in {unit} of {name}; + and − after a word say its sign.</p>"
    )
    return "".join([*parts, _words(explanation, index)])


def _piece(piece: Piece, attribution: Attribution, limit: float, turn: int, whole: Set[int]) -> str:
    shown = "".join(f"<code>{html.text(t)}</code>" if code else html.text(t) for t, code in piece.parts)
    if piece.unit is None:
        return f'<span class="wb-{piece.kind}">{shown}</span>' if piece.kind in ("unread", "asked") else shown
    score = float(attribution.scores[piece.unit])
    tint = min(1.0, abs(score) / limit) * palette.STRONGEST
    colour = palette.BLUE if score * turn > 0 or not attribution.signed else palette.ORANGE
    mark = "" if not attribution.signed or tint < 0.02 else f"<sup>{'+' if score > 0 else '−'}</sup>"
    kind = ' class="wb-sentence"' if piece.unit in whole else ""
    return f'<span{kind} style="background:{_mixed(colour, tint / palette.STRONGEST)}"><bdi>{shown}</bdi>{mark}</span>'


def _mixed(colour: str, share: float) -> str:
    """A colour over white; the strongest keeps dark text readable."""
    part = share * palette.STRONGEST
    rgb = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return "#" + "".join(f"{round(255 + (c - 255) * part):02x}" for c in rgb)


def _words(explanation: Explanation, index: int) -> str:
    attribution = explanation.attributions[index]
    rows = []
    for unit, word in enumerate(explanation.words(index)):
        off = float(attribution.uncertainty[unit])
        without = "" if word.without is None else html.data(word.without, sentences.signed(word.without))
        share = "" if word.prob_without is None else f" ({html.text(sentences.percent(word.prob_without))})"
        rows.append(
            f'<tr><td class="wb-i">{html.data(unit, str(unit))}</td><td><bdi>{html.text(word.name)}</bdi></td>'
            f'<td class="wb-n wb-score">{html.data(word.score, sentences.signed(word.score))}</td>'
            f'<td class="wb-n">{f"± {off:.1g}" if off else ""}</td><td class="wb-n">{word.share * 100:.0f} %</td>'
            f'<td class="wb-n">{without}{share}</td><td class="wb-n">{word.rank}</td></tr>'
        )
    head = ("", "word", "score", "error", "share", "measured without it", "rank")
    top = "".join(f'<th class="wb-n">{h}</th>' if i > 1 else f"<th>{h}</th>" for i, h in enumerate(head))
    return (
        f'<table id="attribution-{index}" aria-label="Scores of the words"><thead><tr>{top}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>"
    )


def _numbers(explanation: Explanation) -> str:
    """What the model answered, and how the scores add up, each number exact."""
    prediction = explanation.prediction
    shares = [None] * len(prediction.labels) if prediction.probs is None else prediction.probs.tolist()
    rows = [
        f"<tr><td><bdi>{html.text(label)}</bdi></td>"
        f'<td class="wb-n">{html.data(logit, f"{logit:.4f}".replace("-", "−"))}</td>'
        f'<td class="wb-n">{"" if share is None else html.data(share, sentences.percent(share))}</td></tr>'
        for label, logit, share in zip(prediction.labels, prediction.logits.tolist(), shares, strict=True)
    ]
    parts = [
        '<h2>The numbers</h2><table id="prediction"><thead><tr><th>outcome</th><th class="wb-n">logit</th>'
        f'<th class="wb-n">probability</th></tr></thead><tbody>{"".join(rows)}</tbody></table>'
        f"<p>Decided by {html.text(prediction.rule)}.</p>"
    ]
    for index, a in enumerate(explanation.attributions):
        steps = [("baseline", a.value_baseline), ("words", float(a.scores.astype(float).sum()))]
        steps += [("special tokens", a.special), ("unexplained", a.residual), ("this text", a.value_input)]
        cells = "".join(
            f'<tr><td>{name}</td><td class="wb-n">{html.data(value, sentences.signed(value, 4))}</td></tr>'
            for name, value in steps
            if value is not None
        )
        parts.append(
            f'<table id="sum-{index}"><thead><tr><th>{html.text(a.method.replace("_", " "))}</th><th class="wb-n">'
            f"{html.text(a.target.unit)}</th></tr></thead><tbody>{cells}</tbody></table>"
        )
    return "".join(parts)


def _questions(explanation: Explanation, index: int) -> str:
    several = len(explanation.attributions) > 1
    of = f" ({explanation.attributions[index].method.replace('_', ' ')})" if several else ""
    asked = html.questions(sentences.questions(explanation, index))
    return f"<h2>Does this picture match the model?{html.text(of)}</h2>{asked}"


def _beside(filing: Filing) -> str:
    if filing.content.beside is None:
        return ""
    from explain.render import beside  # which loads the drawing of figures; most records have nothing beside

    return beside.section(filing.content.beside)


def _limits(filing: Filing | None) -> str:
    limits = filing.content.limits if filing is not None else LIMITS
    return f"<h2>What this does not show</h2><ul>{''.join(f'<li>{html.text(x)}</li>' for x in limits)}</ul>"


def named(speaker: Who) -> str:
    """Who spoke; and how they are known, where somebody else vouches for it."""
    vouched = f" ({speaker.auth})" if speaker.auth != Who().auth else ""
    return f"{speaker.actor or 'not named'}{vouched}"


def _case(filing: Filing) -> str:
    """Which decision, for which purpose, and what people said."""
    content, decision = filing.content, filing.content.decision
    rows = [
        ("Case", filing.purpose.case_id or "not named"),
        ("Intended use", filing.purpose.intended_use or "not named"),
        ("Filed by", named(filing.who)),
        ("Decision in production", content.matches),
    ]
    for name in ("label", "score", "threshold", "model_sha256", "system", "time") if decision is not None else ():
        if (value := getattr(decision, name)) is not None:
            rows.append((f"Production: {name}", str(value)))
    if content.masking is not None:
        spans = ", ".join(f"{k} at {a}–{b}" for _, a, b, k in content.masking.spans)
        rows.append(("De-identified", f"{content.masking.statement} Masked: {spans or 'nothing'}."))
    if content.note:
        rows.append(("Note", content.note))
    reviews = "; ".join(f"{s.who}: {s.words}" for s in filing.said if s.kind == "review")
    rows.append(("Reviewer and sign-off", reviews or unreviewed(filing)))
    said = "".join(
        f"<tr><td>{html.text(s.when[:19])} UTC</td><td>{html.text(s.who)}</td><td>{html.text(s.kind)}</td>"
        f"<td>{html.text(s.words)}</td></tr>"
        for s in filing.said
    )
    table = f'<table class="wb-said"><tbody>{said}</tbody></table>' if said else ""
    return f"<h2>The case and its review</h2>{html.terms(rows)}{table}"


def _how(explanation: Explanation) -> Sequence[tuple[str, str]]:
    model = explanation.model
    return [
        *computed.how(explanation),
        ("Revision", model.revision),
        ("SHA-256 of the weights", model.weights_sha256),
        ("SHA-256 of the tokenizer", model.tokenizer_sha256),
    ]


def _provenance(filing: Filing) -> str:
    header = filing.header
    rows = [("Record", filing.content.id), ("Content (HMAC-SHA256)", filing.commitment)]
    if header is not None:
        rows += [
            ("Number in the chain", str(header.sequence)),
            ("Store", header.store),
            ("Recorded", f"{header.recorded} ({header.clock})"),
            ("Envelope (SHA-256)", filing.digest or ""),
            ("Envelope before it", header.previous),
            *_machines(header.environment),
        ]
    rows.append(("Signing key", filing.fingerprint or "UNSIGNED"))
    return f"<h2>The record</h2>{html.terms(rows)}"


def _machines(found: Environment) -> list[tuple[str, str]]:
    """Where it was computed and where it was filed; a first record knows the latter only."""
    filed = found.filed or {"platform": str(found.platform), "processor": str(found.processor)}
    there = [("Computed on", f"{found.platform}, {found.processor}")] if found.filed and found.platform else []
    return [
        *there,
        ("Filed on", f"{filed['platform']}, {filed['processor']}"),
        ("SHA-256 of Whyboard's code", found.code_sha256 or "not recorded"),
    ]


def _foot(filing: Filing | None) -> str:
    if filing is None:
        return f"<footer>{html.text(state(None))}. `explain evidence file` files an explanation.</footer>"
    content = filing.content
    return (
        f"<footer>{html.text(state(filing))} · record {html.text(content.id)} · content {html.text(filing.commitment)}"
        f"<br>To verify the record that this page shows: explain verify {html.text(content.id)}. To hold this copy "
        "against it: explain verify THIS-FILE. Holds the fields for an audit; whether that is "
        "enough is for the auditor to say.</footer>"
    )
