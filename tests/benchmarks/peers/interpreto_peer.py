"""Interpreto's IntegratedGradients at its defaults, a score for every token; the variant names its class.

Its scores are means of sizes over an embedding's dimensions: they have no sign, and do not claim to add up.
"""

from __future__ import annotations

from typing import Any

import interpreto
from common import Explain, load, main


def prepare(folder: str, variant: str) -> Explain:
    """Explain by the class named by `variant`."""
    model, tokenizer = load(folder)
    method = getattr(interpreto, variant)(model, tokenizer, granularity=interpreto.Granularity.ALL_TOKENS)

    def run(text: str) -> dict[str, Any]:
        (found,) = method(text)
        scores = found.attributions.double().ravel().tolist()
        return {"scores": scores, "relative": None, "passes": [1, method.perturbator.n_perturbations]}

    return run


if __name__ == "__main__":
    main(prepare)
