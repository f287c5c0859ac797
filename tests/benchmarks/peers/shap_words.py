"""`shap`'s explainers over words: the same game as Whyboard's exact Shapley values.

Words are what Whyboard takes for words (the task's `words` gives their spans), each a single token of the model, so
that one mask token stands for a word on both sides; the scalar is the log-odds of the decision.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import shap
import torch
from common import Explain, load, log_odds, main


def prepare(folder: str, variant: str) -> Explain:
    """`variant` is partition or permutation: shap's own defaults."""
    model, tokenizer = load(folder)
    words = json.loads(Path(sys.argv[1]).read_text("utf-8")).get("words", {})
    asked = 0

    def split(text: str, **_: Any) -> dict[str, Any]:
        spans = words.get(text) or _plain(text)
        return {"input_ids": [text[a:b] for a, b in spans], "offset_mapping": [tuple(span) for span in spans]}

    masker = shap.maskers.Text(split, mask_token="[MASK]", collapse_mask_token=False)

    def run(text: str) -> dict[str, Any]:
        nonlocal asked
        with torch.no_grad():
            index = int(model(**tokenizer(text, return_tensors="pt")).logits[0].argmax())
        asked = 0

        def value(texts: Any) -> np.ndarray:
            nonlocal asked
            encoded = tokenizer([str(t) for t in texts], return_tensors="pt", padding=True)
            asked += len(texts)
            with torch.no_grad():
                return log_odds(model(**encoded).logits, index).numpy()

        explainer = shap.Explainer(value, masker, algorithm=variant)
        found = explainer([text], silent=True)
        scores = found.values[0].ravel().tolist()
        change = float(value([text])[0] - found.base_values.ravel()[0])
        return {"scores": scores, "change": change, "passes": [asked - 1, 0]}

    return run


def _plain(text: str) -> list[tuple[int, int]]:
    spans, at = [], 0
    for word in text.split():
        at = text.index(word, at)
        spans.append((at, at + len(word)))
        at += len(word)
    return spans


if __name__ == "__main__":
    main(prepare)
