"""From an explanation to the two halves of a record, without computing anything anew; what is not known says why."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import platform
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from explain import bundled
from explain.audit.records import Beside, Content, Decision, Environment, Masking
from explain.catalog import Request
from explain.errors import InputError, ModelError
from explain.model.sources import Source, find
from explain.notices import cut_text
from explain.records import Explanation, ModelInfo, Prediction

_PACKAGE = Path(__file__).resolve().parents[1]
LIMITS = (
    "The scores say how the model computed this decision. They do not say that the decision is right or fair.",
    "They compare with a baseline or with removed words; another baseline gives other scores.",
    "They do not say what the person behind the text should change.",
    "They hold for this model at these weights, for this text, character for character.",
)
"""What no explanation shows; `explain.audit.records.WORDING` is the version of these sentences."""
_WHY = {
    "who.actor": "nobody was named when it was filed",
    "who.session_sha256": "filed outside of a session",
    "who.request_id": "filed without a request id",
    "purpose.case_id": "no case was named when it was filed",
    "purpose.intended_use": "no intended use was named when it was filed",
    "purpose.dataset_id": "not part of a data set",
    "purpose.dataset_row": "not part of a data set",
    "environment.commit": "an installed package does not know its commit; code_sha256 names the code",
    "environment.dirty": "an installed package does not know its commit; code_sha256 names the code",
    "environment.lock_sha256": "versions are recorded one by one; no lock file is installed with the package",
    "model": "an event, which no model computed",
    "model_files": "the model's files were not at hand when it was filed; the digests over them are in the model",
    "began": "an event, not a computation",
    "seconds": "an event, not a computation",
    "about": "a record of its own",
    "asked": "the request was not passed on; the explanation names method, parameters, target and seed",
    "decision": "no decision in production was supplied",
    "decision.label": "not supplied",
    "decision.score": "not supplied",
    "decision.threshold": "not supplied",
    "decision.model_sha256": "not supplied",
    "decision.system": "not supplied",
    "decision.time": "not supplied",
    "note": "no note was written",
    "masking": "the text was not de-identified",
    "beside": "no other answer about the text was filed with it",
    "unknown": "the model's id of unknown tokens is not part of an explanation",
}


def content(
    record: str,
    explanation: Explanation,
    *,
    asked: Request | None = None,
    decision: Decision | None = None,
    note: str | None = None,
    masking: Masking | None = None,
    beside: Beside | None = None,
) -> Content:
    """The half that can be erased; raises InputError where `beside` is about another text or model."""
    tokens = explanation.tokens
    if beside is not None and not _same(explanation, beside):
        raise InputError("What is filed beside an explanation must be about its text, by its model.", code="bad_beside")
    texts = tokens.texts
    kept = [len(t) for t in texts]
    if tokens.truncated_at is not None:
        kept[cut_text(tokens)] = tokens.truncated_at
    target = explanation.target
    own = target.index in explanation.prediction.decided and target.contrast is None
    draft = Content(
        id=record,
        explanation=explanation,
        asked=asked,
        decision=decision,
        matches=compare(explanation, decision),
        note=note or None,
        masking=masking,
        characters=tuple(map(len, texts)),
        kept=tuple(kept),
        unknown=_unknown(explanation),
        flags=tuple(dict.fromkeys(n.code for n in explanation.warnings)),
        why_target="what the model decided" if own else "asked for by name",
        limits=LIMITS,
        beside=beside,
    )
    return dataclasses.replace(draft, absent=reasons(draft))


def compare(explanation: Explanation, decision: Decision | None) -> str:
    """'matches', 'differs by x' or 'not supplied': the decision taken in production beside the one explained."""
    prediction = explanation.prediction
    if decision is None or (decision.label is None and decision.score is None and decision.model_sha256 is None):
        return "not supplied"
    found = []
    if decision.model_sha256 is not None and decision.model_sha256 != explanation.model.weights_sha256:
        found.append("another model's weights")
    if decision.label is not None and decision.label != prediction.label:
        found.append(f"{prediction.label} here, {decision.label} there")
    if decision.score is not None:
        off = abs(_score(prediction, decision.label) - decision.score)
        if off > 5e-4:  # production systems log three digits or more
            found.append(f"{off:.3g} in the score")
    return f"differs by {'; '.join(found)}" if found else "matches"


def environment(explanation: Explanation | None) -> Environment:
    """With what it was computed, and where it is filed."""
    made = explanation.provenance if explanation is not None else None
    return Environment(
        versions=made.versions if made is not None else {},
        device=made.device if made is not None else None,
        dtype=made.dtype if made is not None else None,
        kernel=made.kernel if made is not None else None,
        threads=made.threads if made is not None else None,
        seed=made.seed if made is not None else None,
        platform=platform.platform(),
        processor=processor(),
        code_sha256=code_sha256(),
    )


def reasons(record: Any) -> dict[str, str]:
    """Path → reason for every field of a record that is None; an explanation inside has reasons of its own."""
    return {path: _WHY.get(path, "an event, not a computation") for path in nothing(record)}


def nothing(record: Any, prefix: str = "") -> Iterator[str]:
    """Dotted paths of the fields that are None; explanations, other answers and requests are not looked into."""
    for f in dataclasses.fields(record):
        value = getattr(record, f.name)
        if value is None:
            yield f"{prefix}{f.name}"
        elif dataclasses.is_dataclass(value) and not isinstance(value, (Explanation, Request, ModelInfo, Beside, type)):
            yield from nothing(value, f"{prefix}{f.name}.")


def model_source(info: ModelInfo, name: str | None = None) -> Source | None:
    """The model's files if they are on this machine, under `name` or their own; nothing is fetched. None if not."""
    wish = name or (info.id if info.source in ("bundled", "hub") else None)
    if wish is None:
        return None
    try:
        return find(wish, info.revision if info.source == "hub" and name is None else None, None, False)
    except ModelError:
        return None


def manifest(source: Source) -> tuple[tuple[str, str], ...]:
    """(name, SHA-256) of every file of a model, base and adapter."""
    roots = [source.folder] + ([source.adapter] if source.adapter else [])
    paths = [p for root in roots for p in sorted(root.iterdir()) if p.is_file()]
    return tuple((f"{p.parent.name}/{p.name}", bundled.sha256(p)) for p in paths)


def model_files(explanation: Explanation) -> tuple[tuple[str, str], ...] | None:
    """The files of the model that explained, if those at hand are the ones; None otherwise."""
    source = model_source(explanation.model)
    if source is None or source.weights_sha256() != explanation.model.weights_sha256:
        return None
    return manifest(source)


@cache
def code_sha256() -> str:
    """SHA-256 over the names and contents of this package's source files."""
    lines = [
        f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.relative_to(_PACKAGE).as_posix()}\n"
        for p in sorted(_PACKAGE.rglob("*.py"))
        if "_bundled" not in p.parts
    ]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


@cache
def processor() -> str:
    """The processor's name, as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    except OSError:
        name = ""
    return f"{name or platform.processor() or platform.machine()} ({os.cpu_count()} threads)"


def _same(explanation: Explanation, beside: Beside) -> bool:
    mine, theirs = explanation, beside.answer
    texts = mine.tokens.texts == theirs.tokens.texts == beside.question.about.texts
    return texts and mine.model.weights_sha256 == theirs.model.weights_sha256


def _score(prediction: Prediction, label: str | None) -> float:
    values = prediction.logits if prediction.probs is None else prediction.probs
    place = prediction.labels.index(label) if label in prediction.labels else prediction.top
    return float(values[place])


def _unknown(explanation: Explanation) -> float | None:
    """Share of tokens written as unknown; None where no token is marked and none can be told apart."""
    strings: Mapping[bool, list[str]] = {False: [], True: []}
    for string, special in zip(explanation.tokens.strings, explanation.tokens.special.tolist(), strict=True):
        strings[special].append(string)
    own = strings[False]
    return sum(s in ("[UNK]", "<unk>") for s in own) / len(own) if own else None
