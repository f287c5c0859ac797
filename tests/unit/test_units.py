"""Tokens to words over sixteen scripts and three kinds of tokenizer: nothing lost, nothing counted twice."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from uniseg.breaking import Run
from uniseg.sentencebreak import sentence_boundaries

from explain.errors import InputError
from explain.model.encoding import Encoding, encode
from explain.records import Granularity
from explain.units import Units, sentence_spans, units_of, word_spans
from tests.tokenizers import KINDS, SAMPLES, trained

ALPHABET = sorted({c for sample in SAMPLES.values() for c in sample} | set(" \t\n.,'’-_/0123456789"))
TEXTS = st.one_of(
    st.lists(st.sampled_from(sorted(SAMPLES.values())), min_size=1, max_size=3).map(" ".join),
    st.text(st.sampled_from(ALPHABET), min_size=1, max_size=40),
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=20),
)


def encoded(kind: str, *texts: str) -> Encoding:
    try:
        return encode(trained(kind), texts, 512, truncate=False)
    except InputError as error:
        assume(error.code != "no_content_tokens")
        raise


def units(encoding: Encoding, granularity: Granularity) -> Units:
    t = encoding.tokens
    return units_of(t.texts, t.segment, t.offsets, t.special, granularity)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("granularity", ["word", "token"])
@settings(max_examples=150, deadline=None)
@given(text=TEXTS)
def test_units_partition_the_tokens(kind: str, granularity: Granularity, text: str) -> None:
    encoding = encoded(kind, text)
    tokens, found = encoding.tokens, units(encoding, granularity)
    spans = found.spans.tolist()
    assert all(0 <= a < b <= len(text) for a, b in spans)
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(spans)), "units overlap or are out of order"
    assert (found.of_token[tokens.special] == -1).all()
    assert set(found.of_token[found.of_token >= 0].tolist()) == set(range(len(spans))), "a unit without a token"
    for t in np.flatnonzero(found.of_token >= 0):
        a, b = tokens.offsets[t]
        if b > a and text[a:b].strip():
            low, high = spans[found.of_token[t]]
            assert low < b
            assert a < high, "a token counted to a unit that it does not touch"


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=100, deadline=None)
@given(text=TEXTS, seed=st.integers(0, 2**16))
def test_sums_over_units_are_sums_over_tokens(kind: str, text: str, seed: int) -> None:
    encoding = encoded(kind, text)
    scores = np.random.default_rng(seed).normal(size=len(encoding.tokens.ids))
    totals = []
    for granularity in ("word", "token"):
        found = units(encoding, granularity)  # type: ignore[arg-type]
        by_unit = np.bincount(found.of_token[found.of_token >= 0], scores[found.of_token >= 0])
        totals.append(by_unit.sum() + scores[found.of_token < 0].sum())
    assert np.allclose(totals, scores.sum())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("script", sorted(SAMPLES))
def test_every_visible_character_of_a_word_is_inside_a_unit(kind: str, script: str) -> None:
    text = SAMPLES[script]
    found = units(encoded(kind, text), "word")
    covered = {i for a, b in found.spans.tolist() for i in range(a, b)}
    missing = [text[i] for i in range(len(text)) if i not in covered and text[i].isalnum()]
    assert not missing


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60, deadline=None)
@given(first=TEXTS, second=TEXTS)
def test_pairs_keep_their_texts_apart(kind: str, first: str, second: str) -> None:
    encoding = encoded(kind, first, second)
    assume({0, 1} <= set(encoding.tokens.segment.tolist()))
    found = units(encoding, "word")
    for t in np.flatnonzero(found.of_token >= 0):
        assert found.segment[found.of_token[t]] == encoding.tokens.segment[t]
    for (a, b), segment in zip(found.spans.tolist(), found.segment.tolist(), strict=True):
        assert 0 <= a < b <= len((first, second)[segment])


@settings(max_examples=200, deadline=None)
@given(text=st.text(min_size=1, max_size=40))
def test_word_spans_cover_everything_that_is_not_white_space(text: str) -> None:
    spans = word_spans(text)
    covered = {i for a, b in spans for i in range(a, b)}
    assert all(text[i].isspace() for i in range(len(text)) if i not in covered)
    assert all(text[a:b] == text[a:b].strip() for a, b in spans)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("isn't it?", ["isn't", "it", "?"]),
        ("well-made 3.14", ["well", "-", "made", "3.14"]),
        ("👨‍👩‍👧 ok", ["👨‍👩‍👧", "ok"]),
        ("  a  ", ["a"]),
        ("e\u0301te\u0301", ["e\u0301te\u0301"]),
        (" \n\t", []),
    ],
)
def test_words_as_people_see_them(text: str, words: list[str]) -> None:
    assert [text[a:b] for a, b in word_spans(text)] == words


@settings(max_examples=300, deadline=None)
@given(text=st.text(st.sampled_from('.!?)" \u00a0Aa好1,;/\u0308\u200b\u00ad\r\n\u2029'), max_size=24))
def test_sentences_are_those_of_the_rules_however_long_the_rows(text: str) -> None:
    wide = "".join(c * (1 + i % 3) for i, c in enumerate(text))
    for one in (text, wide):
        plain = [(a, b) for a, b in itertools.pairwise(sentence_boundaries(one)) if one[a:b].strip()]
        found = sentence_spans(one)
        assert len(found) == len(plain)
        assert all(one[a:b] == one[c:d].strip() for (a, b), (c, d) in zip(found, plain, strict=True))
        assert all(c <= a <= b <= d for (a, b), (c, d) in zip(found, plain, strict=True))


@pytest.mark.parametrize("row", [" ", ")", ") ", " \u0308", "1", "a"])
def test_rows_of_characters_cost_what_other_text_does(row: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted is how many characters the rules look past: as many again for a text that is twice as long."""
    plain, looked = Run._calc_position, [0]

    def counted(run: Run, *given: int, **options: bool) -> int:
        found = plain(run, *given, **options)
        looked[0] += abs(found - run.position)
        return found

    monkeypatch.setattr(Run, "_calc_position", counted)
    several = []
    for times in (100, 200):
        looked[0] = 0
        assert len(sentence_spans(f"End.{row * times}{'1' * times}")) in (1, 2)
        several.append(looked[0])
    assert several[1] < 2.2 * several[0]


def test_a_token_across_words_joins_them() -> None:
    text = "new york city"
    offsets = np.array([[0, 8], [9, 13]], dtype=np.int32)
    none = np.zeros(2, dtype=bool)
    found = units_of((text,), np.zeros(2, dtype=np.int32), offsets, none, "word")
    assert [text[a:b] for a, b in found.spans] == ["new york", "city"]


def test_tokens_of_one_character_share_a_unit() -> None:
    offsets = np.array([[0, 1], [0, 1], [0, 1]], dtype=np.int32)
    found = units_of(("好",), np.zeros(3, dtype=np.int32), offsets, np.zeros(3, dtype=bool), "token")
    assert found.of_token.tolist() == [0, 0, 0]


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60, deadline=None)
@given(text=TEXTS)
def test_the_raw_text_is_never_changed(kind: str, text: str) -> None:
    assert encoded(kind, text).tokens.texts == (text,)
