"""Replay: the same bits along the stored path, a stated tolerance elsewhere, and golden answers that must not drift."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from explain import replay
from explain.audit.records import Who
from explain.audit.store import Store
from explain.catalog import Request
from explain.engine import Model, load
from explain.errors import AuditError
from explain.records import Explanation
from explain.work import Work

ROOT = Path(__file__).resolve().parents[2]
TEXT = "A charming, witty story but very dull and tedious ending."


ASKED = Request((TEXT,), methods=("integrated_gradients", "occlusion"), checks=())


@pytest.fixture(scope="module")
def found(tiny: Model) -> Explanation:
    return tiny.explain(TEXT, methods=["integrated_gradients", "occlusion"], checks=())


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "evidence")


def test_a_record_is_repeated_to_the_bit(tiny: Model, store: Store, found: Explanation) -> None:
    entry = store.file(found, asked=ASKED)
    content = store.content(entry.header.id)
    for decide in (False, True):
        result = replay.replay(tiny, entry.header, content, decide=decide)
        assert (result.holds, result.tolerance) == (True, 0)
        assert all(part.bitwise for part in result.parts)
        assert result.sentence == "Everything computed again is the same to the bit."
        compared = {p.name for p in result.parts}
        assert compared >= {"prediction logits", "integrated_gradients: scores", "occlusion: scores", "effects without"}


def test_a_record_of_another_process_is_repeated_to_the_bit(tiny_folder: Path, store: Store, tmp_path: Path) -> None:
    code = (
        "import sys, explain; from pathlib import Path; from explain.audit.store import Store;"
        "import torch; torch.set_num_threads(int(sys.argv[4]));"
        "print(Store(Path(sys.argv[2])).file(explain.load(sys.argv[1]).explain(sys.argv[3], checks=())).header.id)"
    )
    threads = str(torch.get_num_threads())
    command = [sys.executable, "-c", code, str(tiny_folder), str(store.home), TEXT, threads]
    record = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()[-1]
    result = replay.replay(load(str(tiny_folder)), store.read(record).header, store.content(record))
    assert (result.environment, result.holds) == ((), True)
    assert all(part.bitwise for part in result.parts)


def test_another_thread_count_is_said_and_within_its_tolerance(tiny: Model, store: Store, found: Explanation) -> None:
    entry = store.file(found)
    content = store.content(entry.header.id)
    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    try:
        result = replay.replay(tiny, entry.header, content)
    finally:
        torch.set_num_threads(before)
    assert f"threads {before + 1} instead of {before}" in result.environment
    assert result.tolerance == 1e-5
    assert result.holds
    assert max(p.difference for p in result.parts) <= 1e-5


def test_the_path_is_followed_and_not_decided_anew(tiny: Model, found: Explanation) -> None:
    path = found.attributions[0].path
    assert path is not None
    (start, end, _), middle = path[0], path[0][:2].mean()
    other = np.array([[start, middle, 15.0], [middle, end, 15.0], *[[a, b, 15.0] for a, b, _ in path[1:].tolist()]])
    request = Request((TEXT,), checks=())
    again = Work(tiny, [request], paths={"integrated_gradients": other}).run()[0].attributions[0]
    assert np.array_equal(again.path, other)  # type: ignore[arg-type]
    decided = Work(tiny, [request]).run()[0].attributions[0]
    assert np.array_equal(decided.path, path)  # type: ignore[arg-type]


def test_a_changed_number_is_found(tiny: Model, store: Store, found: Explanation) -> None:
    first = found.attributions[0]
    scores = first.scores.copy()
    scores[0] = np.nextafter(scores[0], np.float32(9))
    changed = dataclasses.replace(found, attributions=(dataclasses.replace(first, scores=scores),))
    entry = store.file(changed, asked=ASKED)
    result = replay.replay(tiny, entry.header, store.content(entry.header.id))
    assert not result.holds
    assert "every bit should be equal" in result.sentence


def forged(found: Explanation) -> dict[str, Explanation]:
    """One explanation for each thing that a forger might say otherwise, by the name of the part that must differ."""
    first, tokens, prediction, effects = found.attributions[0], found.tokens, found.prediction, found.effects
    assert prediction.probs is not None
    assert effects is not None
    assert effects.probs is not None
    assert first.numeric_error is not None
    assert first.gross is not None
    inner = {
        "residual": 0.5,
        "numeric_error": first.numeric_error * 0,
        "gross": first.gross * 9,
        "scale": 99.0,
        "special": first.special + 1,
        "baseline": "zero",
        "unit_of": first.unit_of + 1,
        "exhausted": not first.exhausted,
    }
    attributions = {
        f"integrated_gradients: {name}": {"attributions": (dataclasses.replace(first, **{name: value}),)}
        for name, value in inner.items()
    }
    changes = {
        **attributions,
        "prediction probs": {"prediction": dataclasses.replace(prediction, probs=prediction.probs[::-1])},
        "prediction decision": {"prediction": dataclasses.replace(prediction, decision=(1 - prediction.decision[0],))},
        "tokens ids": {"tokens": dataclasses.replace(tokens, ids=tokens.ids + 1)},
        "tokens strings": {"tokens": dataclasses.replace(tokens, strings=tuple(f"x{s}" for s in tokens.strings))},
        "effects without": {"effects": dataclasses.replace(effects, without=effects.without + 1)},
        "effects probs": {"effects": dataclasses.replace(effects, probs=effects.probs * 0)},
        "effects prob_input": {"effects": dataclasses.replace(effects, prob_input=0.0)},
        "target name": {"target": dataclasses.replace(found.target, name="OTHER")},
    }
    return {name: dataclasses.replace(found, **change) for name, change in changes.items()}


def test_whatever_a_record_says_is_computed_again_or_named_as_left_out(tiny: Model, found: Explanation) -> None:
    for name, changed in forged(found).items():
        methods = {a.method: a for a in found.attributions}
        again = dataclasses.replace(
            found, attributions=tuple(methods[a.method] for a in changed.attributions)
        )  # what computing again gives, without computing for each of these
        parts = list(replay._parts(changed, again))
        assert [p.name.removesuffix(" is not what it was") for p in parts if not p.bitwise] == [name]
        assert max(p.difference for p in parts) > replay.TOLERANCE["float32"], name


def test_what_is_not_computed_again_is_said(tiny: Model, store: Store) -> None:
    asked = Request(("A charming film.",), checks=("completeness", "baseline"))
    entry = store.file(tiny.answer([asked])[0], asked=asked)
    result = replay.replay(tiny, entry.header, store.content(entry.header.id))
    assert result.holds
    assert result.left_out[0] == "2 checks"
    assert "Not computed again: 2 checks" in result.sentence


def test_a_number_that_is_none_now_differs() -> None:
    then = np.array([1.0, 2.0, 3.0], np.float32)
    for now in ([1, 2, np.nan], [1, np.inf, 3]):
        part = replay._part("scores", then, np.array(now, np.float32))
        assert (part.bitwise, part.difference) == (False, 1.0)


@pytest.mark.parametrize(
    ("then", "now", "allowed"),
    [
        (("float64", "cpu"), ("float64", "cpu"), 1e-9),
        (("float32", "cpu"), ("float32", "cpu"), 1e-5),
        (("float16", "cpu"), ("float32", "cpu"), 1e-2),
        (("float32", "cpu"), ("bfloat16", "cpu"), 5e-2),
        (("float32", "cpu"), ("float32", "cuda:0"), 1e-3),
        (("bfloat16", "cuda:1"), ("bfloat16", "cpu"), 5e-2),
        (("float32", "cuda:1"), ("float32", "cuda:0"), 1e-5),
    ],
)
def test_tolerances(found: Explanation, then: tuple[str, str], now: tuple[str, str], allowed: float) -> None:
    one, two = (
        dataclasses.replace(found, model=dataclasses.replace(found.model, dtype=dtype, device=device))
        for dtype, device in (then, now)
    )
    assert replay._tolerance(one, two) == allowed


def test_without_its_request_a_record_has_a_tolerance(tiny: Model, store: Store) -> None:
    """As the command line files: nobody knows whether other texts were computed with it."""
    found = tiny.explain_batch([TEXT, "A dull film.", "Good and bad and good and very long and slow."], checks=())
    entry = store.file(found[0])
    result = replay.replay(tiny, entry.header, store.content(entry.header.id))
    assert (result.tolerance, result.holds) == (1e-5, True)
    if not all(p.bitwise for p in result.parts):
        assert "other texts were computed with it" in result.sentence


def test_a_sampling_record_without_its_request_is_repeated_to_the_bit(tiny: Model, store: Store) -> None:
    """The record knows the budget that was asked for, and that its text was computed alone."""
    for method in ("expected_gradients", "layer_conductance"):
        found = tiny.explain(TEXT, methods=[method], budget=100, checks=())
        entry = store.file(found)
        content = store.content(entry.header.id)
        assert (content.asked, found.provenance.budget, found.provenance.group) == (None, 100, 1)
        result = replay.replay(tiny, entry.header, content)
        assert (result.holds, result.tolerance) == (True, 0), result.sentence
        former = dataclasses.replace(found.provenance, budget=None, group=None)
        content = dataclasses.replace(content, explanation=dataclasses.replace(found, provenance=former))
        assert replay.replay(tiny, entry.header, content).tolerance == 1e-5


def test_where_it_was_computed_counts_and_not_where_it_was_filed(
    tiny: Model, store: Store, found: Explanation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Computed here, filed by another machine with other code, repeated here: to the bit."""
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr("explain.machine.processor", lambda: "another processor")
        elsewhere.setattr("explain.machine.code_sha256", lambda: "0" * 64)
        entry = store.file(found, asked=ASKED)
        computed = tiny.explain(TEXT, methods=["integrated_gradients", "occlusion"], checks=())
    header = entry.header
    assert header.environment.filed is not None
    assert header.environment.filed["processor"] == "another processor"
    result = replay.replay(tiny, header, store.content(header.id))
    assert (result.holds, result.tolerance, result.environment) == (True, 0, ())
    there = store.file(computed, asked=ASKED)
    result = replay.replay(tiny, there.header, store.content(there.header.id))
    assert result.tolerance == 1e-5
    assert any("another processor" in one for one in result.environment)
    assert "another state of Whyboard's code" in result.environment


@pytest.mark.parametrize(
    "edges",
    [(0, 1 / 3, 2 / 3, 1), (0, (0 + 1 / 3) / 2, 0.25, 1 / 3, 0.5, 2 / 3, 1)],
    ids=["thirds", "halved to quarters"],
)
def test_a_path_of_thirds_is_followed_as_records_of_older_versions_have_it(tiny: Model, edges: list[float]) -> None:
    request = Request(("a film",), checks=())
    thirds = np.array([[a, b, 15.0] for a, b in pairwise(edges)])
    again = Work(tiny, [request], paths={"integrated_gradients": thirds}).run()[0].attributions[0]
    assert np.array_equal(again.path, thirds)  # type: ignore[arg-type]
    assert again.relative_residual is not None and again.relative_residual <= 0.01


def test_a_path_that_no_halving_reaches_is_refused(tiny: Model) -> None:
    request = Request(("A dull film.",), checks=())
    for path in ([[0.0, 0.4, 15.0], [0.4, 1.0, 15.0]], [[0.0, 1.0, 7.0]], np.zeros((0, 3))):
        with pytest.raises(AuditError, match="halving"):
            Work(tiny, [request], paths={"integrated_gradients": np.array(path)}).run()


def test_a_batch_item_has_a_tolerance(tiny: Model, store: Store) -> None:
    texts = [TEXT, "A dull film.", "Good and bad and good and bad and very long and slow."]
    found = tiny.explain_batch(texts, checks=())
    entry = store.file(found[0], kind="batch item")
    result = replay.replay(tiny, entry.header, store.content(entry.header.id))
    assert (result.tolerance, result.holds) == (1e-5, True)


def test_phrases_come_from_the_request(tiny: Model, store: Store) -> None:
    request = Request((TEXT,), phrases=((0, 2, 17),), checks=(), seed=3)
    found = tiny.answer([request])[0]
    entry = store.file(found, asked=request, who=Who("ada"))
    content = store.content(entry.header.id)
    assert content.asked == request
    assert replay.replay(tiny, entry.header, content).holds
    without = replay.replay(tiny, entry.header, dataclasses.replace(content, asked=None))
    assert not without.holds
    assert "other words" in {p.name.split(": ")[1] for p in without.parts if ": " in p.name}


def test_another_model_is_refused(sentiment: Model, store: Store, found: Explanation) -> None:
    entry = store.file(found)
    with pytest.raises(AuditError, match="weights at hand are not those") as refused:
        replay.replay(sentiment, entry.header, store.content(entry.header.id))
    assert refused.value.code == "other_model"


def test_golden_answers_must_not_drift(run, tiny: Model, tiny_folder: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    golden = tmp_path / "golden.jsonl"
    lines = [replay.golden(tiny, text, None) for text in ("A charming film.", TEXT)]
    golden.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    code, said, _ = run("check", str(golden), "--model", str(tiny_folder), "--tolerance", "0.01")
    assert (code, "2 golden answers, 0 drifted" in said) == (0, True)
    lines[1]["words"][3][1] += 0.5  # type: ignore[index]
    golden.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    code, said, _ = run("check", str(golden), "--model", str(tiny_folder))
    assert code == 7
    assert "line 2" in said
    assert run("check", str(golden), "--model", str(tiny_folder), "--update")[0] == 0
    assert run("check", str(golden), "--model", str(tiny_folder))[0] == 0
    golden.write_text("{}\n")
    code, _, said = run("check", str(golden))
    assert (code, "Line 1" in said) == (2, True)


def test_golden_answers_are_read_strictly_and_held_whole(  # type: ignore[no-untyped-def]
    run, tiny: Model, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    golden, model = tmp_path / "golden.jsonl", ("--model", str(tiny_folder))
    monkeypatch.setattr("explain.load", lambda name: tiny)
    line = replay.golden(tiny, "A charming\u2028film.", None)
    golden.write_text(json.dumps(line, ensure_ascii=False) + "\n", "utf-8")
    assert run("check", str(golden), *model)[0] == 0, "a line ends at a line feed and nowhere else"
    words = line["words"]
    wrong = {
        7: [{**line, "log_odds": line["log_odds"] + 1}],
        2: [{**line, "words": [*words[:-1], [words[-1][0], v]]} for v in (float("nan"), float("inf"))],
    }
    for code, lines in wrong.items():
        for one in lines:
            golden.write_text(json.dumps(one) + "\n", "utf-8")
            assert run("check", str(golden), *model)[0] == code
    golden.write_text("")
    assert run("check", str(golden))[0] == 2


def test_a_score_that_is_no_number_has_drifted(tiny: Model) -> None:
    then = {"text": "a b c", "label": "x", "words": [["a", 1.0], ["b", 0.5], ["c", 0.1]]}
    now = {**then, "log_odds": 1.0, "words": [["a", 1.0], ["b", float("nan")], ["c", 0.1]]}
    assert not next(replay.drift(tiny, [then], 0.02, lambda *_: now)).holds


def test_replay_on_the_command_line(run, tiny_folder: Path, store: Store, found: Explanation) -> None:  # type: ignore[no-untyped-def]
    store.file(found, asked=ASKED)
    place = ("--store", str(store.home), "--model", str(tiny_folder))
    code, said, _ = run("replay", "1", *place)
    assert (code, "the same to the bit" in said) == (0, True)
    assert json.loads(run("replay", "1", "--decide", "--json", *place)[1])["mode"] == "deciding anew"
    assert run("replay", "1", "--store", str(store.home), "--model", "sentiment")[0] == 6
