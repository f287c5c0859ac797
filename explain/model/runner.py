"""A loaded checkpoint and the two primitives under every method: values(rows) and gradients(rows)."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from functools import cached_property
from typing import Any, Self

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from explain.candidates import Candidates, candidates
from explain.catalog import Claim, Request
from explain.errors import ExplainError, InputError, ModelError
from explain.messages import Text, parted
from explain.model import ends, positions, views, written
from explain.model.chunks import Padding, chunks, halving, is_out_of_memory
from explain.model.encoding import Encoding
from explain.model.meter import Meter as Meter  # what callers of a runner give it
from explain.model.rates import Rates
from explain.model.rows import Row
from explain.model.substitution import lookup, substituted
from explain.records import ModelInfo, Prediction, Target
from explain.settings import settings
from explain.tasks import Task

NOTHING = Target(kind="value", index=None, name="", unit="")
"""Of rows that are only predicted."""


class Runner:
    """A model, its tokenizer and its task. Shared by threads: one lock guards the module.

    `module` and `tokenizer` are the objects underneath, read-only by convention. Parameters are frozen; nothing is left
    behind on the module after a call, also after an error. `kept` holds facts that do not depend on a text.
    `candidates` are labels that it is asked to choose among, None for outcomes of its own; `continuations` are texts
    whose likelihood it is asked for, `roles` those of the messages of a conversation, () for none (see `asked`).
    `begin` are the ids that its decoder begins with, where that reads a text of its own (`room` tokens at most), or ().
    """

    def __init__(
        self,
        module: torch.nn.Module,
        tokenizer: Any,
        task: Task,
        info: ModelInfo,
        *,
        autocast: torch.dtype | None = None,
        token_budget: int | None = None,
    ) -> None:
        self.module = module.eval().requires_grad_(False)
        self.tokenizer = tokenizer
        self.task = task
        self.info = info
        self.candidates: Candidates | None = None
        self.continuations: tuple[str, ...] = ()
        self.roles: tuple[str, ...] = ()
        self.autocast = autocast
        self.fast = False  # whether others may give it an autocast, where `explain.calibration` allows that
        self.token_budget = token_budget or settings().token_budget
        self.lock = threading.RLock()
        self.rates = Rates()
        self.kept: dict[Hashable, Any] = {}
        self.claims: dict[tuple[str, Any], Claim] = {}  # of methods, as measured on this model
        self.device = next(module.parameters()).device
        self.begin, self.room = task.begin(module), positions.written(module, info.max_tokens)
        self.padding: Padding = "pad"
        self.padding = self._probe_padding()

    def encode(self, texts: tuple[str, ...], **about: Any) -> Encoding:
        """Tokenize; options as in `Model.explain`, `before` and `meter` as in `views.encoded`; raises InputError."""
        with self.lock:  # truncation is state of the tokenizer
            return views.encoded(self, texts, **about)

    def embed(self, ids: Int64[np.ndarray, "T"]) -> Float32[np.ndarray, "T D"]:
        """The vectors that the model looks up for `ids`."""
        with self.lock, self._in_our_words(), torch.no_grad():
            found = lookup(self.module, self.tensor(ids[None]))  # (1, T, D)
        return found[0].float().cpu().numpy()

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """Names of all outcomes, in index order, also where they are a whole vocabulary."""
        return self.task.vocabulary(self.tokenizer) or self.info.labels

    @cached_property
    def mean_embedding(self) -> Float32[np.ndarray, "D"]:
        """The average of the vectors of all words that the tokenizer knows."""
        return self.embed(np.arange(len(self.tokenizer))).mean(0)

    def tokenize(self, text: str) -> Int64[np.ndarray, "K"]:
        """Token ids of a text, without special tokens."""
        with self.lock:
            return np.array(self.tokenizer(text, add_special_tokens=False)["input_ids"], dtype=np.int64)

    def among(self, asked: Candidates | None) -> Self:
        """The same model, asked which of somebody's labels fits; raises InputError where it cannot be."""
        return views.among(self, asked)

    def asked(self, request: Request) -> Self:
        """The model under the question of a request: `among` labels, about a continuation or a conversation, or plain.

        Raises:
            InputError: the model cannot be asked so, or a request asks for several of them.
        """
        if (request.candidates is not None) + (request.continuation is not None) + bool(request.roles) > 1:
            code = "bad_messages" if request.continuation is None else "bad_continuation"
            raise InputError("Ask about labels, a continuation or messages, not about several.", code=code)
        if request.continuation is not None:
            return views.following(self, request.continuation, request.contrast)
        return views.talking(self.among(request.candidates), request.roles)

    def predict(self, text: Text, **about: Any) -> Prediction:
        """What the model decides about one text or pair; arguments as `predict_batch`."""
        return self.predict_batch([text], **about)[0]

    def predict_batch(
        self,
        texts: Sequence[Text],
        *,
        truncate: bool = False,
        place: int | None = None,
        windows: bool = False,
        meter: Meter | None = None,
        **labels: Any,
    ) -> list[Prediction]:
        """What the model decides about many texts, in order; `place`, `windows` and labels as in `Model.explain`."""
        model, about = self.among(candidates(**labels)), {"truncate": truncate, "place": place, "windows": windows}
        whole = [(views.talking(model, roles), parts) for parts, roles in map(parted, texts)]
        return model.decide([view.encode(parts, **about, meter=meter) for view, parts in whole], meter)

    def decide(self, encodings: Sequence[Encoding], meter: Meter | None = None) -> list[Prediction]:
        """Predictions for texts that are already encoded."""
        rows = [e.row(NOTHING, places=e.read_at, windows=e.windows) for e in encodings]
        each = zip(ends.outputs(self, rows, meter or Meter()), encodings, strict=True)
        return [self.task.prediction(raw, self.labels, self.info.problem, e) for raw, e in each]

    def outputs(self, rows: Sequence[Row], meter: Meter) -> list[Float32[np.ndarray, "K ..."]]:
        """The head's raw output for every row, as the task reads it, at each of the row's places."""
        outputs: list[np.ndarray] = [np.empty(0)] * len(rows)
        for group, raw in self.chunked(rows, meter, self._raw):
            stops = np.cumsum([len(rows[i].read) for i in group])
            for i, output in zip(group, np.split(raw, stops[:-1]), strict=True):
                outputs[i] = output
        return outputs

    def values(self, rows: Sequence[Row], meter: Meter | None = None) -> Float32[np.ndarray, "N"]:
        """The target's value for every row, without gradient."""
        values = np.zeros(len(rows), dtype=np.float32)
        for group, found in self.chunked(rows, meter or Meter(), self._values):
            values[group] = found
        return values

    def gradients(
        self, rows: Sequence[Row], meter: Meter | None = None
    ) -> tuple[Float32[np.ndarray, "N"], list[Float32[np.ndarray, "T D"]]]:
        """The target's value for every row, and its gradient with respect to the row's embeddings."""
        values = np.zeros(len(rows), dtype=np.float32)
        gradients: list[np.ndarray] = [np.empty(0, dtype=np.float32)] * len(rows)
        for group, (found, slopes) in self.chunked(rows, meter or Meter(), self._gradients, backward=True):
            values[group] = found
            for i, slope in zip(group, slopes, strict=True):
                gradients[i] = slope[: len(rows[i])]
        return values, gradients

    def forecast(self, tokens: int, forward: int, backward: int) -> float | None:
        """Seconds that so many passes over a text of `tokens` will take; None before anything was measured."""
        return self.rates.forecast(tokens, forward, backward)

    # From here on down: one chunk at a time, under the lock.

    def chunked(
        self,
        rows: Sequence[Row],
        meter: Meter,
        run: Callable[[list[Row]], Any],
        backward: bool = False,
        whole: bool = True,
    ) -> Iterator[tuple[list[int], Any]]:
        """Run chunks of rows under the lock: (indices of the rows, what `run` returned) for each.

        Forecasts learn from how long they took, if they are `whole` passes.
        """

        def on_halved(size: int) -> None:
            meter.halved += 1

        def one(group: list[int]) -> Any:
            tokens = len(group) * max(len(rows[i]) for i in group)
            with self.lock, self._in_our_words():
                meter.check()  # only now: the wait for the lock may have been long
                self._require_eval()
                began = time.perf_counter()
                result = run([rows[i] for i in group])
                if whole:
                    self.rates.learn(time.perf_counter() - began, tokens, backward)
            meter.advance(len(group))
            return result

        for group in chunks(rows, self.token_budget, self.padding):
            yield from halving(one, group, on_halved)

    def _raw(self, rows: list[Row]) -> Float32[np.ndarray, "M ..."]:
        with torch.no_grad():  # not inference_mode: what a model caches then could never be differentiated
            return self.raw(self._called(rows), rows).cpu().numpy()

    def _values(self, rows: list[Row]) -> Float32[np.ndarray, "N"]:
        with torch.no_grad():
            return self.score(self._called(rows), rows).cpu().numpy()

    def _called(self, rows: list[Row]) -> Any:
        return self.call(rows, None if all(row.start is None for row in rows) else self.embeddings(rows))

    def _gradients(self, rows: list[Row]) -> tuple[Float32[np.ndarray, "N"], Float32[np.ndarray, "N T D"]]:
        with torch.no_grad():
            embeds = self.embeddings(rows).detach()  # (N, T, D)
        with torch.enable_grad():
            embeds.requires_grad_(True)
            values = self.score(self.call(rows, embeds), rows)  # (N,)
            (slopes,) = torch.autograd.grad(values.sum(), embeds)
        return values.detach().cpu().numpy(), finite(slopes).float().cpu().numpy()

    def call(self, rows: list[Row], embeds: Tensor | None = None, **options: Any) -> Any:
        """The module's outputs for one chunk; `embeds` (N, T, D) stand in for what the table would return."""
        inputs = self._inputs(rows)
        casting = (
            contextlib.nullcontext() if self.autocast is None else torch.autocast(self.device.type, dtype=self.autocast)
        )
        with casting:
            if embeds is None:
                return self.module(**inputs, **options)
            own, other = written.apart(rows, embeds, inputs)
            with substituted(self.module, inputs["input_ids"], own, other) as seen:
                outputs = self.module(**inputs, **options)
        if not seen.used:
            raise ModelError(
                f"{self.info.architecture} does not look its words up in a table that can be intercepted, so "
                "gradients with respect to them do not exist. Use occlusion.",
                code="no_embeddings",
            )
        return outputs

    def _inputs(self, rows: list[Row]) -> dict[str, Tensor]:
        if rows[0].source:
            return written.inputs(self, rows)
        found = {name: self.padded(name, [row.inputs[name] for row in rows]) for name in rows[0].inputs}
        lengths = torch.tensor([len(row) for row in rows], device=self.device)
        width = found["input_ids"].shape[1]
        return found | {"attention_mask": (torch.arange(width, device=self.device) < lengths[:, None]).long()}  # (N, T)

    def score(self, outputs: Any, rows: list[Row]) -> Tensor:
        """The target's value for each row of one chunk: (N,), differentiable."""
        return self.valued(self.raw(outputs, rows), rows)

    def raw(self, outputs: Any, rows: list[Row]) -> Tensor:
        """The head's raw output (M, …) for one chunk, in float32: at each place of each row, in order."""
        return finite(self.task.read(outputs, rows).float())

    def valued(self, raw: Tensor, rows: list[Row]) -> Tensor:
        """The target's value (N,) for each row, from the head's raw output (M, …): the mean over the row's places."""
        owners = [i for i, row in enumerate(rows) for _ in row.read]
        values = raw.new_zeros(len(owners))
        groups: dict[int, tuple[Target, list[int]]] = {}
        for m, i in enumerate(owners):
            groups.setdefault(id(rows[i].target), (rows[i].target, []))[1].append(m)
        for target, indices in groups.values():
            at = torch.tensor(indices, device=raw.device)
            values = values.index_put((at,), self.task.score(raw[at], target, self.info.problem))
        if len(owners) == len(rows):
            return values
        counts = torch.tensor([len(row.read) for row in rows], device=raw.device)
        return raw.new_zeros(len(rows)).index_add(0, torch.tensor(owners, device=raw.device), values) / counts

    def embeddings(self, rows: list[Row]) -> Tensor:
        """Embeddings of every row (N, T, D), padding and rows without a path looked up."""
        embeds = lookup(self.module, self.padded("input_ids", [row.ids for row in rows])).clone()
        for i, row in enumerate(rows):
            if row.start is not None and row.end is not None:
                start, end = self.tensor(row.start), self.tensor(row.end)
                embeds[i, : len(start)] = (start + row.alpha * (end - start)).to(embeds.dtype)
        return embeds

    def padded(self, name: str, arrays: list[np.ndarray]) -> Tensor:
        """Integer arrays of different lengths as one tensor (N, T); ids are filled up with the padding token's."""
        pad = self.tokenizer.pad_token_id if name.endswith("input_ids") else 0
        table = np.full((len(arrays), max(map(len, arrays))), pad or 0, dtype=np.int64)
        for i, array in enumerate(arrays):
            table[i, : len(array)] = array
        return self.tensor(table)

    def tensor(self, array: np.ndarray) -> Tensor:
        """An array on the model's device."""
        tensor = torch.from_numpy(np.array(array))  # a copy: records are read-only and torch is not told
        if self.device.type == "cuda":
            return tensor.pin_memory().to(self.device, non_blocking=True)
        return tensor.to(self.device)

    @contextlib.contextmanager
    def _in_our_words(self) -> Iterator[None]:
        """Turn what a model's own code raises into a ModelError; out of memory is left to who can halve."""
        try:
            yield
        except (MemoryError, ExplainError):
            raise
        except Exception as error:
            if is_out_of_memory(error):
                raise
            said = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
            raise ModelError(f"{self.info.architecture} cannot be run on this: {said}", code="run_failed") from error

    def _require_eval(self) -> None:
        if any(part.training for part in self.module.modules()):
            raise ModelError(
                "The model is in training mode, where dropout makes every answer different. Call model.module.eval().",
                code="training_mode",
            )

    def _probe_padding(self) -> Padding:
        """Find out by trying what the model tolerates in a batch: some ignore the mask, some refuse to pad."""
        long, short = (np.array(self.tokenizer(text)["input_ids"]) for text in ("one two three four", "one"))
        names = [n for n in self.tokenizer("one") if n in ("input_ids", "token_type_ids")]

        def row(tokens: np.ndarray) -> Row:
            inputs = {n: tokens if n == "input_ids" else np.zeros_like(tokens) for n in names}
            return written.bare(inputs, self.begin, NOTHING)

        with self.lock, contextlib.suppress(Exception):  # a model that refuses here will say why when it is asked
            alone = self._raw([row(short)])[0]
            scale = max(1.0, float(np.abs(alone).max()))
            for other in (long, short) if len(long) > len(short) else (short,):
                with contextlib.suppress(Exception):
                    if np.abs(self._raw([row(other), row(short)])[1] - alone).max() <= 1e-4 * scale:
                        return "pad" if other is long else "equal"
        return "single"


def finite(tensor: Tensor) -> Tensor:
    """The tensor; raises ModelError (code non_finite) where it is not finite throughout."""
    if not bool(torch.isfinite(tensor).all()):
        raise ModelError(
            "The model answered with NaN or infinity. Its weights are damaged, or its precision is too low for this "
            "text; try dtype='float32'.",
            code="non_finite",
        )
    return tensor
