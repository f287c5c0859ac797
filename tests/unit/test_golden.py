"""The bundled model answers as it did when it was bundled. Run as a script to write the answers anew."""

from __future__ import annotations

import json

import numpy as np
import pytest

from explain import bundled
from explain.engine import Model, load

FILE = bundled.shipped("models") / "sentiment" / "golden.jsonl"
TEXTS = [
    "A gorgeous, witty, seductive movie.",
    "A stirring, funny film that earns every one of its tears.",
    "A dreadful, boring waste of time.",
    "The acting is superb, yet the plot is a tedious and predictable mess.",
    "I can't say that I didn't enjoy it, but it was never as good as its trailer.",
    "Oh great, another three-hour film about a sad robot.",
    "Not bad at all.",
    "It runs for ninety minutes.",
    "Delivery was quick and the lamp works.",
    "Film",
]


def answer(model: Model, text: str) -> dict[str, object]:
    """Label, log-odds of POSITIVE, and each word's score for POSITIVE."""
    found = model.explain(text, target="POSITIVE", checks=())
    return {
        "text": text,
        "label": found.prediction.label,
        "log_odds": round(found.attributions[0].value_input, 4),
        "words": [[w.text, round(w.score, 4)] for w in found.words()],
    }


@pytest.mark.parametrize("line", FILE.read_text("utf-8").splitlines() if FILE.exists() else [""])
def test_answers_are_the_golden_ones(sentiment: Model, line: str) -> None:
    golden = json.loads(line)
    found = answer(sentiment, golden["text"])
    assert found["label"] == golden["label"]
    assert found["log_odds"] == pytest.approx(golden["log_odds"], abs=2e-3)
    words, scores = zip(*found["words"], strict=True)  # type: ignore[call-overload]
    expected, wanted = zip(*golden["words"], strict=True)
    assert words == expected
    assert np.allclose(scores, wanted, atol=0.02 * np.abs(wanted).max())  # another kernel may refine elsewhere


if __name__ == "__main__":
    loaded = load("sentiment")
    FILE.write_text("".join(json.dumps(answer(loaded, t), ensure_ascii=False) + "\n" for t in TEXTS), "utf-8")
