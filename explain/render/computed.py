"""Explanation → how it was computed, as labels and values that a reader needs to repeat it; raw, as sentences are."""

from __future__ import annotations

from explain.records import Attribution, Explanation
from explain.render.sentences import baseline, listed, outcome, percent, said_there, short, signed
from explain.units import RULES

TEMPLATE = 4_000
"""Characters that are shown of a conversation as its template writes it."""


def how(explanation: Explanation, index: int = 0) -> list[tuple[str, str]]:
    """How it was computed, as label and value: all that a reader needs to repeat it."""
    model, made = explanation.model, explanation.provenance
    rows = [
        ("Model", f"{model.id} @ {model.revision[:12]}"),
        ("Weights", f"SHA-256 {model.weights_sha256[:16]}… · {model.licence or 'licence not stated'}"),
        ("Explained", f"{explanation.target.unit} of {outcome(explanation.target)}{_at(explanation)}"),
        *_among(explanation),
    ]
    if index < len(explanation.attributions):
        rows += _method(explanation.attributions[index])
    for other, attribution in enumerate(explanation.attributions):
        if other != index:
            rows += [(f"Beside it: {name.lower()}", value) for name, value in _method(attribution)]
    checks = sorted({c.name for c in explanation.checks if c.attribution == index})
    return [
        *rows,
        ("Units", _units(explanation, index)),
        ("Computed in", f"{made.dtype} · {made.kernel} · {made.device} · {made.threads} thread(s)"),
        ("Seed", str(made.seed)),
        ("Checks", ", ".join(checks) or "none"),
        ("Warnings", ", ".join(n.code.replace("_", " ") for n in explanation.warnings) or "none"),
        ("Time", f"{made.created.split('.')[0].replace('T', ' ')} UTC · {made.seconds:.1f} s"),
        ("Versions", " · ".join(f"{name} {number}" for name, number in made.versions.items())),
    ]


def _units(explanation: Explanation, index: int) -> str:
    """What was scored: words, tokens or sentences, and how many sentences as a whole where words are scored too."""
    if index >= len(explanation.attributions):
        return RULES["word"]
    whole, rule = sum(word.whole for word in explanation.words(index)), explanation.attributions[index].granularity
    return f"{RULES[rule]}; as a whole: {whole} sentence{'s' * (whole != 1)}" if whole else RULES[rule]


def _at(explanation: Explanation) -> str:
    """The token that the answer is read at, where the text asks about one of its places."""
    target, strings = explanation.target, explanation.tokens.strings
    places = dict.fromkeys(target.positions if target.span else () if target.position is None else (target.position,))
    if not places:
        return ""
    return f", at token{'s' if len(places) > 1 else ''} {listed([f'{place} ({strings[place]})' for place in places])}"


def _among(explanation: Explanation) -> list[tuple[str, str]]:
    """The labels that were given to choose among, and how each was asked about; a conversation in its template."""
    asked, whole = explanation.candidates, explanation.tokens.rendered
    if whole is not None:
        return [("Read as", whole if len(whole) <= TEMPLATE else f"{whole[:TEMPLATE]}…")]
    if asked is None:
        return []
    how = "each by itself: entailment against contradiction" if asked.apart else "one of them: by their entailment"
    return [("Labels given", f"{'; '.join(map(short, asked.labels))} ({how})"), ("Asked as", short(asked.template))]


def _method(attribution: Attribution) -> list[tuple[str, str]]:
    given = {k: short(v) if isinstance(v, str) else v for k, v in attribution.params.items() if v != ""}
    options = ", ".join(f"{k} {v:g}" if isinstance(v, float) else f"{k} {v}" for k, v in given.items())
    spent = attribution.evaluations
    rows = [("Method", attribution.method.replace("_", " ") + (f" ({options})" if options else ""))]
    if attribution.baseline is not None:
        rows.append(("Baseline", baseline(attribution) + said_there(attribution)))
    if attribution.relative_residual is not None:
        of = "of the change" if attribution.scale_rule == "difference" else "of the scores’ scale"
        share = percent(attribution.relative_residual)
        rows.append(("Unexplained", f"{signed(attribution.residual or 0.0, 4)} ({share} {of})"))
    return [*rows, ("Cost", f"{spent.backward:,} gradient and {spent.forward:,} forward evaluations")]
