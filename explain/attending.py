"""A model that shows where its heads look, and what each does to a decision."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, cast, overload

from explain.catalog import Request
from explain.heads import Ablation, HeadMap, HeadRequest, HeadsReport, HeadsRequest, StackReport, StackRequest
from explain.messages import plain
from explain.questions import look
from explain.records import Kind
from explain.work import Listener, Work
from explain.writing import Writing


class Attending(Writing):
    """What a loaded model says of its attention."""

    def look(
        self,
        question: HeadsRequest | HeadRequest,
        *,
        progress: Listener | None = None,
        cancel: threading.Event | None = None,
    ) -> HeadsReport | StackReport | HeadMap:
        """Answer a question about attention; `heads` and `head` in the form that other faces use."""
        return look(Work(self, [question.about], progress, cancel), question)

    @overload
    def heads(self, text: str | tuple[str, str], *, kind: None = None, **about: Any) -> HeadsReport: ...

    @overload
    def heads(self, text: str | tuple[str, str], *, kind: Kind, **about: Any) -> StackReport: ...

    def heads(
        self,
        text: str | tuple[str, str],
        *,
        ablation: Ablation | None = "mean",
        masked: Sequence[int] = (),
        kind: Kind | None = None,
        **about: Any,
    ) -> HeadsReport | StackReport:
        """All heads over one text: statistics and measured effects; of a model with one stack rollout and flow too.

        Args:
            text: the text, or two: a sentence pair, or a text and what is written about it.
            ablation: what stands in for a head when its effect is measured: its mean over ordinary sentences, its
                output at random tokens of such sentences ('resample'), or 'zero'; None: no effects.
            masked: words (their index) that the model does not get to read.
            kind: of a model with an encoder and a decoder, whose heads: "encoder", "causal" (the decoder's own) or
                "cross" (where it looks at what the encoder has read). The answer is a StackReport. None: one stack.
            about: target, contrast, quantity, truncate and seed as in `explain`.

        Raises:
            InputError: the text or target cannot be explained, or a kind is named where there is one stack.
            ModelError: the model gives no attention weights, or has two stacks and no kind is named.
        """
        texts = plain(text)
        asked = Request(texts, **about), ablation, tuple(masked)
        question = HeadsRequest(*asked) if kind is None else StackRequest(*asked, kind)
        return cast("HeadsReport | StackReport", self.look(question))

    def head(
        self,
        text: str | tuple[str, str],
        layer: int,
        head: int | None = None,
        *,
        masked: Sequence[int] = (),
        kind: Kind | None = None,
        **about: Any,
    ) -> HeadMap:
        """One head over one text (None: the mean of the layer): weights, norms, queries, keys; arguments as `heads`."""
        texts = plain(text)
        return cast(HeadMap, self.look(HeadRequest(Request(texts, **about), layer, head, tuple(masked), kind)))
