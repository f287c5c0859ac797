"""What kind of head is it? One number a head, from where it looks in this text.

Entropy and distance after Clark et al. 2019 and Vig & Belinkov 2019; previous-token, duplicate and induction scores
after Olsson et al. 2022. A head may look like something on one text and not on the next: these are descriptions of
this text, and a high score is no proof of a function.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Float64, Int
from scipy.special import entr

MEANING = {
    "entropy": "how widely a head looks: 0 on one token, 1 evenly on all that it may see",
    "distance": "how far it looks, in tokens, on average",
    "special": "share of its weight on special tokens, which often means that it does nothing",
    "itself": "share of weight on the token itself",
    "previous": "share of weight on the token before",
    "duplicate": "share of weight on earlier copies of the same token, where there are some",
    "induction": "share of weight on the token after an earlier copy, where there are some",
}


def statistics(
    weights: Float[np.ndarray, "H T T"],
    special: Bool[np.ndarray, "T"],
    ids: Int[np.ndarray, "T"],
    seen: Bool[np.ndarray, "T T"] | None = None,
) -> dict[str, Float64[np.ndarray, "H"]]:
    """Each quantity of `MEANING` for every head of a layer, averaged over the queries that are no special tokens.

    A quantity that no query has is left out: copies where nothing repeats, entropy where a query sees one token only.
    `seen` is what each query may look at; None: all that has any weight.
    """
    tokens = weights.shape[-1]
    ask = ~special if (~special).any() else np.ones(tokens, dtype=bool)  # queries that count
    place = np.arange(tokens)
    visible = ((weights > 0).any(0) if seen is None else seen).sum(-1)  # (T,): how many tokens a query may see
    choice = ask & (visible > 1)  # queries that could look more or less widely
    far = np.abs(place[:, None] - place[None, :]).astype(np.float64)  # (T, T)
    copies = (ids[:, None] == ids[None, :]) & (place[None, :] < place[:, None])  # earlier ones
    after = np.zeros_like(copies)
    after[:, 1:] = copies[:, :-1]  # the token behind an earlier copy
    after &= place[None, :] < place[:, None]
    before = place[:, None] - place[None, :] == 1
    found: dict[str, list[float]] = {name: [] for name in MEANING}
    for head in weights:  # one at a time: all of them in double precision would be large
        w = head.astype(np.float64)  # (T, T)
        if choice.any():
            found["entropy"].append((entr(w[choice]).sum(-1) / np.log(visible[choice])).mean())
        found["distance"].append(np.einsum("qk,qk->q", w, far)[ask].mean())
        found["special"].append((w @ special.astype(np.float64))[ask].mean())
        found["itself"].append(np.diagonal(w)[ask].mean())
        for name, wanted in (("previous", before), ("duplicate", copies), ("induction", after)):
            if (wanted.any(-1) & ask).any():
                found[name].append(_share(w, wanted, ask))
    return {name: np.array(values) for name, values in found.items() if values}


def crossing(
    weights: Float[np.ndarray, "H Q T"],
    looking: Bool[np.ndarray, "Q"],
    special: Bool[np.ndarray, "T"],
    seen: Bool[np.ndarray, "Q T"] | None = None,
) -> dict[str, Float64[np.ndarray, "H"]]:
    """What `statistics` says where the tokens that look (`looking`: special ones) are others than those looked at.

    Only how widely, and at special tokens: no token is the same, before or far from another in another text.
    """
    ask = ~looking if (~looking).any() else np.ones(len(looking), dtype=bool)
    visible = ((weights > 0).any(0) if seen is None else seen).sum(-1)  # (Q,)
    choice, count = ask & (visible > 1), special.astype(np.float64)
    found = {"special": np.array([(head.astype(np.float64) @ count)[ask].mean() for head in weights])}
    if choice.any():
        wide = [(entr(head[choice].astype(np.float64)).sum(-1) / np.log(visible[choice])).mean() for head in weights]
        found["entropy"] = np.array(wide)
    return found


def _share(w: Float64[np.ndarray, "T T"], wanted: Bool[np.ndarray, "T T"], ask: Bool[np.ndarray, "T"]) -> float:
    """Mean weight on the wanted tokens, over the queries that have any."""
    return float(w[wanted & ask[:, None]].sum() / (wanted.any(-1) & ask).sum())
