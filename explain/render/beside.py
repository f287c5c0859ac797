"""What was filed beside an explanation, as a section of its report: every head's numbers, or one token's road."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from explain.audit.records import Beside
from explain.heads import HeadsReport, HeadsRequest
from explain.render import heads, html, road, road_sentences
from explain.road import Road

SHOWN = 40
"""Words with a row of their own, the largest shares first."""
WALK = (
    "The road that one token takes through one block, with this text's real numbers. It shows how the answer is "
    "computed; which words count is said above."
)


def section(beside: Beside) -> str:
    """Headings and tables; no script, every score with its exact number."""
    answer, asked = beside.answer, beside.question
    if isinstance(answer, Road):
        return _road(answer)
    return _heads(answer, heads.gone(answer, asked.masked if isinstance(asked, HeadsRequest) else ()))


def _heads(report: HeadsReport, gone: str | None) -> str:
    parts = [f"<h2>Beside it: where heads look</h2><p>{html.text(report.caveat)}</p>"]
    if gone is not None:
        decided = f"{gone} So the model said: {report.prediction.label}."
        parts.append(f"<p><b>{html.text(decided)}</b></p>")
    tables = {**({} if report.effects is None else {heads.EFFECT: report.effects}), **report.statistics}
    if report.effects is None:
        parts.append(f"<p>{html.text(heads.meaning(report, heads.EFFECT))}</p>")
    for name, values in tables.items():
        parts.append(f"<h4>{html.text(heads.meaning(report, name))}</h4>{_grid(f'heads-{name}', values)}")
    rows = sorted(heads.shares(report), key=lambda row: -row[1])
    kept = [[n, html.data(a, f"{a:.3f}"), "" if b is None else html.data(b, f"{b:.3f}")] for n, a, b in rows[:SHOWN]]
    more = f"<p>The {SHOWN} largest of {len(rows)} words and special tokens.</p>" if len(rows) > SHOWN else ""
    through = f"<p>{html.text(heads.through_layers(report))}</p>"
    return "".join(
        [*parts, through, _table("through", ("word", "rollout", "flow"), kept), more, html.terms(heads.how(report))]
    )


def _grid(name: str, values: np.ndarray) -> str:
    """Layers × heads."""
    rows = [
        [f"layer {layer}", *(html.data(float(v), f"{v:.3f}".replace("-", "−")) for v in row)]
        for layer, row in enumerate(values)
    ]
    return _table(name, ("", *(f"head {head}" for head in range(values.shape[1]))), rows)


def _road(found: Road) -> str:
    where = f"Token {found.token}, “{road.name(found, found.token)}”, in layer {found.layer}, head {found.head}."
    parts = [f"<h2>Beside it: inside the model</h2><p>{html.text(WALK)}</p><p>{html.text(where)}</p>"]
    if found.embedding is not None:
        parts.append(_told(road_sentences.embedding_sentence(found)))
    if found.attention is not None:
        attention, strings = found.attention, found.tokens.strings
        rows = [
            [strings[t], html.data(score, road.number(score)), html.data(weight, road.number(weight))]
            for t, (score, weight) in enumerate(zip(attention.scores.tolist(), attention.weights.tolist(), strict=True))
        ]
        parts.append(_told(road_sentences.attention_sentence(found)))
        parts.append(_table("road-attention", ("looks at", "score", "weight"), rows))
    if found.feed_forward is not None:
        parts.append(_told(road_sentences.neuron_sentence(found)))
    if found.answer is not None:
        rows = [
            [label, html.data(logit, road.number(logit))]
            for label, logit in zip(found.prediction.labels, found.answer.logits.tolist(), strict=True)
        ]
        parts.append(_told(road_sentences.output_sentence(found)))
        parts.append(_table("road-answer", ("outcome", "logit"), rows))
    missing = "".join(f"<li>{html.text(f'{name}: {why}')}</li>" for name, why in found.reasons.items())
    parts.append(f"<ul>{missing}</ul>" if missing else "")
    return "".join([*parts, "<p>Vectors stand in the record's JSON.</p>", html.terms(road.how(found))])


def _told(sentence: str) -> str:
    return f"<p>{html.text(sentence)}</p>"


def _table(name: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Rows of a name and numbers that are HTML already."""
    top = "".join(
        f'<th class="wb-n">{html.text(h)}</th>' if i else f"<th>{html.text(h)}</th>" for i, h in enumerate(head)
    )
    body = ""
    for first, *rest in rows:
        cells = "".join(f'<td class="wb-n">{cell}</td>' for cell in rest)
        body += f"<tr><td><bdi>{html.text(first)}</bdi></td>{cells}</tr>"
    return f'<table id="{html.text(name)}"><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>'
