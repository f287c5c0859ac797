"""What goes through the pipe comes out as it was, and what is no message is noticed."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import io
import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from explain.catalog import Forecast, Request
from explain.engine import Model
from explain.records import Explanation
from explain.service import messages
from explain.service.cache import Answers
from explain.service.job import Facts, Forecasts, InfoRequest

TEXT = "a good movie, but never very funny"


@pytest.fixture(scope="module")
def explanation(tiny: Model) -> Explanation:
    return tiny.explain(TEXT, attention=True, interactions=True)


def frozen(record: object) -> bool:
    """Are all arrays of a record, and of those in it, read-only?"""
    if isinstance(record, np.ndarray):
        return not record.flags.writeable
    if dataclasses.is_dataclass(record):
        return all(frozen(getattr(record, f.name)) for f in dataclasses.fields(record))
    return all(map(frozen, record)) if isinstance(record, tuple) else True


def test_records_come_out_as_they_went_in(explanation: Explanation) -> None:
    found = messages.unpack(messages.pack(("done", "n", explanation)))
    assert found == ("done", "n", explanation)
    assert frozen(found[2])
    details = [c.details for c in explanation.checks]
    assert [c.details for c in found[2].checks] == details, "lists stay lists"


def _pickled(record: Explanation) -> Explanation:
    return pickle.loads(pickle.dumps(record))  # noqa: S301 - ours; libraries that spread work do this


@pytest.mark.parametrize("through", [_pickled, copy.copy, copy.deepcopy])
def test_records_can_be_pickled_and_copied(explanation: Explanation, through) -> None:  # type: ignore[no-untyped-def]
    found = through(explanation)
    assert found == explanation
    assert frozen(found)


def test_numbers_keep_their_bits() -> None:
    found = messages.unpack(messages.pack(Forecasts(tuple(map(Forecast, (math.inf, -0.0, None, 0.1 + 0.2))))))
    seconds = [each.seconds for each in found.found]
    assert seconds == [math.inf, 0.0, None, 0.1 + 0.2]
    assert math.copysign(1, seconds[1]) == -1
    for array in (np.array([-0.0, 1e-45], "f4"), np.zeros((0, 3), "i8"), np.array(True), np.arange(6).reshape(2, 3).T):
        again = messages.unpack(messages.pack(array))
        assert again.dtype == array.dtype
        assert again.shape == array.shape
        assert again.tobytes() == array.tobytes()


def test_every_record_has_a_name_of_its_own() -> None:
    kinds = [
        k for m in messages.MODULES for k in vars(m).values() if isinstance(k, type) and k.__module__ == m.__name__
    ]
    ours = [k for k in kinds if issubclass(k, messages.Record)]
    assert len({k.__name__ for k in ours}) == len(ours)
    assert {k.__name__ for k in ours} <= set(messages.RECORDS)


def test_half_a_character_survives() -> None:
    assert messages.unpack(messages.pack(Request(("a\ud800",)))).texts == ("a\ud800",)


@pytest.mark.parametrize(
    "value", [object(), {1, 2}, np.array([object()]), b"bytes", type("Mine", (messages.Record,), {})()]
)
def test_what_has_no_form_is_refused_before_it_is_sent(value: object) -> None:
    with pytest.raises(TypeError):
        messages.pack(value)


@given(st.binary(max_size=200))
def test_noise_is_garbled_or_the_end(noise: bytes) -> None:
    with pytest.raises((messages.Garbled, EOFError)):
        messages.read(io.BytesIO(noise))
    with contextlib.suppress(messages.Garbled):
        messages.read(io.BytesIO(messages.MARK + len(noise).to_bytes(8, "big") + noise))


@given(st.data())
def test_a_changed_message_is_garbled_or_a_value_of_ours(data: st.DataObject) -> None:
    packed = bytearray(messages.pack(("done", "n", Forecasts((Forecast(1.0), Forecast())), np.arange(3))))
    packed[data.draw(st.integers(0, len(packed) - 1))] ^= data.draw(st.integers(1, 255))
    with contextlib.suppress(messages.Garbled):
        messages.pack(messages.unpack(bytes(packed)))  # raises for what is none


def test_answers_are_forgotten(explanation: Explanation, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr("explain.service.cache.time.monotonic", lambda: now[0])
    facts = Facts(explanation.model, {}, {"torch": "1"}, 1)
    requests = [Request((TEXT,), seed=i) for i in range(4)]
    kept = Answers(60, 3)
    keys = [kept.key(facts, request) for request in requests]
    for key in keys:
        kept.put(key, explanation)
    assert kept.get(keys[0]) is None, "too many"
    assert kept.get(keys[3]) == explanation
    now[0] += 61
    assert kept.get(keys[3]) is None, "too old"
    small = Answers(60, 3, largest=4 * len(messages.pack(explanation)) - 1)
    small.put(keys[0], explanation)
    assert small.get(keys[0]) is None, "too large"
    off = Answers(0, 3)
    off.put(keys[0], explanation)
    assert off.get(keys[0]) is None


def test_the_key_covers_what_changes_an_answer(explanation: Explanation) -> None:
    kept, request = Answers(60, 3), Request((TEXT,))
    facts = Facts(explanation.model, {}, {"torch": "1"}, 1)
    others = [
        (facts, dataclasses.replace(request, seed=1)),
        (facts, InfoRequest()),
        (dataclasses.replace(facts, versions={"torch": "2"}), request),
        (dataclasses.replace(facts, threads=2), request),
        (dataclasses.replace(facts, info=dataclasses.replace(facts.info, weights_sha256="0")), request),
    ]
    keys = [kept.key(f, r) for f, r in [(facts, request), *others]]
    assert None not in keys
    assert len(set(keys)) == len(keys)
    assert kept.key(facts, request) == keys[0]
    assert Answers(60, 3).key(facts, request) != keys[0], "nobody outside this process can compute it"
    assert kept.key(None, request) is None
    assert kept.key(facts, Request(("\ud800",))) is None
