"""A conversation as its model was trained to read it: messages put together by the tokenizer's chat template.

What the template writes around the messages, special tokens and role names alike, is no message: it is read, shown and
kept in every baseline, and nothing scores it. A conversation that ends with the assistant's message is gone on with
inside of that message, any other one behind the template's opening of the assistant's.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from explain.errors import InputError, ModelError
from explain.messages import require
from explain.model.encoding import Encoding, check_characters
from explain.records import Tokens
from explain.settings import settings
from explain.units import units_of

WAIT = 10.0
"""Seconds on a clock for filling a template in, the start of its process included."""
LARGEST = 512 * 1024
"""Characters of a template."""


def encode(tokenizer: Any, texts: tuple[str, ...], roles: tuple[str, ...], max_tokens: int) -> Encoding:
    """Tokenize a conversation; each message is a text of its own.

    Args:
        tokenizer: a fast tokenizer with a chat template.
        texts: the messages.
        roles: who wrote each.
        max_tokens: the most that the model reads.

    Raises:
        InputError: no conversation, refused by the template, too long, or changed so that it is not found again.
        ModelError: there is no template, or it is broken or takes too much time or memory.
    """
    require(texts, roles)
    check_characters(texts)
    whole, spans = rendered(tokenizer, texts, roles)
    enc = tokenizer(whole, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    count = len(enc["input_ids"])
    if count > max_tokens:
        raise InputError(
            f"The conversation has {count:,} tokens with its template, and this model reads {max_tokens:,}. Shorten "
            "it, or leave its first messages out.",
            code="too_long",
        )
    begin, end = np.array(enc["offset_mapping"], dtype=np.int32).reshape(-1, 2).T  # (T,) each
    segment, offsets = np.full(count, -1, dtype=np.int32), np.zeros((count, 2), dtype=np.int32)
    for i, (place, start, stop) in enumerate(spans):  # of the message from its character `start` on
        mine = np.maximum(begin, place) < np.minimum(end, place + stop - start)
        segment[mine] = i
        offsets[mine, 0] = np.maximum(begin[mine], place) - place + start
        offsets[mine, 1] = np.minimum(end[mine], place + stop - start) - place + start
    special = segment < 0
    if special.all():
        raise InputError("The messages hold nothing that the model can read.", code="no_content_tokens")
    tokens = Tokens(
        texts=texts,
        segment=segment,
        ids=np.array(enc["input_ids"], dtype=np.int64),
        strings=tuple(enc.tokens()),
        offsets=offsets,
        special=special,
        words=units_of(texts, segment, offsets, special, "word").of_token,
        roles=roles,
        rendered=whole,
    )
    names = [n for n in enc if n not in ("offset_mapping", "attention_mask", "special_tokens_mask")]
    return Encoding(tokens, {n: np.array(enc[n], dtype=np.int64) for n in names})


def rendered(
    tokenizer: Any, texts: tuple[str, ...], roles: tuple[str, ...]
) -> tuple[str, tuple[tuple[int, int, int], ...]]:
    """The whole text that the model reads, and where each message stands in it: (place there, start, end in it).

    Templates may put messages in another order, and cut white space off their ends; all else would leave unknown which
    words are whose.
    """
    template = _template(tokenizer)
    taken = set(template).union(*texts)
    mark = next((chr(c) for c in range(0xE000, 0xF8FF) if chr(c) not in taken), None)
    if mark is None:
        raise InputError(
            "The messages hold every character of Unicode's private area (U+E000 to U+F8FE), of which one is needed to "
            "find them again. Leave one out.",
            code="bad_text",
        )
    marks = [f"{mark}{i}{mark}" for i in range(len(texts))]
    going_on = roles[-1] == "assistant"
    given = {"tools": None, "documents": None, "add_generation_prompt": not going_on}
    variables = json.dumps({**tokenizer.special_tokens_map, **given})
    both = [[{"role": r, "content": t} for r, t in zip(roles, some, strict=True)] for some in (texts, marks)]
    whole, frame = _filled(template, variables, json.dumps(both))
    order = sorted(range(len(texts)), key=lambda i: frame.find(marks[i]))
    spans, at, place = {}, 0, 0
    for i in order:
        until = frame.find(marks[i])
        around = frame[at:until]
        kept = _kept(texts[i], whole, place + len(around)) if whole.startswith(around, place) else None
        if frame.count(marks[i]) != 1 or kept is None:
            raise _changed(i)
        place += len(around)
        spans[i] = (place, *kept)
        at, place = until + len(marks[i]), place + kept[1] - kept[0]
    if whole[place:] != frame[at:]:
        raise _changed(order[-1])
    if going_on:
        if order[-1] != len(texts) - 1:
            raise _changed(len(texts) - 1)
        whole = whole[:place]
    return whole, tuple(spans[i] for i in range(len(texts)))


def _kept(text: str, whole: str, place: int) -> tuple[int, int] | None:
    """Which part of a message stands at a place: all of it, or all but white space at its ends."""
    left, right = len(text) - len(text.lstrip()), len(text.rstrip())
    for start, end in ((0, len(text)), (left, right), (0, right), (left, len(text))):
        if start < end and whole.startswith(text[start:end], place):
            return start, end
    return None


def _changed(index: int) -> InputError:
    return InputError(
        f"This model's chat template does not write message {index + 1} as it was given, so its words cannot be found "
        "in what the model reads. Leave out of it what the template takes for its own, or give the whole as one text.",
        code="template_changes",
    )


def _template(tokenizer: Any) -> str:
    try:
        found = tokenizer.get_chat_template()
    except ValueError:
        raise ModelError(
            "This model has no chat template, so it is not known how it was trained to read messages. Give one text.",
            code="no_template",
        ) from None
    if len(found) > LARGEST:
        raise ModelError(
            f"This model's chat template has {len(found):,} characters; at most {LARGEST:,} are read.",
            code="bad_template",
        )
    return str(found)


def _filled(template: str, variables: str, conversations: str) -> Sequence[str]:
    """The conversations as the template writes them, in a process of its own (`explain.model.templating`)."""
    asked = {
        "template": template,
        "variables": json.loads(variables),
        "conversations": json.loads(conversations),
        "most": 4 * settings().max_characters,
    }
    script = Path(__file__).with_name("templating.py")
    try:
        ran = subprocess.run(
            [sys.executable, "-I", str(script)], input=json.dumps(asked).encode("ascii"), capture_output=True,
            timeout=WAIT, check=True,
        )  # fmt: skip
        answer = json.loads(ran.stdout)
    except subprocess.TimeoutExpired:
        raise _costly() from None
    except subprocess.CalledProcessError as error:
        if error.returncode < 0:  # ended by the system
            raise _costly() from None
        raise ModelError("The process that fills chat templates in did not start.", code="bad_template") from None
    if "refused" in answer:
        raise InputError(f"This model's chat template refuses the conversation: {answer['refused'][:200]}",
                         code="template_refuses")  # fmt: skip
    if "broken" in answer:
        raise ModelError(
            f"This model's chat template cannot be filled in: {answer['broken'][:200]}. Give one text instead.",
            code="bad_template",
        )
    if "texts" not in answer:
        raise _costly()
    return tuple(answer["texts"])


def _costly() -> ModelError:
    return ModelError(
        "This model's chat template takes more time or memory than a template may, or writes too much. Do not use it; "
        "give one text instead.",
        code="bad_template",
    )
