"""One model shared by many threads: everybody gets the bits that one person alone gets, and nothing stays behind."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from explain.engine import Model, load
from explain.errors import Cancelled, ExplainError
from explain.records import Explanation
from tests.rows import left
from tests.tiny import WORDS

THREADS, EACH = 8, 50
METHODS = ("integrated_gradients", "occlusion")


@pytest.fixture
def model(tiny_folder: Path) -> Model:
    return load(str(tiny_folder))


@pytest.fixture(autouse=True)
def impatient() -> Iterator[None]:
    """Threads change a hundred times as often as usual, so that what can be interrupted is."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(usual / 100)
    yield
    sys.setswitchinterval(usual)


def texts(count: int) -> list[str]:
    """Distinct sentences of 1 to 12 words."""
    random, found = np.random.default_rng(0), dict[str, None]()
    words = [word for word in WORDS if word.isalpha()]
    while len(found) < count:
        found[" ".join(random.choice(words, random.integers(1, 13)))] = None
    return list(found)


def asked(model: Model, text: str, place: int, attention: bool = False) -> Explanation:
    """Methods take turns."""
    return model.explain(text, methods=[METHODS[place % 2]], checks=(), attention=attention, seed=place)


def timeless(result: Explanation) -> str:
    """All of an explanation, to the last bit, but when it was made and how long that took."""
    return replace(result, provenance=replace(result.provenance, created="", seconds=0.0)).to_json()


def together(works: list[Callable[[], None]]) -> list[BaseException]:
    """Run all at once, each in a thread of its own; returns what was raised."""
    start, raised = threading.Barrier(len(works)), list[BaseException]()

    def run(work: Callable[[], None]) -> None:
        start.wait()
        try:
            work()
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


def test_eight_threads_get_the_bits_of_one(model: Model) -> None:
    sentences, untouched = texts(THREADS * EACH), left(model)
    alone = [timeless(asked(model, text, place)) for place, text in enumerate(sentences)]
    assert len(set(alone)) == len(sentences)
    wrong: list[str] = []
    right: list[str] = []

    def worker(mine: range) -> Callable[[], None]:
        def work() -> None:
            for place in mine:
                same = timeless(asked(model, sentences[place], place)) == alone[place]
                (right if same else wrong).append(sentences[place])

        return work

    raised = together([worker(range(i, len(sentences), THREADS)) for i in range(THREADS)])
    assert raised == []
    assert wrong == []
    assert sorted(right) == sorted(sentences)
    assert left(model) == untouched


def test_neighbours_that_fail_or_give_up_disturb_nobody(model: Model) -> None:
    sentences, untouched = texts(20), left(model)
    alone = [timeless(asked(model, text, place)) for place, text in enumerate(sentences)]
    wrong: list[str] = []
    stopped: list[str] = []
    done = threading.Event()

    def diligent() -> None:
        try:
            for place, text in enumerate(sentences):
                if timeless(asked(model, text, place)) != alone[place]:
                    wrong.append(text)
        finally:
            done.set()

    def fickle() -> None:
        while not done.is_set():
            cancel = threading.Event()
            with pytest.raises(Cancelled) as caught:
                model.explain(sentences[-1], progress=lambda *_, stop=cancel: stop.set(), cancel=cancel)
            stopped.append(caught.value.code)

    def clumsy() -> None:
        while not done.is_set():
            with pytest.raises(ExplainError) as caught:
                model.explain("a good film", methods=["occlusion"], target="nobody")
            stopped.append(caught.value.code)

    assert together([diligent, fickle, clumsy]) == []
    assert wrong == []
    assert set(stopped) == {"cancelled", "bad_target"}
    assert left(model) == untouched


def test_many_at_once_while_others_ask_one_by_one(model: Model) -> None:
    """A batch, single texts and predictions share the module; each equals its own serial reference."""
    sentences, untouched = texts(24), left(model)
    batch = [timeless(r) for r in model.explain_batch(sentences, checks=())]
    alone = [timeless(asked(model, text, 0)) for text in sentences]
    predicted = model.predict_batch(sentences)
    wrong: list[str] = []

    def batched() -> None:
        for _ in range(2):
            if [timeless(r) for r in model.explain_batch(sentences, checks=())] != batch:
                wrong.append("batch")

    def single() -> None:
        for text, expected in zip(sentences, alone, strict=True):
            if timeless(asked(model, text, 0)) != expected:
                wrong.append(text)

    def predicting() -> None:
        for _ in range(20):
            if model.predict_batch(sentences) != predicted:
                wrong.append("prediction")

    assert together([batched, single, single, predicting]) == []
    assert wrong == []
    assert left(model) == untouched


def test_attention_is_recorded_while_others_explain(model: Model) -> None:
    """Another kernel is put in and out for it, which nobody else may get to see."""
    sentences = texts(12)
    plain = [timeless(asked(model, text, place)) for place, text in enumerate(sentences)]
    looked = [timeless(asked(model, text, place, True)) for place, text in enumerate(sentences)]
    wrong: list[str] = []

    def worker(attention: bool, alone: list[str]) -> Callable[[], None]:
        def work() -> None:
            for place, text in enumerate(sentences):
                if timeless(asked(model, text, place, attention)) != alone[place]:
                    wrong.append(text)

        return work

    assert together([worker(True, looked), worker(False, plain), worker(True, looked), worker(False, plain)]) == []
    assert wrong == []
    assert model.module.config._attn_implementation == model.info.kernel


def test_recording_attention_leaves_nothing_behind(model: Model) -> None:
    untouched = left(model)
    asked(model, "a good film", 1, True)
    assert left(model) == untouched
