"""What comes next: the token after the last one of a text, out of a whole vocabulary.

Everything that the model read is the text; nothing stands behind the place that is predicted.
"""

from __future__ import annotations

from transformers import AutoModelForCausalLM
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from explain.tasks._vocabulary import OpenVocabulary

NEXT = "next-token"


class NextToken(OpenVocabulary):
    """See the module's text. Raw output: logits (N, V) behind each row's last token."""

    name = "text-generation"
    summary = "Which token comes next: the likeliest one, any other, or one rather than another."
    problems = (NEXT,)
    auto_class = AutoModelForCausalLM
    classes = MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    goes_on = True


TASK = NextToken()
