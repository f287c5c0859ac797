"""Replay: the same bits along the stored path, a stated tolerance elsewhere, and golden answers that must not drift."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
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


@pytest.fixture(scope="module")
def found(tiny: Model) -> Explanation:
    return tiny.explain(TEXT, methods=["integrated_gradients", "occlusion"], checks=())


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "evidence")


def test_a_record_is_repeated_to_the_bit(tiny: Model, store: Store, found: Explanation) -> None:
    entry = store.file(found)
    content = store.content(entry.header.id)
    for decide in (False, True):
        result = replay.replay(tiny, entry.header, content, decide=decide)
        assert result.holds
        assert all(part.bitwise for part in result.parts)
        assert result.sentence == "Every number is the same to the bit."
        assert {p.name for p in result.parts} >= {"prediction", "integrated_gradients: scores", "occlusion: scores"}


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
    entry = store.file(changed)
    result = replay.replay(tiny, entry.header, store.content(entry.header.id))
    assert not result.holds
    assert "every bit should be equal" in result.sentence


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


def test_replay_on_the_command_line(run, tiny_folder: Path, store: Store, found: Explanation) -> None:  # type: ignore[no-untyped-def]
    store.file(found)
    place = ("--store", str(store.home), "--model", str(tiny_folder))
    code, said, _ = run("replay", "1", *place)
    assert (code, "the same to the bit" in said) == (0, True)
    assert json.loads(run("replay", "1", "--decide", "--json", *place)[1])["mode"] == "deciding anew"
    assert run("replay", "1", "--store", str(store.home), "--model", "sentiment")[0] == 6
