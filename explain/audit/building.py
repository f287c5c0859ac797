"""From an explanation to the two halves of a record, without computing anything anew; what is not known says why."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import platform
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from explain import bundled
from explain.audit import decisions
from explain.audit.records import Beside, Content, Decision, Environment, Masking
from explain.catalog import Request
from explain.errors import InputError, ModelError
from explain.heads import HeadsReport, HeadsRequest
from explain.model.sources import Source, find
from explain.notices import cut_text
from explain.records import Explanation, ModelInfo
from explain.road import Road, RoadRequest

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
    "who.session_sha256": "no session was named when it was filed",
    "who.request_id": "no request id was named when it was filed",
    "purpose.case_id": "no case was named when it was filed",
    "purpose.intended_use": "no intended use was named when it was filed",
    "purpose.dataset_id": "no data set was named when it was filed",
    "purpose.dataset_row": "no data set was named when it was filed",
    "environment.commit": "not looked up; code_sha256 names the code",
    "environment.dirty": "not looked up; code_sha256 names the code",
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
    "unknown": "the text has no tokens of its own",
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
    """The half that can be erased.

    Raises:
        InputError: `beside` is about another text or model, or no answer to its question; `asked` is about another
            text; `decision` cannot have been taken.
    """
    tokens = explanation.tokens
    if beside is not None and not _same(explanation, beside):
        raise InputError(
            "What is filed beside an explanation must be about its text, by its model, and answer its question.",
            code="bad_beside",
        )
    if asked is not None and asked.texts != tokens.texts[: len(asked.texts)]:  # a task may add texts of its own
        raise InputError("The request that is filed must be about the text that was explained.", code="bad_request")
    texts = tokens.texts
    kept = [len(t) for t in texts]
    if tokens.truncated_at is not None:
        kept[cut_text(tokens)] = tokens.truncated_at
    draft = Content(
        id=record,
        explanation=explanation,
        asked=asked,
        decision=None if decision is None else decisions.checked(explanation, decision),
        matches=decisions.compare(explanation, decision, lambda: model_files(explanation)),
        note=note or None,
        masking=masking,
        characters=tuple(map(len, texts)),
        kept=tuple(kept),
        unknown=_unknown(explanation),
        flags=tuple(dict.fromkeys(n.code for n in explanation.warnings)),
        why_target=_why(explanation, asked),
        limits=LIMITS,
        beside=beside,
    )
    return dataclasses.replace(draft, absent=reasons(draft))


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
    """Same text, same model, same reading but for hidden words, and the head or token that was asked for?"""
    mine, question, answer = explanation, beside.question, beside.answer
    if not mine.tokens.texts == answer.tokens.texts == question.about.texts:
        return False
    digests = [(e.model.weights_sha256, e.model.tokenizer_sha256) for e in (mine, answer)]
    hidden = question.masked if isinstance(question, HeadsRequest) else ()
    read = ~np.isin(mine.tokens.words, hidden)  # (T,)
    ids = mine.tokens.ids.shape == answer.tokens.ids.shape and (mine.tokens.ids == answer.tokens.ids)[read].all()
    if isinstance(question, RoadRequest) and isinstance(answer, Road):
        asked = (question.layer, question.head, question.token) == (answer.layer, answer.head, answer.token)
    else:
        asked = isinstance(question, HeadsRequest) and isinstance(answer, HeadsReport)
    return digests[0] == digests[1] and bool(ids) and asked


def _why(explanation: Explanation, asked: Request | None) -> str:
    """Why the target is the one that it is; without the request, as far as the explanation tells."""
    if explanation.model.problem == "continuation":
        return "asked for by name"
    target, prediction = explanation.target, explanation.prediction
    part = bool(target.joined) or target.span in ("start", "end")
    named = part if asked is None else (asked.target, asked.contrast) != (None, None)
    if not named and target.kind == "value":
        return "the only value that this model gives"
    if not named and target.index in prediction.decided and target.contrast is None:
        return "what the model decided"
    if not named and not prediction.decision and target.index == prediction.outcome(prediction.top):
        return "the highest outcome; none was decided"
    return "asked for by name"


def _unknown(explanation: Explanation) -> float | None:
    """Share of the text's tokens that are in a notice about unknown tokens; None where there are no tokens."""
    tokens = explanation.tokens
    own, found = ~tokens.special, np.zeros(len(tokens.ids), bool)  # (T,)
    for notice in explanation.warnings:
        for start, end in notice.spans if notice.code in ("unknown_tokens", "mostly_unknown") else ():
            inside = (tokens.offsets[:, 0] >= start) & (tokens.offsets[:, 1] <= end)
            found |= inside & (tokens.segment == notice.segment)
    return float((own & found).sum() / own.sum()) if own.any() else None
