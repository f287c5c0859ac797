"""Records and their JSON: read-only, equal by content, the same bytes after a round trip, strict about strangers."""

from __future__ import annotations

import copy
import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import explain
from explain import canonical, wire
from explain.catalog import Request
from explain.engine import Model
from explain.errors import InputError
from explain.records import AttentionMaps, Attribution, Explanation


@pytest.fixture(scope="module")
def result(tiny: Model) -> Explanation:
    return tiny.explain(
        "a good movie,\u0000 but 👨‍👩‍👧 never\u202e funny",
        methods=["integrated_gradients", "occlusion", "saliency", "gradient_shap"],
        attention=True,
    )


def test_a_round_trip_gives_equal_bytes(result: Explanation, tmp_path: Path) -> None:
    text = result.to_json()
    again = explain.read(text)
    assert again == result
    assert again.to_json() == text
    assert again.digest == result.digest
    file = tmp_path / "x.json"
    file.write_text(text, "utf-8")
    assert explain.read(file) == explain.read(str(file)) == explain.read(text.encode()) == result


def test_arrays_come_back_with_type_and_shape(result: Explanation) -> None:
    again = explain.read(result.to_json())
    for a, b in zip(result.attributions, again.attributions, strict=True):
        for name in ("units", "unit_segment", "unit_of", "scores", "gross", "numeric_error", "path", "error"):
            x, y = getattr(a, name), getattr(b, name)
            assert (x is None) == (y is None)
            assert x is None or (x.dtype == y.dtype and x.shape == y.shape and (x == y).all())


def test_records_cannot_be_changed(result: Explanation) -> None:
    with pytest.raises(ValueError, match="read-only"):
        result.attributions[0].scores[0] = 1.0
    with pytest.raises(AttributeError):
        result.schema = "x"  # type: ignore[misc]
    mine = np.zeros(3, dtype=np.float32)
    kept = replace(result.attributions[0], scores=mine)
    mine[0] = 1
    assert kept.scores[0] == 0


def test_records_are_plain_data(result: Explanation) -> None:
    assert pickle.loads(pickle.dumps(result)) == result  # noqa: S301 - our own bytes
    assert copy.deepcopy(result) == result
    assert len({result, explain.read(result.to_json())}) == 1
    assert result != replace(result, schema="other")
    assert result != "something else"


def test_json_is_canonical_and_schema_is_named(result: Explanation) -> None:
    data = json.loads(result.to_json())
    assert data["schema"] == "explain/3"
    assert list(data) == sorted(data)
    assert "NaN" not in result.to_json()


@settings(max_examples=100, deadline=None)
@given(hnp.arrays(np.float32, st.integers(0, 30), elements=st.floats(width=32, allow_nan=False, allow_infinity=False)))
def test_float32_survives_exactly(values: np.ndarray) -> None:
    back = np.array(json.loads(canonical.encode({"x": values}))["x"], dtype=np.float32)
    assert (back == values).all()


def test_large_arrays_travel_as_base64() -> None:
    rng = np.random.default_rng(0)
    weights = rng.random((4, 80, 80), dtype=np.float32)
    maps = AttentionMaps(0, (0, 1, 2, 3), weights, "encoder")
    text = canonical.encode(maps)
    assert b"base64" in text
    assert (wire.decode(AttentionMaps, text).weights == weights).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_non_finite_numbers_are_refused(result: Explanation, bad: float) -> None:
    scores = result.attributions[0].scores.copy()
    scores[0] = bad
    broken = replace(result, attributions=(replace(result.attributions[0], scores=scores),))
    with pytest.raises(ValueError, match="finite"):
        broken.to_json()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda d: d.update(schema="explain/99"), "newer Whyboard"),
        (lambda d: d.pop("schema"), "schema"),
        (lambda d: d.update(surprise=1), "surprise"),
        (lambda d: d.pop("tokens"), "tokens"),
        (lambda d: d["target"].update(kind="vibes"), "kind"),
        (lambda d: d["attributions"][0].update(scores=["x"]), "scores"),
        (lambda d: d["attributions"][0].update(scores=[[1.0]]), "dimensions"),
        (lambda d: d["attributions"][0].update(scores={"dtype": "int8", "base64": "", "shape": [0]}), "float32"),
        (lambda d: d["checks"][0].update(status="great"), "status"),
    ],
)
def test_strange_records_are_refused_with_a_sentence(result: Explanation, change, sentence: str) -> None:  # type: ignore[no-untyped-def]
    data = json.loads(result.to_json())
    change(data)
    with pytest.raises(InputError, match=sentence):
        explain.read(json.dumps(data))


@pytest.mark.parametrize("text", ["{", "[]", "null", '{"schema": "explain/3"}', '{"schema": "explain/3", "x": NaN}'])
def test_what_is_not_a_record_is_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_text(text)
    with pytest.raises(InputError):
        explain.read(file)


def test_a_missing_file_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="readable file"):
        explain.read(tmp_path / "nothing.json")


def test_requests_travel_too() -> None:
    request = Request(texts=("a", "b"), methods=("occlusion",), params={"occlusion": {"replacement": "pad"}}, target=1)
    assert wire.decode(Request, canonical.encode(request)) == request
    with pytest.raises(InputError):
        wire.decode(Request, '{"texts": "not a list of texts", "budget": "many"}')


def test_the_schema_is_published() -> None:
    schema = wire.json_schema(Explanation)
    assert set(schema["required"]) >= {"model", "tokens", "prediction", "target", "attributions"}
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize(
    "spoil",
    [
        lambda d: d["attributions"][0].__setitem__("units", [[0, 2**40]] * len(d["attributions"][0]["units"])),
        lambda d: d["attributions"][0]["units"].pop(),
        lambda d: d["attributions"][0].__setitem__("unit_segment", [9] * len(d["attributions"][0]["unit_segment"])),
        lambda d: d["attributions"][0].__setitem__("scores", {"dtype": "float32", "shape": [-1], "base64": ""}),
        lambda d: d["attributions"][0].__setitem__("scores", {"dtype": "float32"}),
        lambda d: d["attributions"][0].__setitem__("special", 1e999),
        lambda d: d["prediction"].__setitem__("decision", [99]),
        lambda d: d["prediction"].__setitem__("labels", []),
        lambda d: d["provenance"].__setitem__("seed", 2**60),
        lambda d: d["tokens"].__setitem__("texts", ["\ud800"]),
        lambda d: d["checks"][0].__setitem__(
            "details", __import__("functools").reduce(lambda x, _: [x], range(900), 1)
        ),
        lambda d: d.__setitem__("x" * 10**6, 1),
    ],
)
def test_records_that_cannot_be_are_refused(result: Explanation, spoil) -> None:  # type: ignore[no-untyped-def]
    data = json.loads(result.to_json())
    spoil(data)
    with pytest.raises(InputError) as error:
        explain.read(json.dumps(data))
    assert len(str(error.value)) < 500


def test_ties_share_a_rank(result: Explanation) -> None:
    attribution: Attribution = replace(
        result.attributions[0],
        scores=np.array([1.0, -2.0, 0.99, 0.5], dtype=np.float32),
        units=np.array([[0, 1], [2, 3], [4, 5], [6, 7]], dtype=np.int32),
        unit_segment=np.zeros(4, dtype=np.int32),
        gross=None,
        numeric_error=np.array([0.01, 0.01, 0.01, 0.01], dtype=np.float32),
    )
    words = replace(result, attributions=(attribution,), effects=None).words()
    assert [w.rank for w in words] == [2, 1, 2, 4]
    assert [w.text for w in words] == [result.tokens.texts[0][i : i + 1] for i in (0, 2, 4, 6)]


def test_words_carry_gross_share_and_measured_effect(result: Explanation) -> None:
    words = result.words()
    attribution = result.attributions[0]
    assert sum(w.share for w in words) <= 1 + 1e-6
    assert result.effects is not None
    for u, word in enumerate(words):
        assert word.gross is not None
        assert word.gross >= abs(word.score) - 1e-5
        assert word.cancels == (abs(word.score) < 0.5 * word.gross)
        drop = result.effects.value_input - float(result.effects.without[u])
        assert word.contradicts == (drop * float(attribution.scores[u]) < 0)
