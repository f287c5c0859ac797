"""The logit lens: let the model's own head read the states after every layer.

    lens_l = head(rest after the last block(state_l))

nostalgebraist 2020; Belrose et al. 2023, arXiv:2303.08112. For encoders the classification head reads, for decoders the
head on the last token; a final norm is applied as always. Approximate: the head only knows states of the last layer.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
from jaxtyping import Float32

from explain.case import Ask, Case
from explain.errors import ModelError
from explain.lens import Lens
from explain.records import Provenance

OUTCOMES = 16
"""More outcomes than this are not read layer by layer, only the target is."""


def lens(case: Case, entering: Float32[np.ndarray, "T D"], provenance: Provenance, decoder: bool = False) -> Lens:
    """The target and all outcomes after every layer, and where the tokens' states lie.

    Args:
        case: the text and its target.
        entering: what enters the first block.
        provenance: with what this is computed.
        decoder: whether a decoder reads the states before the head does.

    Raises:
        ModelError: the model does not keep its layers in a list, or they change width.
    """
    last = case.info.n_layers - 1
    states = [entering, *layer_states(case)]
    if any(s.shape != entering.shape for s in states):
        raise ModelError("The layers of this model are of different widths.", code="no_lens")
    outcomes = len(case.prediction.logits)
    kind: Literal["value", "logit"] = "value" if case.prediction.activation == "none" else "logit"
    raw = [
        replace(case.target, kind=kind, index=case.prediction.outcome(c), contrast=None, joined=())
        for c in range(outcomes if outcomes <= OUTCOMES and case.target.span is None else 0)
    ]
    rows = [case.encoding.row(target, start=s, end=s, layer=last) for target in (case.target, *raw) for s in states]
    found = case.evaluate(Ask(rows, layer=last)).values.reshape(-1, len(states))  # (1 + C, L)
    points, shares = projected(np.stack(states))
    return Lens(
        model=case.info,
        tokens=case.tokens,
        prediction=case.prediction,
        target=case.target,
        values=found[0],
        logits=found[1:].T.copy() if raw else None,
        points=points,
        shares=shares,
        decoder=decoder,
        answer=float(case.evaluate(Ask([case.row()])).values[0]),
        provenance=provenance,
    )


def layer_states(case: Case) -> list[Float32[np.ndarray, "T D"]]:
    """What leaves each block."""
    return [case.evaluate(Ask([case.row()], layer=layer)).states[0] for layer in range(case.info.n_layers)]


def projected(states: Float32[np.ndarray, "L T D"]) -> tuple[Float32[np.ndarray, "L T 2"], tuple[float, float]]:
    """All states on their first two principal components, and the share of the variance that each shows."""
    from sklearn.decomposition import PCA  # here: a second to import, which only this page needs

    flat = states.reshape(-1, states.shape[-1]).astype(np.float64)
    analysis = PCA(n_components=2, svd_solver="full").fit(flat)
    one, two = (float(s) for s in np.nan_to_num(analysis.explained_variance_ratio_))  # 0 where no state differs
    return analysis.transform(flat).reshape(*states.shape[:2], 2).astype(np.float32), (one, two)
