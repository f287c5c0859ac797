"""The decision that was taken in production beside the one that is explained: is it possible, and is it the same?"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from datetime import datetime

from explain.audit.records import Decision
from explain.errors import InputError
from explain.records import Explanation, Prediction

Files = tuple[tuple[str, str], ...] | None
NEAR = 5e-4
"""Two scores that differ by no more are the same: production systems log three digits or more. Of values above 1 it is
this share."""


def checked(explanation: Explanation, decision: Decision) -> Decision:
    """A decision that can have been taken; raises InputError for numbers and times that cannot be."""
    for name in ("score", "threshold"):
        value = getattr(decision, name)
        if value is None:
            continue
        if not math.isfinite(value):
            raise _refused(name, "a finite number", value)
        if explanation.prediction.probs is not None and not 0 <= value <= 1:
            raise _refused(name, "a probability from 0 to 1", value)
    if decision.time is not None and not _is_time(decision.time):
        raise _refused("time", "ISO 8601 with its offset, such as 2026-03-01T09:30:00+01:00", decision.time)
    return decision


def compare(explanation: Explanation, decision: Decision | None, files: Callable[[], Files] = tuple) -> str:
    """How the decision taken in production compares, in words that begin with 'matches', 'differs by', 'not supplied'
    or 'not compared'.

    Args:
        explanation: of the decision as it is here.
        decision: as it was there; None: nothing was supplied.
        files: gives (name, SHA-256) of the model's files, or None; called only where the digest is not ours.
    """
    if decision is None or (decision.label is None and decision.score is None and decision.model_sha256 is None):
        return "not supplied"
    off, same, open_ = list(_model(explanation, decision, files)), [], []
    if decision.model_sha256 is not None and not off:
        same.append("model")
    prediction, value = explanation.prediction, _value(explanation.prediction, decision.label)
    if decision.label is None:
        open_.append("label not supplied")
    elif prediction.activation == "none" and decision.label in prediction.labels:
        open_.append("label not compared: it names the number, and nothing is decided here")
    elif _same_label(prediction, decision.label):
        same.append("label")
    else:
        off.append(f"{prediction.label} here, {decision.label} there")
    if decision.score is None:
        open_.append("score not supplied")
    elif value is None:
        open_.append("score not compared, since no label of this model says whose it is")
    else:
        apart = list(_score(value, decision.score, decision))
        off += apart
        same += [] if apart else ["score"]
    if off:
        return f"differs by {'; '.join(off)}"
    said = f"matches in {' and '.join(same)}" if {"label", "score"} & set(same) else "not compared"
    return "; ".join([said, *open_])


def _model(explanation: Explanation, decision: Decision, files: Callable[[], Files]) -> Iterator[str]:
    """Weights are named by our digest over all their files, or by the SHA-256 of one of them."""
    if decision.model_sha256 is None or decision.model_sha256.lower() == explanation.model.weights_sha256:
        return
    weights = {digest for name, digest in files() or () if name.endswith(".safetensors")}
    if decision.model_sha256.lower() not in weights:
        yield "another model's weights"


def _score(here: float, there: float, decision: Decision) -> Iterator[str]:
    threshold = decision.threshold
    if abs(here - there) > NEAR * max(1.0, abs(here)):
        yield f"{abs(here - there):.3g} in the score"
    if threshold is not None and (here >= threshold) != (there >= threshold):
        yield f"the side of its threshold {threshold:g}"
    elif threshold is not None and decision.label is not None and there < threshold:
        yield f"a score below its own threshold {threshold:g}"


def _same_label(prediction: Prediction, label: str) -> bool:
    """Of a regression the value is the label, and it may be written with more digits."""
    if prediction.activation != "none":
        return label == prediction.label
    value = float(prediction.logits[0])
    try:
        return abs(float(label) - value) <= NEAR * max(1.0, abs(value))
    except ValueError:
        return False


def _value(prediction: Prediction, label: str | None) -> float | None:
    """The number here that a score there is about; None where that is not known."""
    values = prediction.logits if prediction.probs is None else prediction.probs
    if len(values) == 1:
        return float(values[0])
    return float(values[prediction.labels.index(label)]) if label in prediction.labels else None


def _is_time(value: str) -> bool:
    try:
        return datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


def _refused(name: str, expected: str, got: object) -> InputError:
    return InputError(f"Expected as {name} of the decision {expected}, got '{str(got)[:40]}'.", code="bad_decision")
