"""Conversations: put together as transformers does it, each message a text, templates held on a short lead."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import subprocess
import sys
import threading
import venv
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import explain
from explain import bounds, replay, wire
from explain.audit.records import Beside
from explain.audit.store import Store
from explain.catalog import PredictRequest, Request
from explain.client import Client
from explain.engine import Model, load
from explain.errors import Cancelled, InputError, ModelError
from explain.generation import GenerateRequest
from explain.heads import HeadsRequest
from explain.messages import MOST, parted, whole
from explain.model import chat, templating
from explain.model.meter import Meter
from explain.render import computed, sentences
from explain.rest.lists import limits_of
from explain.service.child import answer
from explain.service.job import ForecastRequest
from explain.settings import settings
from tests import rest
from tests.conftest import undated
from tests.tiny import llama_folder, story_tokenizer

SHORT = (
    "{% for m in messages %}{{ eos_token }}{{ m['role'][0] }}: {{ m['content'] | trim }}{{ eos_token }}\n{% endfor %}"
    "{% if add_generation_prompt %}{{ eos_token }}a: {% endif %}"
)
TEMPLATES = {
    "short": SHORT,
    "system inside the first message": (
        "{% if messages[0]['role'] == 'system' %}{% set system = messages[0]['content'] %}{% set rest = messages[1:] %}"
        "{% else %}{% set system = '' %}{% set rest = messages %}{% endif %}"
        "{% for m in rest %}{% if m['role'] == 'user' %}[INST] {% if loop.first and system %}"
        "<<SYS>>{{ system }}<</SYS>>{% endif %}{{ m['content'] }} [/INST]"
        "{% else %} {{ m['content'] }}{{ eos_token }}{% endif %}{% endfor %}"
    ),
    "everything that transformers adds": (
        "{% set ns = namespace(n=0) %}{% set names = dict(user='U') %}\n"
        "{%- for m in messages %}\n    {% if m['role'] == 'tool' %}{% continue %}{% endif %}\n"
        "    {% set ns.n = ns.n + 1 %}\n{{ ns.n }} {{ names.get(m['role'], m['role']) | tojson }} {{ bos_token }}"
        "{% if m['role'] == 'assistant' %}{% generation %}{{ m['content'] }}{% endgeneration %}"
        "{% else %}{{ m.content }}{% endif %}\n{%- endfor %}\n{{ strftime_now('%Y') }} {{ tools is none }}\n"
    ),
}
TALK = [
    {"role": "system", "content": "The king said."},
    {"role": "user", "content": "  u: look for the wolf \n"},
    {"role": "assistant", "content": "go"},
    {"role": "user", "content": "u"},
]
TEXTS, ROLES = parted(TALK)


@pytest.fixture(scope="module")
def talker_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random causal model whose tokenizer has a chat template."""
    folder = llama_folder(tmp_path_factory.mktemp("talker"))
    tokenizer = story_tokenizer()
    tokenizer.chat_template = SHORT
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def talker(talker_folder: Path) -> Model:
    return load(str(talker_folder))


def speaking(template: str | None) -> Any:
    tokenizer = story_tokenizer()
    tokenizer.chat_template = template
    return tokenizer


@pytest.mark.parametrize("name", TEMPLATES)
@pytest.mark.parametrize("count", [2, 3, 4])
def test_the_template_is_filled_in_as_transformers_does_it(name: str, count: int) -> None:
    tokenizer, messages = speaking(TEMPLATES[name]), TALK[:count]
    ours, spans = chat.rendered(tokenizer, TEXTS[:count], ROLES[:count])
    going_on = ROLES[count - 1] == "assistant"
    options = {"continue_final_message": True} if going_on else {"add_generation_prompt": True}
    theirs = tokenizer.apply_chat_template(messages, tokenize=False, **options)
    assert ours == theirs
    for (place, start, end), text in zip(spans, TEXTS, strict=False):
        assert ours[place : place + end - start] == text[start:end]
        assert text[start:end].strip() == text.strip()


def test_each_message_is_a_text_and_what_stands_around_them_is_none(talker: Model) -> None:
    tokens = talker.asked(Request(TEXTS, roles=ROLES)).encode(TEXTS).tokens
    expected = talker.tokenizer.apply_chat_template(TALK, add_generation_prompt=True)["input_ids"]
    assert tokens.ids.tolist() == list(expected)
    assert (tokens.texts, tokens.roles) == (TEXTS, ROLES)
    assert tokens.rendered == talker.tokenizer.apply_chat_template(TALK, add_generation_prompt=True, tokenize=False)
    for i, text in enumerate(TEXTS):
        mine = tokens.segment == i
        assert talker.tokenizer.decode(tokens.ids[mine]).strip() == text.strip()
        assert not tokens.special[mine].any()
        for (start, end), t in zip(tokens.offsets[mine].tolist(), np.flatnonzero(mine), strict=True):
            assert text[start:end].strip() == talker.tokenizer.decode([tokens.ids[t]]).strip()
    assert tokens.special[tokens.segment < 0].all()
    assert (tokens.words[tokens.special] == -1).all()


def test_a_conversation_is_explained(talker: Model) -> None:
    found = talker.explain(TALK, granularity="word")
    (scores,) = found.attributions
    assert (scores.relative_residual or 0) <= 0.01
    assert scores.special == pytest.approx(0, abs=1e-4), "what the template writes stays in the baseline"
    assert set(scores.unit_segment.tolist()) == {0, 1, 2, 3}
    assert "".join(w.text for w in found.words() if w.segment == 1).replace(" ", "") == "u:lookforthewolf"
    assert {"completeness", "comprehensiveness"} <= {c.name for c in found.checks}
    assert sentences.part(found, 2) == "Message 3, assistant"
    assert dict(computed.how(found))["Read as"] == found.tokens.rendered
    again = explain.read(found.to_json())
    assert again.digest == found.digest
    assert again.tokens.roles == ROLES
    plain = talker.explain("The king said.", checks=())
    assert plain.tokens.roles == ()
    assert plain.tokens.rendered is None


def test_the_answer_is_that_behind_the_whole_template(talker: Model) -> None:
    text = talker.tokenizer.apply_chat_template(TALK, add_generation_prompt=True, tokenize=False)
    ids = np.array(talker.tokenizer(text, add_special_tokens=False)["input_ids"])
    with torch.no_grad():
        logits = talker.module(input_ids=torch.from_numpy(ids)[None]).logits[0, -1].numpy()
    prediction = talker.predict(TALK)
    assert prediction.outcome(prediction.top) == int(logits.argmax())
    assert np.allclose(prediction.logits[0], logits.max(), atol=1e-4)
    beside = talker.predict_batch([TALK, "The king"])[0]
    assert np.allclose(beside.logits, prediction.logits, atol=1e-4)


HOSTILE = {
    "for ever": "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "one long number": "{% set x = 9 ** (9 ** 9) %}",
    "twice as long each time": (
        "{% set ns = namespace(x='xxxxxxxxxx') %}{% for i in range(64) %}{% set ns.x = ns.x ~ ns.x %}"
        "{% endfor %}{{ ns.x }}"
    ),
    "one long text": "{{ 'x' * (10 ** 10) }}",
    "too much": "{% for a in range(99999) %}{{ 'xxxxxxxxxxxxxxxxxxxx' }}{% endfor %}",
    "out of the sandbox": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "out of a namespace": "{% set ns = namespace(__class__=1) %}",
    "a file": "{% include '/etc/passwd' %}",
    "changing the conversation": "{{ messages.append(1) }}",
    "no template": "{% for",
    "deep": "{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_template_ends_in_a_sentence(name: str) -> None:
    with pytest.raises(ModelError, match="chat template") as caught:
        chat.rendered(speaking(HOSTILE[name]), TEXTS, ROLES)
    assert caught.value.code == "bad_template"
    assert "Traceback" not in str(caught.value)


def watched(monkeypatch: pytest.MonkeyPatch, stop: threading.Event | None = None) -> list[tuple[Any, dict[str, Any]]]:
    """Every process that is started for a template, with how; `stop` is set as soon as one is."""
    plain, started = subprocess.Popen, list[tuple[Any, dict[str, Any]]]()

    def start(*args: Any, **how: Any) -> Any:
        process = plain(*args, **how)
        if chat._CHILD in args[0]:
            started.append((process, how))
            if stop is not None:
                stop.set()
        return process

    monkeypatch.setattr(subprocess, "Popen", start)
    return started


def test_nothing_is_kept_of_a_conversation(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer, started = speaking(SHORT), watched(monkeypatch)
    first = chat.rendered(tokenizer, TEXTS, ROLES)
    assert chat.rendered(tokenizer, TEXTS, ROLES) == first
    assert len(started) == 2


def test_the_process_is_told_no_secret_and_finds_our_packages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("HF_TOKEN", "DATABASE_URL", "PYTHONPATH"):
        monkeypatch.setenv(name, "secret")
    started = watched(monkeypatch)
    venv.create(tmp_path, symlinks=os.name != "nt")  # an interpreter that has no packages of its own
    monkeypatch.setattr(sys, "executable", str(tmp_path / ("Scripts" if os.name == "nt" else "bin") / "python"))
    assert chat.rendered(speaking(SHORT), TEXTS, ROLES)
    assert "secret" not in started[-1][1]["env"].values()


ASKED = Request(TEXTS, roles=ROLES, methods=("saliency",), checks=())


@pytest.mark.parametrize(
    "question",
    [
        ASKED,
        ForecastRequest((ASKED,)),
        PredictRequest(TEXTS, roles=ROLES),
        GenerateRequest("", texts=TEXTS, roles=ROLES),
    ],
    ids=lambda question: type(question).__name__,
)
def test_whoever_cancels_waits_for_no_template(talker: Model, monkeypatch: pytest.MonkeyPatch, question: Any) -> None:
    stop = threading.Event()
    started = watched(monkeypatch, stop)
    monkeypatch.setattr(chat, "_CHILD", "import time; time.sleep(600)")
    with pytest.raises(Cancelled):
        answer(talker, question, lambda *_: None, lambda _: None, stop, threading.Event())
    ((process, _),) = started
    assert process.returncode not in (0, None), "and it is ended"
    with pytest.raises(Cancelled):
        talker.explain(TALK, cancel=stop)
    assert len(started) == 1, "none is started for who has cancelled already"


def test_several_conversations_without_messages_are_refused(talker: Model) -> None:
    with pytest.raises(InputError):
        talker.explain_batch([(), ()])


def test_an_answer_that_takes_several_looks_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """More than a pipe holds, in either direction, and slower than the first look."""
    monkeypatch.setattr(chat, "_CHILD", "import time; time.sleep(1); " + chat._CHILD)
    texts = ("the king " * 20_000, "go")
    whole, spans = chat.rendered(speaking(SHORT), texts, ("user", "user"))
    assert [whole[place : place + end - start] for place, start, end in spans] == [text.strip() for text in texts]


def test_a_process_that_takes_too_long_on_the_clock_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    started = watched(monkeypatch)
    monkeypatch.setattr(chat, "_CHILD", "import time; time.sleep(600)")
    monkeypatch.setitem(bounds.TEMPLATE, "template_wait", 0)
    with pytest.raises(ModelError, match="more time"):
        chat.rendered(speaking(SHORT), TEXTS, ROLES)
    assert started[0][0].returncode not in (0, None)


def test_limits_of_templates_are_those_that_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told = limits_of(settings())

    def long(count: int) -> str:
        return SHORT + "{#" + "x" * (count - len(SHORT) - len("{##}")) + "#}"

    def writing(count: int) -> str:
        return "{{ messages[0].content }}{{ 'x' * " + str(count) + " }}"

    both = len("the king") + len("_0_")  # it is filled in twice at once, with the message and with a mark in its place
    most = (told["template_written"] - both) // 2
    length = told["template_characters"]
    for template, taken in (
        (long(length), True),
        (long(length + 1), False),
        (writing(most), True),
        (writing(most + 1), False),
    ):
        with nullcontext() if taken else pytest.raises(ModelError):
            assert chat.rendered(speaking(template), ("the king",), ("user",))
    started = watched(monkeypatch)
    monkeypatch.setattr(chat, "_CHILD", "import json, sys; sys.stdout.write(json.dumps({'texts': sys.argv[2:4]}))")
    code, said = chat._ran(b"{}", Meter())
    assert code == 0
    assert json.loads(said)["texts"] == [str(told["template_seconds"]), str(told["template_memory"])]
    assert len(started) == 1


def test_a_system_without_a_limit_is_bound_by_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    resource = pytest.importorskip("resource", reason="not on Windows, which has none of these limits")
    set_: list[tuple[int, tuple[int, int]]] = []

    def setrlimit(kind: int, most: tuple[int, int]) -> None:
        if kind == resource.RLIMIT_AS:
            assert most == (2**29, 2**29)
            raise ValueError("current limit exceeds maximum limit")
        set_.append((kind, most))

    monkeypatch.setattr(resource, "setrlimit", setrlimit)
    templating.bind(2, 2**29)
    assert set_ == [(resource.RLIMIT_CPU, (2, 2))]


@pytest.mark.parametrize("where", ["loads", "dumps"])
def test_memory_that_ends_on_the_way_in_or_out_is_said(monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    def full(_: object) -> None:
        raise MemoryError

    asked = {"template": "x", "variables": {}, "conversations": [[]], "most": 9}
    out = io.BytesIO()
    monkeypatch.setattr(templating, "bind", lambda *_: None)
    monkeypatch.setattr(sys, "argv", ["templating.py", "2", "9"])
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(json.dumps(asked).encode())))
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out))
    monkeypatch.setattr(json, where, full)
    templating.main()
    assert out.getvalue() == b"", "what is not answered was too much"


def test_limits_are_stated_where_they_are() -> None:
    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text("utf-8")
    most = bounds.TEMPLATE
    assert f"{most['template_seconds']} seconds of a processor and {most['template_memory'] >> 20} MB" in readme
    assert f"after {most['template_wait']} seconds on the clock" in readme
    assert "longer than four times the longest text" in readme.replace("\n", " ")
    assert bounds.TEMPLATE_WRITES == 4


def test_what_a_template_objects_to_is_said(talker: Model) -> None:
    tokenizer = speaking("{{ raise_exception('Only user and assistant are known.') }}")
    with pytest.raises(InputError, match="Only user and assistant") as caught:
        chat.rendered(tokenizer, TEXTS, ROLES)
    assert caught.value.code == "template_refuses"


@pytest.mark.parametrize(
    "template",
    [
        "{{ raise_exception(messages[1].content) }}",
        "{{ raise_exception('I do not like ' ~ messages[1].content) }}",
        "{{ {}[messages[1].content]() }}",
        "{{ messages | selectattr(messages[1].content) | list }}{{ '' | attr(messages[1].content) () }}",
    ],
)
def test_words_of_the_conversation_are_not_said_with_it(template: str) -> None:
    with pytest.raises((InputError, ModelError)) as caught:
        chat.rendered(speaking(template), TEXTS, ROLES)
    assert caught.value.code in ("template_refuses", "bad_template")
    assert "wolf" not in str(caught.value)
    assert "chat template" in str(caught.value)


def test_an_objection_is_cut_in_the_process_itself() -> None:
    asked = {"template": "{{ raise_exception('" + "x" * 10_000 + "') }}", "variables": {}, "conversations": [[]]}
    assert list(templating.filled({**asked, "most": 9})) == [{"refused": "x" * templating.SAID}]


@pytest.mark.parametrize(
    "around", ["{{ m.content.strip() }} [/INST]", "{{ m.content.rstrip() }} ", " {{ m.content | trim }}\n"]
)
@pytest.mark.parametrize("text", ["hi", "hi ", " hi", " hi  ", "hi\n", "\nhi \n"])
def test_white_space_of_the_template_is_none_of_the_messages(around: str, text: str) -> None:
    tokenizer = speaking("{% for m in messages %}" + around + "{% endfor %}")
    texts, roles = (text, "the king", text), ("user", "assistant", "user")
    ours, spans = chat.rendered(tokenizer, texts, roles)
    messages = whole(texts, roles)
    assert ours == tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    for (place, start, end), one in zip(spans, texts, strict=True):
        assert ours[place : place + end - start] == one[start:end]
        assert one[start:end].strip() == one.strip()


@pytest.mark.parametrize(
    "template",
    [
        "{% for m in messages %}{{ m.content | upper }}{% endfor %}",
        "{% for m in messages %}{{ m.content }}{{ m.content }}{% endfor %}",
        "{{ messages[0].content }}",
        "{% for m in messages %}{{ m.content }}{% if 'wolf' in m.content %}!{% endif %}{% endfor %}",
        "{% for m in messages %}{{ m.content[:3] }}{% endfor %}",
    ],
)
def test_a_template_that_changes_messages_is_refused(template: str) -> None:
    with pytest.raises(InputError) as caught:
        chat.rendered(speaking(template), TEXTS, ROLES)
    assert caught.value.code == "template_changes"


def test_a_model_without_a_template_says_so(teller: Model, tiny: Model) -> None:
    with pytest.raises(ModelError, match="no chat template") as caught:
        teller.explain(TALK)
    assert caught.value.code == "no_template"
    with pytest.raises(InputError, match="reads no conversations"):
        tiny.explain(TALK)


def test_a_model_with_an_encoder_reads_no_conversation(scribe: Model) -> None:
    for ask in (scribe.explain, scribe.predict):
        with pytest.raises(InputError, match="reads no conversations") as caught:
            ask([{"role": "user", "content": "good"}])
        assert caught.value.code == "bad_task"


@pytest.mark.parametrize(
    ("messages", "code"),
    [
        ([{"role": "user", "content": ""}], "bad_messages"),
        ([{"role": "user", "content": " \n"}], "bad_messages"),
        ([{"role": "<|im_start|>", "content": "x"}], "bad_messages"),
        ([{"role": "user"}], "bad_messages"),
        ([{"role": "user", "content": "x", "name": "y"}], "bad_messages"),
        ([{"role": "user", "content": 3}], "bad_messages"),
        ([{"role": "user", "content": "x"}, "y"], "bad_messages"),
        ([{"role": "user", "content": "x"}] * (MOST + 1), "bad_messages"),
        ([{"role": "user", "content": "\ud800"}], "invalid_unicode"),
        ([{"role": "user", "content": "king " * 80}], "too_long"),
        ([{"role": "user", "content": "\u200b"}], None),
    ],
)
def test_what_is_no_conversation_is_refused(talker: Model, messages: Any, code: str | None) -> None:
    if code is None:
        assert talker.explain(messages, checks=()).tokens.texts == ("\u200b",)
        return
    with pytest.raises(InputError) as caught:
        talker.explain(messages, checks=())
    assert caught.value.code == code


def test_long_conversations_are_refused_before_the_template_is_asked(
    talker: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("the template was asked"))
    half = {"role": "user", "content": "k" * (settings().max_characters // 2 + 1)}
    with pytest.raises(InputError, match="together") as caught:
        talker.predict([half, half])
    assert caught.value.code == "too_large"


@pytest.mark.parametrize("wrong", [{"role": "user", "content": "x"}, {"messages": TALK}, {}, 5, None], ids=repr)
def test_what_is_neither_text_nor_list_is_not_explained_as_something_else(tiny: Model, wrong: Any) -> None:
    client = Client("http://localhost:1")
    asks = (tiny.explain, tiny.predict, tiny.heads, tiny.lens, tiny.direct, client.explain, client.predict)
    for ask in asks:
        with pytest.raises(InputError) as caught:
            ask(wrong)
        assert caught.value.code == "bad_text"


def test_heads_and_states_are_asked_of_texts_only(tiny: Model) -> None:
    for ask in (tiny.heads, tiny.lens, tiny.direct):
        with pytest.raises(InputError) as caught:
            ask(TALK)
        assert caught.value.code == "bad_messages"


def test_the_client_sends_what_it_was_given_or_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Any] = []
    monkeypatch.setattr(Client, "_call", lambda self, method, path, body: sent.append(body["inputs"]) or b"[]")
    client = Client("http://localhost:1")
    client.predict_batch(["a", ("a",), ("a", "b"), TALK])
    assert sent == [["a", "a", {"text": "a", "text_pair": "b"}, {"messages": TALK}]]
    for wrong in ((), ("a", "b", "c")):
        with pytest.raises(InputError) as caught:
            client.predict_batch([wrong])
        assert caught.value.code == "bad_text"
    assert len(sent) == 1


def test_one_question_at_a_time(talker: Model) -> None:
    with pytest.raises(InputError) as caught:
        talker.explain(TALK, continuation=" king")
    assert caught.value.code == "bad_continuation"
    with pytest.raises(InputError) as caught:
        talker.explain(TALK, candidate_labels=["a", "b"])
    assert caught.value.code == "bad_messages"


def test_texts_and_roles_go_both_ways() -> None:
    for text in ("one", ("a", "b"), TALK):
        assert whole(*parted(text)) == text
    request = Request(TEXTS, roles=ROLES)
    assert wire.decode(Request, request.to_json()).digest == request.digest


def test_every_face_gives_the_same_record(run, talker: Model, talker_folder: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    mine = undated(talker.explain(TALK, checks=()).to_json())
    file = tmp_path / "talk.json"
    file.write_text(json.dumps({"messages": TALK}), "utf-8")
    command = ("run", "--model", str(talker_folder), "--no-checks", "--json", "--messages")
    code, out, _ = run(*command, str(file))
    assert code == 0
    assert undated(out.strip()) == mine
    code, out, _ = run(*command, "-", stdin=json.dumps(TALK).encode())
    assert code == 0
    assert undated(out.strip()) == mine
    with rest.client(rest.application(talker_folder)) as client:
        for body in ({"messages": TALK}, {"inputs": {"messages": TALK}}):
            answer = client.post("/v1/explain", json={**body, "parameters": {"checks": []}})
            assert answer.status_code == 200, answer.text
            assert undated(answer.text) == mine
        several = client.post("/v1/predict", json={"inputs": [{"messages": TALK}, "The king"]}).json()
        assert [len(p["labels"]) for p in several] == [16, 16]
        alone = client.post("/v1/predict", json={"messages": TALK}).json()
        assert alone["labels"] == list(talker.predict(TALK).labels)
        for wrong in (
            {"messages": TALK, "inputs": "x"},
            {},
            {"messages": []},
            {"messages": [{"role": "me", "content": "x"}]},
        ):
            assert client.post("/v1/explain", json=wrong).status_code == 422


@pytest.mark.parametrize("content", ["[]", "{}", '["x"]', "no", '{"messages": 3}', '[{"role": "user"}]'])
def test_a_file_without_messages_is_refused(run, tmp_path: Path, content: str) -> None:  # type: ignore[no-untyped-def]
    file = tmp_path / "talk.json"
    file.write_text(content, "utf-8")
    code, _, err = run("run", "--messages", str(file))
    assert code == 2
    assert "messages" in err
    assert "Traceback" not in err


def test_text_or_messages(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    for arguments in ((), ("text", "--messages", "x.json"), ("--messages", str(tmp_path / "missing.json"))):
        code, _, err = run("run", *arguments)
        assert code == 2
        assert "messages" in err


def test_a_record_of_a_conversation_is_replayed(talker: Model, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    found = talker.explain(TALK, checks=())
    entry = store.file(found)
    report = replay.replay(talker, entry.header, store.content(entry.header.id))
    assert report.holds, report.sentence
    assert "wolf" in json.dumps(store.content(entry.header.id).explanation.tokens.texts)


def test_a_template_that_writes_the_date_is_replayed_with_that_of_the_record(
    talker_folder: Path, tmp_path: Path
) -> None:
    model, then = load(str(talker_folder)), "2001-02-03T04:05:06.000+00:00"
    model.tokenizer.chat_template = "{{ strftime_now('%Y') }}: " + SHORT
    with chat.at(then):
        found = model.explain(TALK, checks=(), methods=("saliency",))
        beside = Beside(heads := HeadsRequest(Request(TEXTS, roles=ROLES)), model.look(heads))  # type: ignore[arg-type]
    assert (found.tokens.rendered or "").startswith("2001: ")
    found = dataclasses.replace(found, provenance=dataclasses.replace(found.provenance, created=then))
    store = Store(tmp_path / "store")
    entry = store.file(found, beside=beside)
    report = replay.replay(model, entry.header, store.content(entry.header.id))
    assert report.holds, report.sentence
    assert not chat.rendered(model.tokenizer, TEXTS, ROLES)[0].startswith("2001"), "only a replay is of another time"


def test_every_private_character_in_a_message_is_refused_in_words(talker: Model) -> None:
    with pytest.raises(InputError, match="private area"):
        talker.explain([{"role": "user", "content": "".join(map(chr, range(0xE000, 0xF8FF)))}])
