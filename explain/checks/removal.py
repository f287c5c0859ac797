"""Does the model react as the scores say? Take words out in the order of their scores, and watch.

Comprehensiveness: taking out the words with the highest scores first should move the target more than
taking words out in random orders does. Sufficiency: keeping only them should move it less (DeYoung et
al. 2020, ERASER). Both are averaged over the curve (AOPC), on log-odds and on probability, with words
replaced by the mask token and deleted: four measurements (two where there is no probability), of which the
weakest counts. One in which all orders do equally well (a probability that stays at 1) tells nothing, has no percentile
and is left out. Both checks share one sample: sufficiency of an order is comprehensiveness of its reverse.
The areas under the same curves are the deletion and insertion scores of Petsiuk, Das & Saenko (2018), here without the
empty text, which no order reaches; they stand in the details.
The yardstick is random orders, since raw values can look better on stranger texts (Chrysostomou & Aletras
2022); the order by leave-one-out is a second yardstick.

A curve has up to 20 points where a verdict is given. At the first look, with too few orders for one, it has 8: that
moves a percentile between 0.2 and 0.8 by 0.05 on average (14 development sentences with 14 to 30 words), about half of
what 20 orders leave open by chance, and saves more than half of the time.

Few words: up to 2 there is nothing to order; up to 6 all orders are compared exactly; beyond that, at
least 200 random orders are drawn before the check may pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64, Int, Int64
from scipy.special import stdtrit

from explain.case import Case, Replacement, Steps
from explain.checks import Found, check
from explain.coalitions import Sets, coalition_values
from explain.effects import probability
from explain.records import NORMAL, Attribution, Check, Status

ENOUGH, EXACT = 200, 6
POINTS, FIRST_LOOK = 20, 8
PASS, FAIL = 0.95, 0.5
TIED = 0.5
"""What an order counts that is neither better nor worse than ours."""
HOW: tuple[Replacement, ...] = ("mask", "remove")
BLOCK = 2**25
"""Sets times words that are laid out at once; orders beyond that wait their turn."""
Curves = dict[tuple[str, str], tuple[Float64[np.ndarray, "R K"], Float64[np.ndarray, "R K"]]]


def _cost(units: int, orders: int, method: tuple[int, int]) -> tuple[int, int]:
    """Each order (and its reverse, which asks about the same sets) at every point, in each way; no set twice.

    Where words are deleted, half of the text is read on average.
    """
    sets = min((orders + 4) * max(0, min(_points(orders), units - 1)), 2 ** min(units, 30))
    return (sets + sets // 2, 0)


@check(
    stage="Taking words out",
    order=20,
    cost=_cost,
    question="reacts as the scores say",
    cite="DeYoung et al. 2020, arXiv:1911.03429; Petsiuk, Das & Saenko 2018, arXiv:1806.07421",
)
def removal(case: Case, attribution: Attribution, found: Found) -> Steps[tuple[Check, ...]]:
    """Comprehensiveness and sufficiency, as percentiles among random orders.

    Of a context that is read in one window, orders are of the words in it: the others change nothing, so scores that
    only know which words are read would beat every random order.
    """
    read = case.read  # (M,)
    if len(read) <= 2:
        sentence = "With one or two words there is no order to compare."
        return tuple(
            Check(name, 0, "reacts as the scores say", "n/a", sentence) for name in ("comprehensiveness", "sufficiency")
        )
    orders, exact = _orders(case, attribution.scores[read])  # (1 + R, M), ours first
    loo = None if found.effects is None else np.argsort(found.effects.without[read], kind="stable")
    if loo is not None:
        orders = np.concatenate([orders, loo[None].astype(orders.dtype)])
    ks, curves = yield from drops(case, orders, _points(case.orders))

    def verdict(name: str, which: int, better: int, claim: str) -> Check:
        rows, beaten = [], []
        area, value = ("deletion", "insertion")[which], attribution.value_input
        for (scale, how), both in curves.items():
            curve = both[which]  # (R, K)
            full = float(probability(value)) if scale == "probability" else value
            aopc = curve.mean(1)  # (R,)
            ours, random = aopc[0], aopc[1 : len(aopc) - (loo is not None)]
            beaten.append(_beaten(better * ours, better * random))
            rows.append(
                {
                    "scale": scale,
                    "replacement": "deletion" if how == "remove" else case.filler(how)[0],
                    "ours": float(ours),
                    "random": float(random.mean()),
                    "leave_one_out": None if loo is None else float(aopc[-1]),
                    "percentile": float(beaten[-1].mean()) if (beaten[-1] != TIED).any() else None,
                    "curve": curve[0].tolist(),
                    "random_curve": curve[1 : 1 + len(random)].mean(0).tolist(),
                    f"{area}_area": _area(full, curve[0], ks, len(read), which),
                    f"random_{area}_area": _area(full, curve[1 : 1 + len(random)].mean(0), ks, len(read), which),
                }
            )
        telling = [one for one, row in zip(beaten, rows, strict=True) if row["percentile"] is not None]
        if not telling:
            sentence = "Whichever words go first, the decision moves equally far, so no order is better than another."
            return Check(name, 0, "reacts as the scores say", "n/a", sentence)
        weakest = min(telling, key=lambda one: float(one.mean()))
        share, n = float(weakest.mean()), len(weakest)
        low, high = (share, share) if exact else _interval(weakest)
        status, sentence = _judge(share, n, exact, high, f"{claim} than", f"weakest of {_counted(telling, beaten)}")
        details: dict[str, Any] = {"orders": n, "exact": exact, "removed": ks.tolist(), "measurements": rows}
        return Check(
            name, 0, "reacts as the scores say", status, sentence, share, 0.5, (low, high), PASS, details=details
        )

    return (
        verdict("comprehensiveness", 0, 1, "Taking words out, highest score first, moves the decision further"),
        verdict("sufficiency", 1, -1, "Keeping only the words with the highest scores moves the decision less"),
    )


def _points(orders: int) -> int:
    """The most points of a curve, for so many random orders."""
    return POINTS if orders >= ENOUGH else FIRST_LOOK


def _orders(case: Case, scores: Float32[np.ndarray, "M"]) -> tuple[Int[np.ndarray, "R M"], bool]:
    """Our order, then the random ones (in pairs of an order and its reverse) or, for short texts, all others."""
    n = len(scores)
    ours = np.argsort(-scores, kind="stable")
    if n <= EXACT:
        return np.array([ours, *(p for p in permutations(range(n)) if p != tuple(ours.tolist()))]), True
    rng = np.random.default_rng([case.seed, n])
    found = np.empty((1 + 2 * ((case.orders + 1) // 2), n), dtype=np.int32)
    found[0] = ours
    for i in range(1, len(found), 2):
        found[i] = rng.permutation(n)
        found[i + 1] = found[i, ::-1]
    return found, False


def drops(case: Case, orders: Int[np.ndarray, "R M"], points: int) -> Steps[tuple[Int64[np.ndarray, "K"], Curves]]:
    """How far the target falls when the first k words of each order are taken out, and when only they are kept.

    `orders` are of the units that are read (`Case.read`); the others stay as they are.

    Returns the k, at most `points` of them, and both curves by (scale, how). The scale is log-odds and probability
    where there is one, else the target's own unit; how is mask or remove. The means of a curve are comprehensiveness
    and sufficiency (AOPC).
    """
    n, read = orders.shape[1], case.read
    ks = np.unique(np.linspace(1, n - 1, min(points, n - 1)).round().astype(int))
    curves: Curves = {}
    for how in HOW:
        values = yield from coalition_values(case, _whole(_sets(orders, ks), read, case.n_units), how)  # (1 + 2·R·K,)
        full, (first, kept) = values[0], values[1:].reshape(2, len(orders), len(ks))
        curves[case.target.unit, how] = full - first, full - kept
        if case.target.has_probability:
            p = probability(full)
            curves["probability", how] = p - probability(first), p - probability(kept)
    return ks, curves


def _whole(sets: Iterator[Sets], read: Int64[np.ndarray, "M"], n: int) -> Iterator[Sets]:
    """Sets (., M) of the units that are read as sets (., U) of all, in which the others stay."""
    for some in sets:
        if len(read) == n:
            yield some
        else:
            every = np.ones((len(some), n), dtype=bool)
            every[:, read] = some
            yield every


def _sets(orders: Int[np.ndarray, "R M"], ks: Int64[np.ndarray, "K"]) -> Iterator[Sets]:
    """Which of the read words stay: all; those left when the first k of each order are out; the first k alone."""
    n = orders.shape[1]
    yield np.ones((1, n), dtype=bool)
    together = max(1, BLOCK // (len(ks) * n))
    for left in (True, False):
        for at in range(0, len(orders), together):
            places = np.argsort(orders[at : at + together], axis=1)  # (r, M), of each unit in an order
            yield ((places[:, None, :] < ks[None, :, None]) != left).reshape(-1, n)  # (r·K, M)


def _area(full: float, falls: Float64[np.ndarray, "K"], ks: Int64[np.ndarray, "K"], n: int, which: int) -> float:
    """Mean height of the target while words are taken out (`which` 0) or put in (1), by the trapezoid rule.

    The unchanged text begins the first curve, with no word out, and ends the second, with all `n` in.
    """
    at = 0 if which == 0 else len(ks)
    places, falls = np.insert(ks, at, 0 if which == 0 else n), np.insert(falls, at, 0.0)
    return float(np.trapezoid(full - falls, places) / (places[-1] - places[0]))


def _beaten(ours: float, random: Float64[np.ndarray, "R"]) -> Float64[np.ndarray, "R"]:
    """1 for each random order that ours beats, 1/2 for a tie, else 0; the mean is ours as a percentile."""
    return np.where(np.isclose(random, ours, rtol=1e-5, atol=1e-6), TIED, random < ours)


def _interval(beaten: Float64[np.ndarray, "R"]) -> tuple[float, float]:
    """95 % interval of the mean of `beaten`, which comes in pairs of an order and its reverse.

    Pairs are drawn independently, the two of one are not: of a sum, an order loses what its reverse gains; of words
    that count only together, both lose alike. So P pairs are P draws, of mean m and scatter s². They are worth as many
    independent draws of 0 or 1 as have the same error, m(1 − m) / (s²/P) (Kish 1965), fewer by the square of Student's
    quantile over the normal one, since s² is estimated (Korn & Graubard 1998), and at most 2P. Where all or none are
    beaten, so that nothing is known of s², they are worth P. The interval is Wilson's of so many.
    """
    pairs = beaten.reshape(-1, 2).mean(1)  # (P,)
    count, share = len(pairs), float(pairs.mean())
    scatter = float(pairs.var(ddof=1)) / count if count > 1 else 0.0
    if share in (0.0, 1.0) or count < 2:
        return _wilson(share, count)
    wide = NORMAL / float(stdtrit(count - 1, 0.975))
    return _wilson(share, min(2.0 * count, wide**2 * share * (1 - share) / scatter if scatter else np.inf))


def _wilson(share: float, n: float) -> tuple[float, float]:
    """95 % interval of a share by Wilson's score method (1927)."""
    z2 = NORMAL**2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = NORMAL / (1 + z2 / n) * float(np.sqrt(share * (1 - share) / n + z2 / (4 * n * n)))
    return max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half))  # whatever is rounded


def _counted(telling: list[Any], every: list[Any]) -> str:
    """How many measurements were judged, and how many could not be, since all orders did equally well in them."""
    mute = len(every) - len(telling)
    said = f"{len(telling)} measurement{'' if len(telling) == 1 else 's'}"
    return said + (f"; {mute} that cannot tell orders apart left out" if mute else "")


def _judge(share: float, n: int, exact: bool, high: float, claim: str, where: str) -> tuple[Status, str]:
    kind = f"of the {n} other orders" if exact else f"of {n} random orders"
    sentence = f"{claim} {100 * share:.0f} % {kind} ({where})."
    if exact or n >= ENOUGH:
        return ("pass" if share >= PASS else "fail" if share <= FAIL else "warn"), sentence
    if high < FAIL:
        return "warn", sentence + f" That is below chance; {ENOUGH} orders give a verdict."
    return "not checked", sentence + f" {ENOUGH} orders are needed for a verdict."
