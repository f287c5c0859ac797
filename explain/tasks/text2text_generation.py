"""What is written next about a text: translations, summaries, answers of models with an encoder and a decoder.

The encoder reads the text, the decoder what it has written so far, as it is written (teacher-forced), in one plain pass
that keeps nothing. A question is a text, alone or with what stands before the asked token; words of both are evidence
alike. What the decoder always begins with is the question and no evidence: its start token, and the token that the
model's own settings force to be the first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transformers import AutoModelForSeq2SeqLM
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES,
    MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
)

from explain.errors import ModelError
from explain.model.encoding import Encoding
from explain.model.generating import begin
from explain.origin import WRITER, WRITTEN
from explain.tasks._vocabulary import OpenVocabulary


class TextToText(OpenVocabulary):
    """See the module's text. Raw output: logits (N, V) behind the last token that each row's decoder reads."""

    name = WRITER
    summary = "The next token of a translation or summary, from its text and what is written so far."
    problems = (WRITTEN,)
    auto_class = AutoModelForSeq2SeqLM
    classes = MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES
    goes_on = True
    pairs = True

    def architectures(self) -> Mapping[str, str]:
        """Those that read text: transformers' table also holds models that listen to sound."""
        return {k: v for k, v in super().architectures().items() if k not in MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES}

    def begin(self, module: Any) -> tuple[int, ...]:
        """The decoder's start token, and the token that is forced to be the first, where one is."""
        found = begin(module)
        if not found or not getattr(module.config, "is_encoder_decoder", False):
            raise ModelError(
                "config.json does not say which token the decoder begins with (decoder_start_token_id). Use a "
                "checkpoint of an encoder with a decoder, whose generation_config.json says so.",
                code="no_start",
            )
        return found

    def asked(self, encoding: Encoding, tokenizer: Any, place: int | None) -> Encoding:
        """As it is: the place was where the text ends."""
        return encoding


TASK = TextToText()
