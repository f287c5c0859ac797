"""What kind of head is it? One number a head, from where it looks in this text.

Entropy and distance after Clark et al. 2019 and Vig & Belinkov 2019; previous-token, duplicate and induction scores
after Olsson et al. 2022. A head may look like something on one text and not on the next: these are descriptions of
this text, and a high score is no proof of a function.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Float64, Int

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
    weights: Float[np.ndarray, "H T T"], special: Bool[np.ndarray, "T"], ids: Int[np.ndarray, "T"]
) -> dict[str, Float64[np.ndarray, "H"]]:
    """Each quantity of `MEANING` for every head of a layer, averaged over the queries that are no special tokens."""
    w = weights.astype(np.float64)
    tokens = w.shape[-1]
    ask = ~special if (~special).any() else np.ones(tokens, dtype=bool)  # queries that count
    place = np.arange(tokens)
    with np.errstate(divide="ignore", invalid="ignore"):
        surprise = -np.nansum(np.where(w > 0, w * np.log(w), 0), axis=-1)  # (H, T)
    visible = (w > 0).any(0).sum(-1)  # (T,): how many tokens a query may see
    entropy = surprise / np.log(np.maximum(visible, 2))
    same = ids[:, None] == ids[None, :]  # (T, T)
    earlier = place[None, :] < place[:, None]
    copies = same & earlier
    after = np.zeros_like(copies)
    after[:, 1:] = copies[:, :-1]  # the token behind an earlier copy
    after &= earlier
    return {
        "entropy": entropy[:, ask].mean(-1),
        "distance": (w * np.abs(place[:, None] - place[None, :])).sum(-1)[:, ask].mean(-1),
        "special": w[..., special].sum(-1)[:, ask].mean(-1),
        "itself": w[:, place, place][:, ask].mean(-1),
        "previous": _share(w, (place[:, None] - place[None, :] == 1), ask),
        "duplicate": _share(w, copies, ask),
        "induction": _share(w, after, ask),
    }


def _share(
    w: Float64[np.ndarray, "H T T"], wanted: Bool[np.ndarray, "T T"], ask: Bool[np.ndarray, "T"]
) -> Float64[np.ndarray, "H"]:
    """Mean weight on the wanted tokens, over the queries that have any; 0 where none has."""
    queries = wanted.any(-1) & ask
    return (w * wanted).sum(-1)[:, queries].mean(-1) if queries.any() else np.zeros(len(w))
