"""transformers-interpret's explainer of a classifier at its defaults: Captum's LayerIntegratedGradients, 50 steps.

It explains a probability, so its residual is measured on that; its own scores are scaled to a length of one.
"""

from __future__ import annotations

from typing import Any

from common import Explain, load, main, relative_residual
from transformers_interpret import SequenceClassificationExplainer


def prepare(folder: str, variant: str) -> Explain:
    """Explain the decision; there is one variant."""
    explainer = SequenceClassificationExplainer(*load(folder))

    def run(text: str) -> dict[str, Any]:
        found = explainer(text)
        raw = explainer.attributions._attributions
        parts = raw[0] if isinstance(raw, tuple) else raw  # of the token table; positions are the same on both sides
        sums = parts[0].sum(-1).tolist()
        change = float(sum(sums) - explainer.attributions.delta.sum())
        scores = [score for _, score in found]
        return {"scores": scores, "relative": relative_residual(change, sums), "passes": [3, explainer.n_steps]}

    return run


if __name__ == "__main__":
    main(prepare)
