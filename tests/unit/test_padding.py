"""Some models ignore the mask, some refuse to pad or to batch: what each tolerates is found out, never assumed."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from tests.rows import TEXTS, alike
from tests.tiny import word_piece
from tests.toys import Sum, toy


class Deaf(Sum):
    """Reads padding like words."""

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None, **rest: Any) -> Any:
        return super().forward(input_ids, None, **rest)


class Last(Sum):
    """Counts the last position three times, padding or not."""

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None, **rest: Any) -> Any:
        outputs = super().forward(input_ids, attention_mask, **rest)
        outputs.logits = outputs.logits + 2 * self.table(input_ids[:, -1]) @ self.weight.T
        return outputs


class Strict(Sum):
    """Refuses padding."""

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None, **rest: Any) -> Any:
        if attention_mask is not None and not attention_mask.all():
            raise ValueError("Cannot handle padded batches.")
        return super().forward(input_ids, attention_mask, **rest)


class Alone(Sum):
    """Refuses batches, as decoders without a padding token do."""

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None, **rest: Any) -> Any:
        if len(input_ids) > 1:
            raise ValueError("Cannot handle batch sizes > 1 if no padding token is defined.")
        return super().forward(input_ids, attention_mask, **rest)


class Crowd(Sum):
    """Compares each row with the mean of its batch."""

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None, **rest: Any) -> Any:
        outputs = super().forward(input_ids, attention_mask, **rest)
        if len(input_ids) > 1:
            outputs.logits = outputs.logits - outputs.logits.mean(0)
        return outputs


@pytest.mark.parametrize(
    ("kind", "padding"),
    [(Sum, "pad"), (Deaf, "equal"), (Last, "equal"), (Strict, "equal"), (Alone, "single"), (Crowd, "single")],
)
def test_what_a_model_tolerates_is_found_out(kind: type[Sum], padding: str) -> None:
    model = toy(kind(steep=1.0))
    assert model.padding == padding
    texts = [" ".join(text) for text in TEXTS]
    many = model.explain_batch(texts, methods=["integrated_gradients", "occlusion"], checks=())
    for text, result in zip(texts, many, strict=True):
        one = model.explain(text, methods=["integrated_gradients", "occlusion"], checks=())
        assert alike(result.prediction.logits, one.prediction.logits, 1e-5)
        for a, b in zip(result.attributions, one.attributions, strict=True):
            assert alike(a.scores, b.scores, 1e-5)


class Pads(Sum):
    """Knows padding by its token alone, as decoders do that look for the last word."""

    pad = 4

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None, **rest: Any) -> Any:
        return super().forward(input_ids, (input_ids != self.pad).long(), **rest)


def test_rows_are_padded_with_the_tokenizers_own_token() -> None:
    tokenizer = word_piece()
    tokenizer.pad_token = "[MASK]"
    assert tokenizer.pad_token_id == Pads.pad
    model = toy(Pads(), tokenizer=tokenizer)
    assert model.padding == "pad"
    many = model.predict_batch(["a dull film and a slow plot", "dull"])
    assert alike(many[1].logits, model.predict("dull").logits)


def test_padding_is_not_trusted_where_it_could_not_be_tried() -> None:
    """This tokenizer makes one unknown token of any English text, so no try has any padding in it."""
    words = {"[PAD]": 0, "[UNK]": 1, "[MASK]": 2, "好": 3, "坏": 4}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.BPE(words, [], unk_token="[UNK]", fuse_unk=True)),
        pad_token="[PAD]",
        unk_token="[UNK]",
        mask_token="[MASK]",
    )
    assert [len(tokenizer(text)["input_ids"]) for text in ("one", "one two three four", "好坏好")] == [1, 1, 3]
    model = toy(Deaf(vocabulary=5), tokenizer=tokenizer)
    many = model.predict_batch(["好坏好", "坏"])
    assert alike(many[1].logits, model.predict("坏").logits)
