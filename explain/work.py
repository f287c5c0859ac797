"""From requests to explanations: predict, attribute, measure, check, in that order, many texts at once.

Methods and checks are generators that ask for rows; `drive` evaluates the rows of all texts together.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar, cast

from explain import calibration, costs, gate, spans
from explain import checks as checking
from explain import effects as measuring
from explain import interactions as pairing
from explain.attention.capture import attention_maps
from explain.bounds import require_bounds, require_layer
from explain.case import Case, Steps
from explain.catalog import Claim, Progress, Request
from explain.drive import answer, drive, require_whole
from explain.errors import MethodError
from explain.methods import Method, find
from explain.model import chat
from explain.model.contexts import holding
from explain.model.encoding import Encoding, masked
from explain.model.neighbours import nearest
from explain.model.redraw import redrawn
from explain.model.runner import Meter, Runner
from explain.outline import outline
from explain.reading import standouts
from explain.records import (
    Attribution,
    Effects,
    Evaluations,
    Explanation,
    Granularity,
    Notice,
    Prediction,
    Provenance,
    Tokens,
)
from explain.results import Result, provenance

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
        paths: Mapping[str, Any] | None = None,
        before: Tokens | None = None,
    ) -> None:
        self.base, self.model = model, model.asked(requests[0]) if requests else model  # one question for all
        self.requests, self.listener, self.enough = requests, progress, enough or threading.Event()
        self.paths, self.before = paths or {}, before  # of a replay: method → path, and how the texts were read
        self.stage, self.partial = "Reading", cast(Explanation | None, None)
        self.methods: list[str] = []  # those that run: gated ones beside others are left out
        self.gated: list[Notice] = []
        self.rough: list[str] = []  # those that ran in bfloat16
        self.meter = Meter(self._advance, cancel)
        self.began, self.created = time.perf_counter(), datetime.now(UTC)

    def run(self) -> list[Explanation]:
        for request in self.requests:
            require_bounds(request)
            for name in request.methods:
                method = find(name)
                if reason := method.why_not(self.model.info):
                    raise MethodError(f"{method.info.title} does not apply: {reason}", code="not_applicable")
                params = method.configured(request.params.get(name, {}))
                require_layer(getattr(params, "layer", 0), self.model.info.n_layers)
            for layer in request.attention or ():  # recorded last: not refused only then
                require_layer(layer, self.model.info.n_layers)
            checking.chosen(request.checks)
            for marked in (*request.phrases, *request.rationale):
                spans.fits(request.texts, marked)
        told = [r.texts for r in self.requests]
        with chat.together(self.model.tokenizer, told, self.model.roles, self.meter):
            encodings = [self._encoded(r, self.before) for r in self.requests]
        for request, encoding in zip(self.requests, encodings, strict=True):
            if request.attention:
                require_whole(encoding)
        costs.require(self.base, self.requests, encodings)
        self._pass_the_gate()
        self._enter("Predicting")
        predictions = self.model.decide(encodings, self.meter)
        cases = [self._case(*t) for t in zip(self.requests, encodings, predictions, strict=True)]
        results = [Result(case) for case in cases]
        self._show(results)
        self._outline(results)
        for place in range(len(self.methods)):
            self._attribute(results, place)
            self._show(results)
        if any(r.attributions for r in results):
            self._enter("Measuring words")
            found = self._drive([measuring.measure(r.case) for r in results])
            for result, (effects, _) in zip(results, found, strict=True):
                result.effects = effects
            self._show(results)
        self._pair([r for r, request in zip(results, self.requests, strict=True) if request.interactions])
        self._check(results)
        for result, request in zip(results, self.requests, strict=True):
            if request.attention:
                self._enter("Recording attention")
                self.meter.check()
                result.attention = attention_maps(result.case, request.attention)
        return [self._explanation(r) for r in results]

    def claim(self, method: Method, params: Any) -> Claim | None:
        """A gated method's claim on this model, measured at first use; None for methods without a gate."""
        if method.gated is None:
            return None
        known, key = self.model.claims, (method.info.name, params)
        if key not in known:
            self._enter("Measuring the method's claim")
            model, cases = self._posed()
            known[key] = gate.measure(model, method, params, cases, self.meter)
        return known[key]

    def _posed(self) -> tuple[Runner, list[Case]]:
        posed = Work(self.base, gate.probes(self.model))
        posed.meter = self.meter
        return posed.model, [posed._retold(r, r.texts) for r in posed.requests]

    def _computing(self, method: Method) -> Runner:
        """The model that a method's rows are given to, in the precision that it may be."""
        model, said = calibration.chosen(self.model, method, self._posed, self.meter)
        if model is not self.model:
            self.rough.append(method.info.name)
        if said is not None and said not in self.gated:
            self.gated.append(said)
        return model

    def _pass_the_gate(self) -> None:
        """Choose what runs: a first method that misses its claim is refused, one beside it left out, unless forced."""
        forced = all(r.forced for r in self.requests)
        for place, name in enumerate(self.requests[0].methods if self.requests else ()):
            method = find(name)
            claims = [self.claim(method, method.configured(r.params.get(name, {}))) for r in self.requests]
            missed = next((c for c in claims if c is not None and not c.kept), None)
            if missed is not None and not forced and place == 0:
                raise gate.refusal(method.info.title, missed)
            if missed is not None:
                self.gated.append(gate.notice(method.info.title, missed, forced=forced))
            if missed is None or forced:
                self.methods.append(name)

    def _case(self, request: Request, encoding: Encoding, prediction: Prediction) -> Case:
        model, tokenizer = self.model, self.model.tokenizer
        named = {"mask": tokenizer.mask_token_id, "pad": tokenizer.pad_token_id, "unk": tokenizer.unk_token_id}
        wish = request.target, request.contrast, request.quantity
        target = model.task.target(prediction, model.labels, model.info.problem, *wish, encoding)
        encoding = encoding.about(target.index)
        own = () if prediction.position is None else (prediction.position,)
        encoding = replace(encoding, places=target.positions or own)
        # whole sentences are chosen among in `_outline`, in a request's own text alone
        grain: Granularity = "word" if request.granularity == "hierarchical" else request.granularity
        if encoding.window is not None:
            encoding = holding(model, encoding, prediction, target, self.meter)
        if prediction.tagging is not None:  # the same word, whatever is done to the text
            request = replace(request, place=prediction.tagging.asked)
        elif encoding.source and not encoding.options:  # what stood behind the place is no part of the question
            request = replace(request, texts=encoding.tokens.texts, place=None)
        return Case(
            info=model.info,
            encoding=encoding,
            prediction=prediction,
            target=replace(target, position=next(iter(encoding.places), None)),
            granularity=grain,
            units=encoding.units(grain, request.phrases),
            special_ids={name: i for name, i in named.items() if i is not None},
            embed=model.embed,
            mean_embedding=lambda: model.mean_embedding,
            tokenize=model.tokenize,
            evaluate=lambda ask: answer(model, ask, self.meter),
            retold=partial(self._retold, request, before=encoding.tokens),
            redrawn=partial(self._redrawn, request, encoding.tokens),
            nearest=partial(nearest, model),
            kept=model.kept,
            rationale=request.rationale,
            enough=self.enough.is_set,
            seed=request.seed,
            budget=request.budget,
            orders=request.orders,
        )

    def case(self, request: Request, stage: str, hidden: tuple[int, ...] = ()) -> Case:
        """What another kind of question is asked of: the text, read and decided, with some words `hidden`."""
        encoding = self.read(request, stage, hidden)
        return self._case(request, encoding, self.model.decide([encoding], self.meter)[0])

    def read(self, request: Request, stage: str, hidden: tuple[int, ...] = ()) -> Encoding:
        """The text of such a question, with some words `hidden`; nothing is decided."""
        require_bounds(request)
        self._enter(stage)
        encoding = self._encoded(request)
        require_whole(encoding)
        return masked(encoding, hidden, self.model.tokenizer) if hidden else encoding

    def _encoded(self, about: Request, before: Tokens | None = None) -> Encoding:
        options = {name: getattr(about, name) for name in ("truncate", "place", "windows")}
        return self.model.encode(about.texts, **options, before=before, meter=self.meter)

    def _redrawn(self, request: Request, before: Tokens, seed: int) -> Callable[..., Case]:
        other = Work(redrawn(self.model, seed), [request])  # a copy that has learned nothing
        other.meter = self.meter
        return partial(other._retold, request, before=before)

    def _retold(
        self,
        request: Request,
        texts: tuple[str, ...],
        ordinary: bool = False,
        before: Tokens | None = None,
        **changes: Any,
    ) -> Case:
        """The same question about other texts; character spans of this text mean nothing there.

        What is the same in them is read as it was `before`.
        """
        if ordinary:  # this text's place is none of theirs, and what is asked of it may be a part of it
            own = {"place": None, "target": None, "contrast": None}
            texts, changes = self.model.task.posed(texts, self.model.tokenizer), {**own, **changes}
        other = replace(request, **{"texts": texts, "phrases": (), "rationale": (), **changes})
        encoding = self._encoded(other, before)
        return self._case(other, encoding, self.model.decide([encoding], self.meter)[0])

    def _outline(self, results: list[Result]) -> None:
        """Where sentences come first: take those that do not matter whole."""
        mine = [(r, q.phrases) for r, q in zip(results, self.requests, strict=True) if q.granularity == "hierarchical"]
        if mine:
            self._enter("Weighing sentences")
            found = self._drive([outline(result.case, phrases) for result, phrases in mine])
            for (result, _), (apart, _) in zip(mine, found, strict=True):
                result.case, result.notices = apart

    def _attribute(self, results: list[Result], place: int) -> None:
        method = find(self.methods[place])
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

        path = self.paths.get(method.info.name)
        steps = [method.fn(replace(r.case, path=path), p) for r, p in zip(results, configured, strict=True)]
        for i, (found, cost) in enumerate(drive(self._computing(method), steps, self.meter, draft)):
            results[i].attributions[place:] = [whole(i, found, cost)]

    def _pair(self, results: list[Result]) -> None:
        if not results:
            return
        self._enter("Measuring pairs of words")
        measured = self._drive([pairing.measure(r.case) for r in results])
        for result, (found, spent) in zip(results, measured, strict=True):
            result.interactions = replace(found, evaluations=spent)
        self._show(results)

    def _check(self, results: list[Result]) -> None:
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

    def _name(self, results: list[Result]) -> bool:
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

    def _show(self, results: list[Result]) -> None:
        if self.listener is not None and len(results) == 1:
            self.listener(Progress(self.stage, self.meter.done), self._explanation(results[0]))

    def _explanation(self, result: Result) -> Explanation:
        return result.explanation(self.model, self.gated, self.provenance(result.case))

    def begin(self, stage: str) -> None:
        """Say what is done now, for questions that have no case."""
        self._enter(stage)

    def provenance(self, case: Case | None, seed: int = 0) -> Provenance:
        """With what this is computed, and how long it has taken so far; `seed` where there is no case."""
        about: dict[str, Any] = {"case": case, "seed": seed, "group": len(self.requests) or None, "rough": self.rough}
        return provenance(self.model, self.methods, self.created, time.perf_counter() - self.began, **about)
