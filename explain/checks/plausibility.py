"""Do the scores point at the words that a person marked as the reason?

Agreement with people says nothing about the model: a model may decide by other words than people would, and then the
scores that show it are right and implausible (Jacovi & Goldberg 2020). So this has a question of its own, is never
merged with the others, and never fails. Measured as ERASER does (DeYoung et al. 2020), by word: the area under the
precision-recall curve of the scores (as average precision, which does not interpolate), and, for as many words as the
person marked, F1 and intersection over union. The yardstick is the same scores dealt to the words at random.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float64

from explain.case import Case, Steps
from explain.checks import Found, check
from explain.checks._compare import dealt, percentile
from explain.records import Attribution, Check, Question, Status
from explain.spans import Span
from explain.units import Units

PASS = 0.95


@check(
    stage="Comparing with the marked words",
    order=7,
    question="agrees with people",
    cite="DeYoung et al. 2020, arXiv:1911.03429",
)
def plausibility(case: Case, attribution: Attribution, found: Found) -> Steps[tuple[Check, ...]]:
    """Average precision of the scores for the words that a person marked; only where somebody marked some.

    Not where a sentence or phrase that is scored as one among words was marked in part: it is neither marked nor not.
    """
    yield from ()
    if not case.rationale:
        return ()
    question: Question = "agrees with people"
    read = case.read
    marked = _marked(case.units, case.rationale)[read]  # (M,)
    k, n, what = int(marked.sum()), len(read), _named(case)
    sentence = ""
    if not 0 < k < n:
        sentence = f"Either all {what} that the model reads are marked or none is, so there is nothing to tell apart."
    elif case.granularity == "word" and _in_part(case):
        sentence = (
            "Of what is scored as a whole, a sentence or a phrase, only some words are marked, so its one score is "
            "neither that of marked words nor that of others. Mark all of it, or score word by word."
        )
    if sentence:
        return (Check("plausibility", 0, question, "n/a", sentence),)
    scores = attribution.scores[read].astype(float)
    chosen = np.argsort(-scores, kind="stable")[:k]
    hits = int(marked[chosen].sum())
    value = average_precision(scores, marked)
    random = np.array([average_precision(d, marked) for d in dealt(scores, np.random.default_rng([case.seed, n]))])
    share = percentile(value, random)
    status: Status = "pass" if share >= PASS else "warn"
    best = percentile(float(random.max()), random)  # of scores that are equal, no deal may
    if best < PASS:
        status = "not checked"
    sentence = (
        f"A person marked {k} of {n} {what}; {hits} of the {k} largest scores {'is' if hits == 1 else 'are'} on them, "
        f"and the scores rank them higher than {100 * share:.0f} % of random deals do. This is agreement with a "
        "person, which says nothing about what the model does."
    )
    if status == "not checked":
        sentence += f" With so few different {what} no order could pass."
    details = {
        "percentile": share,
        "f1": hits / k,
        "iou": hits / (2 * k - hits),
        "marked": read[marked].tolist(),
    }
    return (
        Check(
            "plausibility", 0, question, status, sentence, value, float(random.mean()), threshold=None, details=details
        ),
    )


def _marked(units: Units, rationale: tuple[Span, ...]) -> Bool[np.ndarray, "U"]:
    """Units that share a character with something that was marked."""
    found = np.zeros(len(units.spans), dtype=bool)
    for segment, start, end in rationale:
        inside = (units.spans[:, 0] < end) & (units.spans[:, 1] > start)
        found |= inside & (units.segment == segment)
    return found


def _in_part(case: Case) -> bool:
    """Whether a unit holds marked words and others, of which punctuation is none."""
    words, text = case.encoding.units("word"), case.tokens.texts
    marked = _marked(words, case.rationale)  # (W,)
    places = zip(words.segment.tolist(), words.spans.tolist(), strict=True)
    plain = ~marked & [any(map(str.isalnum, text[i][start:end])) for i, (start, end) in places]
    scored = case.units.of_token >= 0  # (T,)
    unit, word = case.units.of_token[scored], words.of_token[scored]
    return bool(np.isin(unit[marked[word]], unit[plain[word]]).any())


def _named(case: Case) -> str:
    if case.granularity == "word":
        return "words" if case.n_units == len(case.encoding.units("word").spans) else "parts"
    return f"{case.granularity}s"


def average_precision(scores: Float64[np.ndarray, "U"], marked: Bool[np.ndarray, "U"]) -> float:
    """Σ (recall gained at a threshold) · (precision there), over all distinct scores as thresholds."""
    thresholds = np.unique(scores)[::-1]
    above = scores[None, :] >= thresholds[:, None]  # (K, U)
    hits = (above & marked).sum(1)
    gained = np.diff(hits, prepend=0) / marked.sum()
    return float((gained * hits / above.sum(1)).sum())
