"""REST answers what Python answers, in the bodies of the Hub and of KServe, and refuses with one sentence."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from huggingface_hub import InferenceClient
from starlette.testclient import TestClient

import explain
from explain import canonical
from explain.engine import Model
from explain.errors import BY_CODE, OUTCOMES, ExplainError, InputError
from explain.model import windows
from explain.model.memory import weights
from explain.records import Explanation
from explain.rest.face import ROUTES, Route
from explain.rest.quotes import unquoted
from explain.service import Service
from tests import rest
from tests.conftest import undated
from tests.rest import TEXT


@pytest.fixture(scope="module")
def app(tiny_folder: Path) -> FastAPI:
    """One application for all tests here that change nothing."""
    return rest.application(tiny_folder)


@pytest.fixture(scope="module")
def web(app: FastAPI) -> Iterator[TestClient]:
    """A client of it."""
    with rest.client(app) as found:
        yield found


def test_the_same_bytes_as_python_and_command_line(web: TestClient, tiny: Model, tiny_folder: Path, run: Any) -> None:
    asked = {"methods": ["occlusion"], "target": "NEGATIVE", "seed": 3, "phrases": ["a good movie"]}
    theirs = web.post("/v1/explain", json={"inputs": TEXT, "parameters": asked})
    assert theirs.status_code == 200
    assert undated(theirs.text) == undated(tiny.explain(TEXT, **asked).to_json())  # type: ignore[arg-type]
    _, out, _ = run("run", TEXT, "--model", str(tiny_folder), "--json")
    assert undated(web.post("/v1/explain", json={"inputs": TEXT}).text) == undated(out.rstrip("\n"))
    assert web.post("/v1/predict", json={"inputs": TEXT}).text == tiny.predict(TEXT).to_json()


def test_attention_of_all_layers(web: TestClient, tiny: Model) -> None:
    asked = {"methods": ["saliency"], "checks": [], "attention": True}
    theirs = web.post("/v1/explain", json={"inputs": TEXT, "parameters": asked})
    assert undated(theirs.text) == undated(tiny.explain(TEXT, **asked).to_json())  # type: ignore[arg-type]
    assert theirs.json()["attention"]


def test_lists_and_pairs_keep_their_order(web: TestClient, tiny: Model) -> None:
    texts = ["a good film", "a very dull plot"]
    body = {"inputs": texts, "parameters": {"checks": []}}
    found = web.post("/v1/explain", json=body).json()
    assert [f["tokens"]["texts"] for f in found] == [[t] for t in texts]
    pair = {"inputs": {"text": "a film", "text_pair": "a plot"}}
    assert web.post("/v1/predict", json=pair).text == tiny.predict(("a film", "a plot")).to_json()
    listed = web.post("/v1/predict", json={"inputs": [["a film", "a plot"]]}).json()
    assert listed == [web.post("/v1/predict", json=pair).json()]


def test_kserve_calls_as_documented(web: TestClient, tiny: Model) -> None:
    assert web.get("/v1/models").json()["models"][0] == "tiny0"
    assert web.get("/v1/models/tiny0").json() == {"name": "tiny0", "ready": True}
    body = {"instances": [TEXT, {"text": "a film", "text_pair": "a plot"}]}
    found = web.post("/v1/models/tiny0:predict", json=body).json()
    assert list(found) == ["predictions"]
    assert found["predictions"][0] == json.loads(tiny.predict(TEXT).to_json())
    why = web.post("/v1/models/tiny0:explain", json={"instances": [TEXT], "parameters": {"checks": []}}).json()
    one = explain.read(json.dumps(why["explanations"][0]))
    assert one.attributions == tiny.explain(TEXT, checks=()).attributions


def test_the_hubs_own_client_works_unchanged(tiny_folder: Path, tiny: Model) -> None:
    with rest.served(tiny_folder) as address:
        hub = InferenceClient(model=f"{address}/v1/models/tiny0")
        found = hub.text_classification(TEXT)
        assert [(f.label, f.score) for f in found] == [
            (label, pytest.approx(p)) for label, p in tiny.predict(TEXT).ranked()
        ]
        assert len(hub.text_classification(TEXT, top_k=1)) == 1
        raw = hub.text_classification(TEXT, function_to_apply="none")
        assert raw[0].score == pytest.approx(float(tiny.predict(TEXT).logits.max()))


def test_a_forecast_before_anything_is_asked(web: TestClient, tiny: Model) -> None:
    body = {"inputs": [TEXT, "a good film"], "parameters": {"methods": ["occlusion"], "checks": []}}
    assert web.post("/v1/explain", json=body).status_code == 200  # it is loaded, and has been timed
    cheap, memory = (web.post("/v1/forecast", json=body).json()[name] for name in ("seconds", "memory"))
    dear = web.post("/v1/forecast", json=body | {"parameters": {"methods": ["kernel_shap"], "checks": []}}).json()
    assert len(cheap) == 2
    assert all(type(size) is int and size > weights(tiny.module) for size in memory)
    assert all(0 < few < many for few, many in zip(cheap, dear["seconds"], strict=True))
    long = {"inputs": " ".join(["good"] * 40), "parameters": {"methods": ["exact_shapley"]}}
    assert web.post("/v1/forecast", json=long).json() == {"seconds": [None], "memory": [None]}, (
        "exact Shapley refuses so many words"
    )


def test_what_will_not_fit_into_memory_is_refused_before_it_starts(
    web: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("explain.model.room.free", lambda: 1000)
    answer = web.post("/v1/explain", json={"inputs": "never asked before", "parameters": {"checks": []}})
    assert answer.status_code == 507
    assert answer.json()["code"] == "not_enough_memory"


def test_progress_tells_the_prediction_first(web: TestClient) -> None:
    with web.stream("POST", "/v1/explain", json={"inputs": TEXT}, headers={"accept": "application/jsonl"}) as answer:
        assert answer.headers["content-type"].startswith("application/jsonl")
        lines = [json.loads(line) for line in answer.iter_lines()]
    events = [line["event"] for line in lines]
    first = {name: events.index(name) for name in ("prediction", "attributions", "checks", "result")}
    assert list(first.values()) == sorted(first.values())
    assert events[-1] == "result"
    whole = explain.read(json.dumps(lines[-1]["result"]))
    assert lines[first["prediction"]]["prediction"] == json.loads(whole.prediction.to_json())


@pytest.mark.parametrize("accept", ["application/json", "application/jsonl"])
def test_nobody_waits_for_somebody_elses_answer_to_be_written(
    web: TestClient, accept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long text's answer takes seconds to write; the loop that hears everybody else does not write it."""
    encode = canonical.encode

    def beside(value: Any) -> bytes:
        if isinstance(value, Explanation) or (isinstance(value, dict) and "attributions" in value):
            with pytest.raises(RuntimeError):
                asyncio.get_running_loop()
            written.append(value)
        return encode(value)

    written: list[Any] = []
    monkeypatch.setattr(canonical, "encode", beside)
    answer = web.post("/v1/explain", json={"inputs": TEXT, "parameters": {"seed": 7}}, headers={"accept": accept})
    assert answer.status_code == 200
    assert written


def test_a_refusal_ends_a_stream_too(web: TestClient) -> None:
    body = {"inputs": "a film", "parameters": {"target": "NOBODY"}}
    answer = web.post("/v1/explain", json=body, headers={"accept": "application/jsonl"})
    last = json.loads(answer.text.splitlines()[-1])
    assert (last["event"], last["error"]["code"]) == ("error", "bad_target")


@pytest.mark.parametrize("route", [r for r in ROUTES if r.examples], ids=lambda r: r.path)
def test_every_example_of_the_document_works(web: TestClient, route: Route) -> None:
    operation = web.get("/openapi.json").json()["paths"][route.path][route.method.lower()]
    examples = operation["requestBody"]["content"]["application/json"]["examples"]
    assert examples
    assert set(route.others) <= {name.replace("-", " ") for name in examples}
    for name in route.examples:
        example = examples[name.replace(" ", "-")]
        answer = web.request(route.method, route.path.replace("{name}", "tiny0"), json=example["value"])
        assert answer.status_code == route.status, answer.text


@pytest.mark.parametrize(
    ("task", "fixture"),
    [
        ("zero-shot-classification", "inferrer_folder"),
        ("token-classification", "tagger_folder"),
        ("question-answering", "answerer_folder"),
        ("fill-mask", "filler_folder"),
        ("text-generation", "teller_folder"),
        ("text2text-generation", "scribe_folder"),
    ],
)
def test_examples_for_other_tasks_work(task: str, fixture: str, request: pytest.FixtureRequest) -> None:
    folder: Path = request.getfixturevalue(fixture)
    asked = [(r, body) for r in ROUTES for named, body in r.others.values() if named == task]
    assert asked
    with rest.client(rest.application(folder)) as web:
        for route, body in asked:
            answer = web.request(route.method, route.path.replace("{name}", folder.name), json=body)
            assert answer.status_code == route.status, answer.text
            if route.path == "/v1/explain":
                assert answer.json()["model"]["task"] == task
    assert task in {named for r in ROUTES for named, _ in r.others.values()}


@pytest.mark.parametrize("path", [r.path for r in ROUTES if r.method == "GET" and "{" not in r.path])
def test_lists_answer(web: TestClient, path: str) -> None:
    answer = web.get(path)
    assert answer.status_code == 200
    assert answer.content


def test_lists_are_those_of_the_command_line(web: TestClient, run: Any) -> None:
    assert web.get("/v1/methods").text == run("methods", "--json")[1].rstrip("\n")
    assert web.get("/v1/catalog").json()["models"] == json.loads(run("models", "--json")[1])
    limits = web.get("/v1/limits").json()
    assert (limits["max_body"], limits["max_characters"], limits["max_inputs"]) == (2_000_000, 100_000, 32)
    assert not any("/" in str(value) for value in limits.values()), "no place on this machine"


def test_limits_of_messages_windows_and_writing_are_told(web: TestClient, tiny_folder: Path) -> None:
    limits = web.get("/v1/limits").json()
    assert limits["window_tokens"] == windows.MOST
    message = {"role": "user", "content": "a film"}
    bodies: tuple[tuple[str, str, Callable[[int], Any]], ...] = (
        ("messages", "/v1/explain", lambda n: {"messages": [message] * n}),
        ("messages", "/v1/predict", lambda n: {"messages": [message] * n}),
        (
            "max_new_tokens",
            f"/v1/models/{tiny_folder.name}",
            lambda n: {"inputs": TEXT, "parameters": {"max_new_tokens": n}},
        ),
    )
    for limit, path, write in bodies:
        least, most = limits[limit]
        for count, refused in ((least - 1, True), (least, False), (most, False), (most + 1, True)):
            said = web.post(path, json=write(count)).json()
            assert (said.get("code") == "bad_request") == refused, (limit, count, said)


@pytest.mark.parametrize(
    ("limit", "field", "write"),
    [
        ("candidate_labels", "candidate_labels", lambda n: [str(i) for i in range(n)]),
        ("label_characters", "candidate_labels", lambda n: ["a" * n]),
        ("label_characters", "hypothesis_template", lambda n: "{}" + "a" * (n - 2)),
        ("word_characters", "continuation", lambda n: "a" * n),
        ("word_characters", "target", lambda n: "a" * n),
        ("word_characters", "contrast", lambda n: "a" * n),
        ("phrases", "phrases", lambda n: [[0, 1]] * n),
        ("attention", "attention", lambda n: [0] * n),
    ],
)
def test_every_limit_is_the_one_that_is_told(
    web: TestClient, limit: str, field: str, write: Callable[[int], Any]
) -> None:
    most = web.get("/v1/limits").json()[limit]
    most = most[1] if isinstance(most, list) else most
    for count, refused in ((most, False), (most + 1, True)):
        body = {"inputs": TEXT, "parameters": {"methods": ["occlusion"], "checks": [], field: write(count)}}
        if field == "hypothesis_template":
            body["parameters"]["candidate_labels"] = ["a"]
        said = web.post("/v1/explain", json=body).json()
        assert (said.get("code") == "bad_request") == refused, said.get("detail")


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/v1/explain", {"inputs": ""}, 422, "empty_text"),
        ("/v1/explain", {"inputs": "\u200b"}, 422, "no_content_tokens"),
        ("/v1/explain", {"inputs": "x" * 100_001}, 422, "too_large"),
        ("/v1/explain", {"inputs": "a good movie " * 60}, 422, "too_long"),
        ("/v1/explain", {"inputs": TEXT, "parameters": {"model": "../../etc"}}, 404, "model_not_found"),
        ("/v1/explain", {"inputs": TEXT, "parameters": {"methods": ["no"]}}, 422, "unknown_method"),
        ("/v1/explain", {"inputs": TEXT, "parameters": {"params": {"tolerance": 9}}}, 422, "bad_parameter"),
        ("/v1/explain", {"inputs": TEXT, "parameters": {"checks": ["no"]}}, 422, "unknown_check"),
        ("/v1/explain", {"inputs": TEXT, "parameters": {"budget": 10**6}}, 422, "bad_budget"),
        ("/v1/explain", {"inputs": TEXT, "parameters": {"seed": -1}}, 422, "bad_request"),
        ("/v1/explain", {"inputs": TEXT, "parameters": {"seed": True}}, 422, "bad_request"),
        ("/v1/explain", {"inputs": TEXT, "parameters": {"quantity": "vibes"}}, 422, "bad_request"),
        ("/v1/explain", {"inputs": TEXT, "parameters": {"phrases": ["plot"]}}, 422, "no_such_span"),
        ("/v1/explain", {"inputs": TEXT, "parameters": {"target": "NOBODY"}}, 422, "bad_target"),
        ("/v1/explain", {"inputs": TEXT, "parameters": {"attention": [9]}}, 422, "bad_layer"),
        ("/v1/explain", {"inputs": TEXT, "unknown": 1}, 422, "bad_request"),
        ("/v1/explain", {"inputs": []}, 422, "bad_request"),
        ("/v1/explain", {"inputs": ["a film"] * 33}, 422, "too_many"),
        ("/v1/explain", ["a film"], 422, "bad_request"),
        ("/v1/predict", {"inputs": 3}, 422, "bad_request"),
        ("/v1/models/no:predict", {"instances": [TEXT]}, 404, "model_not_found"),
        ("/v1/models/tiny0:predict", {"instances": TEXT}, 422, "bad_request"),
        ("/v1/models/tiny0:predict", {"instances": [TEXT], "parameters": {"model": "sentiment"}}, 422, "bad_request"),
        ("/v1/models/tiny0", {"inputs": TEXT, "parameters": {"function_to_apply": "sigmoid"}}, 422, "bad_function"),
        ("/v1/jobs", {"inputs": TEXT, "task": "paint"}, 422, "bad_request"),
    ],
)
def test_bad_questions_are_problems(web: TestClient, path: str, body: Any, status: int, code: str) -> None:
    answer = web.post(path, json=body)
    said = answer.json()
    assert (answer.status_code, said["code"], said["status"]) == (status, code, status)
    assert answer.headers["content-type"] == "application/problem+json"
    assert said["request_id"] == answer.headers["x-request-id"]
    assert said["detail"] == said["error"]
    assert len(answer.content) < 2_000
    assert "Traceback" not in answer.text
    assert "site-packages" not in answer.text


SAID = "zzkeepthis"


@pytest.mark.parametrize(
    ("about", "code"),
    [
        ({"target": SAID}, "bad_target"),
        ({"contrast": f"it's {SAID} {'x' * 100}"}, "bad_target"),
        ({"phrases": [SAID]}, "no_such_span"),
        ({"rationale": [f"{SAID} {'x' * 100}"]}, "no_such_span"),
        ({"candidate_labels": [SAID, SAID]}, "bad_candidates"),
        ({"methods": [SAID]}, "unknown_method"),
        ({"checks": [SAID]}, "unknown_check"),
        ({"params": {SAID: 1}}, "bad_parameter"),
        ({"params": {"integrated_gradients": SAID}}, "method_error"),
        ({"params": {"baseline": f'a "{SAID}"'}}, "bad_parameter"),
    ],
)
def test_a_refusal_does_not_repeat_what_was_asked(web: TestClient, about: dict[str, Any], code: str) -> None:
    body = {"inputs": TEXT, "parameters": about}
    lines = {"accept": "application/jsonl"}
    said = [web.post("/v1/explain", json=body), web.post("/v1/explain", json=body, headers=lines)]
    job = web.post("/v1/jobs", json=body)
    if job.status_code == 202:
        while (found := web.get(f"/v1/jobs/{job.json()['id']}")).json()["state"] in ("queued", "running"):
            time.sleep(0.02)
        job = found
    for answer in (*said, job):
        assert code in answer.text
        assert SAID not in answer.text
    assert "…" in said[0].json()["detail"]


@pytest.mark.parametrize(
    ("sentence", "left"),
    [
        ("The model's label 'a film' is not 'POSITIVE'.", "The model's label '…' is not 'POSITIVE'."),
        ("There is no 'it's \"good\"', and no 'dull' label.", "There is no '…', and no '…' label."),
        ("Behind “ a fil” and “x”, 'and' stays.", "Behind “…” and “x”, 'and' stays."),
        ("At 'parameters.seed': expected 'this'.", "At 'parameters.seed': expected 'this'."),
        ("Nothing is quoted: a film.", "Nothing is quoted: a film."),
        ("Not closed: 'a film", "Not closed: 'a film"),
    ],
)
def test_what_is_quoted_is_left_out(sentence: str, left: str) -> None:
    asked = {"inputs": ["a film"], "parameters": {"seed": 3, "target": 'it\'s "good"', "params": {"dull": 1}}}
    assert unquoted(sentence, asked) == unquoted(sentence, json.dumps(asked).encode()) == left


def test_nor_does_one_about_what_may_follow(teller_folder: Path) -> None:
    with rest.client(rest.application(teller_folder)) as web:
        body = {"inputs": "Once upon a ti", "parameters": {"continuation": f"…me {SAID}"}}
        answer = web.post("/v1/explain", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "other_tokens")
    assert SAID not in answer.text


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nothing", 404), ("GET", "/v1/explain", 405)])
def test_what_is_not_there(web: TestClient, method: str, path: str, status: int) -> None:
    answer = web.request(method, path)
    assert answer.status_code == answer.json()["status"] == status
    assert answer.headers.get("allow") == ("POST" if status == 405 else None)


def test_every_status_of_an_error_is_documented(web: TestClient) -> None:
    document = web.get("/openapi.json").json()
    known = [*OUTCOMES.values(), *(found for code, found in BY_CODE.items() if code != "erased")]  # that is evidence's
    statuses = {str(found.status) for found in known}
    for path in document["paths"].values():
        for operation in path.values():
            assert statuses <= set(operation["responses"])
            assert operation["summary"]


def test_an_unforeseen_fault_is_a_problem_without_words(
    tiny_folder: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Service):
        def submit(self, *_: Any, **__: Any) -> Any:
            raise ZeroDivisionError("the secret text")

    with rest.client(rest.application(tiny_folder, Broken())) as web:
        answer = web.post("/v1/explain", json={"inputs": "the secret text"})
        counted = web.get("/metrics").text
    assert answer.status_code == 500
    assert answer.json()["code"] == "internal"
    assert "explain_faults_total 1.0" in counted
    fault = next(r for r in caplog.records if r.getMessage() == "fault")
    assert "secret" not in rest.logged(fault)
    assert "ZeroDivisionError" in rest.logged(fault)
    assert "secret" not in answer.text + "".join(capfd.readouterr())


def test_metrics_count_routes_and_never_texts(tiny_folder: Path) -> None:
    with rest.client(rest.application(tiny_folder)) as web:
        web.post("/v1/predict", json={"inputs": "a secret film"})
        web.get("/v1/models/secret")
        web.get("/secret")
        text = web.get("/metrics").text
    assert 'explain_requests_total{method="POST",route="/v1/predict",status="200"} 1.0' in text
    assert 'route="/v1/models/{name}",status="404"' in text
    assert "secret" not in text


def test_the_client_gets_what_python_gets(tiny_folder: Path, tiny: Model) -> None:
    with rest.served(tiny_folder) as address:
        client = explain.Client(address)
        assert undated(client.explain(TEXT).to_json()) == undated(tiny.explain(TEXT).to_json())
        seen: list[str] = []
        followed = client.explain(TEXT, checks=[], progress=lambda now: seen.append(now.stage))
        assert followed.attributions == tiny.explain(TEXT, checks=()).attributions
        assert seen
        assert client.predict(("a film", "a plot")) == tiny.predict(("a film", "a plot"))
        assert client.predict_batch(["a film", TEXT]) == [tiny.predict("a film"), tiny.predict(TEXT)]
        both = client.explain_batch(["a film", "a plot"], checks=[])
        assert [e.tokens.texts for e in both] == [("a film",), ("a plot",)]
        (forecast,) = client.forecast([TEXT])
        assert (forecast.seconds or 0) > 0
        assert (forecast.memory or 0) > weights(tiny.module)
        assert client.models()[0] == "tiny0"
        with pytest.raises(InputError) as error:
            client.explain("")
        assert error.value.code == "empty_text"
        with pytest.raises(explain.errors.MethodError, match="There is no method"):
            client.explain(TEXT, methods=["no"])


def test_the_client_says_when_nobody_answers() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(ExplainError, match="cannot be reached"):
            explain.Client(f"http://127.0.0.1:{taken.getsockname()[1]}").models()
    with pytest.raises(InputError):
        explain.Client("file:///etc/passwd")


def test_the_client_takes_its_key_nowhere_else() -> None:
    seen: list[str | None] = []

    class Elsewhere(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.headers["authorization"])
            self.send_response(307 if len(seen) == 1 else 200)
            self.send_header("location", f"http://127.0.0.1:{server.server_port}/taken")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(ExplainError, match="not this service"):
            explain.Client(f"http://127.0.0.1:{server.server_port}", "wb_secret").models()
        server.shutdown()
    assert seen == ["Bearer wb_secret"]
