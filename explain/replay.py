"""Compute a record again and say what is different (level V5), and hold a model against answers that were golden once.

A replay follows the path of integration that the record holds and never decides anew where to refine; a second mode
does decide anew. On the platform that filed the record every number must be the same to the bit; elsewhere the largest
difference is held against a tolerance for the dtype.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from explain.audit import building
from explain.audit.records import Beside, Content, Environment, Header
from explain.catalog import Request
from explain.engine import Model
from explain.errors import AuditError
from explain.heads import HeadsReport, HeadsRequest
from explain.prediction import kind
from explain.record import Record
from explain.records import Attribution, Explanation
from explain.road import Road
from explain.tasks._continuation import CONTINUED
from explain.work import Work

TOLERANCE = {"float64": 1e-9, "float32": 1e-5, "bfloat16": 5e-2, "float16": 1e-2}
"""Largest difference, as a share of the largest number, that another thread count or machine may make on one device."""
ACROSS_DEVICES = 1e-3
"""The same between a processor and a graphics card, where it is more than the dtype's."""
TOP = 5


@dataclass(frozen=True, eq=False)
class Part(Record):
    """A group of numbers: the largest difference as a share of the largest of them, and whether all bits are equal."""

    name: str
    difference: float
    bitwise: bool


@dataclass(frozen=True, eq=False)
class Replay(Record):
    """What computing again gave. `environment` lists what is different from then, `sentence` says what it means.

    `tolerance` is 0 where every bit must be the same. `same_top`: are the five largest scores the same words in the
    same order, but for ties.
    """

    mode: str
    parts: tuple[Part, ...]
    environment: tuple[str, ...]
    tolerance: float
    same_top: bool
    holds: bool
    sentence: str


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
    request = content.asked or inferred(then)
    request = replace(request, methods=tuple(a.method for a in then.attributions), checks=(), attention=None)
    paths = {} if decide else {a.method: a.path for a in then.attributions if a.path is not None}
    now = Work(model, [request], paths=paths).run()[0]
    changed = tuple(_changes(header.environment, building.environment(now)))
    parts = (*_parts(then, now), *(_beside(model, content.beside) if content.beside is not None else ()))
    alike = not changed and header.kind != "batch item"
    tolerance = 0.0 if alike else _tolerance(then, now)
    worst, bitwise = max(p.difference for p in parts), all(p.bitwise for p in parts)
    same_top = all(_same_top(a, b) for a, b in zip(then.attributions, now.attributions, strict=True))
    holds = (bitwise if alike else worst <= tolerance) and same_top
    return Replay(
        mode="deciding anew" if decide else "along the stored path",
        parts=parts,
        environment=changed,
        tolerance=tolerance,
        same_top=same_top,
        holds=holds,
        sentence=_sentence(bitwise, alike, worst, tolerance, changed, same_top),
    )


def inferred(then: Explanation) -> Request:
    """The request behind an explanation, as far as it tells: without phrases, which only the request itself knows."""
    first, target = (then.attributions[0] if then.attributions else None), then.target
    labels = then.model.labels
    quantity: Any = target.kind if target.kind in ("log_odds", "logit", "margin", "probability") else "log_odds"
    wish: str | int | None = kind(labels[target.index or 0]) if target.joined else target.index
    against: str | int | None = kind(labels[target.contrast or 0]) if target.joined_against else target.contrast
    followed = then.model.problem == CONTINUED
    if followed:  # what is held against what is said as texts
        wish, against = None, None if target.contrast is None else then.prediction.labels[-1]
    return Request(
        texts=then.tokens.texts[:1] if followed or then.candidates is not None else then.tokens.texts,
        candidates=then.candidates,
        continuation=then.prediction.labels[0] if followed else None,
        methods=tuple(a.method for a in then.attributions),
        params={a.method: dict(a.params) for a in then.attributions},
        target=wish,
        contrast=against,
        place=None if then.prediction.tagging is None else then.prediction.tagging.asked,
        quantity=quantity,
        granularity=first.granularity if first is not None else "word",
        truncate=then.tokens.truncated_at is not None,
        seed=then.provenance.seed,
        forced=True,
    )


@dataclass(frozen=True, eq=False)
class Drift(Record):
    """How one golden answer compares now: `difference` is a share of the largest golden score, None without scores."""

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
        then = {str(i): float(w[1]) for i, w in enumerate(line["words"])}
        words = [w[0] for w in line["words"]] == [w[0] for w in now["words"]]
        difference = None
        if words and then:
            off = max(abs(float(w[1]) - then[str(i)]) for i, w in enumerate(now["words"]))
            difference = off / max(1e-12, max(map(abs, then.values())))
        label = now["label"] == line["label"]
        holds = label and words and (difference is None or difference <= tolerance)
        yield Drift(line["text"], label, words, difference, holds)


def _parts(then: Explanation, now: Explanation) -> Iterator[Part]:
    yield _part("prediction", then.prediction.logits, now.prediction.logits)
    for a, b in zip(then.attributions, now.attributions, strict=True):
        if len(a.scores) != len(b.scores):
            yield Part(f"{a.method}: other words", 1.0, False)
            continue
        yield _part(f"{a.method}: scores", a.scores, b.scores)
        ends = [a.value_input, a.value_baseline or 0.0, a.special], [b.value_input, b.value_baseline or 0.0, b.special]
        yield _part(f"{a.method}: totals", np.array(ends[0]), np.array(ends[1]))
        if a.path is not None and b.path is not None and not np.array_equal(a.path, b.path):
            yield Part(f"{a.method}: refined elsewhere", _part("", a.scores, b.scores).difference, False)
    if then.effects is not None and now.effects is not None and then.effects.without.shape == now.effects.without.shape:
        yield _part("measured without each word", then.effects.without, now.effects.without)


def _beside(model: Model, beside: Beside) -> Iterator[Part]:
    """The numbers of what was filed with the explanation, each group that both have."""
    asked = beside.question
    now = model.look(asked) if isinstance(asked, HeadsRequest) else model.walk(asked)
    assert isinstance(now, (HeadsReport, Road))
    there, here = (dict(_numbers(x)) for x in (beside.answer, now))
    kind = "heads" if isinstance(asked, HeadsRequest) else "road"
    for name in sorted(there.keys() | here.keys()):
        if name in there and name in here and there[name].shape == here[name].shape:
            yield _part(f"{kind}: {name}", there[name], here[name])
        else:
            yield Part(f"{kind}: {name} is not there, or of another shape", 1.0, False)


def _numbers(found: Any, prefix: str = "") -> Iterator[tuple[str, np.ndarray]]:
    """Name and value of every array of numbers in a record, but for what it read and which model it was."""
    if isinstance(found, np.ndarray):
        if found.dtype.kind == "f":
            yield prefix, found
    elif isinstance(found, (Mapping, tuple)):
        items = found.items() if isinstance(found, Mapping) else enumerate(found)
        for key, value in items:
            yield from _numbers(value, f"{prefix} {key}".strip())
    elif isinstance(found, Record):
        for f in fields(found):  # type: ignore[arg-type]
            if f.name not in ("model", "tokens", "provenance", "target"):
                yield from _numbers(getattr(found, f.name), f"{prefix} {f.name}".strip())


def _part(name: str, then: np.ndarray, now: np.ndarray) -> Part:
    largest = float(np.abs(then).max(initial=0)) or 1.0
    difference = float(np.abs(then.astype(np.float64) - now.astype(np.float64)).max(initial=0)) / largest
    return Part(name, difference, bool(then.tobytes() == now.tobytes()))


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
    if then.code_sha256 != now.code_sha256:
        yield "another state of Whyboard's code"


def _tolerance(then: Explanation, now: Explanation) -> float:
    mine = max(TOLERANCE.get(e.model.dtype, 1e-2) for e in (then, now))
    apart = then.model.device.split(":")[0] != now.model.device.split(":")[0]
    return max(mine, ACROSS_DEVICES) if apart else mine


def _sentence(
    bitwise: bool, alike: bool, worst: float, tolerance: float, changed: tuple[str, ...], same_top: bool
) -> str:
    if bitwise:
        return "Every number is the same to the bit."
    where = f" ({'; '.join(changed)})" if changed else ""
    if alike:
        return f"On the same platform every bit should be equal; the largest difference is {worst:.2e}."
    if not same_top:
        return f"The largest scores rank otherwise than in the record; the largest difference is {worst:.2e}{where}."
    inside = "within" if worst <= tolerance else "more than"
    return f"Not the same bits; the largest difference is {worst:.2e}, {inside} the {tolerance:.0e} allowed{where}."
