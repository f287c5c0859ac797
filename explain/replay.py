"""Compute a record again and say what is different (level V5), and hold a model against answers that were golden once.

A replay follows the path of integration that the record holds and never decides anew where to refine; a second mode
does decide anew. On the platform that filed the record every number must be the same to the bit, if its request was
filed with it; otherwise the largest difference is held against a tolerance for the dtype.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, get_args

import numpy as np

from explain import canonical
from explain.audit import building
from explain.audit.records import Beside, Content, Environment, Header
from explain.calibration import WRITTEN
from explain.catalog import Grain, Request, TargetKind
from explain.engine import Model
from explain.errors import AuditError
from explain.heads import HeadsRequest
from explain.model import chat
from explain.prediction import kind
from explain.record import Record
from explain.records import Attribution, Explanation
from explain.spans import Span
from explain.tasks._continuation import CONTINUED
from explain.work import Work

TOLERANCE = {"float64": 1e-9, "float32": 1e-5, "bfloat16": 5e-2, "float16": 1e-2}
"""Largest difference, as a share of the largest number, that another thread count or machine may make on one device."""
ACROSS_DEVICES = 1e-3
"""The same between a processor and a graphics card, where it is more than the dtype's."""
TOP = 5
_APART = (
    *("model", "provenance", "evaluations", "path", "caveat", "reasons", "unmeasured"),
    *("checks", "warnings", "named", "without_named", "prob_named"),
)
"""Fields that are not compared one by one: where and at what cost it was computed, wording, what `_left` names, and the
path, which has a line of its own."""
_ERRORS = ("numeric_error", "error")


@dataclass(frozen=True, eq=False)
class Part(Record):
    """Something of a record, and what it is now.

    `difference` is the largest one as a share: of the array's largest number, or, for a single number or an error, of
    the largest in its record; 1 where two values cannot be subtracted. `bitwise`: are all bits equal.
    """

    name: str
    difference: float
    bitwise: bool


@dataclass(frozen=True, eq=False)
class Replay(Record):
    """What computing again gave. `environment` lists what is different from then, `sentence` says what it means.

    `tolerance` is 0 where every bit must be the same. `same_top`: are the five largest scores the same words in the
    same order, but for ties. `left_out` is what the record holds and a replay does not compute again.
    """

    mode: str
    parts: tuple[Part, ...]
    environment: tuple[str, ...]
    tolerance: float
    same_top: bool
    holds: bool
    sentence: str
    left_out: tuple[str, ...] = ()


def replay(model: Model, header: Header, content: Content, *, decide: bool = False) -> Replay:
    """Compute what a record holds again.

    Args:
        model: the model, loaded from the files that the record names.
        header: the record's header, for where it was computed.
        content: the record's content.
        decide: let the method decide anew where to refine, instead of following the stored path.

    Raises:
        AuditError: the model is another one than the record's.
    """
    then = content.explanation
    if model.info.weights_sha256 != then.model.weights_sha256:
        raise AuditError(
            f"The weights at hand are not those of the record ({model.info.weights_sha256[:12]}…, recorded "
            f"{then.model.weights_sha256[:12]}…). Load the revision {then.model.revision[:12]}.",
            code="other_model",
        )
    request = replace(
        content.asked or inferred(then),
        methods=tuple(a.method for a in then.attributions),
        checks=(),
        attention=tuple(maps.layer for maps in then.attention or ()) or None,
        interactions=then.interactions is not None,
        forced=True,  # what was shown then is computed again
    )
    if request.granularity == "hierarchical" and then.attributions:
        request = replace(request, granularity="word", phrases=_units(then.attributions[0]))
    paths = {} if decide else {a.method: a.path for a in then.attributions if a.path is not None}
    with chat.at(then.provenance.created):  # templates of conversations may write the date
        now = Work(model, [request], paths=paths, before=then.tokens).run()[0]
        beside = tuple(_beside(model, content.beside)) if content.beside is not None else ()
    changed = tuple(_changes(header.environment, building.environment(now)))
    unknown = tuple(_unknown(header, content))
    parts = (*_parts(then, now), *beside)
    alike = not changed and not unknown
    tolerance = 0.0 if alike else _tolerance(then, now)
    worst, bitwise = max(p.difference for p in parts), all(p.bitwise for p in parts)
    same_top = all(_same_top(a, b) for a, b in zip(then.attributions, now.attributions, strict=True))
    said = _sentence(bitwise, alike, worst, tolerance, (*changed, *unknown), same_top)
    left = tuple(_left(then))
    return Replay(
        mode="deciding anew" if decide else "along the stored path",
        parts=parts,
        environment=changed,
        tolerance=tolerance,
        same_top=same_top,
        holds=(bitwise if alike else worst <= tolerance) and same_top,
        sentence=f"{said} Not computed again: {', '.join(left)}." if left else said,
        left_out=left,
    )


def inferred(then: Explanation) -> Request:
    """The request behind an explanation, as far as it tells: without phrases, which only the request itself knows."""
    target = then.target
    labels = then.model.labels
    quantity: Any = target.kind if target.kind in get_args(TargetKind) else "log_odds"
    wish: str | int | None = kind(labels[target.index or 0]) if target.joined else target.index
    wish = target.span if target.span in ("start", "end") else wish  # of the model's own answer
    against: str | int | None = kind(labels[target.contrast or 0]) if target.joined_against else target.contrast
    followed = then.model.problem == CONTINUED
    if followed:  # what is held against what is said as texts
        wish, against = None, None if target.contrast is None else then.prediction.labels[-1]
    budget = then.provenance.budget
    return Request(
        texts=then.tokens.texts[:-1] if followed or then.candidates is not None else then.tokens.texts,
        roles=then.tokens.roles,
        candidates=then.candidates,
        continuation=then.prediction.labels[0] if followed else None,
        methods=tuple(a.method for a in then.attributions),
        params={a.method: dict(a.params) for a in then.attributions},
        target=wish,
        contrast=against,
        place=None if then.prediction.tagging is None else then.prediction.tagging.asked,
        quantity=quantity,
        granularity=_grain(then),
        truncate=then.tokens.truncated_at is not None,
        windows=any(notice.code == "windows" for notice in then.warnings),
        seed=then.provenance.seed,
        forced=True,
        budget=Request.budget if budget is None else budget,
    )


def _grain(then: Explanation) -> Grain:
    """What an explanation's units were chosen by."""
    if any(notice.code == "outline" for notice in then.warnings):
        return "hierarchical"
    return then.attributions[0].granularity if then.attributions else "word"


def _units(then: Attribution) -> tuple[Span, ...]:
    """Units as phrases: which sentences matter was decided once, and another machine might decide otherwise."""
    segments, spans = then.unit_segment.tolist(), then.units.tolist()
    return tuple((s, a, b) for s, (a, b) in zip(segments, spans, strict=True))


@dataclass(frozen=True, eq=False)
class Drift(Record):
    """How one golden answer compares now: `difference` is the largest drift of a score, as a share of the largest one
    that is golden, or of the value explained (`log_odds`, if the line has it), as a share of it; None without scores.
    """

    text: str
    label: bool
    words: bool
    difference: float | None
    holds: bool


def golden(model: Model, text: str, target: str | None) -> dict[str, Any]:
    """The answer that a golden file holds of a text: label, value, and each word's score for the target."""
    found = model.explain(text, target=target, checks=())
    return {
        "text": text,
        "label": found.prediction.label,
        "log_odds": round(found.attributions[0].value_input, 4),
        "words": [[w.text, round(w.score, 4)] for w in found.words()],
    }


def drift(
    model: Model, lines: Sequence[Mapping[str, Any]], tolerance: float, answer: Callable[..., dict[str, Any]] = golden
) -> Iterator[Drift]:
    """Hold a model against golden lines: a text, its label, (word, score) pairs, and a `target` if a line names one."""
    for line in lines:
        now = answer(model, line["text"], line.get("target"))
        words = [w[0] for w in line["words"]] == [w[0] for w in now["words"]]
        difference = None
        if words and line["words"]:
            then, found = (np.array([w[1] for w in one["words"]], dtype=float) for one in (line, now))
            largest = float(np.abs(then).max()) or 1.0
            difference = float(np.abs(found - then).max()) / largest  # NaN stays NaN, and is no small number
            if "log_odds" in line:
                off = abs(now["log_odds"] - line["log_odds"]) / max(largest, abs(line["log_odds"]))
                difference = float(np.max([difference, off]))
        label = now["label"] == line["label"]
        holds = label and words and (difference is None or difference <= tolerance)
        yield Drift(line["text"], label, words, difference, holds)


def _parts(then: Explanation, now: Explanation) -> Iterator[Part]:
    for name in ("tokens", "prediction", "target", "candidates"):
        yield from _compared(getattr(then, name), getattr(now, name), name)
    for a, b in zip(then.attributions, now.attributions, strict=True):
        if len(a.scores) != len(b.scores):
            yield Part(f"{a.method}: other words", 1.0, False)
            continue
        yield from _compared(a, b, f"{a.method}:")
        if a.path is not None and b.path is not None and not np.array_equal(a.path, b.path):
            yield Part(f"{a.method}: refined elsewhere", _part("", a.scores, b.scores).difference, False)
    for name in ("effects", "interactions", "attention"):
        yield from _compared(getattr(then, name), getattr(now, name), name)


def _beside(model: Model, beside: Beside) -> Iterator[Part]:
    """What was filed with the explanation, asked again."""
    asked = beside.question
    now = model.look(asked) if isinstance(asked, HeadsRequest) else model.walk(asked)
    yield from _compared(beside.answer, now, "heads:" if isinstance(asked, HeadsRequest) else "road:")


def _compared(then: Any, now: Any, name: str, largest: float = 0.0) -> Iterator[Part]:
    """Two values of one place, and all that is in them: a part for all numbers, and one for anything else that differs.

    `largest` is the largest number of the record that they stand in.
    """
    if isinstance(then, Record) and type(then) is type(now):
        mine = {f.name: getattr(then, f.name) for f in fields(then) if f.name not in _APART}  # type: ignore[arg-type]
        numbers = [np.asarray(v) for v in mine.values() if isinstance(v, (float, np.ndarray))]
        largest = max((float(np.abs(v).max(initial=0)) for v in numbers if v.dtype.kind == "f"), default=0.0)
        for field, value in mine.items():
            yield from _compared(value, getattr(now, field), f"{name} {field}", largest)
    elif isinstance(then, Mapping) and isinstance(now, Mapping) and then.keys() == now.keys():
        for key in then:
            yield from _compared(then[key], now[key], f"{name} {key}", largest)
    elif _records(then) and _records(now) and len(then) == len(now):
        for i, (a, b) in enumerate(zip(then, now, strict=True)):
            yield from _compared(a, b, f"{name} {i}", largest)
    elif isinstance(then, float) and isinstance(now, (int, float)):
        yield _part(name, np.float64(then), np.float64(now), largest)
    elif not (isinstance(then, np.ndarray) and isinstance(now, np.ndarray)):
        if isinstance(now, (np.ndarray, float)) or canonical.plain(then) != canonical.plain(now):
            yield Part(f"{name} is not what it was", 1.0, False)
    elif then.shape != now.shape or (then.dtype.kind != "f" and not np.array_equal(then, now)):
        yield Part(f"{name} is not what it was", 1.0, False)
    elif then.dtype.kind == "f":
        yield _part(name, then, now, largest if name.endswith(_ERRORS) else 0.0)


def _records(value: Any) -> bool:
    return isinstance(value, tuple) and any(isinstance(one, Record) for one in value)


def _part(name: str, then: Any, now: Any, largest: float = 0.0) -> Part:
    largest = largest or float(np.abs(then).max(initial=0)) or 1.0
    difference = float(np.abs(then.astype(np.float64) - now.astype(np.float64)).max(initial=0)) / largest
    bitwise = bool(then.tobytes() == now.tobytes())
    return Part(name, difference if np.isfinite(difference) else 1.0, bitwise)


def _unknown(header: Header, content: Content) -> Iterator[str]:
    """What the record does not tell about how it was computed; another batch or budget gives other last digits."""
    made = content.explanation.provenance
    if header.kind == "batch item" or (made.group or 1) > 1:
        yield "other texts were computed with it"
    elif content.asked is None and (made.budget is None or made.group is None):
        yield "no request was filed, so its budget and the texts computed with it are not known"


def _left(then: Explanation) -> Iterator[str]:
    """What a replay does not compute again."""
    for name, found in (("check", then.checks), ("notice", then.warnings)):
        if found:
            yield f"{len(found)} {name}{'s' if len(found) > 1 else ''}"
    if then.effects is not None and then.effects.named:
        yield "which words the headline names, and their effect"


def _same_top(then: Attribution, now: Attribution) -> bool:
    """Do the largest scores rank alike? Two that are closer than their own errors, or a millionth, are a tie."""
    if len(then.scores) != len(now.scores):
        return False
    sizes = np.abs(then.scores.astype(np.float64))
    close = then.uncertainty + 1e-6 * sizes.max(initial=0)
    order, again = np.argsort(-sizes, kind="stable")[:TOP], np.argsort(-np.abs(now.scores), kind="stable")[:TOP]
    return all(a == b or abs(sizes[a] - sizes[b]) <= close[a] + close[b] for a, b in zip(order, again, strict=True))


def _changes(then: Environment, now: Environment) -> Iterator[str]:
    for name in sorted(then.versions.keys() | now.versions.keys()):
        if then.versions.get(name) != now.versions.get(name):
            yield f"{name} {now.versions.get(name)} instead of {then.versions.get(name)}"
    for name in ("device", "dtype", "kernel", "threads", "platform", "processor"):
        if getattr(then, name) != getattr(now, name):
            yield f"{name} {getattr(now, name)} instead of {getattr(then, name)}"
    for name in ("blas", "deterministic", "cublas", "gpu"):
        if getattr(then, name) not in (None, getattr(now, name)):  # None: it was not recorded, or not set
            yield f"{name} {getattr(now, name)} instead of {getattr(then, name)}"
    if then.code_sha256 != now.code_sha256:
        yield "another state of Whyboard's code"


def _tolerance(then: Explanation, now: Explanation) -> float:
    mine = max(TOLERANCE.get(dtype, 1e-2) for e in (then, now) for dtype in _dtypes(e))
    apart = then.model.device.split(":")[0] != now.model.device.split(":")[0]
    return max(mine, ACROSS_DEVICES) if apart else mine


def _dtypes(one: Explanation) -> Iterator[str]:
    """What a model is held in, and what some methods ran in instead."""
    yield one.model.dtype
    if one.provenance is not None and WRITTEN in one.provenance.dtype:
        yield WRITTEN


def _sentence(
    bitwise: bool, alike: bool, worst: float, tolerance: float, changed: tuple[str, ...], same_top: bool
) -> str:
    if bitwise:
        return "Everything computed again is the same to the bit."
    where = f" ({'; '.join(changed)})" if changed else ""
    if alike:
        return f"On the same platform every bit should be equal; the largest difference is {worst:.2e}."
    if not same_top:
        return f"The largest scores rank otherwise than in the record; the largest difference is {worst:.2e}{where}."
    inside = "within" if worst <= tolerance else "more than"
    return f"Not the same bits; the largest difference is {worst:.2e}, {inside} the {tolerance:.0e} allowed{where}."
