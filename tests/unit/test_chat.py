"""Conversations: put together as transformers does it, each message a text, templates held on a short lead."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import explain
from explain import replay, wire
from explain.audit.store import Store
from explain.catalog import Request
from explain.engine import Model, load
from explain.errors import InputError, ModelError
from explain.messages import MOST, parted, whole
from explain.model import chat, templating
from explain.render import computed, sentences
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


def test_limits_are_stated_where_they_are() -> None:
    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text("utf-8")
    assert f"{templating.SECONDS} seconds of a processor and {templating.MEMORY >> 20} MB" in readme


def test_what_a_template_objects_to_is_said(talker: Model) -> None:
    tokenizer = speaking("{{ raise_exception('Only user and assistant are known.') }}")
    with pytest.raises(InputError, match="Only user and assistant") as caught:
        chat.rendered(tokenizer, TEXTS, ROLES)
    assert caught.value.code == "template_refuses"


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


def test_every_private_character_in_a_message_is_refused_in_words(talker: Model) -> None:
    with pytest.raises(InputError, match="private area"):
        talker.explain([{"role": "user", "content": "".join(map(chr, range(0xE000, 0xF8FF)))}])
