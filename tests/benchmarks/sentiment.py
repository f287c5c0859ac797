"""Is the bundled model as right, and as sure, as its card says, on the SST-2 development sentences?

    python -m tests.benchmarks.sentiment path/to/dev.tsv

Prints accuracy and expected calibration error (15 bins, of the decided label's probability); exits with 1 if the
card's `model-index` says something else. The sentences are measured here, never trained or chosen on.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import yaml

import explain
from explain import bundled


def measured(data: Path) -> dict[str, float]:
    """Accuracy and calibration error, in the names that the card uses."""
    rows = [line.split("\t") for line in data.read_text("utf-8").splitlines()[1:]]
    positive = np.array([label == "1" for _, label in rows])
    found = explain.load("sentiment").predict_batch([text for text, _ in rows])
    probs = np.array([p.probs[1] for p in found if p.probs is not None], dtype=float)
    right, confidence = (probs > 0.5) == positive, np.maximum(probs, 1 - probs)
    bins = np.minimum((confidence * 15).astype(int), 14)
    gaps = [abs(right[bins == b].sum() - confidence[bins == b].sum()) for b in range(15)]
    return {"accuracy": float(right.mean()), "expected_calibration_error": float(sum(gaps) / len(rows))}


def claimed() -> dict[str, float]:
    """The same figures from the card's front matter."""
    text = (bundled.shipped("models") / "sentiment" / "card.md").read_text("utf-8")
    front = yaml.safe_load(text.split("---", 2)[1])
    return {m["type"]: float(m["value"]) for m in front["model-index"][0]["results"][0]["metrics"]}


def main() -> None:
    """Print both, and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="dev.tsv: a header, then sentence and label, tab separated")
    found, card = measured(parser.parse_args().data), claimed()
    for name, value in found.items():
        print(f"{name:<28} measured {value:.4f}   card {card[name]:.4f}")
    if any(abs(found[name] - card[name]) > 1e-3 for name in found):
        raise SystemExit("The card does not say what is measured.")


if __name__ == "__main__":
    main()
