"""The bundled models answer as they did when they were bundled. Run as a script to write the answers anew."""

from __future__ import annotations

import json

import numpy as np
import pytest

from explain import bundled
from explain.engine import Model, load

TEXTS = {
    "sentiment": [
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
    ],
    "tales": [
        "Once upon a time there was a",
        "Once upon a time there was a poor",
        "The king said to his youngest",
        "The elder sister was proud and ugly, but the younger sister was kind and",
        "The fox ran over the bridge to the",
        "And they lived happily ever",
    ],
}
TARGETS = {"sentiment": "POSITIVE", "tales": None}


def lines(name: str) -> list[str]:
    """The golden answers of a bundled model; [] where there are none yet."""
    file = bundled.shipped("models") / name / "golden.jsonl"
    return file.read_text("utf-8").splitlines() if file.exists() else []


def answer(model: Model, text: str) -> dict[str, object]:
    """The decision, and the log-odds and each word's score for POSITIVE, or for the token decided for."""
    found = model.explain(text, target=TARGETS[model.info.id], checks=())
    return {
        "text": text,
        "label": found.prediction.label,
        "log_odds": round(found.attributions[0].value_input, 4),
        "words": [[w.text, round(w.score, 4)] for w in found.words()],
    }


@pytest.mark.parametrize(("name", "line"), [(name, line) for name in TEXTS for line in lines(name)])
def test_answers_are_the_golden_ones(request: pytest.FixtureRequest, name: str, line: str) -> None:
    golden = json.loads(line)
    found = answer(request.getfixturevalue(name), golden["text"])
    assert found["label"] == golden["label"]
    assert found["log_odds"] == pytest.approx(golden["log_odds"], abs=2e-3)
    words, scores = zip(*found["words"], strict=True)  # type: ignore[call-overload]
    expected, wanted = zip(*golden["words"], strict=True)
    assert words == expected
    assert np.allclose(scores, wanted, atol=0.02 * np.abs(wanted).max())  # another kernel may refine elsewhere


def test_every_bundled_model_has_golden_answers() -> None:
    assert set(TEXTS) == set(bundled.names())
    assert all(len(lines(name)) == len(texts) for name, texts in TEXTS.items())


if __name__ == "__main__":
    for bundled_name, texts in TEXTS.items():
        loaded = load(bundled_name)
        new = "".join(json.dumps(answer(loaded, t), ensure_ascii=False) + "\n" for t in texts)
        (bundled.shipped("models") / bundled_name / "golden.jsonl").write_text(new, "utf-8")
