"""Games with known answers: sums of products, over which words are there.

    v(S) = Σ_{T ⊆ S} c_T          the c_T are Harsanyi's dividends; products of presences p_u ∈ {0, 1} of the words in T

    Shapley value          φ_u = Σ_{T ∋ u} c_T / |T|                      Harsanyi 1963
    leave one out          v(U) − v(U ∖ u) = Σ_{T ∋ u} c_T
    Shapley interaction    I_uw = Σ_{T ⊇ {u, w}} c_T / (|T| − 1)          Grabisch & Roubens 1999

As a model, a game reads the presences off the embeddings (word u is the u-th unit vector, everything else is zero) and
takes their products. It is multilinear, so along the straight path from zero the slope of a product of |T| words
is |T| times a power whose integral is 1 / |T|: integrated gradients are the Shapley values too (Owen 1972). The slope
at the text, also the mean slope under independent noise, is the leave-one-out value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64
from torch import nn

from explain.engine import Model
from explain.selftest.language import VOCABULARY, in_memory
from explain.selftest.reference import coalitions

PLAYERS = VOCABULARY[-8:]
"""The words that play."""
FIRST = len(VOCABULARY) - len(PLAYERS)


@dataclass(frozen=True, eq=False)
class Game:
    """Dividends by coalition: c_T for each set T of players; others are zero."""

    dividends: Mapping[tuple[int, ...], float]

    def shapley(self) -> Float64[np.ndarray, "U"]:
        """Each player's Shapley value."""
        return self._each(lambda size: 1 / size)

    def leave_one_out(self) -> Float64[np.ndarray, "U"]:
        """What the whole loses without each player."""
        return self._each(lambda size: 1.0)

    def owen(self) -> Float64[np.ndarray, "U"]:
        """Each player's Owen value on the tree that halves the row of players again and again.

        A dividend is split evenly wherever its members are on both sides.
        """
        scores = np.zeros(len(PLAYERS))

        def give(members: list[int], start: int, stop: int, dividend: float) -> None:
            middle = (start + stop) // 2
            sides = [[m for m in members if m < middle], [m for m in members if m >= middle]]
            if stop - start == 1:
                scores[start] += dividend
                return
            share = dividend / sum(map(bool, sides))
            for side, a, b in zip(sides, (start, middle), (middle, stop), strict=True):
                if side:
                    give(side, a, b, share)

        for members, dividend in self.dividends.items():
            give(list(members), 0, len(PLAYERS), dividend)
        return scores

    def values(self) -> Float64[np.ndarray, "N"]:
        """The value of every set of players, in the order of `reference.coalitions`."""
        there = coalitions(len(PLAYERS))
        return np.sum([d * there[:, list(members)].all(1) for members, d in self.dividends.items()], axis=0)

    def interactions(self) -> Float64[np.ndarray, "U U"]:
        """The Shapley interaction index of every pair; zero on the diagonal."""
        table = np.zeros((len(PLAYERS), len(PLAYERS)))
        for members, dividend in self.dividends.items():
            for a, b in combinations(members, 2):
                table[a, b] += dividend / (len(members) - 1)
        return table + table.T

    def model(self) -> Model:
        """The game as a classifier: the log-odds of ONE for a text are the value of the players in it."""
        return in_memory(Multilinear(self), "game", 0, ("ZERO", "ONE"))

    def _each(self, share: Any) -> Float64[np.ndarray, "U"]:
        scores = np.zeros(len(PLAYERS))
        for members, dividend in self.dividends.items():
            scores[list(members)] += dividend * share(len(members))
        return scores


def drawn(seed: int) -> Game:
    """A random game: every player alone, and eight pairs, four triples and two quadruples that work together."""
    rng = np.random.default_rng(seed)
    sets = [(u,) for u in range(len(PLAYERS))]
    for size, count in ((2, 8), (3, 4), (4, 2)):
        sets += [tuple(sorted(rng.choice(len(PLAYERS), size, replace=False).tolist())) for _ in range(count)]
    return Game({members: float(rng.normal()) for members in sets})


TEXT = " ".join(PLAYERS)
"""The text in which all play."""


class Multilinear(nn.Module):
    """Logits (N, 2) of ZERO and ONE: 0, and the sum of products of presences."""

    def __init__(self, game: Game) -> None:
        super().__init__()
        self.table = nn.Embedding(len(VOCABULARY), len(PLAYERS), dtype=torch.float64)
        self.table.weight.data.zero_()
        self.table.weight.data[FIRST:] = torch.eye(len(PLAYERS), dtype=torch.float64)
        self.game = game
        self.config = SimpleNamespace(num_hidden_layers=0, num_attention_heads=0, hidden_size=len(PLAYERS))

    def get_input_embeddings(self) -> nn.Embedding:
        """The word table."""
        return self.table

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, **_: Any) -> Any:
        """Logits like a sequence classifier's."""
        present = (self.table(input_ids) * attention_mask[..., None]).sum(1)  # (N, U)
        value = torch.zeros(len(present), dtype=present.dtype)
        for members, dividend in self.game.dividends.items():
            value = value + dividend * present[:, list(members)].prod(1)
        return SimpleNamespace(logits=torch.stack([torch.zeros_like(value), value], 1))
