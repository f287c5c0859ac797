"""Models whose decoder writes fewer tokens than their encoder reads: each stack keeps its own limit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import (
    BertConfig,
    EncoderDecoderConfig,
    EncoderDecoderModel,
    LEDConfig,
    LEDForConditionalGeneration,
)

import explain
from explain.engine import Model
from explain.errors import InputError
from tests.tiny import WORDS, word_piece, writer_folder

READ, WRITTEN = 80, 24
TEXT = "the film was charmingly slow, and the actor was never boring. " * 4


def led_folder(folder: Path) -> Path:
    """Save a random LED of 2 layers each, which reads 80 tokens and writes words, at most 24 with its start."""
    tokenizer = word_piece()
    tokenizer.model_max_length = READ
    torch.manual_seed(3)
    model = LEDForConditionalGeneration(
        LEDConfig(
            vocab_size=len(tokenizer), d_model=32, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4,
            decoder_attention_heads=4, encoder_ffn_dim=64, decoder_ffn_dim=64, attention_window=[8, 8], init_std=0.3,
            max_encoder_position_embeddings=96, max_decoder_position_embeddings=WRITTEN, pad_token_id=0, bos_token_id=2,
            eos_token_id=3, decoder_start_token_id=2,
        )
    )  # fmt: skip
    model.final_logits_bias.fill_(-20.0)
    model.final_logits_bias[0, tokenizer.convert_tokens_to_ids([w for w in WORDS if not w.startswith("##")])] = 0.0
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def led(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return explain.load(str(led_folder(tmp_path_factory.mktemp("led"))))


def test_each_stack_has_a_limit_of_its_own(led: Model) -> None:
    assert (led.info.max_tokens, led.room) == (READ, WRITTEN)


def test_writing_stops_where_the_decoder_has_no_room(led: Model) -> None:
    ids = torch.tensor([led.tokenizer(TEXT)["input_ids"]])
    assert WRITTEN < ids.shape[1] <= READ
    for width in (1, 3):
        found = led.generate(TEXT, tokens=60, num_beams=width)
        theirs = led.module.generate(ids, max_new_tokens=WRITTEN - 1, num_beams=width, do_sample=False)  # type: ignore[operator]
        assert [2, *found.ids.tolist()] == theirs[0].tolist()
        assert found.stopped == "room"
        assert len(found.ids) == WRITTEN - 1


def test_all_that_can_be_written_is_explained_and_no_more(led: Model) -> None:
    found = led.generate(TEXT, tokens=60)
    reason = led.explain((TEXT, found.text), place=WRITTEN - 1, checks=())
    assert len(reason.tokens.ids) == len(led.tokenizer(TEXT)["input_ids"]) + WRITTEN
    assert (reason.attributions[0].relative_residual or 0) <= 0.01
    assert led.align(TEXT, found.text).ids.tolist() == found.ids.tolist()
    for ask in (led.predict, lambda texts: led.align(*texts), lambda texts: led.explain(texts, checks=())):
        with pytest.raises(InputError, match=f"has 24 tokens, and this model writes at most {WRITTEN - 1}") as caught:
            ask((TEXT, f"{found.text} film"))
        assert caught.value.code == "too_long"
    with pytest.raises(InputError, match=f"at most {READ} are read"):
        led.predict(f"{TEXT} {TEXT}")


def test_one_limit_is_that_of_both(tmp_path: Path) -> None:
    model = explain.load(str(writer_folder(tmp_path, max_position_embeddings=48)))
    assert (model.info.max_tokens, model.room) == (48, 48)


def test_two_networks_put_together_have_two_limits(tmp_path: Path) -> None:
    tokenizer, sizes = word_piece(), {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4}
    two = [BertConfig(vocab_size=len(tokenizer), max_position_embeddings=n, **sizes) for n in (56, 20)]
    config = EncoderDecoderConfig.from_encoder_decoder_configs(*two, decoder_start_token_id=2, pad_token_id=0)
    EncoderDecoderModel(config=config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    model = explain.load(str(tmp_path), task="text2text-generation")
    assert (model.info.max_tokens, model.room) == (56, 20)
    assert len(model.generate("the film " * 15, tokens=50).ids) <= 19
