"""A model that goes on with a text, and explains what it wrote."""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from explain import asking
from explain.catalog import Request
from explain.errors import InputError
from explain.generation import Explanations, GenerateRequest, Generation, TokensRequest
from explain.messages import Text
from explain.model.runner import Runner
from explain.questions import go_on
from explain.records import Explanation
from explain.work import Listener, Work


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

    def generate(self, prompt: Text, **settings: Any) -> Generation:
        """Go on with a text, or translate or summarise it, token by token.

        Args:
            prompt: what stands before, or what is written about; or a conversation as in `explain`, whose next answer
                is written, or whose last message is gone on with where that is the assistant's.
            settings: `tokens` (40): how many to write at most; the model may end the text before. `seed` (None): draw
                the tokens with it; None: take the most likely one each time. `temperature` (1.0) divides the logits
                before a token is drawn. `num_beams` (1): beginnings kept at a time in a beam search for the likeliest
                text; 1: none. `truncate` (False): cut a text that is too long, where what is written does not follow
                it.

        Raises:
            InputError: the model writes nothing, or a setting is out of bounds.
        """
        return self.write(asking.writing(prompt, **settings))

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
        checks: Sequence[str] | None = asking.CHECKS,
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
        if about.get("attention") is True:
            about["attention"] = tuple(range(self.info.n_layers))
        question = asking.tokens(found, places, checks=None if checks is None else tuple(checks), **about)
        return list(self.explain_tokens(question, progress=progress, cancel=cancel, enough=enough).found)

    def explain_tokens(self, question: TokensRequest, **driven: Any) -> Explanations:
        """Say why each of some tokens was written; `explain_generation` in the form that other faces use."""
        mine, its = self.info, question.model
        if (mine.weights_sha256, mine.tokenizer_sha256) != (its.weights_sha256, its.tokenizer_sha256):
            raise InputError(
                f"This was written by '{its.id[:80]}' with other weights than {mine.id} has. Load the model that wrote "
                "it.",
                code="other_model",
            )
        return Explanations(tuple(self.answer(question.requests, **driven)))
