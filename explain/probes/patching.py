"""Activation patching: give one text a state of the other, and see how far the answer moves.

    into_lt = f(text, state of token t after layer l ← the other text's) − f(text)

Vig et al. 2020, arXiv:2004.12265; Meng et al. 2022, arXiv:2202.05262; both directions and a control, as Zhang & Nanda
2024, arXiv:2309.16042 advise. The control moves the state as far, in random directions: where it moves the answer as
much, the place is merely touchy. An exchange can act through a dormant pathway (Makelov, Lange & Nanda 2023).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32

from explain.case import Ask, Case
from explain.errors import InputError
from explain.lens import Patch
from explain.model.rows import Row
from explain.probes.lens import layer_states
from explain.records import Provenance

DRAWS = 3
LONGEST = 64
"""Tokens of the longest texts that are patched: every token of every layer costs passes in both directions."""


def patch(case: Case, text: str, provenance: Provenance) -> Patch:
    """The effect of exchanging each token's state after each layer, both ways.

    Raises:
        InputError: the texts do not have equally many tokens, or too many.
        ModelError: the model does not keep its layers in a list.
    """
    if len(case.tokens.texts) > 1:
        raise InputError(
            "States are exchanged between single texts; sentence pairs cannot be patched.", code="bad_text"
        )
    other, count = case.retold((text,)), len(case.tokens.ids)
    if len(other.tokens.ids) != count:
        raise InputError(
            f"The texts must have equally many tokens, so that each has a partner: this one has {count}, the other "
            f"{len(other.tokens.ids)}. Exchange single words for others of the same length.",
            code="other_length",
        )
    if count > LONGEST:
        raise InputError(f"Texts of up to {LONGEST} tokens can be patched; these have {count}.", code="too_long")
    mine, theirs = layer_states(case), layer_states(other)
    values = [float(case.evaluate(Ask([c.row(case.target)])).values[0]) for c in (case, other)]
    found = np.zeros((4, case.info.n_layers, count), dtype=np.float32)
    for layer, (a, b) in enumerate(zip(mine, theirs, strict=True)):
        noise = np.random.default_rng([case.seed, layer]).standard_normal((DRAWS, *a.shape))  # (K, T, D)
        noise *= np.linalg.norm(b - a, axis=-1)[:, None] / np.linalg.norm(noise, axis=-1, keepdims=True)
        for way, (host, start, end) in enumerate(((case, a, b), (other, b, a))):
            targets = [end, *(start + noise.astype(np.float32))]
            rows = [_exchanged(host, case, layer, start, t, x) for x in targets for t in range(count)]
            moved = case.evaluate(Ask(rows, layer=layer)).values.reshape(1 + DRAWS, count) - values[way]
            found[way, layer], found[2 + way, layer] = moved[0], np.abs(moved[1:]).mean(0)
    return Patch(
        model=case.info,
        tokens=case.tokens,
        other=other.tokens,
        prediction=case.prediction,
        other_prediction=other.prediction,
        target=case.target,
        value=values[0],
        other_value=values[1],
        into=found[0],
        back=found[1],
        control_into=found[2],
        control_back=found[3],
        draws=DRAWS,
        provenance=provenance,
    )


def _exchanged(
    host: Case, asked: Case, layer: int, start: Float32[np.ndarray, "T D"], token: int, end: Float32[np.ndarray, "T D"]
) -> Row:
    """The host text, with one token's state after the layer taken from `end`."""
    state = start.copy()
    state[token] = end[token]
    return host.encoding.row(asked.target, start=state, end=state, layer=layer)
