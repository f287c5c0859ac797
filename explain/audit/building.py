"""From an explanation to the two halves of a record, without computing anything anew; what is not known says why."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from explain import bundled, machine
from explain.audit import decisions
from explain.audit.records import Beside, Content, Decision, Environment, Masking
from explain.catalog import Request
from explain.errors import InputError, ModelError
from explain.heads import HeadsReport, HeadsRequest
from explain.model.sources import Source, find
from explain.notices import cut_text
from explain.records import Explanation, Machine, ModelInfo
from explain.road import Road, RoadRequest

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
    "environment.commit": "the code lies in no clone; code_sha256 names it",
    "environment.dirty": "the code lies in no clone; code_sha256 names it",
    "environment.lock_sha256": "versions are recorded one by one; no lock file is installed with the package",
    "environment.sbom_sha256": "versions are recorded one by one; no bill of materials is installed with the package",
    "environment.cublas": "CUBLAS_WORKSPACE_CONFIG was not set",
    "environment.gpu": "no graphics card computed",
    "environment.budget": "what was asked has no budget",
    "environment.group": "how many texts were computed together is not known",
    "files.renderer": "nobody drew it",
    "model.card_sha256": "the model has no card",
    "model.loading": "it was not loaded from files, or by a version that did not count",
    "model.normalizer": "its tokenizer changes nothing before it cuts, or a former version loaded it",
    "manifest_sha256": "the model's files were not at hand when it was filed; the digests over them are in the model",
    "model_signature": "OpenSSF signatures of models are not looked at yet",
    "row_sha256": "no digest of a data set's row was given",
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


_EVENT = "an event, not a computation"
_UNSAID = "the explanation does not say it: a former version made it"
_NEVER = ("environment.lock_sha256", "environment.sbom_sha256")


def content(
    record: str,
    explanation: Explanation,
    *,
    asked: Request | None = None,
    decision: Decision | None = None,
    note: str | None = None,
    masking: Masking | None = None,
    beside: Beside | None = None,
    row_sha256: str | None = None,
) -> Content:
    """The half that can be erased.

    Raises:
        InputError: `beside` is about another text or model, or no answer to its question; `asked` is about another
            text; `masking` marks what the text does not hold; `decision` cannot have been taken; `row_sha256` is no
            digest; a number is none.
    """
    tokens = explanation.tokens
    if beside is not None and not _same(explanation, beside):
        raise InputError(
            "What is filed beside an explanation must be about its text, by its model, and answer its question.",
            code="bad_beside",
        )
    if asked is not None and not _about(asked, explanation):
        raise InputError("The request that is filed must be about the text that was explained.", code="bad_request")
    if masking is not None and not all(_marked(explanation, *span) for span in masking.spans):
        raise InputError("The spans of the masking do not belong to this text.", code="bad_masking")
    if row_sha256 is not None and not re.fullmatch(r"[0-9a-f]{64}", row_sha256):
        raise InputError("Expected the SHA-256 of a row: 64 digits from 0 to f.", code="bad_digest")
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
        limits=(*LIMITS, *dict.fromkeys(explanation.provenance.cautions.values())),
        beside=beside,
        row_sha256=row_sha256,
        finite=_finite(explanation),
    )
    return dataclasses.replace(draft, absent=reasons(draft))


def environment(explanation: Explanation | None) -> Environment:
    """With what it was computed, as the explanation says it, and where it is filed; for an event only the latter."""
    made, ours = explanation.provenance if explanation is not None else None, machine.here()
    at = made.machine if made is not None else ours
    return Environment(
        versions=made.versions if made is not None else {},
        device=made.device if made is not None else None,
        dtype=made.dtype if made is not None else None,
        kernel=made.kernel if made is not None else None,
        threads=made.threads if made is not None else None,
        seed=made.seed if made is not None else None,
        evaluating=made.evaluating if made is not None else None,
        budget=made.budget if made is not None else None,
        group=made.group if made is not None else None,
        filed={"platform": ours.platform, "processor": ours.processor, "code_sha256": ours.code_sha256},
        **{f.name: getattr(at, f.name, None) for f in dataclasses.fields(Machine)},
    )


def reasons(record: Any) -> dict[str, str]:
    """Path → reason for every field of a record that is None; an explanation inside has reasons of its own."""
    found = {path: _WHY.get(re.sub(r"\.\d+", "", path), _EVENT) for path in nothing(record)}
    if "environment.platform" in found:  # then the explanation knows nothing of its machine
        found |= {p: _UNSAID for p in found if p.startswith("environment.") and p not in _NEVER}
    return found


def nothing(record: Any, prefix: str = "") -> Iterator[str]:
    """Dotted paths of the fields that are None; explanations, other answers and requests are not looked into."""
    for f in dataclasses.fields(record):
        value = getattr(record, f.name)
        if value is None:
            yield f"{prefix}{f.name}"
        elif dataclasses.is_dataclass(value) and not isinstance(value, (Explanation, Request, Beside, type)):
            yield from nothing(value, f"{prefix}{f.name}.")
        elif isinstance(value, tuple) and value and dataclasses.is_dataclass(value[0]):
            for i, one in enumerate(value):
                yield from nothing(one, f"{prefix}{f.name}.{i}.")


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


def digest_of(files: tuple[tuple[str, str], ...] | None) -> str | None:
    """SHA-256 over a manifest: a line for each file, its digest, two spaces, its name; None where there is none."""
    if files is None:
        return None
    return hashlib.sha256("".join(f"{digest}  {name}\n" for name, digest in files).encode()).hexdigest()


def _finite(value: Any) -> int:
    """How many numbers are in a result; raises InputError if one of them is NaN or infinite."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return sum(_finite(getattr(value, f.name)) for f in dataclasses.fields(value))
    if isinstance(value, Mapping):
        return sum(map(_finite, value.values()))
    if isinstance(value, tuple):
        return sum(map(_finite, value))
    if not isinstance(value, (float, np.floating)) and not (isinstance(value, np.ndarray) and value.dtype.kind == "f"):
        return 0
    if not np.isfinite(value).all():
        raise InputError("The explanation holds a number that is none (NaN or infinity).", code="not_finite")
    return int(np.size(value))


def _about(asked: Request, explanation: Explanation) -> bool:
    """Is that the text that was explained? A task may add texts of its own; what stands behind a place is not read."""
    texts, read = asked.texts, explanation.tokens.texts
    if explanation.model.writes and asked.place is not None and len(texts) > 1:
        return texts[0] == read[0] and all(texts[1].startswith(part) for part in read[1:])
    return texts == read[: len(texts)]


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


def _marked(explanation: Explanation, text: int, start: int, end: int, kind: str) -> bool:
    """Does the text say [KIND] where a masking says that it does?"""
    texts = explanation.tokens.texts
    return 0 <= text < len(texts) and 0 <= start < end and texts[text][start:end] == f"[{kind}]"
