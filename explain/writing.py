"""A model that goes on with a text, and explains what it wrote."""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from explain import asking
from explain.catalog import Request
from explain.errors import InputError
from explain.generation import GenerateRequest, Generation
from explain.messages import parted
from explain.model.runner import Runner
from explain.questions import go_on
from explain.records import Explanation
from explain.work import Listener, Work

CHECKS = ("completeness",)
"""What is checked of every token of a generation; the other checks cost many times the explanation."""


class Writing(Runner):
    """What a loaded model does besides answering questions about a text: writing one."""

    @abstractmethod
    def answer(
        self,
        requests: Sequence[Request],
        *,
        progress: Listener | None = None,
        cancel: threading.Event | None = None,
        enough: threading.Event | None = None,
    ) -> list[Explanation]:
        """Answer requests."""

    def generate(self, prompt: str, **settings: Any) -> Generation:
        """Go on with a text, or translate or summarise it, token by token.

        Args:
            prompt: what stands before, or what is written about.
            settings: `tokens` (40): how many to write at most; the model may end the text before. `seed` (None): draw
                the tokens with it; None: take the most likely one each time. `temperature` (1.0) divides the logits
                before a token is drawn. `num_beams` (1): beginnings kept at a time in a beam search for the likeliest
                text; 1: none. `truncate` (False): cut a text that is too long, where what is written does not follow
                it.

        Raises:
            InputError: the model writes nothing, or a setting is out of bounds.
        """
        return self.write(GenerateRequest(prompt, **settings))

    def write(
        self,
        question: GenerateRequest,
        *,
        progress: Listener | None = None,
        cancel: threading.Event | None = None,
    ) -> Generation:
        """Go on with a text; `generate` in the form that other faces use."""
        return go_on(Work(self, [], progress, cancel), question)

    def explain_generation(
        self,
        found: Generation,
        *,
        places: Sequence[int] | None = None,
        checks: Sequence[str] | None = CHECKS,
        progress: Listener | None = None,
        cancel: threading.Event | None = None,
        enough: threading.Event | None = None,
        **about: Any,
    ) -> list[Explanation]:
        """Why was each token written? Each is explained as what is written next.

        The numbers are those of `explain(**found.question(i), checks=checks)`, up to float32's rounding, but what the
        texts have in common is computed once where the model only looks back.

        Args:
            found: what this model wrote.
            places: which of its tokens, from 0 on; None: all of `found.explainable`.
            checks: as in `explain`; by itself only whether the scores add up, so that no word is named by a sentence.
            progress: as in `explain`; so are `cancel` and `enough`.
            about: methods, params, quantity, granularity and what else `explain` takes of a text.

        Raises:
            InputError: another model wrote this, or a token cannot be explained by the text before it.
            MethodError: unknown method, parameter or check.
        """
        mine, its = self.info, found.model
        if (mine.weights_sha256, mine.tokenizer_sha256) != (its.weights_sha256, its.tokenizer_sha256):
            raise InputError(
                f"This was written by {its.id} with other weights than {mine.id} has. Load the model that wrote it.",
                code="other_model",
            )
        able = found.explainable
        for place in places if places is not None else ():
            if place not in able:
                raise InputError(
                    f"There is no token {place!r:.20} that can be explained: none was written there, or the text "
                    "before it is read as other tokens than the model wrote. `found.explainable` lists those that can.",
                    code="bad_place",
                )
        chosen = able if places is None else places
        about = {**about, "checks": None if checks is None else tuple(checks)}
        questions = [found.question(i) or {} for i in chosen]
        asked = [asking.request(parted(q.pop("text"))[0], **{**q, **about}) for q in questions]
        return self.answer(asked, progress=progress, cancel=cancel, enough=enough)
