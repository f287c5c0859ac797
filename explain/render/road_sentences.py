"""A token's road → sentences made from its numbers, one for each step that has something to say."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool

from explain.render.road import NEURONS, length, name, number
from explain.render.sentences import percent
from explain.road import Road


def embedding_sentence(road: Road) -> str:
    """What the token's id becomes."""
    start = f"Id {road.tokens.ids[road.token]} is a row in a table of vectors. "
    if road.embedding is None:
        return f"{start}What enters the first layer is made from this row, in a way that is not shown here."
    more = " plus what else is looked up for this place" if len(road.embedding.parts) > 1 else ""
    return f"{start}What enters the first layer is this row{more}."


def attention_sentence(road: Road) -> str:
    """The head in one sentence."""
    found = road.attention
    if found is None:
        said = road.reasons.get("attention", "")
        return f"{said} The Attention page shows its weights, where the model gives them."
    best = np.argsort(-found.weights, kind="stable")[:2].tolist()
    away = f" It gives {percent(found.sink)} of its weight to no token (a sink)." if found.sink else ""
    named = " and ".join(f"“{name(road, j)}” ({percent(float(found.weights[j]))})" for j in best)
    mask = mask_sentence(found.visible, road.token)
    added = ""
    if found.projected is not None and found.output is not None:
        added = (
            f" After the output projection this head adds a vector of length {number(length(found.projected), 2)}; "
            f"all heads together add {number(length(found.output), 2)}."
        )
    return f"“{name(road, road.token)}” looks most at {named}.{away} {mask}{added}"


def mask_sentence(visible: Bool[np.ndarray, "T"], token: int) -> str:
    """How many earlier and later tokens this one may not look at."""
    earlier, later = int((~visible[:token]).sum()), int((~visible[token + 1 :]).sum())
    counts = [f"{n} {name}" for n, name in ((earlier, "earlier"), (later, "later")) if n]
    if not counts:
        return "Nothing is masked: this token may look at every token."
    one = earlier + later == 1
    return f"{' and '.join(counts)} token{'' if one else 's'} {'is' if one else 'are'} masked."


def neuron_sentence(road: Road) -> str:
    """The feed-forward in one sentence."""
    feed = road.feed_forward
    if feed is None:
        return road.reasons.get("feed_forward", "")
    share = float((np.sort(feed.lengths)[::-1][:NEURONS]).sum() / max(float(feed.lengths.sum()), 1e-12))
    active = float((np.abs(feed.hidden) > 0.1 * np.abs(feed.hidden).max()).mean())
    most = int(feed.lengths.argmax())
    return (
        f"{len(feed.hidden):,} neurons see this token; neuron {most} adds the longest vector "
        f"({number(float(feed.lengths[most]), 2)}). The {min(NEURONS, len(feed.hidden))} strongest make up "
        f"{percent(share)} of all lengths; {percent(active)} of the neurons reach a tenth of the largest activation."
    )


def output_sentence(road: Road) -> str:
    """Which vector the classification head multiplies, and where it comes from."""
    found = road.answer
    if found is None:
        return road.reasons.get("answer", "")
    if found.reads is None:
        reads = "a vector that is not one token's state: several are mixed, or the way to it was not seen"
    elif found.decoder:
        reads = f"the decoder's state at place {found.reads}, which has looked at every token of the encoder"
    else:
        reads = f"token {found.reads}, “{name(road, found.reads)}”, whichever token you follow"
    return (
        f"After the last layer the head reads {reads}. It multiplies one vector of {len(found.vector)} numbers with "
        "one row of weights for each outcome."
    )
