"""What comes next: the token after the last one of a text, out of a whole vocabulary.

Everything that the model read is the text; nothing stands behind the place that is predicted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transformers import AutoModelForCausalLM
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from explain.model.encoding import Encoding, whole
from explain.tasks._vocabulary import OpenVocabulary

NEXT = "next-token"


class NextToken(OpenVocabulary):
    """See the module's text. Raw output: logits (N, V) behind each row's last token."""

    name = "text-generation"
    summary = "Which token comes next: the likeliest one, any other, or one rather than another."
    kind = NEXT
    by_itself = True
    goes_on = True
    pairs = False
    windows = False

    def architectures(self) -> Mapping[str, str]:
        return {k: v for k, v in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.items() if isinstance(v, str)}

    def auto_class(self) -> Any:
        return AutoModelForCausalLM

    def posed(self, texts: tuple[str, ...], tokenizer: Any) -> tuple[str, ...]:
        return texts

    def asked(self, encoding: Encoding, tokenizer: Any, place: int | None) -> Encoding:
        return whole(encoding, place)


TASK = NextToken()
