"""What stands in a gap: the token at a mask that the text holds, out of a whole vocabulary.

The mask is the question and no evidence: it counts as one of the special tokens, so nothing takes it out, puts another
vector in its place, or scores it. Other masks of the same text are read as they are written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from transformers import AutoModelForMaskedLM
from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES
from transformers.models.auto.modeling_auto import MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES as WRITERS

from explain.bounds import require_whole
from explain.errors import InputError
from explain.model.encoding import Encoding
from explain.tasks._vocabulary import OpenVocabulary
from explain.units import units_of, word_spans

MASKED = "masked-token"


class FillMask(OpenVocabulary):
    """See the module's text. Raw output: logits (N, V) at each row's mask."""

    name = "fill-mask"
    summary = "Which token stands at a mask in the text: the likeliest one, any other, or one rather than another."
    problems = (MASKED,)
    auto_class = AutoModelForMaskedLM
    classes = MODEL_FOR_MASKED_LM_MAPPING_NAMES

    def architectures(self) -> Mapping[str, str]:
        """Those of encoders: an encoder-decoder with a mask writes the whole text anew, which is another question."""
        return {k: v for k, v in super().architectures().items() if k not in WRITERS}

    def posed(self, texts: tuple[str, ...], tokenizer: Any) -> tuple[str, ...]:
        """The sentence with its longest word masked."""
        (text,) = texts
        start, end = max(word_spans(text), key=lambda span: span[1] - span[0])
        return (f"{text[:start]}{_mask(tokenizer)}{text[end:]}",)

    def asked(self, encoding: Encoding, tokenizer: Any, place: int | None) -> Encoding:
        mask, tokens = _mask(tokenizer), encoding.tokens
        found = np.flatnonzero((tokens.ids == tokenizer.mask_token_id) & ~tokens.special)
        if not len(found):
            cut = " in what was read of it" if tokens.truncated_at is not None else ""
            raise InputError(
                f"The text has no {mask}{cut}, and this model says what stands there. Write {mask} in place of one "
                f"word, as in: The sky is {mask}.",
                code="no_mask",
            )
        if place is not None:
            require_whole("place", place, 0, len(found) - 1)
        at = int(found[place or 0])
        special = tokens.special.copy()
        special[at] = True
        words = units_of(tokens.texts, tokens.segment, tokens.offsets, special, "word").of_token
        if (words < 0).all():
            raise InputError(f"The text holds nothing but {mask}. Write words around it.", code="no_content_tokens")
        return replace(encoding, tokens=replace(tokens, special=special, words=words), places=(at,))


def _mask(tokenizer: Any) -> str:
    if tokenizer.mask_token is None:
        raise InputError(
            "This model's tokenizer has no mask token, so there is no way to ask what stands in a gap.", code="no_mask"
        )
    return str(tokenizer.mask_token)


TASK = FillMask()
