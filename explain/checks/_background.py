"""Ordinary English sentences to hold a model or a text against: plain, of many subjects, some with an opinion.

They are no sample of anything. Where a text is in another language or of another kind, what is compared with them must
say so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from explain.case import Case
from explain.errors import InputError

PLAIN: dict[str, Any] = {
    "target": None, "contrast": None, "quantity": "log_odds", "granularity": "word", "ordinary": True,
}  # fmt: skip
"""What other texts are asked, whatever was asked of the request's own."""
TOO_LONG = ("too_long", "no_content_tokens", "other_tokens")
"""Errors that say that a sentence cannot be asked about, at this length or with this end; all others are defects."""
SENTENCES = (
    "It rained all night, but by noon the streets were dry.",
    "The food was good and the people who served it were friendly.",
    "She has worked at the same school for almost twenty years.",
    "I would not buy this again.",
    "The train to the coast leaves at seven and takes about two hours.",
    "A new bridge across the river will be opened next spring.",
    "He plays the piano better than anyone I know.",
    "What a waste of an evening.",
    "The minister said that taxes would not rise this year.",
    "Our dog sleeps under the kitchen table.",
    "The plot is thin, yet the actors make you care about every scene.",
    "Please send the form back to us before the end of the month.",
    "The team lost its third match in a row on Saturday.",
    "This phone is slow, heavy and far too expensive.",
    "There are four bedrooms, a small garden and a place for the car.",
    "They laughed so hard that the whole room turned to look.",
    "Prices of wheat and maize fell again last week.",
    "Nobody could tell me where the meeting was supposed to be.",
    "The book is a quiet, moving story about two brothers.",
    "Water boils at a lower temperature in the mountains.",
    "I love this place!",
    "The doctor told him to rest and to drink more water.",
    "The second half drags, and the ending makes no sense at all.",
    "Most of the shops in the old town close on Sunday.",
    "A study of two thousand adults found no such effect.",
    "My sister sent me pictures of the house they want to buy.",
    "It does what it promises, and the battery lasts for days.",
    "The court will hear the case in the first week of May.",
    "We waited an hour for a table, and then the soup was cold.",
    "The museum shows paintings, furniture and clothes of that time.",
    "He never said a word about it to anyone.",
    "The software is easy to install but hard to get used to.",
    "Children under six travel free when they are with an adult.",
    "An honest, funny and surprisingly warm film.",
    "The company makes parts for ships and aircraft.",
    "You should have seen her face when the lights came on.",
    "Two people were hurt when a bus left the road near the village.",
    "The music is dull and the jokes are worse.",
    "Cut the onions finely and fry them in a little oil.",
    "Thank you for a wonderful day.",
)


def cases(retold: Callable[..., Case], n_texts: int) -> list[Case]:
    """Each sentence as a case (with the one before it where a text is a pair), without those too long for the model.

    The plain question is asked of each, whatever the request asked of its own text.
    """
    found = []
    for i, text in enumerate(SENTENCES):
        try:
            found.append(retold((text, SENTENCES[i - 1])[:n_texts], truncate=True, **PLAIN))
        except InputError as error:
            if error.code not in TOO_LONG:
                raise
    return found
