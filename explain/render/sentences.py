"""Explanation → plain sentences. Words are named only where the numbers allow it; nothing 'caused' anything.

Every face takes its words from here: page, terminal and, later, reports. The text is raw, so whoever
shows it escapes it.
"""

from __future__ import annotations

import math

import numpy as np

from explain.catalog import Claim
from explain.checks.completeness import FAIL
from explain.methods import methods
from explain.origin import WRITTEN
from explain.reading import Standouts, either_or, standouts
from explain.records import Attribution, Check, Explanation, Prediction, Question, Status, Target
from explain.render import hypotheses

SEVERITY: tuple[Status, ...] = ("fail", "warn", "not checked", "pass", "n/a")
_TITLES: dict[Question, str] = {
    "computed correctly": "Computed correctly?",
    "reacts as the scores say": "Does the model react as the scores say?",
    "robust": "Robust?",
    "agrees with people": "Do people point at the same words?",
}
CANDIDATES = 2
"""Other tokens that are named beside the most likely one."""
_COUNT = {2: "those two words", 3: "those three words"}
_LIMITS = (
    "They do not say what happens if a word is deleted (see ‘without it’), nor that the decision is right.",
    "They do not add up to the decision, and they do not say that it is right.",
)


def percent(share: float) -> str:
    """A share as people read it; never rounded to a certainty that is not there."""
    if share < 0.0005:
        return "under 0.1 %"
    return "over 99.9 %" if share >= 0.9995 else f"{100 * share:.1f} %"


def signed(value: float, digits: int = 2) -> str:
    """A number with its sign, and a real minus; zero has none."""
    shown = f"{value:+.{digits}f}"
    return shown[1:] if not float(shown) else shown.replace("-", "−")


def short(label: str) -> str:
    """A label in a sentence: authors may write as much as they like, sentences do not."""
    return label if len(label) <= 80 else f"{label[:79]}…"


def outcome(target: Target) -> str:
    """What is explained, in a sentence: a label, or one rather than another."""
    return " rather than ".join(map(short, target.name.split(" rather than ", 1)))


def claim(found: Claim) -> str:
    """What a method's claim measured on a model."""
    measured = f"its scores miss the change they should explain by {found.residual:.1%} (median of {found.texts} texts)"
    if found.kept:
        return f"Accepted on this model: {measured}."
    return f"Refused on this model: {measured}; {found.threshold:.0%} is allowed. {found.reason}"


def verdict(explanation: Explanation) -> str:
    """What the model decided, in one sentence."""
    return decided(explanation.prediction, explanation.model.problem)


def decided(prediction: Prediction, problem: str) -> str:
    """A decision in one sentence."""
    if problem == "continuation":
        said = [
            f"{signed(v)} for “{short(n)}”" for n, v in zip(prediction.labels, prediction.logits.tolist(), strict=True)
        ]
        return f"The model gives what follows a log-probability of {listed(said)}."
    if prediction.probs is None:
        numbers = [f"{v:.4g} ({short(n)})" for n, v in zip(prediction.labels, prediction.logits, strict=True)]
        return f"The model answers {listed(numbers)}.".replace("-", "−")
    shares = [f"{short(prediction.labels[i])} ({percent(float(prediction.probs[i]))})" for i in prediction.decision]
    if problem == "multi-label":
        if shares:
            return f"The model finds {listed(shares)}."
        nearest = f"{short(prediction.labels[prediction.top])} with {percent(float(prediction.probs.max()))}"
        return f"The model finds none of its {len(prediction.labels)} labels; the nearest is {nearest}."
    if prediction.answering is not None:
        return _answered(prediction)
    if prediction.left_out:
        rest = [f"{short(name)} ({percent(share)})" for name, share in prediction.ranked(1 + CANDIDATES)[1:]]
        where = "token at the mask" if problem == "masked-token" else "next token"
        return f"The most likely {where} is {shares[0]}, then {listed(rest)}."
    if prediction.tagging is not None:
        tag = prediction.tagging.tags[prediction.tagging.asked]
        return f"The model tags “{short(tag.word)}” as {shares[0]}."
    return f"The model reads this as {listed(shares)}."


def _answered(prediction: Prediction) -> str:
    assert prediction.answering is not None
    best, nothing = prediction.answering.answers[0], prediction.answering.nothing
    none = "" if nothing is None else f"; {percent(nothing)} that the context holds no answer"
    return f"The model answers “{short(best.words)}” ({percent(best.prob)}{none})."


def reasons(explanation: Explanation, index: int = 0) -> str | None:
    """Which words have the largest scores, as far as that may be said. None without an attribution."""
    if index >= len(explanation.attributions):
        return None
    attribution = explanation.attributions[index]
    target = _outcome(explanation, attribution.target)
    if not attribution.signed:
        return f"These scores have no direction: they do not say what speaks for or against {target}."
    checks = [c for c in explanation.checks if c.attribution == index]
    if not {"completeness", "baseline"} <= {c.name for c in checks}:
        return "No word is named before the scores are checked."
    named = standouts(attribution, explanation.checks, index)
    if not named.supporting:
        return f"No single word stands out for {target}.{_against(explanation, index, named, empty='')}"
    first = _words(explanation, index, named.supporting)
    if len(first) == 1:
        start = f"{first[0]} has the largest score for {target}."
    else:
        start = f"Largest scores for {target}: {', '.join(first)}."
    return start + _against(explanation, index, named, empty=" Nothing notable against it." if named.unopposed else "")


def without(explanation: Explanation) -> str | None:
    """What the model says with all named words removed at once. None where no word is named."""
    effects = explanation.effects
    if effects is None or effects.without_named is None:
        return None
    count = len(effects.named)
    what = f"Without {_COUNT[count]}" if count > 1 else f"Without {_words(explanation, 0, effects.named)[0]}"
    if effects.prob_named is not None:
        labels, index = explanation.prediction.labels, explanation.target.index
        if effects.prob_named < 0.5 and either_or(explanation) and (index or 0,) == explanation.prediction.decided:
            other = short(labels[1 - (index or 0)])
            return f"{what}: {other} {percent(1 - effects.prob_named)}, another decision."
        return f"{what}: {outcome(explanation.target)} {percent(effects.prob_named)}."
    unit = explanation.target.unit
    return f"{what}: {signed(effects.without_named)} instead of {signed(effects.value_input)} ({unit})."


def meaning(explanation: Explanation, index: int = 0) -> str:
    """What the scores are, in words made from the numbers, and of which question."""
    return f"{_meaning(explanation, index)} {hypotheses.question(explanation, index)}".rstrip()


def _meaning(explanation: Explanation, index: int) -> str:
    attribution = explanation.attributions[index]
    target = attribution.target
    scalar = f"the {target.unit} of {outcome(target)}"
    known = methods().get(attribution.method)
    if not attribution.signed:
        return f"{known.info.summary if known else 'Sizes only.'} There is no direction: neither for nor against."
    if attribution.value_baseline is None and attribution.baseline is None:
        return f"Each score is a first-order estimate, from the slope at this text, of the word's part in {scalar}."
    if attribution.value_baseline is None and attribution.error is not None:
        source = "random samples" if attribution.error.any() else "all texts that leave some of its words out"
        return f"Each score is estimated from {source}: the word's part in {scalar}, near this text. {_LIMITS[1]}"
    if attribution.value_baseline is None:
        how = "deleted" if attribution.baseline == "remove" else f"replaced by [{(attribution.baseline or '').upper()}]"
        kept = _kept(explanation.prediction) if attribution.baseline == "remove" else ""
        return f"Each score is measured: how far {scalar} falls when that word is {how}{kept}. {_LIMITS[1]}"
    change = attribution.value_input - attribution.value_baseline
    there = said_there(attribution)
    kind = "estimate from random samples the parts of" if attribution.error is not None else "divide up"
    claims = known is not None and "complete" in known.info.axioms
    failed = any(c.name == "completeness" and c.attribution == index and c.status == "fail" for c in explanation.checks)
    if failed or (claims and (attribution.relative_residual or 0.0) > FAIL):  # also where nobody asked for the check
        kind = "should divide up, and do not,"
    return (
        f"Compared with {baseline(attribution)}{there}, these scores {kind} the change of {signed(change)} "
        f"{target.unit}. {_LIMITS[0]}"
    )


def _kept(prediction: Prediction) -> str:
    if prediction.tagging is not None:
        return " (the word with the tag is replaced, since its place must stay)"
    return "" if prediction.answering is None else " (the answer's ends are replaced, since their places must stay)"


def part(explanation: Explanation, segment: int) -> str:
    """What one of several texts is called."""
    if explanation.tokens.roles:
        return f"Message {segment + 1}, {explanation.tokens.roles[segment]}"
    if explanation.model.problem == "continuation":
        return ("Text", *["Written so far"] * (len(explanation.tokens.texts) - 2), "Continuation")[segment]
    named = {"answer-span": ("Question", "Context"), WRITTEN: ("Text", "Written so far")}.get(explanation.model.problem)
    return named[segment] if named else f"Text {segment + 1}"


def sum_up(explanation: Explanation, index: int = 0) -> str:
    """The waterfall's finding: where it starts, what the words add, where it ends."""
    attribution = explanation.attributions[index]
    scores = attribution.scores.astype(float)
    held = " (0 by construction)" if attribution.special == 0 else ""
    start, rest = attribution.value_baseline or 0.0, attribution.residual or 0.0
    return (
        f"From {signed(start)} for the baseline to {signed(attribution.value_input)} for this text: the words add "
        f"{signed(float(scores.sum()))}, special tokens {signed(attribution.special)}{held}, "
        f"unexplained {signed(rest)}."
    )


def questions(explanation: Explanation, index: int = 0) -> list[tuple[str, Status, list[Check]]]:
    """The questions with their worst status and the checks behind it, the worst question first.

    Agreement with people is another matter than matching the model: it is asked only where a person marked words.
    """
    found: list[tuple[str, Status, list[Check]]] = []
    for question, title in _TITLES.items():
        checks = [c for c in explanation.checks if c.question == question and c.attribution == index]
        if question == "agrees with people" and not checks:
            continue
        status: Status = min((c.status for c in checks), key=SEVERITY.index, default="not checked")
        found.append((title, status, sorted(checks, key=lambda c: SEVERITY.index(c.status))))
    return sorted(found, key=lambda entry: SEVERITY.index(entry[1]))


def apart(one: Explanation, two: Explanation) -> str | None:
    """Why the scores of two explanations cannot be subtracted, in a sentence; None where they can."""
    if one.tokens.texts != two.tokens.texts or not one.attributions or not two.attributions:
        return "The texts are not the same, so their words are not set side by side."
    a, b = one.attributions[0], two.attributions[0]
    if not (np.array_equal(a.units, b.units) and np.array_equal(a.unit_segment, b.unit_segment)):
        return "The words are cut in another way, so they are not set side by side."
    if (a.target.name, a.target.unit) != (b.target.name, b.target.unit):
        return (
            f"One explains {a.target.unit} of {outcome(a.target)}, the other {b.target.unit} of {outcome(b.target)}, "
            "so their scores are not subtracted."
        )
    if (a.target.position, a.target.positions) != (b.target.position, b.target.positions):
        return "They explain the answer at different places of the text, so their scores are not subtracted."
    if (a.method, a.baseline) != (b.method, b.baseline):
        return "They were scored by different methods or against different baselines, so scores are not subtracted."
    return None


def baseline(attribution: Attribution) -> str:
    """The text that the words were compared with."""
    name = attribution.baseline
    if name == "zero":
        return "the same text with every word's vector set to zero"
    if attribution.value_baseline is None and name in ("mask", "pad", "unk"):
        return f"this text with words replaced by [{name.upper()}]"
    if name == "remove":
        return "this text without words"
    if name == "mean":
        return "the same text with every word's vector set to the vocabulary's average"
    if name == "text":
        return f"the text “{short(str(attribution.params.get('baseline_text', '')))}” laid over this one"
    if name == "background":
        return "the background texts laid over this one"
    return f"the same text with every word replaced by [{(name or '').upper()}]"


def said_there(attribution: Attribution) -> str:
    """What the model says about the baseline itself, in brackets; '' where that was not computed."""
    value, target = attribution.value_baseline, attribution.target
    if value is None:
        return ""
    if attribution.baseline == "background":  # several texts, of which the model says something each
        return f" (there the model says {signed(value)} {target.unit} on average)"
    if target.has_probability:
        share = 0.5 * (1 + math.tanh(value / 2))
        return f" (the model says {outcome(target)} {percent(share)} there)"
    return f" (the model says {signed(value)} {target.unit} there)"


def _outcome(explanation: Explanation, target: Target) -> str:
    """'it' for what the model decided, else the target's name."""
    plain = target.contrast is None and target.kind != "value" and target.index in explanation.prediction.decided
    return "it" if plain and len(explanation.prediction.decision) == 1 else outcome(target)


def _words(explanation: Explanation, index: int, units: tuple[int, ...]) -> list[str]:
    words = explanation.words(index)
    return [f"“{short(words[u].text)}”" for u in units]


def _against(explanation: Explanation, index: int, named: Standouts, *, empty: str) -> str:
    if not named.opposing:
        return empty
    return f" Against: {', '.join(_words(explanation, index, named.opposing))}."


def listed(parts: list[str]) -> str:
    """Parts of a sentence with commas between them, and an ‘and’ before the last."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
