"""Which words each written token hangs on: plain data, readable without torch.

Letters in shapes: K written tokens, U units (words) of the text and of what is written about it, T tokens of both.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int32, Int64

from explain.record import Record
from explain.records import ModelInfo, Provenance, Tokens


@dataclass(frozen=True, eq=False)
class AlignRequest(Record):
    """What does every token of what is written hang on? `texts` are the text and what is written about it.

    `truncate` cuts a text that is too long; what is written is never cut.
    """

    texts: tuple[str, str]
    truncate: bool = False


@dataclass(frozen=True, eq=False)
class Alignment(Record):
    """How far the log-odds of each written token fall when one word, of either text, is replaced.

    `ids` and `pieces` are the tokens of the second text, `values` their log-odds, each after those before it as they
    are written. `effects` are measured, one pass for each word: plus where the word speaks for the token. A word that
    does not stand before a token is not read there (`before`), and its effect is 0. `units` are character spans in the
    text of `unit_segment`, `unit_of` the unit of each token, −1 for none. `replaced` names what stands in a word's
    place.
    """

    model: ModelInfo
    tokens: Tokens
    ids: Int64[np.ndarray, "K"]
    pieces: tuple[str, ...]
    values: Float32[np.ndarray, "K"]
    effects: Float32[np.ndarray, "K U"]
    units: Int32[np.ndarray, "U 2"]
    unit_segment: Int32[np.ndarray, "U"]
    unit_of: Int32[np.ndarray, "T"]
    replaced: str
    provenance: Provenance
    schema: str = "alignment/1"

    @property
    def before(self) -> Bool[np.ndarray, "K U"]:
        """Whether a word is read, in part or whole, before a token is written."""
        written = np.arange(len(self.unit_of)) - (len(self.unit_of) - len(self.ids))  # (T,): places, < 0 of the text
        first = np.array([written[self.unit_of == u].min() for u in range(len(self.units))])  # (U,)
        return np.arange(len(self.ids))[:, None] > first[None]

    @property
    def words(self) -> tuple[str, ...]:
        """The units' own characters."""
        spans = zip(self.unit_segment.tolist(), self.units.tolist(), strict=True)
        return tuple(self.tokens.texts[s][a:b] for s, (a, b) in spans)
