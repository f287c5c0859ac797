"""How often do scores dealt to the words at random pass the checks of 'does the model react as the scores say?'

    python -m tests.benchmarks.chance path/to/dev.tsv [--start 1] [--texts 40] [--deals 200]

Every second sentence of 4 to 10 words, from `start` on. Of so short a text all 2^n sets of words can be taken out, so
that every order is looked up instead of asked for. Printed are the rates at which comprehensiveness, sufficiency (the
weakest of their four measurements, against 200 random orders, or all of up to 6 words), leave-one-out and infidelity
pass, alone and together, for random deals of the scores and for the scores themselves.
"""

from __future__ import annotations

import argparse
from itertools import permutations
from pathlib import Path

import numpy as np
from scipy.stats import rankdata

import explain
from explain.case import Case
from explain.checks.infidelity import SETS, _correlation
from explain.checks.leave_one_out import DEALS, _signs, _tau
from explain.checks.removal import ENOUGH, EXACT, PASS
from explain.coalitions import coalition_values
from explain.effects import probability
from explain.engine import Model
from tests.cases import case_of, run

NAMES = ("comprehensiveness", "sufficiency", "leave one out", "infidelity")


def percentiles(model: Model, case: Case, deals: np.ndarray) -> np.ndarray:
    """(4, N): what each check would answer to each of the score vectors `deals` (N, U)."""
    n = case.n_units
    removed = (np.arange(2**n)[:, None] >> np.arange(n)) % 2 == 1  # (2^n, U), row s takes out the bits of s
    values = {how: run(model, coalition_values(case, ~removed, how)) for how in ("mask", "remove")}  # type: ignore[arg-type]
    rng = np.random.default_rng([case.seed, n])
    drawn = [o for _ in range(ENOUGH // 2) for p in [rng.permutation(n)] for o in (p, p[::-1])]
    random = np.array(list(permutations(range(n))) if n <= EXACT else drawn)
    orders = np.concatenate([np.argsort(-deals, axis=1, kind="stable"), random])
    first = np.cumsum(1 << orders, axis=1)[:, :-1]  # (R, K): the set that is out after k words
    answers = []
    for sign, sets in ((1, first), (-1, 2**n - 1 - first)):
        aopc = [sign * (v[0] - v[sets]).mean(1) for w in values.values() for v in (w, probability(w))]
        answers.append(np.min([_share(a[: len(deals)], a[len(deals) :]) for a in aopc], axis=0))
    alone = values["remove"][0] - values["remove"][1 << np.arange(n)]
    many = np.array([rng.permutation(deals[0]) for _ in range(DEALS)])
    fell = _signs(alone)
    answers.append(_share(*(np.array([_tau(_signs(s), fell) for s in some]) for some in (deals, many))))
    some = rng.integers(1, 2**n - 1, SETS)
    falls = values["mask"][0] - values["mask"][some]
    answers.append(_share(*(_correlation(d @ removed[some].T, falls) for d in (deals, many))))
    return np.array(answers)


def _share(ours: np.ndarray, random: np.ndarray) -> np.ndarray:
    """Share of `random` that each of `ours` beats; ties count half."""
    ranks = rankdata(np.round(np.concatenate([random, ours]), 6))[len(random) :]
    return (ranks - rankdata(np.round(ours, 6))) / len(random)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--start", type=int, default=1)
    parser.add_argument("--texts", type=int, default=40)
    parser.add_argument("--deals", type=int, default=200)
    options = parser.parse_args()
    lines = [line.split("\t")[0] for line in options.data.read_text("utf-8").splitlines()[1:]]
    model, found = explain.load("sentiment"), []
    for i, text in list(enumerate(lines))[options.start :: 2]:
        case = case_of(model, text)
        if 4 <= case.n_units <= 10 and len(found) < options.texts:
            scores = model.explain(text, checks=()).attributions[0].scores.astype(float)
            rng = np.random.default_rng([i, 7])
            dealt = [rng.permutation(scores) for _ in range(options.deals)]
            found.append(percentiles(model, case, np.array([scores, *dealt])) >= PASS)
            print(f"\r{len(found)} texts", end="", flush=True)
    passed = np.array(found)  # (texts, 4, 1 + deals)
    print(f"\n{'passes':<32} dealt at random   the scores themselves")
    rows = [(name, passed[:, k]) for k, name in enumerate(NAMES)]
    rows += [("the first three together", passed[:, :3].all(1)), ("all four together", passed.all(1))]
    for name, flags in rows:
        print(f"{name:<32} {flags[:, 1:].mean():>14.2%}   {flags[:, 0].mean():.0%}")


if __name__ == "__main__":
    main()
