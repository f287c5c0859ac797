"""What is written up to a place inside a character: read as the same tokens again, by checks and by a replay."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import BartConfig, BartForConditionalGeneration

import explain
from explain.audit.store import Store
from explain.catalog import Request
from explain.engine import Model
from explain.records import Tokens
from explain.replay import inferred, replay
from explain.work import Work
from tests.tokenizers import trained

TEXT = "the film isn't dull"
WRITTEN = "naïve 🦊 ﬁlm 猫 x"  # characters of several tokens


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A random model that writes bytes."""
    folder, tokenizer = tmp_path_factory.mktemp("bytes"), trained("byte_level")
    torch.manual_seed(1)
    BartForConditionalGeneration(
        BartConfig(
            vocab_size=len(tokenizer), d_model=32, encoder_layers=1, decoder_layers=1, encoder_attention_heads=4,
            decoder_attention_heads=4, encoder_ffn_dim=64, decoder_ffn_dim=64, max_position_embeddings=128,
            init_std=0.3, pad_token_id=0, bos_token_id=2, eos_token_id=3, decoder_start_token_id=2,
            forced_eos_token_id=None,
        )
    ).save_pretrained(folder)  # fmt: skip
    tokenizer.save_pretrained(folder)
    return explain.load(str(folder))


def places(model: Model) -> range:
    return range(len(model.tokenize(WRITTEN)) + 1)


def tokens_of(model: Model, request: Request, before: Tokens | None = None) -> Tokens:
    return Work(model, [request])._encoded(request, before).tokens


def test_a_text_that_is_cut_inside_a_character_is_other_tokens_by_itself(model: Model) -> None:
    """The cause: what a record keeps is the text that was read, which ends with a whole character."""
    whole = [tokens_of(model, Request((TEXT, WRITTEN), place=place)) for place in places(model)]
    alone = [tokens_of(model, Request(tokens.texts)) for tokens in whole]
    differ = [a.ids.tolist() != b.ids.tolist() for a, b in zip(whole, alone, strict=True)]
    assert sum(differ) >= 3
    assert not all(differ)


def test_it_is_read_as_it_was_read_before(model: Model) -> None:
    mine, others = (len(model.tokenizer(text)["input_ids"]) for text in (TEXT, "another text"))
    for place in places(model):
        then = tokens_of(model, Request((TEXT, WRITTEN), place=place))
        assert tokens_of(model, Request(then.texts), then) == then
        other = tokens_of(model, Request(("another text", *then.texts[1:])), then)
        assert other.ids[others:].tolist() == then.ids[mine:].tolist()
        assert other.texts[1:] == then.texts[1:]


def test_a_record_that_was_filed_without_its_request_is_repeated_to_the_bit(model: Model, tmp_path: Path) -> None:
    store = Store(tmp_path / "evidence")
    for place in places(model):
        found = model.explain((TEXT, WRITTEN), place=place, methods=["input_x_gradient", "occlusion"], checks=())
        assert inferred(found).texts == found.tokens.texts
        entry = store.file(found)
        result = replay(model, entry.header, store.content(entry.header.id))
        assert result.holds, (place, result.sentence)
        assert all(part.bitwise for part in result.parts)


def test_a_check_that_retells_the_text_keeps_what_was_written(model: Model) -> None:
    for place in places(model):
        request = Request((TEXT, WRITTEN), place=place)
        case = Work(model, [request]).case(request, "Reading")
        again = case.retold(("the film is dull", *case.texts[1:]))
        count = place + 1
        assert again.tokens.ids[-count:].tolist() == case.tokens.ids[-count:].tolist()
        assert case.retold(case.texts).tokens == case.tokens
        copy = case.redrawn(0)(case.texts)
        assert copy.tokens == case.tokens


def test_tokens_that_are_not_the_texts_are_not_believed(model: Model) -> None:
    then = tokens_of(model, Request((TEXT, WRITTEN)))
    for at, forged in ((-1, 9), (-4, 9), (-1, 10**6), (-1, -1)):
        ids = then.ids.copy()
        ids[at] = forged
        found = tokens_of(model, Request(then.texts), replace(then, ids=ids))
        assert found == then
    shorter = replace(then, ids=then.ids[:-3], offsets=then.offsets[:-3])
    assert tokens_of(model, Request(then.texts), shorter) == then
    assert tokens_of(model, Request((TEXT, "x")), then).texts == (TEXT, "x")
