"""The assistant's answer to a conversation: written behind the model's own template, and each token explained."""

from __future__ import annotations

import io
import json
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console

import explain
from explain import wire
from explain.bounds import TEMPLATE as TEMPLATES
from explain.engine import Model, load
from explain.errors import InputError, ModelError
from explain.generation import Generation
from explain.messages import answered, parted, whole
from explain.model import chat
from explain.model.meter import Meter
from explain.render import terminal
from explain.settings import settings
from tests import rest
from tests.conftest import undated
from tests.talking import TEMPLATE, saying
from tests.tiny import story_tokenizer

TALK = [{"role": "system", "content": "The king said."}, {"role": "user", "content": "look for the wolf"}]
BEGUN = [*TALK, {"role": "assistant", "content": "The wolf"}]


def text_of(model: Model, messages: Any) -> str:
    """What the model reads of a conversation, by transformers alone."""
    options = {"continue_final_message": True} if messages[-1]["role"] == "assistant" else {}
    found = model.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=not options, **options)
    return str(found)


def ids_of(model: Model, messages: Any) -> list[int]:
    """The same as tokens."""
    return list(model.tokenizer(text_of(model, messages), add_special_tokens=False)["input_ids"])


def told(model: Model, messages: Any = TALK, tokens: int = 8, least: int = 3) -> Generation:
    """An answer of which some tokens can be asked about: random weights write much that no text is read as."""
    drawn = (model.generate(messages, tokens=tokens, seed=seed) for seed in range(200))
    return next(found for found in drawn if len(found.explainable) >= least)


@pytest.mark.parametrize("messages", [TALK, TALK[1:], BEGUN], ids=len)
def test_the_answer_is_what_transformers_writes(speaker: Model, messages: Any) -> None:
    found, ids = speaker.generate(messages, tokens=6), ids_of(speaker, messages)
    theirs = speaker.module.generate(  # type: ignore[operator]
        torch.tensor([ids]), attention_mask=torch.ones(1, len(ids)), max_new_tokens=6, do_sample=False, pad_token_id=0
    )[0, len(ids) :].tolist()
    ended = theirs.index(0) if 0 in theirs else len(theirs)
    assert found.ids.tolist() == theirs[:ended]
    assert found.prompt == text_of(speaker, messages)
    assert (found.texts, found.roles) == parted(messages)
    assert found.text == found.prompt + "".join(found.pieces)
    with torch.no_grad():
        logits = speaker.module(input_ids=torch.tensor([[*ids, *found.ids.tolist()]])).logits[0].double()
    logp = torch.log_softmax(logits, -1)[len(ids) - 1 : -1]
    assert np.allclose(found.log_probs, [float(logp[i, t]) for i, t in enumerate(found.ids.tolist())], atol=1e-4)
    assert wire.decode(Generation, found.to_json()).digest == found.digest


@pytest.mark.parametrize("messages", [TALK, BEGUN], ids=len)
def test_readable_is_what_reads_as_the_same_tokens(speaker: Model, messages: Any) -> None:
    found, start = told(speaker, messages), ids_of(speaker, messages)
    for i, readable in enumerate(found.readable):
        texts, roles = answered(found.texts, found.roles, "".join(found.pieces[: i + 1]))
        same = bool("".join(found.pieces[: i + 1]).strip()) and ids_of(speaker, whole(texts, roles)) == [
            *start,
            *found.ids[: i + 1].tolist(),
        ]
        assert readable == same
    assert found.readable.any()


@pytest.mark.parametrize("messages", [TALK, BEGUN], ids=len)
def test_each_token_of_an_answer_is_explained_from_the_score_it_was_written_with(speaker: Model, messages: Any) -> None:
    found = told(speaker, messages)
    each = speaker.explain_generation(found, methods=("saliency",))
    assert len(each) == len(found.explainable) > 1
    for place, reason in zip(found.explainable, each, strict=True):
        p = float(np.exp(float(found.log_probs[place])))
        assert reason.attributions[0].value_input == pytest.approx(np.log(p) - np.log1p(-p), abs=1e-3)
        assert reason.target.index == found.ids[place]
        answer = "".join(found.pieces[:place])
        assert (reason.tokens.texts, reason.tokens.roles) == answered(found.texts, found.roles, answer)
    alone = speaker.explain(**(found.question(found.explainable[-1]) or {}), methods=("saliency",), checks=())
    assert np.allclose(each[-1].attributions[0].scores, alone.attributions[0].scores, atol=1e-4)


def test_an_answer_that_the_template_cuts_is_not_asked_about(tmp_path: Path) -> None:
    model = load(str(saying(tmp_path, TEMPLATE.replace("m['content']", "m['content'] | trim"))))
    drawn = (model.generate(TALK, tokens=4, seed=seed) for seed in range(100))
    found = next(one for one in drawn if "".join(one.pieces[:1]).startswith(" "))
    assert not found.readable.any(), "the template leaves the first space out"
    assert found.explainable == (0,)
    assert len(model.explain_generation(found, methods=("saliency",))) == 1


@pytest.mark.parametrize(
    "template",
    [
        "{% if messages[-1].role == 'assistant' %}{{ raise_exception('no') }}{% endif %}" + TEMPLATE,
        "{% if messages[-1].role == 'assistant' %}{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}"
        "{% endfor %}{% endif %}" + TEMPLATE,
    ],
    ids=["refuses", "takes for ever"],
)
def test_a_template_that_takes_no_answer_leaves_the_first_token(tmp_path: Path, template: str) -> None:
    found = load(str(saying(tmp_path, template))).generate(TALK, tokens=3)
    assert len(found.ids) == 3
    assert found.explainable == (0,)


def processes(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands of all processes for templates that are begun from now on."""
    real, begun = subprocess.Popen, list[list[str]]()

    def start(command: list[str], **options: Any) -> Any:
        if any("templating.py" in part for part in command):
            begun.append(command)
        return real(command, **options)

    monkeypatch.setattr(subprocess, "Popen", start)
    return begun


def test_beginnings_of_an_answer_share_processes(speaker: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = processes(monkeypatch)
    one = speaker.generate(TALK, tokens=10, seed=3)
    assert len(begun) == 2, "one for the conversation, one for all beginnings of the answer"
    monkeypatch.setattr("explain.model.chat.TOGETHER", 3)
    two = speaker.generate(TALK, tokens=10, seed=3)
    assert two.readable.tolist() == one.readable.tolist()
    assert len(begun) > 4


def test_tokens_of_an_answer_are_read_by_few_processes(speaker: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    found = told(speaker, least=4)
    alone = [speaker.explain(**(found.question(i) or {}), methods=("saliency",), checks=()) for i in found.explainable]
    begun = processes(monkeypatch)
    each = speaker.explain_generation(found, methods=("saliency",), checks=())
    assert len(begun) == 2, "the first token's conversation has no answer yet"
    assert [one.tokens for one in each] == [one.tokens for one in alone]
    assert not chat._ahead.get(), "nothing is kept of them"


def test_an_end_that_the_checkpoint_names_ends_an_answer(tmp_path: Path, speaker: Model) -> None:
    ids = speaker.generate(TALK, tokens=3).ids.tolist()
    model = load(str(saying(tmp_path, TEMPLATE)))
    model.module.generation_config.eos_token_id = [0, ids[-1]]  # type: ignore[union-attr]
    found = model.generate(TALK, tokens=5)
    assert (found.ids.tolist(), found.stopped) == (ids[: ids.index(ids[-1])], "end")


def test_what_cannot_be_answered_is_refused(speaker: Model, teller: Model, scribe: Model) -> None:
    with pytest.raises(ModelError, match="no chat template"):
        teller.generate(TALK)
    with pytest.raises(InputError, match="reads no conversations"):
        scribe.generate(TALK)
    with pytest.raises(InputError) as caught:
        speaker.generate(("one", "two"))
    assert caught.value.code == "bad_text"
    with pytest.raises(InputError) as caught:
        speaker.generate([{"role": "user", "content": "king " * 80}])
    assert caught.value.code == "too_long"


def test_several_conversations_are_read_at_once(speaker: Model) -> None:
    texts = [("The king said.", word) for word in ("wolf", "the wolf", "\ue000")]
    found = chat.read(speaker.tokenizer, texts, ("system", "user"))
    assert list(found) == [ids_of(speaker, whole(one, ("system", "user"))) for one in texts]


MET = "{% if 'wolf' in messages[-1].content %}"
WORDS = ("go", "the wolf", "look")


def talks_of(words: tuple[str, ...]) -> list[tuple[str, str]]:
    return [("The king said.", word) for word in words]


def spoken(template: str) -> Any:
    tokenizer = story_tokenizer()
    tokenizer.chat_template = template
    return tokenizer


def read_alone(tokenizer: Any, words: tuple[str, ...]) -> list[list[int] | None]:
    """Each by a process of its own; None for one that is refused."""
    found: list[list[int] | None] = []
    for texts in talks_of(words):
        try:
            text, _ = chat.rendered(tokenizer, texts, ("system", "user"))
        except (InputError, ModelError):
            found.append(None)
        else:
            found.append(list(tokenizer(text, add_special_tokens=False)["input_ids"]))
    return found


@pytest.mark.parametrize("fault", ["{{ raise_exception('no') }}", "{{ {}['x']() }}"], ids=["refuses", "breaks"])
def test_a_conversation_that_the_template_refuses_leaves_those_beside_it(
    fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = spoken(MET + fault + "{% endif %}" + TEMPLATE)
    alone, begun = read_alone(tokenizer, WORDS), processes(monkeypatch)
    assert [one is None for one in alone] == [False, True, False]
    assert list(chat.read(tokenizer, talks_of(WORDS), ("system", "user"))) == alone
    assert len(begun) == 1, "by one process all the same"
    with chat.together(tokenizer, talks_of(WORDS), ("system", "user")):
        assert read_alone(tokenizer, WORDS) == alone
    assert len(begun) == 2


def test_many_conversations_that_are_large_together_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a template may write is for each of them; the longest one here is the first that is too large by itself."""
    tokenizer, words = spoken(TEMPLATE + "{{ 'u ' * 300 }}"), ("go", "look", "the wolf", "look " * 80)
    monkeypatch.setattr(chat, "TEMPLATE_WRITES", 1500 / settings().max_characters)
    alone, begun = read_alone(tokenizer, words), processes(monkeypatch)
    assert [one is None for one in alone] == [False, False, False, True]
    assert list(chat.read(tokenizer, talks_of(words), ("system", "user"))) == alone
    assert len(begun) == 4, "there is room for one beside the marks"


def test_no_more_is_tried_behind_one_that_takes_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind it are longer ones, of which each would take all that a process may."""
    ever = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}{% endif %}"
    monkeypatch.setitem(TEMPLATES, "template_seconds", 1)
    tokenizer, begun = spoken(MET + ever + TEMPLATE), processes(monkeypatch)
    first, *others = chat.read(tokenizer, talks_of((*WORDS, *WORDS)), ("system", "user"))
    assert first == read_alone(tokenizer, WORDS[:1])[0]
    assert others == [None] * 5
    assert len(begun) == 3, "the second one begins with it; the third is that of the line before"


def test_what_was_done_before_the_clock_ran_out_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    said, begun = tmp_path / "said", '{"text": "done"}\n{"te'
    child = f"import pathlib, time; print({begun!r}, end='', flush=True); pathlib.Path({str(said)!r}).touch()"
    monkeypatch.setattr(chat, "_CHILD", f"{child}; time.sleep(600)")
    monkeypatch.setattr(chat, "time", SimpleNamespace(monotonic=lambda: 1e9 * said.exists()))
    assert chat._filled("", {}, [], Meter()) == ["done"]


def test_every_face_writes_the_same_answer(run: Any, speaker: Model, speaker_folder: Path, tmp_path: Path) -> None:
    mine = speaker.generate(TALK, tokens=4, seed=1)
    file = tmp_path / "talk.json"
    file.write_text(json.dumps({"messages": TALK}), "utf-8")
    command = ("generate", "--model", str(speaker_folder), "--tokens", "4", "--seed", "1", "--messages")
    code, out, _ = run(*command, str(file), "--json")
    assert code == 0
    assert undated(out.strip()) == undated(mine.to_json())
    code, out, _ = run(*command, "-", stdin=json.dumps(TALK).encode())
    assert code == 0
    assert "look for the wolf" in out
    wish = {"tokens": 4, "seed": 1}
    with rest.client(rest.application(speaker_folder)) as web:
        for body in ({"messages": TALK}, {"inputs": {"messages": TALK}}):
            answer = web.post("/v1/generate", json={**body, "parameters": wish})
            assert answer.status_code == 200, answer.text
            assert undated(answer.text) == undated(mine.to_json())
        body = {"messages": TALK, "parameters": {"generate": wish, "methods": ["saliency"]}}
        both = web.post("/v1/explain_generation", json=body)
    assert both.status_code == 200, both.text
    reasons = speaker.explain_generation(mine, methods=("saliency",))
    assert [undated(explain.read(json.dumps(one)).to_json()) for one in both.json()] == [
        undated(one.to_json()) for one in reasons
    ]
    code, out, _ = run(*command, str(file), "--explain", "-m", "saliency", "--json")
    assert code == 0
    assert undated(out.strip()) == undated(both.text)
    with rest.served(speaker_folder) as address:
        client = explain.Client(address)
        found = client.generate(TALK, **wish)
        assert undated(found.to_json()) == undated(mine.to_json())
        assert len(client.explain_generation(found, methods=["saliency"])) == len(reasons)


def test_the_command_line_takes_a_text_or_messages(run: Any, tmp_path: Path) -> None:
    for arguments in ((), ("text", "--messages", "x.json"), ("--messages", str(tmp_path / "missing.json"))):
        code, _, err = run("generate", *arguments)
        assert code == 2
        assert "messages" in err
        assert "Traceback" not in err


def test_the_terminal_shows_the_filled_template(speaker: Model) -> None:
    found = speaker.generate(TALK, tokens=3)
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(terminal.generation(found))
    said = console.export_text()
    assert "u:look for the wolf" in said
    assert "3 tokens" in said


def test_an_answer_goes_behind_the_assistants_own_words() -> None:
    assert answered(("a", "b"), ("user", "assistant"), "") == (("a", "b"), ("user", "assistant"))
    assert answered(("a", "b"), ("user", "assistant"), "c") == (("a", "bc"), ("user", "assistant"))
    assert answered(("a",), ("user",), "c") == (("a", "c"), ("user", "assistant"))
