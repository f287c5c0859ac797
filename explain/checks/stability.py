"""Does a slip of the pen change the story? The text is edited a little, and explained again.

Two kinds of edit that leave the decision as it is: a typing slip (two neighbouring letters inside a word change
places), and the model's nearest word (the word whose vector lies nearest by cosine stands in: no thesaurus, near
words may differ in meaning). Neither touches the three words with the largest scores. Ivankay et al. 2022 search for
the edits that hurt most and find some for every method; these here are not searched for, so the worst of them is a
mild case of the worst there is. `value` is the lowest rank correlation of the scores before and after; the yardstick
is what 95 % of random deals of that edited text's scores stay below.

The largest score elsewhere, or an order unlike, warns; both together fail.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from explain.case import Case, Steps
from explain.checks import Found, check
from explain.checks._compare import dealt, rank_correlation, same_top, top, word
from explain.errors import InputError
from explain.methods import find
from explain.records import Attribution, Check, Status

SPARED, EACH, TRIES, NEAR = 3, 4, 8, 20
"""Words that are left alone; edits of each kind; texts tried for each kind; neighbours looked at for a word."""
PASS = 0.7
"""Frozen with `sentiment` on eight development sentences of SST-2 (every second, of 6 to 18 words)."""
Edit = tuple[str, int, str]
"""Kind (slip or near), unit, and what is written instead."""


@check(
    stage="Explaining edited texts",
    order=40,
    default=False,
    question="robust",
    cite="Ivankay et al. 2022, arXiv:2206.03178",
    cost=lambda units, orders, method: (
        2 * EACH * min(1, max(0, units - SPARED)) * (method[0] + 1),
        2 * EACH * min(1, max(0, units - SPARED)) * method[1],
    ),
)
def stability(case: Case, attribution: Attribution, found: Found) -> Steps[tuple[Check, ...]]:
    """Lowest rank correlation of the scores under typing slips and near words that leave the decision as it is."""
    method = find(attribution.method)
    params = method.configured(attribution.params)
    read, rows = case.read, []  # (M,)
    ours = attribution.scores[read].astype(float)
    for (kind, unit, instead), other in _edited(case, attribution):
        again = yield from method.fn(other, params)
        rows.append(
            {
                "kind": kind,
                "word": word(case, unit),
                "instead": f"“{instead}”",
                "texts": list(other.texts),
                "rank_correlation": float(rank_correlation(ours, again.scores[read].astype(float))),
                "same_top": same_top(attribution, again),
                "scores": again.scores.tolist(),
            }
        )
    if not rows:
        sentence = "No word outside the three largest scores could be edited without another decision or another count."
        if case.retold(case.texts).n_units != case.n_units:
            sentence = (
                "Phrases, and sentences that are scored whole, are not followed into edited texts, so there is nothing "
                "to compare."
            )
        return (Check("stability", 0, "robust", "n/a", sentence),)
    worst = min(rows, key=lambda row: (row["same_top"], row["rank_correlation"]))
    unlike = min(rows, key=lambda row: row["rank_correlation"])
    lowest, again_scores = unlike["rank_correlation"], np.array(unlike["scores"], dtype=float)[read]
    random = rank_correlation(ours, dealt(again_scores, np.random.default_rng([case.seed, case.n_units])))
    chance = float(np.quantile(random, 0.95))
    moved = sum(not row["same_top"] for row in rows)
    alike = lowest >= PASS and lowest > chance
    status: Status = "pass" if alike and not moved else "fail" if moved and lowest <= chance else "warn"
    slips = sum(row["kind"] == "slip" for row in rows)
    stays = f"stays on {word(case, top(attribution))}" if not moved else f"moves to another word in {moved} of them"
    sentence = (
        f"Over {_count(len(rows), 'small edit')} that keep the decision ({_count(slips, 'typing slip')}, "
        f"{_count(len(rows) - slips, 'word')} exchanged for the nearest one the model knows) the largest score "
        f"{stays}, and the order of the scores agrees to {lowest:.2f} or better (1 is the same order; chance reaches "
        f"{chance:.2f}). The worst edit writes {worst['instead']} for {worst['word']}."
    )
    details = {"edits": rows, "worst": worst, "moved": moved}
    return (Check("stability", 0, "robust", status, sentence, lowest, chance, threshold=PASS, details=details),)


def _count(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def _edited(case: Case, attribution: Attribution) -> Iterator[tuple[Edit, Case]]:
    """Up to `EACH` edits of each kind that keep the decision and the count of words, one a word that is read."""
    order = np.argsort(-np.abs(attribution.scores), kind="stable")[SPARED:]
    order = order[np.isin(order, case.read)]
    free = np.random.default_rng([case.seed, case.n_units]).permutation(order).tolist()
    for edits in (_slips(case, free), _near(case, order[::-1].tolist())):
        done: set[int] = set()
        for tried, edit in enumerate(edits):
            if tried >= TRIES * (1 + (edit[0] == "near")) or len(done) == EACH:
                break
            other = None if edit[1] in done else _retold(case, edit)
            if other is not None:
                done.add(edit[1])
                yield edit, other


def _slips(case: Case, units: list[int]) -> Iterator[Edit]:
    """Two inner neighbouring letters swapped, at a place drawn at random."""
    rng = np.random.default_rng([case.seed, len(units)])
    for unit in units:
        text = word(case, unit)[1:-1]
        places = [i for i in range(1, len(text) - 2) if text[i] != text[i + 1]]
        if text.isalpha() and places:
            i = int(rng.choice(places))
            yield "slip", unit, text[:i] + text[i + 1] + text[i] + text[i + 2 :]


def _near(case: Case, units: list[int]) -> Iterator[Edit]:
    """Other words with the nearest vectors, for words that are one token."""
    for unit in units:
        text, tokens = word(case, unit)[1:-1], np.flatnonzero(case.units.of_token == unit)
        if len(tokens) != 1 or not text.isalpha():
            continue
        found = [near.strip() for near in case.nearest(int(case.tokens.ids[tokens[0]]), NEAR)]
        fitting = [near for near in found if near.isalpha() and len(near) > 1 and near.lower() != text.lower()]
        yield from (("near", unit, near.capitalize() if text.istitle() else near) for near in fitting[:2])


def _retold(case: Case, edit: Edit) -> Case | None:
    """The edited text with the same target; None if the model reads other words there, or decides otherwise."""
    kind, unit, instead = edit
    texts, (start, end) = list(case.texts), case.units.spans[unit].tolist()
    at = int(case.units.segment[unit])
    texts[at] = texts[at][:start] + instead + texts[at][end:]
    try:
        other = case.retold(tuple(texts))
    except InputError:
        return None
    if other.n_units != case.n_units or other.prediction.decided != case.prediction.decided:
        return None
    if len(other.encoding.places) != len(case.encoding.places):  # of an entity that has other words now
        return None
    if kind == "near":  # a word of the vocabulary stays one token, and no other token changes
        mine = case.units.of_token == unit
        if len(other.tokens.ids) != len(mine) or (case.tokens.ids != other.tokens.ids)[~mine].any():
            return None
    return replace(other, target=case.target)
