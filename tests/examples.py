"""An explanation made by hand, for tests and benchmarks that need one and no model."""

from __future__ import annotations

import numpy as np

from explain.records import Attribution, Check, Explanation, ModelInfo, Prediction, Provenance, Target, Tokens

TEXT = "A charming and very funny film , but a bit too long and slow ."


def explanation(text: str = TEXT) -> Explanation:
    """One decision about a text whose words are between spaces."""
    words = text.split(" ")
    ends = np.cumsum([len(w) + 1 for w in words]) - 1
    spans = np.stack([ends - [len(w) for w in words], ends], axis=1).astype(np.int32)
    t, rng = len(words) + 2, np.random.default_rng(0)
    special = np.array([True, *[False] * len(words), True])
    around = np.concatenate([[[0, 0]], spans, [[0, 0]]])
    place = np.array([-1, *range(len(words)), -1])
    target = Target("log_odds", 1, "POSITIVE", "log-odds")
    model = ModelInfo(
        *("example", "0" * 64, "text-classification", "single-label", ("NEGATIVE", "POSITIVE"), "Example"),
        *(2, 4, 32, 64, "float32", "cpu", "sdpa", "1" * 64, "2" * 64, "apache-2.0", "folder"),
    )
    return Explanation(
        model=model,
        tokens=Tokens((text,), np.minimum(place, 0), np.arange(t), ("[CLS]", *words, "[SEP]"), around, special, place),
        prediction=Prediction(
            model.labels, np.array([-1.0, 1.5]), np.array([0.0759, 0.9241]), "softmax", "the highest", (1,)
        ),
        target=target,
        provenance=Provenance({"python": "3"}, "cpu", "float32", "sdpa", 1, 0, "2026-01-01T00:00:00.000+00:00", 0.1),
        attributions=(
            Attribution(
                *("integrated_gradients", {"baseline": "mask"}, target, "word", spans, np.zeros(len(words)), place),
                *(rng.normal(size=len(words)), 0.0, True, 2.5),
            ),
        ),
        effects=None,
        attention=None,
        checks=(Check("completeness", 0, "computed correctly", "pass", "The scores add up."),),
        warnings=(),
    )
