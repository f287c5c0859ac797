"""Attention flow: how much could travel from an input token to one output position, if attention were pipes.

Abnar & Zuidema 2020, arXiv:2005.00928: nodes are positions in every layer, an edge has the mean attention over heads
(with half for the residual connection) as its capacity, and the flow is the largest that the network carries. The
network is solved in whole numbers, so a value is exact to about `1 / UNITS` for each edge it uses.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float64
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_flow

UNITS = 10**7
LONGEST = 64
"""Tokens up to which flow is computed: one network of (L + 1) · T nodes is solved for every token."""


def flow(weights: Float[np.ndarray, "L H T T"], at: int, residual: float = 0.5) -> Float64[np.ndarray, "T"]:
    """Largest flow from each input token to position `at` of the last layer; shares, which sum to 1."""
    layers, _, tokens, _ = weights.shape
    mixed = (1 - residual) * weights.astype(np.float64).mean(1) + residual * np.eye(tokens)  # (L, T, T)
    capacity = np.rint(mixed * UNITS).astype(np.int32)
    rows, columns, amounts = [], [], []
    for layer in range(layers):
        to, source = np.nonzero(capacity[layer])  # a row looks at its columns: flow runs from column to row
        rows.append(source + layer * tokens)
        columns.append(to + (layer + 1) * tokens)
        amounts.append(capacity[layer][to, source])
    size = (layers + 1) * tokens
    graph = csr_array(
        (np.concatenate(amounts), (np.concatenate(rows), np.concatenate(columns))), shape=(size, size), dtype=np.int32
    )
    found = np.array([maximum_flow(graph, t, layers * tokens + at).flow_value for t in range(tokens)], dtype=float)
    return found / max(found.sum(), 1)
