"""What a model writes, why, and what it hangs on, over REST: the bytes of Python and of the command line."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

import explain
from explain import asking, canonical, wire
from explain.catalog import Progress
from explain.engine import Model
from explain.errors import Cancelled, InputError
from explain.generation import Explanations, Generation, TokensRequest
from explain.keys import Keys
from explain.rest import writing
from explain.service.messages import pack, unpack
from tests import rest
from tests.conftest import undated
from tests.unit.test_rest_jobs import Held, over

PROMPT = "Once upon a time there was a"
TEXT, WRITTEN = "the film was charmingly slow.", "a moving story"
QUICK: dict[str, Any] = {"methods": ["saliency"], "checks": []}
LINES = {"accept": "application/jsonl"}


@pytest.fixture(scope="module")
def tale(teller_folder: Path) -> Iterator[TestClient]:
    """A client of an application on the model that goes on with a text."""
    with rest.client(rest.application(teller_folder)) as found:
        yield found


@pytest.fixture(scope="module")
def letter(scribe_folder: Path) -> Iterator[TestClient]:
    """A client of an application on the model that writes about a text."""
    with rest.client(rest.application(scribe_folder)) as found:
        yield found


@pytest.fixture(scope="module")
def written(teller: Model) -> Generation:
    """Tokens behind the prompt, of which some can be asked about: random weights write much that reads as others."""
    drawn = (teller.generate(PROMPT, tokens=5, seed=seed) for seed in range(100))
    return next(found for found in drawn if len(found.explainable) > 2)


def listed(each: list[Any]) -> str:
    """Records as Python writes a list of them."""
    return undated(canonical.encode(each).decode())


@pytest.mark.parametrize("wish", [{}, {"seed": 3, "temperature": 1.5}, {"num_beams": 3}], ids=str)
def test_what_is_written_is_what_python_writes(tale: TestClient, teller: Model, wish: dict[str, Any]) -> None:
    wish = {"tokens": 4, **wish}
    answer = tale.post("/v1/generate", json={"inputs": PROMPT, "parameters": wish})
    assert answer.status_code == 200, answer.text
    assert undated(answer.text) == undated(teller.generate(PROMPT, **wish).to_json())


def test_several_are_written_in_order_and_as_the_command_line_writes(
    tale: TestClient, teller: Model, teller_folder: Path, run: Any
) -> None:
    texts = [PROMPT, "The king"]
    answer = tale.post("/v1/generate", json={"inputs": texts, "parameters": {"tokens": 3}})
    assert undated(answer.text) == listed([teller.generate(text, tokens=3) for text in texts])
    _, out, _ = run("generate", PROMPT, "--model", str(teller_folder), "--tokens", "3", "--json")
    alone = tale.post("/v1/generate", json={"inputs": PROMPT, "parameters": {"tokens": 3}})
    assert undated(out.strip()) == undated(alone.text)


def test_a_translation_is_written_and_cut_as_python_does(letter: TestClient, scribe: Model) -> None:
    long = "film " * 200
    assert letter.post("/v1/generate", json={"inputs": long}).json()["code"] == "too_long"
    wish = {"tokens": 3, "truncate": True}
    answer = letter.post("/v1/generate", json={"inputs": long, "parameters": wish})
    assert undated(answer.text) == undated(scribe.generate(long, **wish).to_json())


@pytest.mark.parametrize(
    "wish",
    [
        {},
        {"places": [2, 0]},
        {"places": [1], "methods": ["occlusion"], "params": {"replacement": "remove"}, "checks": None},
        {"places": [1], "attention": True, "contrast": "king", "granularity": "token", "budget": 64, "seed": 4},
        {"phrases": ["Once upon a time"], "quantity": "probability", "checks": []},
        {"places": []},
    ],
    ids=str,
)
def test_each_written_token_is_explained_as_python_explains_it(
    tale: TestClient, teller: Model, written: Generation, wish: dict[str, Any]
) -> None:
    wish = {**wish, **({"places": [written.explainable[i] for i in wish["places"]]} if "places" in wish else {})}
    settings = {"tokens": 5, "seed": written.settings["seed"]}
    sent = json.loads(tale.post("/v1/generate", json={"inputs": PROMPT, "parameters": settings}).text)
    answer = tale.post("/v1/explain_generation", json={"generation": sent, "parameters": wish})
    assert answer.status_code == 200, answer.text
    mine = teller.explain_generation(written, **wish)
    assert undated(answer.text) == listed(mine)
    if wish.get("attention"):
        assert all(len(one.attention or ()) == teller.info.n_layers for one in mine)


@pytest.mark.parametrize(("model", "text"), [("teller", PROMPT), ("scribe", TEXT)])
def test_it_is_written_and_explained_in_one_request(
    model: str, text: str, run: Any, request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue(f"{model}_folder")
    web = request.getfixturevalue("tale" if model == "teller" else "letter")
    _, out, _ = run("generate", text, "--model", str(folder), "--tokens", "3", "--explain", "--json")
    body = {"inputs": text, "parameters": {"generate": {"tokens": 3}}}
    answer = web.post("/v1/explain_generation", json=body)
    assert answer.status_code == 200, answer.text
    assert undated(answer.text) == undated(out.strip())


def test_an_alignment_is_that_of_python_and_command_line(
    letter: TestClient, scribe: Model, scribe_folder: Path, run: Any
) -> None:
    pair = {"text": TEXT, "text_pair": WRITTEN}
    answer = letter.post("/v1/align", json={"inputs": pair})
    assert answer.status_code == 200, answer.text
    assert undated(answer.text) == undated(scribe.align(TEXT, WRITTEN).to_json())
    _, out, _ = run("align", TEXT, WRITTEN, "--model", str(scribe_folder), "--json")
    assert undated(answer.text) == undated(out.strip())
    two = letter.post("/v1/align", json={"inputs": [[TEXT, WRITTEN], pair]})
    assert undated(two.text) == listed([scribe.align(TEXT, WRITTEN)] * 2)
    cut = letter.post("/v1/align", json={"inputs": [["film " * 200, "dull"]], "parameters": {"truncate": True}})
    assert cut.json()[0]["tokens"]["truncated_at"] is not None


def test_the_client_gets_what_python_gets(
    teller_folder: Path, scribe_folder: Path, teller: Model, scribe: Model, written: Generation
) -> None:
    seen: list[str] = []
    with rest.served(teller_folder) as address:
        client = explain.Client(address, model=teller_folder.name)
        found = client.generate(PROMPT, tokens=5, seed=written.settings["seed"])
        assert undated(found.to_json()) == undated(written.to_json())
        places = list(written.explainable[::2])
        each = client.explain_generation(found, places=places, progress=lambda now: seen.append(now.stage), **QUICK)
        assert listed(each) == listed(teller.explain_generation(written, places=places, **QUICK))
        assert seen
        with pytest.raises(InputError) as caught:
            client.explain_generation(found, places=[99])
        assert caught.value.code == "bad_place"
    with rest.served(scribe_folder) as address:
        client = explain.Client(address)
        seen.clear()
        for progress in (None, lambda now: seen.append(now.stage)):
            aligned = client.align(TEXT, WRITTEN, progress=progress)
            assert undated(aligned.to_json()) == undated(scribe.align(TEXT, WRITTEN).to_json())
        assert seen


def test_progress_comes_before_the_result(tale: TestClient) -> None:
    for path, more in (("/v1/generate", {"tokens": 3}), ("/v1/explain_generation", {"generate": {"tokens": 3}})):
        answer = tale.post(path, json={"inputs": PROMPT, "parameters": more}, headers=LINES)
        assert answer.headers["content-type"].startswith("application/jsonl")
        lines = [json.loads(line) for line in answer.text.splitlines()]
        assert [line["event"] for line in lines][-1] == "result"
        assert lines[0]["event"] == "progress"
        whole = tale.post(path, json={"inputs": PROMPT, "parameters": more})
        assert undated(canonical.encode(lines[-1]["result"]).decode()) == undated(whole.text)


def changed(found: Generation, **more: Any) -> Any:
    """A generation as somebody sends it, with other fields."""
    return json.loads(found.to_json()) | more


@pytest.mark.parametrize(
    ("more", "about", "code"),
    [
        ({}, {"places": [99]}, "bad_place"),
        ({}, {"places": [-1]}, "bad_request"),
        ({}, {"places": [0, 0]}, "bad_place"),
        ({}, {"attention": True}, "too_large"),
        ({}, {"places": [0] * 1_001}, "bad_request"),
        ({}, {"target": "king"}, "bad_request"),
        ({}, {"generate": {"tokens": 3}}, "bad_request"),
        ({}, {"methods": ["no"]}, "unknown_method"),
        ({}, {"budget": 10**6}, "bad_budget"),
        ({}, {"phrases": ["nowhere"]}, "no_such_span"),
        ({"prompt": "a " * 6_000}, {"phrases": ["a"]}, "too_many"),
        ({"ids": [999_999] * 5}, {}, "bad_target"),
        ({"ids": [1]}, {}, "bad_generation"),
        ({"pieces": "king"}, {}, "bad_generation"),
        ({"more": 1}, {}, "bad_generation"),
        ({"schema": "generation/99"}, {}, "bad_generation"),
        ({"prompt": ""}, {"places": [0]}, "empty_text"),
        ({"prompt": "x" * 1_900_000}, {}, "too_large"),
        ({"prompt": "king " * 80}, {}, "too_long"),
        ({"roles": ["user"], "texts": ["u", "v"]}, {}, "bad_generation"),
        ({"roles": ["me"], "texts": ["u"]}, {}, "bad_generation"),
    ],
    ids=str,
)
def test_what_is_no_generation_of_this_model_is_a_problem(
    tale: TestClient, written: Generation, more: dict[str, Any], about: dict[str, Any], code: str
) -> None:
    body = {"generation": changed(written, **more), "parameters": {**QUICK, **about}}
    answer = tale.post("/v1/explain_generation", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, code), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert len(answer.content) < 2_000
    assert "Traceback" not in answer.text


def test_what_a_former_version_wrote_is_read_and_newer_is_not(
    tale: TestClient, teller: Model, written: Generation
) -> None:
    later = {"texts", "roles"}
    former = {name: value for name, value in changed(written, schema="generation/1").items() if name not in later}
    assert wire.decode(Generation, json.dumps(former)) == replace(written, schema="generation/1")
    answer = tale.post("/v1/explain_generation", json={"generation": former, "parameters": QUICK})
    assert answer.status_code == 200, answer.text
    assert undated(answer.text) == listed(teller.explain_generation(written, **QUICK))
    assert written.schema == "generation/2"
    with pytest.raises(InputError, match="newer Whyboard"):
        wire.decode(Generation, json.dumps(changed(written, schema="generation/99", new=1)))


def test_many_tokens_are_no_generation(written: Generation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "TOKENS", 4)
    with pytest.raises(InputError, match="at most 4 tokens"):
        writing.read(changed(written))


def test_what_another_model_wrote_is_refused(letter: TestClient, written: Generation) -> None:
    answer = letter.post("/v1/explain_generation", json={"generation": changed(written), "parameters": QUICK})
    assert (answer.status_code, answer.json()["code"]) == (409, "other_model")


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("/v1/generate", {"inputs": "king " * 80}, "too_long"),
        ("/v1/generate", {"inputs": ["a", "b"], "messages": []}, "bad_request"),
        ("/v1/generate", {"inputs": {"text": "a", "text_pair": "b"}}, "bad_text"),
        ("/v1/generate", {"inputs": PROMPT, "parameters": {"tokens": 1_001}}, "bad_request"),
        ("/v1/generate", {"inputs": PROMPT, "parameters": {"num_beams": 33}}, "bad_request"),
        ("/v1/generate", {"inputs": PROMPT, "parameters": {"num_beams": 2, "seed": 1}}, "bad_num_beams"),
        ("/v1/generate", {"inputs": ["x"] * 33}, "too_many"),
        ("/v1/generate", {"messages": [{"role": "user", "content": "u"}]}, "no_template"),
        ("/v1/explain_generation", {}, "bad_request"),
        ("/v1/explain_generation", {"inputs": "a", "generation": {}}, "bad_request"),
        ("/v1/align", {"inputs": PROMPT}, "bad_text"),
        ("/v1/align", {"inputs": {"messages": [{"role": "user", "content": "u"}] * 2}}, "bad_text"),
        ("/v1/align", {"inputs": [["a", "b"]]}, "bad_task"),
        ("/v1/align", {"inputs": [["a", ""]]}, "empty_text"),
        ("/v1/jobs", {"task": "explain_generation", "inputs": "a"}, "bad_request"),
        ("/v1/jobs", {"task": "align", "inputs": "a"}, "bad_text"),
        ("/v1/jobs", {"task": "generate", "inputs": "a", "parameters": {"methods": ["saliency"]}}, "bad_request"),
    ],
)
def test_bad_questions_about_writing_are_problems(tale: TestClient, path: str, body: Any, code: str) -> None:
    answer = tale.post(path, json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, code), answer.text


def test_a_classifier_writes_nothing(tiny_folder: Path) -> None:
    with rest.client(rest.application(tiny_folder)) as web:
        for path in ("/v1/generate", "/v1/explain_generation"):
            assert web.post(path, json={"inputs": "a film"}).json()["code"] == "bad_task"


def test_jobs_do_the_same_later(
    tale: TestClient, letter: TestClient, teller: Model, scribe: Model, written: Generation
) -> None:
    asked: list[tuple[TestClient, dict[str, Any], list[Any]]] = [
        (
            tale,
            {"task": "generate", "inputs": [PROMPT, "The king"], "parameters": {"tokens": 3}},
            [teller.generate(text, tokens=3) for text in (PROMPT, "The king")],
        ),
        (
            tale,
            {"task": "explain_generation", "generation": changed(written), "parameters": QUICK},
            [teller.explain_generation(written, **QUICK)],
        ),
        (letter, {"task": "align", "inputs": [[TEXT, WRITTEN]]}, [scribe.align(TEXT, WRITTEN)]),
    ]
    for web, body, expected in asked:
        answer = web.post("/v1/jobs", json=body)
        assert answer.status_code == 202, answer.text
        found = over(web, answer.json()["id"])
        assert (found["state"], found["task"], found["inputs"]) == ("done", body["task"], len(expected))
        assert undated(canonical.encode(found["results"]).decode()) == listed(expected)


def test_a_pair_in_a_job_is_one_row(tiny_folder: Path, tiny: Model) -> None:
    with rest.client(rest.application(tiny_folder)) as web:
        body = {"task": "predict", "inputs": [["a film", "a plot"], "a film"]}
        found = over(web, web.post("/v1/jobs", json=body).json()["id"])
    assert found["results"] == [json.loads(tiny.predict(text).to_json()) for text in (("a film", "a plot"), "a film")]


def test_the_client_submits_what_a_model_wrote(teller_folder: Path, written: Generation) -> None:
    with rest.served(teller_folder) as address:
        client = explain.Client(address)
        job = client.submit(written, **QUICK)
        found = client.job(job)
        assert (found["task"], found["inputs"]) == ("explain_generation", 1)
        client.cancel(job)


def test_who_may_not_read_records_is_not_told_of_the_machine(
    teller_folder: Path, scribe_folder: Path, tmp_path: Path
) -> None:
    keys = Keys(tmp_path / "keys")
    made = {role: {"authorization": f"Bearer {keys.add(role, role)}"} for role in ("analyst", "admin")}  # type: ignore[arg-type]
    asked = [
        (teller_folder, "/v1/generate", {"inputs": PROMPT, "parameters": {"tokens": 2}}),
        (teller_folder, "/v1/explain_generation", {"inputs": PROMPT, "parameters": {"generate": {"tokens": 2}}}),
        (scribe_folder, "/v1/align", {"inputs": {"text": TEXT, "text_pair": WRITTEN}}),
    ]
    for folder, path, body in asked:
        with rest.client(rest.application(folder, keys=keys.path)) as web:
            for role, told in (("analyst", False), ("admin", True)):
                found = web.post(path, json=body, headers=made[role]).json()
                for one in found if isinstance(found, list) else [found]:
                    assert (one["provenance"]["machine"] is not None) == told, (path, role)


def test_a_cancel_is_heard_between_passes(teller: Model, written: Generation) -> None:
    stop, heard = threading.Event(), list[int]()

    def listen(now: Progress, _: Any) -> None:
        heard.append(now.done)
        if now.done:
            stop.set()

    with pytest.raises(Cancelled):
        teller.explain_tokens(asking.tokens(written), progress=listen, cancel=stop)
    assert max(heard) > 0


def test_a_job_about_tokens_is_cancelled_like_any_other(teller_folder: Path, written: Generation) -> None:
    held = Held()
    with rest.client(rest.application(teller_folder, held)) as web:
        body = {"task": "explain_generation", "generation": changed(written)}
        job = web.post("/v1/jobs", json=body).json()["id"]
        over(web, job, "running")
        assert isinstance(held.jobs[0].request, TokensRequest)
        assert web.post(f"/v1/jobs/{job}:cancel").json()["state"] == "cancelled"
        assert held.jobs[0].stop.is_set()


def test_records_of_tokens_go_through_the_workers_pipe(teller: Model, written: Generation) -> None:
    question = asking.tokens(written, written.explainable[:2], methods=("saliency",))
    assert unpack(pack(question)).digest == question.digest
    found = teller.explain_tokens(question)
    again = unpack(pack(found))
    assert isinstance(again, Explanations)
    assert again.digest == found.digest


def test_a_generation_with_parts_missing_is_no_record(written: Generation) -> None:
    with pytest.raises(InputError, match="differ in number"):
        wire.decode(Generation, replace(written, readable=np.ones(2, dtype=bool)).to_json())
