"""From requests to explanations: predict, attribute, measure, check, in that order, many texts at once.

Methods and checks are generators that ask for rows; `drive` evaluates the rows of all texts together.
"""

from __future__ import annotations

import platform
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, TypeVar, cast

import torch

from explain import checks as checking
from explain import effects as measuring
from explain import spans
from explain.attention.capture import attention_maps
from explain.case import Case, Steps
from explain.catalog import Progress, Request
from explain.drive import answer, drive
from explain.errors import InputError, MethodError
from explain.heads import HeadMap, HeadRequest, HeadsReport, HeadsRequest
from explain.lens import Inside, InsideRequest, LensRequest, PatchRequest
from explain.looking import head_map, heads_report
from explain.methods import find
from explain.model.direct import slopes
from explain.model.encoding import Encoding
from explain.model.runner import Meter, Runner
from explain.notices import notices
from explain.probes.direct import direct
from explain.probes.lens import lens
from explain.probes.patching import patch
from explain.probes.road import entering, road
from explain.reading import standouts
from explain.records import Attribution, Check, Effects, Evaluations, Explanation, Prediction, Provenance
from explain.road import Road, RoadRequest
from explain.units import Units, units_of

T = TypeVar("T")
Listener = Callable[[Progress, Explanation | None], None]
"""Hears of progress, and, when there is something new to show, of what is known so far."""


class Work:
    """One group of requests on its way to explanations."""

    def __init__(
        self,
        model: Runner,
        requests: Sequence[Request],
        progress: Listener | None = None,
        cancel: threading.Event | None = None,
        enough: threading.Event | None = None,
    ) -> None:
        self.model, self.requests, self.listener = model, requests, progress
        self.enough = enough or threading.Event()
        self.stage, self.partial = "Reading", cast(Explanation | None, None)
        self.meter = Meter(self._advance, cancel)
        self.began, self.created = time.perf_counter(), datetime.now(UTC)

    def run(self) -> list[Explanation]:
        for request in self.requests:
            _check_numbers(request)
            for name in request.methods:
                method = find(name)
                if reason := method.why_not(self.model.info):
                    raise MethodError(f"{method.info.title} does not apply: {reason}", code="not_applicable")
                method.configured(request.params.get(name, {}))
            checking.chosen(request.checks)
            for marked in (*request.phrases, *request.rationale):
                spans.fits(request.texts, marked)
        encodings = [self.model.encode(r.texts, truncate=r.truncate) for r in self.requests]
        self._enter("Predicting")
        predictions = self.model.decide(encodings, self.meter)
        cases = [self._case(*t) for t in zip(self.requests, encodings, predictions, strict=True)]
        results = [_Result(case) for case in cases]
        self._show(results)
        for place in range(max((len(r.methods) for r in self.requests), default=0)):
            self._attribute(results, place)
            self._show(results)
        if any(r.attributions for r in results):
            self._enter("Measuring words")
            found = self._drive([measuring.measure(r.case) for r in results])
            for result, (effects, _) in zip(results, found, strict=True):
                result.effects = effects
            self._show(results)
        self._check(results)
        for result, request in zip(results, self.requests, strict=True):
            if request.attention:
                self._enter("Recording attention")
                self.meter.check()
                result.attention = attention_maps(result.case, request.attention)
        return [self._explanation(r) for r in results]

    def _case(self, request: Request, encoding: Encoding, prediction: Prediction) -> Case:
        model, tokenizer = self.model, self.model.tokenizer
        named = {"mask": tokenizer.mask_token_id, "pad": tokenizer.pad_token_id, "unk": tokenizer.unk_token_id}
        return Case(
            info=model.info,
            encoding=encoding,
            prediction=prediction,
            target=model.task.target(
                prediction, model.info.problem, request.target, request.contrast, request.quantity
            ),
            granularity=request.granularity,
            units=units_for(encoding, request),
            special_ids={name: i for name, i in named.items() if i is not None},
            embed=model.embed,
            mean_embedding=lambda: model.mean_embedding,
            tokenize=model.tokenize,
            evaluate=lambda ask: answer(model, ask, self.meter),
            retold=lambda texts: self._retold(request, texts),
            rationale=request.rationale,
            enough=self.enough.is_set,
            seed=request.seed,
            budget=request.budget,
            orders=request.orders,
        )

    def look(self, question: HeadsRequest | HeadRequest) -> HeadsReport | HeadMap:
        """Answer a question about attention; `requests` holds the one that it is about."""
        _check_numbers(question.about)
        self._enter("Reading the attention")
        encoding = self.model.encode(question.about.texts, truncate=question.about.truncate)
        case = self._case(question.about, encoding, self.model.decide([encoding], self.meter)[0])
        if isinstance(question, HeadRequest):
            return head_map(case, question)
        return replace(heads_report(case, question, self._provenance(case)), provenance=self._provenance(case))

    def walk(self, question: RoadRequest | InsideRequest) -> Road | Inside:
        """Answer a question about what happens inside; `requests` holds the one that it is about."""
        _check_numbers(question.about)
        self._enter("Following the word through the model")
        encoding = self.model.encode(question.about.texts, truncate=question.about.truncate)
        case = self._case(question.about, encoding, self.model.decide([encoding], self.meter)[0])
        found: Road | Inside
        if isinstance(question, RoadRequest):
            found = road(case, question, self.model, self.meter, self._provenance(case))
        elif isinstance(question, LensRequest):
            found = lens(case, entering(case, self.model, self.meter), self._provenance(case))
        elif isinstance(question, PatchRequest):
            found = patch(case, question.other, self._provenance(case))
        else:
            found = direct(case, slopes(self.model, case.row(), self.meter), self._provenance(case))
        return replace(found, provenance=self._provenance(case))

    def _retold(self, request: Request, texts: tuple[str, ...]) -> Case:
        """The same question about other texts; character spans of this text mean nothing there."""
        other = replace(request, texts=texts, phrases=(), rationale=())
        encoding = self.model.encode(texts, truncate=request.truncate)
        return self._case(other, encoding, self.model.decide([encoding], self.meter)[0])

    def _attribute(self, results: list[_Result], place: int) -> None:
        method = find(self.requests[0].methods[place])
        self._enter(method.info.title)
        limit, most = method.info.limit, max(r.case.n_units for r in results)
        if limit is not None and most > limit:
            raise MethodError(
                f"{method.info.title}: the text may have at most {limit} words, and it has {most}. Use a method that "
                "samples, or explain a shorter text.",
                code="too_many_words",
            )
        configured = [method.configured(r.params.get(method.info.name, {})) for r in self.requests]

        def whole(i: int, found: Attribution, cost: Evaluations) -> Attribution:
            return replace(
                found,
                method=method.info.name,
                params=asdict(configured[i]),
                signed=method.info.signed,
                evaluations=Evaluations(
                    cost.forward + found.evaluations.forward, cost.backward + found.evaluations.backward
                ),
            )

        def draft(i: int, found: Attribution, cost: Evaluations) -> None:
            results[i].attributions[place:] = [whole(i, found, cost)]
            self._show(results)

        steps = [method.fn(r.case, p) for r, p in zip(results, configured, strict=True)]
        for i, (found, cost) in enumerate(drive(self.model, steps, self.meter, draft)):
            results[i].attributions[place:] = [whole(i, found, cost)]

    def _check(self, results: list[_Result]) -> None:
        named = False
        for checker in checking.chosen(self.requests[0].checks):
            if checker.order >= 20 and not named:  # the headline may be written before the slow checks
                named = self._name(results)
            for place in range(len(results[0].attributions[: self.requests[0].checked]) if results else 0):
                self._enter(checker.stage)
                known = [checking.Found(r.effects, tuple(r.attributions)) for r in results]
                steps = [checker.fn(r.case, r.attributions[place], k) for r, k in zip(results, known, strict=True)]
                found = self._drive(steps)
                for result, (checks, _) in zip(results, found, strict=True):
                    result.checks += [replace(c, attribution=place) for c in checks]
            self._show(results)
        if not named:
            self._name(results)

    def _name(self, results: list[_Result]) -> bool:
        ready = [r for r in results if r.effects is not None and r.attributions]
        units = [standouts(r.attributions[0], r.checks).supporting for r in ready]
        steps = [
            measuring.measure_named(r.case, cast(Effects, r.effects), u) for r, u in zip(ready, units, strict=True)
        ]
        for result, (effects, _) in zip(ready, self._drive(steps), strict=True):
            result.effects = effects
        return True

    def _drive(self, steps: Sequence[Steps[T]]) -> list[tuple[T, Evaluations]]:
        return drive(self.model, steps, self.meter)

    def _enter(self, stage: str) -> None:
        self.meter.check()
        self.stage, self.meter.done = stage, 0
        self._advance(0)

    def _advance(self, done: int) -> None:
        if self.listener is not None:
            self.listener(Progress(self.stage, done), None)

    def _show(self, results: list[_Result]) -> None:
        if self.listener is not None and len(results) == 1:
            self.listener(Progress(self.stage, self.meter.done), self._explanation(results[0]))

    def _explanation(self, result: _Result) -> Explanation:
        case, info, tokenizer = result.case, self.model.info, self.model.tokenizer
        return Explanation(
            model=info,
            tokens=case.tokens,
            prediction=case.prediction,
            target=case.target,
            attributions=tuple(result.attributions),
            effects=result.effects,
            attention=result.attention,
            checks=tuple(result.checks),
            warnings=notices(
                info,
                case.tokens,
                case.prediction,
                case.target,
                tokenizer.unk_token_id,
                set(tokenizer.all_special_ids),
            ),
            provenance=self._provenance(case),
        )

    def _provenance(self, case: Case) -> Provenance:
        """With what this is computed, and how long it has taken so far."""
        info = self.model.info
        return Provenance(
            versions=versions(),
            device=info.device,
            dtype=info.dtype,
            kernel=info.kernel,
            threads=torch.get_num_threads(),
            seed=case.seed,
            created=self.created.isoformat(timespec="milliseconds"),
            seconds=round(time.perf_counter() - self.began, 4),
        )


class _Result:
    """What is known so far about one case."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.attributions: list[Attribution] = []
        self.effects: Effects | None = None
        self.checks: list[Check] = []
        self.attention: Any = None


def _check_numbers(request: Request) -> None:
    for name, low, high in (("seed", 0, 2**53 - 1), ("budget", 1, 10**7), ("orders", 2, 10**5)):
        value = getattr(request, name)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise InputError(
                f"{name} must be a whole number from {low} to {high}, got {value!r:.40}.", code=f"bad_{name}"
            )


def units_for(encoding: Encoding, request: Request) -> Units:
    """The units of an encoded text, as the request wants them."""
    tokens = encoding.tokens
    return units_of(tokens.texts, tokens.segment, tokens.offsets, tokens.special, request.granularity, request.phrases)


@cache
def versions() -> Mapping[str, str]:
    """Versions of what computes."""
    found = {"python": platform.python_version()}
    for package in ("whyboard", "torch", "transformers", "tokenizers", "numpy", "captum"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "unknown"
    return found
