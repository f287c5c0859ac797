"""Beam search: the likeliest continuation that is found by keeping several beginnings at a time.

After each step the `width` beginnings of the highest log-probability go on. One that the model ends is set aside if it
is among the `width` best of its step, as transformers does; of those set aside and those that were never ended the one
with the highest log-probability per token is the answer, the token that ends a text counted. Nothing is drawn, and of
equals the first one in the order of beams and token ids wins.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64, Int64


@dataclass(frozen=True, eq=False)
class Beam:
    """One beginning: the tokens written so far, with each one's log-probability and its place among all, from 1.

    `total` is the log-probability of all of it, that of its end included where the model `ended` it. `forced` tokens
    stood before it that nothing was decided about; they count as tokens of log-probability 0.
    """

    ids: tuple[int, ...] = ()
    found: tuple[tuple[float, int], ...] = ()
    total: float = 0.0
    ended: bool = False
    forced: int = 0

    @property
    def score(self) -> float:
        """Log-probability per token."""
        return self.total / max(1, self.forced + len(self.ids) + self.ended)


def search(
    read: Callable[[Sequence[Int64[np.ndarray, "T"]]], Float64[np.ndarray, "B V"]],
    start: Int64[np.ndarray, "T"],
    *,
    width: int,
    most: int,
    ends: Collection[int],
    forced: int = 0,
    cut: bool = False,
) -> Beam:
    """The best of the continuations found, at most `most` tokens long.

    Args:
        read: log-probabilities of every token behind each of several texts of equal length.
        start: the prompt.
        width: beginnings that are kept.
        most: steps.
        ends: tokens of which each ends a text.
        forced: tokens at the end of the prompt that a model is made to begin with.
        cut: whether a text that is not ended before the last step is ended there, whatever the model says.
    """
    running, ended = [Beam(forced=forced)], list[Beam]()
    for step in range(1, most + 1):
        if cut and step == most:
            ended += [replace(beam, ended=True) for beam in running]
            running = []
            break
        logp = read([np.append(start, np.array(beam.ids, dtype=np.int64)) for beam in running])  # (B, V)
        totals = np.array([beam.total for beam in running])[:, None] + logp  # (B, V)
        order = np.argsort(-totals, axis=None, kind="stable")[: width + len(ends) * len(running)]
        grown: list[Beam] = []
        for place, (b, token) in enumerate(divmod(int(i), logp.shape[1]) for i in order):
            beam, total = running[b], float(totals[b, token])
            best = place < width
            if token in ends:
                if best:
                    ended.append(replace(beam, total=total, ended=True))
            elif len(grown) < width and (best or step < most):  # at the last step nothing takes an ended one's place
                rank = int((logp[b] > logp[b, token]).sum()) + 1
                found = (*beam.found, (float(logp[b, token]), rank))
                grown.append(replace(beam, ids=(*beam.ids, token), found=found, total=total))
        running = grown
        if running and len(ended) >= width and running[0].score <= min(_best(ended, width)):
            break  # as it stands, nothing that goes on is better than what was ended
    return max([*ended, *running], key=lambda beam: beam.score)


def _best(beams: Sequence[Beam], count: int) -> list[float]:
    return sorted((beam.score for beam in beams), reverse=True)[:count]
