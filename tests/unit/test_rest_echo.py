"""No refusal sends back what was sent: every field of every body, wrong in every shape, and on every kind of model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from starlette.testclient import TestClient

from explain.errors import InputError
from explain.rest import quotes, works
from explain.rest.face import ROUTES
from explain.settings import settings
from tests import rest

SECRET = "zqsecret"
TEXT = "the film is never boring"
SHAPES: list[Any] = [
    SECRET,
    f"{SECRET} ’s \u2018own\u2019",
    [SECRET],
    [SECRET, SECRET],
    {SECRET: 1},
    {"steps": SECRET, SECRET: SECRET},
    {"saliency": {SECRET: 1}},
    {"saliency": SECRET},
    {SECRET: {SECRET: 1}},
    [{SECRET: SECRET}],
    {"text": SECRET, SECRET: 1},
]
KINDS = (works.Explained, works.Generated, works.Aligned, works.Tokens)
BODIES = {route.path: route.takes for route in ROUTES if route.takes not in (None, works.Work)}
BODIES |= {f"/v1/jobs#{kind.__name__}": kind for kind in KINDS}
BEGUN = {works.Generated: "generate", works.Aligned: "align", works.Tokens: "explain_generation"}
"""The task that a body must name."""
QUICK = {"methods": ["saliency"], "checks": []}
WRITTEN: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "tiny": [
        ("/v1/generate", {"inputs": SECRET}),
        ("/v1/explain_generation", {"inputs": SECRET}),
        ("/v1/align", {"inputs": [[SECRET, SECRET]]}),
    ],
    "teller": [
        ("/v1/generate", {"inputs": f"{SECRET} " * 80}),
        ("/v1/generate", {"messages": [{"role": "user", "content": SECRET}]}),
        ("/v1/explain_generation", {"inputs": TEXT, "parameters": {"generate": {"tokens": 1}, "phrases": [SECRET]}}),
        ("/v1/explain_generation", {"inputs": TEXT, "parameters": {"generate": {"tokens": 1}, "contrast": SECRET}}),
        ("/v1/explain_generation", {"generation": {SECRET: SECRET}}),
        ("/v1/align", {"inputs": {"text": SECRET, "text_pair": SECRET}}),
        ("/v1/align", {"inputs": SECRET}),
    ],
    "scribe": [("/v1/align", {"inputs": [[f"{SECRET} " * 80, SECRET]]})],
}
"""Questions about what a model writes that it refuses."""
WISHES: dict[str, list[dict[str, Any]]] = {
    "tiny": [
        {"target": SECRET},
        {"contrast": SECRET},
        {"methods": [SECRET], "params": {SECRET: 1}},
        {"params": {"saliency": 1, SECRET: 2}},
        {"rationale": [SECRET]},
        {"phrases": [SECRET]},
        {"checks": [SECRET]},
        {"continuation": SECRET},
    ],
    "teller": [
        {"target": SECRET},
        {"contrast": SECRET},
        {"continuation": SECRET},
        {"continuation": SECRET, "contrast": SECRET},
    ],
    "filler": [{"target": SECRET}],
    "tagger": [{"target": SECRET}, {"target": SECRET, "contrast": SECRET}],
    "answerer": [{"target": SECRET}, {"contrast": SECRET}, {"target": SECRET, "contrast": SECRET}],
    "inferrer": [
        {"candidate_labels": [SECRET, SECRET]},
        {"candidate_labels": [SECRET, "dull"], "target": "brilliant"},
        {"candidate_labels": [SECRET, "dull"], "target": SECRET, "contrast": SECRET},
        {"candidate_labels": [SECRET, "dull"], "target": SECRET, "methods": ["input_reduction"]},
        {"candidate_labels": [SECRET, "dull"], "target": "dull", "methods": ["input_reduction"]},
        {"candidate_labels": [SECRET, "dull"], "target": "dull", "contrast": SECRET, "methods": ["input_reduction"]},
        {"candidate_labels": [SECRET, "dull"], "hypothesis_template": SECRET},
    ],
}


def fields(body: type[BaseModel]) -> list[tuple[str, ...]]:
    """Where a value goes in a body: each field, each parameter, and a name that is none of either."""
    inner = body.model_fields["parameters"].annotation
    assert inner is not None
    return [(name,) for name in [*body.model_fields, SECRET]] + [
        ("parameters", name) for name in [*inner.model_fields, SECRET]
    ]


@pytest.fixture(scope="module")
def web(tiny_folder: Path) -> Iterator[TestClient]:
    """A client of an application that computes."""
    with rest.client(rest.application(tiny_folder, rate=1e6, max_jobs=1_000)) as found:
        yield found


@pytest.mark.parametrize(("path", "body"), BODIES.items(), ids=BODIES)
def test_no_field_comes_back(web: TestClient, path: str, body: type[BaseModel]) -> None:
    refused = 0
    said = next(name for name in ("instances", "generation", "inputs") if name in body.model_fields)
    first: Any = {"prompt": SECRET, SECRET: SECRET} if said == "generation" else [TEXT]
    for place in fields(body):
        for value in SHAPES:
            sent: dict[str, Any] = {said: first, "parameters": {}}
            sent |= {"task": BEGUN[body]} if body in BEGUN else {}
            at = sent
            for name in place[:-1]:
                at = at[name]
            at[place[-1]] = value
            try:
                body.model_validate_json(json.dumps(sent))
                if path != "/v1/explain":
                    continue  # it is in order, and is worked on in the same way wherever it was sent
                sent["parameters"] = {**QUICK, **sent["parameters"]}
            except ValueError:
                pass
            answer = web.post(path.replace("{name}", "tiny0").partition("#")[0], json=sent)
            if answer.status_code != 200:
                refused += 1
                assert SECRET not in answer.text, (place, value)
    assert refused > len(fields(body)) * 4


@pytest.mark.parametrize("model", WISHES)
def test_no_wish_that_a_model_refuses_comes_back(model: str, request: pytest.FixtureRequest) -> None:
    text: Any = {"teller": TEXT, "filler": "the [MASK] is never boring"}.get(model, TEXT)
    if model == "answerer":
        text = {"question": "what is never boring ?", "context": TEXT}
    codes = set()
    with rest.client(rest.application(request.getfixturevalue(f"{model}_folder"), rate=1e6)) as web:
        for wish in WISHES[model]:
            for streamed in (False, True):
                headers = {"accept": "application/jsonl"} if streamed else {}
                answer = web.post("/v1/explain", json={"inputs": text, "parameters": QUICK | wish}, headers=headers)
                if answer.status_code == 200 and not streamed:
                    continue
                said = json.loads(answer.text.splitlines()[-1])
                said = said.get("error", {}) if answer.status_code == 200 else said
                assert SECRET not in json.dumps(said), (wish, said)
                codes.add(said.get("code"))
    assert codes - {None}


@pytest.mark.parametrize("model", WRITTEN)
def test_nothing_about_writing_that_a_model_refuses_comes_back(model: str, request: pytest.FixtureRequest) -> None:
    with rest.client(rest.application(request.getfixturevalue(f"{model}_folder"), rate=1e6)) as web:
        for path, body in WRITTEN[model]:
            for accept in ("application/json", "application/jsonl"):
                answer = web.post(path, json=body, headers={"accept": accept})
                said = json.loads(answer.text.splitlines()[-1])
                said = said["error"] if answer.status_code == 200 else said
                assert said["status"] in (404, 422), (path, said)
                assert SECRET not in json.dumps(said), (path, said)


def strings(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where a string stands in a body."""
    if isinstance(value, str):
        yield at
    for name, inner in (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    ):
        yield from strings(inner, (*at, name))


@pytest.mark.parametrize(
    "secret", [SECRET[:5], SECRET * 8, f"{SECRET}'\n\"{SECRET}' " * 4], ids=("short", "long", "marks")
)
def test_no_string_of_a_generation_comes_back(secret: str, teller_folder: Path) -> None:
    wish, codes = {**QUICK, "places": [0]}, set()
    with rest.client(rest.application(teller_folder, rate=1e6, max_jobs=1_000)) as web:
        found = web.post("/v1/generate", json={"inputs": TEXT, "parameters": {"tokens": 2}}).json()
        found |= {"roles": ["user"], "texts": [TEXT]}
        places = list(strings(found))
        assert len(places) > 10
        for wrong in [[place] for place in places] + [[place for place in places if place[0] == "model"]]:
            sent = json.loads(json.dumps(found))
            for *way, last in wrong:
                at = sent
                for name in way:
                    at = at[name]
                at[last] = secret
            body = {"generation": sent, "parameters": wish}
            for path, more in (("/v1/explain_generation", {}), ("/v1/jobs", {"task": "explain_generation"})):
                answer = web.post(path, json=body | more, headers={"accept": "application/jsonl"})
                said = answer.text
                if answer.status_code == 202:
                    said = web.get(f"/v1/jobs/{answer.json()['id']}", headers={"accept": "application/jsonl"}).text
                last_line = json.loads(said.splitlines()[-1])
                if last_line.get("event") != "result" and last_line.get("state") != "done":
                    codes.add(last_line.get("code") or (last_line.get("error") or {}).get("code"))
                    assert secret[:5] not in said, (wrong, said)
    assert {"bad_generation", "other_model"} <= codes


def test_a_row_that_is_refused_does_not_come_back(web: TestClient) -> None:
    body = {"inputs": [f"the {SECRET} film", TEXT], "parameters": QUICK | {"phrases": [SECRET]}}
    job = web.post("/v1/jobs", json=body).json()["id"]
    with web.stream("GET", f"/v1/jobs/{job}", headers={"accept": "application/jsonl"}) as answer:
        whole, refused = json.loads(list(answer.iter_lines())[-1])["results"]
    assert whole["tokens"]["texts"] == [f"the {SECRET} film"]
    assert refused["code"] == "no_such_span"
    assert SECRET not in json.dumps(refused)


def test_parameters_of_a_job_are_read_once_for_all_that_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    read, plain = list[Any](), quotes._read
    monkeypatch.setattr(quotes, "_read", lambda asked: read.append(asked) or plain(asked))
    body = {"inputs": [TEXT] * 20, "parameters": QUICK | {"phrases": [SECRET]}}
    ask = works.Explained.model_validate_json(json.dumps(body))
    with pytest.raises(InputError) as refused:
        works.questions(ask, settings(), 0)
    assert SECRET not in str(refused.value)
    assert quotes.LEFT_OUT in str(refused.value)
    assert len(read) == 1


def test_people_are_told_what_they_wrote(run: Any) -> None:
    code, _, said = run("run", TEXT, "--method", SECRET)
    assert code == 2
    assert SECRET in said
