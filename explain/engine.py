"""The public model: everything that a runner can do, and explain itself."""

from __future__ import annotations

import dataclasses
import math
import threading
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, cast

from explain import costs
from explain.alignment import Alignment, AlignRequest
from explain.asking import spread
from explain.attending import Attending
from explain.candidates import folded
from explain.catalog import Forecast, Grain, MethodInfo, Request, TargetKind
from explain.errors import InputError
from explain.lens import Direct, DirectRequest, Inside, InsideRequest, Lens, LensRequest, Patch, PatchRequest
from explain.messages import Text, parted, plain
from explain.methods import methods
from explain.model.encoding import Encoding
from explain.model.loading import load_runner
from explain.model.memory import weights
from explain.model.meter import Meter
from explain.questions import align, walk
from explain.records import Explanation
from explain.road import Road, RoadRequest
from explain.settings import settings
from explain.spans import Span, found
from explain.work import Listener, Work

GROUP = 64
"""Texts that are refined together; more would only hold more gradients in memory."""


class Model(Attending):
    """A loaded model that explains itself: what `explain.load` returns."""

    def explain(
        self,
        text: Text,
        *,
        methods: Sequence[str] = ("integrated_gradients",),
        params: Mapping[str, Any] | None = None,
        target: str | int | None = None,
        contrast: str | int | None = None,
        place: int | None = None,
        candidate_labels: str | Sequence[str] | None = None,
        multi_label: bool = False,
        hypothesis_template: str | None = None,
        continuation: str | None = None,
        quantity: TargetKind = "log_odds",
        granularity: Grain = "word",
        attention: bool | Sequence[int] = False,
        checks: Sequence[str] | None = None,
        truncate: bool = False,
        windows: bool = False,
        budget: int = 512,
        orders: int = 20,
        seed: int = 0,
        phrases: Sequence[str | tuple[int, int] | Span] = (),
        rationale: Sequence[str | tuple[int, int] | Span] = (),
        forced: bool = False,
        interactions: bool = False,
        progress: Listener | None = None,
        cancel: threading.Event | None = None,
        enough: threading.Event | None = None,
    ) -> Explanation:
        """Explain one decision.

        Args:
            text: the text, or two: a sentence pair, a question and its context, or a text and what is written about it;
                or a conversation as [{"role": …, "content": …}, …], which the model's chat template puts together: its
                messages are texts of their own.
            methods: names of attribution methods (`explain.list_methods()`).
            params: parameters: `{"baseline": "pad"}` for all methods, or `{"method": {...}}` for one.
            target: label or class index to explain; None for the model's own top label. Where words have tags, PER
                stands for B-PER and I-PER together, over all words of the entity.
            contrast: explain 'why the target and not this label?'.
            place: which mask of several, which word where each has a tag, or which token of what is written, from 0 on;
                None: the first mask, the first word of the first entity (without any, the word that comes closest to
                being in one), or what is written next.
            candidate_labels: labels of your own to choose among (zero-shot, by a model of inference); one string may
                hold several between commas.
            multi_label: judge each of them by itself.
            hypothesis_template: the sentence that a label is written into at {}; None for 'This example is {}.'.
            continuation: what may follow the text, or be written about it: its log-probability is explained, less
                that of `contrast`.
            quantity: log_odds (default), logit, margin or probability.
            granularity: score each word, token or sentence; hierarchical: sentences, and words of those that matter.
            attention: True for the attention maps of all layers, or a list of layers; of an encoder and a decoder the
                encoder's, the decoder's and those between both (`AttentionMaps.kind`).
            checks: names of checks (`explain.list_checks()` for all); None for the default ones, () for none.
            truncate: cut a text that is too long instead of refusing it.
            windows: see one that is too long through windows that overlap; what the model says is their mean, or, of
                the context of a question, what it says in the one that holds the answer.
            budget: gradient evaluations that one method may spend (a forward pass counts a quarter); its first
                answer is always computed.
            orders: random orders that the removal checks draw (200 for a verdict).
            seed: for everything that draws at random.
            phrases: parts of the text to score as one unit: the words themselves, (start, end) or (text, start, end).
            rationale: parts of the text that a person takes for the reason, to compare the scores with; same forms.
            forced: run a method although it misses its own claim on this model; the explanation says so.
            interactions: also measure what pairs of words do together (`Explanation.interactions`).
            progress: called with a Progress and, from the prediction on, what is known so far.
            cancel: when set, the work stops with `Cancelled` before the next chunk.
            enough: when set, a sampling method stops refining and returns what it has.

        Raises:
            InputError: the text or target cannot be explained.
            MethodError: unknown method, parameter or check.
            ModelError: the model cannot be run on this text.
        """
        texts, _ = parted(text)
        return self.explain_batch(
            [text],
            methods=methods,
            params=params,
            target=target,
            contrast=contrast,
            place=place,
            candidate_labels=candidate_labels,
            multi_label=multi_label,
            hypothesis_template=hypothesis_template,
            continuation=continuation,
            quantity=quantity,
            granularity=granularity,
            attention=attention,
            checks=checks,
            truncate=truncate,
            windows=windows,
            budget=budget,
            orders=orders,
            seed=seed,
            phrases=found(texts, phrases),
            rationale=found(texts, rationale),
            forced=forced,
            interactions=interactions,
            progress=progress,
            cancel=cancel,
            enough=enough,
        )[0]

    def explain_batch(
        self,
        texts: Sequence[Text],
        *,
        methods: Sequence[str] = ("integrated_gradients",),
        params: Mapping[str, Any] | None = None,
        attention: bool | Sequence[int] = False,
        checks: Sequence[str] | None = None,
        progress: Listener | None = None,
        cancel: threading.Event | None = None,
        enough: threading.Event | None = None,
        **rest: Any,
    ) -> list[Explanation]:
        """Explain many decisions together, in order; numbers as one by one, up to float32's rounding in a batch.

        Raises:
            InputError: more texts than `EXPLAIN_MAX_TEXTS` (code too_many), or what `explain` refuses.
        """
        limit = settings().max_texts
        if len(texts) > limit:
            raise InputError(f"Expected at most {limit:,} texts in one call, got {len(texts):,}.", code="too_many")
        rest = folded(rest)
        layers = tuple(range(self.info.n_layers)) if attention is True else tuple(attention or ()) or None
        requests = [
            Request(
                texts=parts,
                roles=roles,
                methods=tuple(methods),
                params=spread(params or {}, methods),
                attention=layers,
                checks=None if checks is None else tuple(checks),
                **rest,
            )
            for parts, roles in map(parted, texts)
        ]
        return self.answer(requests, progress=progress, cancel=cancel, enough=enough)

    def answer(
        self,
        requests: Sequence[Request],
        *,
        progress: Listener | None = None,
        cancel: threading.Event | None = None,
        enough: threading.Event | None = None,
    ) -> list[Explanation]:
        """Answer requests; `explain` and `explain_batch` in the form that other faces use."""
        alike = [list(some) for _, some in groupby(requests, key=_question)]
        return [
            explanation
            for some in alike
            for i in range(0, len(some), GROUP)
            for explanation in Work(self, some[i : i + GROUP], progress, cancel, enough).run()
        ]

    def methods(self) -> list[MethodInfo]:
        """Every method, with what its claim measures on this model where it needs to be measured (some seconds)."""
        work = Work(self, [])
        return [
            m.info
            if m.gated is None or m.why_not(self.info) is not None
            else dataclasses.replace(m.info, claim=work.claim(m, m.configured({})))
            for m in methods().values()
        ]

    def walk(
        self,
        question: RoadRequest | InsideRequest,
        *,
        progress: Listener | None = None,
        cancel: threading.Event | None = None,
    ) -> Road | Inside:
        """Answer a question about what happens inside: `road`, `lens` and `patch` in the form that other faces use."""
        return walk(Work(self, [question.about], progress, cancel), question)

    def road(self, text: str | tuple[str, str], layer: int, head: int, token: int, **about: Any) -> Road:
        """Every number that makes one token's vector in one block: embeddings, one head, norms, neurons, answer.

        Raises:
            InputError: the text cannot be read, or there is no such layer, head or token.
            ModelError: the model does not keep its layers in a list.
        """
        texts = plain(text)
        return cast(Road, self.walk(RoadRequest(Request(texts, **about), layer, head, token)))

    def lens(self, text: str | tuple[str, str], **about: Any) -> Lens:
        """What the model's own head says when it reads the states after every layer; approximate.

        Raises:
            InputError: the text or target cannot be explained.
            ModelError: the model does not keep its layers in a list.
        """
        return cast(Lens, self.walk(LensRequest(Request(plain(text), **about))))

    def direct(self, text: str | tuple[str, str], **about: Any) -> Direct:
        """What each head and each feed-forward adds to the target on the direct path; approximate.

        Raises:
            InputError: the text or target cannot be explained.
            ModelError: a block's attention or feed-forward does not end in one matrix.
        """
        return cast(Direct, self.walk(DirectRequest(Request(plain(text), **about))))

    def patch(self, text: str, other: str, **about: Any) -> Patch:
        """How far the answer moves when one token's state after one layer is exchanged for the other text's.

        Raises:
            InputError: the texts do not have equally many tokens.
            ModelError: the model does not keep its layers in a list.
        """
        texts = plain(text)  # a pair is refused in words
        return cast(Patch, self.walk(PatchRequest(Request(texts, **about), other)))

    def align(self, text: str, written: str, *, truncate: bool = False, **driven: Any) -> Alignment:
        """What each token of `written` hangs on, in both texts: measured, one pass for each word.

        Raises InputError where the model writes nothing about a text.
        """
        return align(Work(self, [], **driven), AlignRequest((text, written), truncate))

    def forecast(self, request: Request, cancel: threading.Event | None = None) -> Forecast:  # type: ignore[override]
        """Seconds and memory that a request will take on this machine; `cancel` as in `explain`."""
        return self.forecasts([request], cancel)[0]

    def forecasts(self, requests: Sequence[Request], cancel: threading.Event | None = None) -> list[Forecast]:
        """`forecast` for requests about the same text, which is read once."""
        if not requests:
            return []
        first = requests[0]
        about = {"place": first.place, "windows": first.windows, "meter": Meter(cancel=cancel)}
        encoding = self.asked(first).encode(first.texts, truncate=True, **about)
        least, likely = costs.units(first, encoding)
        return [self._forecast(request, encoding, least, likely) for request in requests]

    def _forecast(self, request: Request, encoding: Encoding, least: int, likely: int) -> Forecast:
        if costs.refused(request, least):
            return Forecast(seconds=math.inf)
        more, share = costs.beside(self, request, encoding, likely), costs.anew(encoding)
        forward, backward = costs.passes(request, likely, share, self.kept)
        forward += len(encoding.windows) - len(encoding.seen)  # the decision reads all windows, also where one holds it
        seconds = super().forecast(costs.length(request, encoding), forward, backward)
        return Forecast(seconds, None if more is None else weights(self.module) + more)


def _question(request: Request) -> tuple[Any, ...]:
    """What texts must share to be refined together."""
    return request.candidates, request.roles, request.continuation, request.continuation and request.contrast


def load(name: str = "sentiment", **options: Any) -> Model:
    """Load a model by bundled name, Hub id or folder; options as `explain.model.loading.load_runner`."""
    return cast(Model, load_runner(name, runner=Model, **options))
