"""A conversation as its model was trained to read it: messages put together by the tokenizer's chat template.

What the template writes around the messages, special tokens and role names alike, is no message: it is read, shown and
kept in every baseline, and nothing scores it. A conversation that ends with the assistant's message is gone on with
inside of that message, any other one behind the template's opening of the assistant's.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from bisect import bisect
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from itertools import accumulate, repeat
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from explain.bounds import TEMPLATE, TEMPLATE_WRITES
from explain.errors import ExplainError, InputError, ModelError
from explain.messages import require
from explain.model.encoding import Encoding, check_characters, placed
from explain.model.meter import Meter
from explain.settings import settings

LOOK = 0.1
"""Seconds between two looks at whether somebody still waits for a template."""
_CHILD = (
    "import runpy, sys; script = sys.argv.pop(1); sys.path += sys.argv[3:]; runpy.run_path(script, run_name='__main__')"
)
"""Isolated from the folder and the variables of whoever starts it; the packages of this process come behind its own."""
_KNOWN = ("SYSTEMROOT", "TZ", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
"""Variables of the environment that it gets: what an interpreter needs to start, and the time zone. No secrets."""
TOGETHER = 64
"""Conversations that one process is told of."""
Told = tuple[tuple[str, ...], tuple[str, ...]]
"""Messages, and who wrote each."""
Rendered = tuple[str, tuple[tuple[int, int, int], ...]]
"""The whole text, and where each message stands in it."""
_ahead: ContextVar[Mapping[Told, Rendered | ExplainError]] = ContextVar("ahead", default=MappingProxyType({}))
_now: ContextVar[str | None] = ContextVar("now", default=None)


@contextmanager
def at(moment: str) -> Iterator[None]:
    """Templates that write the date write that of `moment` (ISO 8601 with its offset) while this is open."""
    before = _now.set(moment)
    try:
        yield
    finally:
        _now.reset(before)


def encode(
    tokenizer: Any, texts: tuple[str, ...], roles: tuple[str, ...], max_tokens: int, meter: Meter | None = None
) -> Encoding:
    """Tokenize a conversation; each message is a text of its own.

    Args:
        tokenizer: a fast tokenizer with a chat template.
        texts: the messages.
        roles: who wrote each.
        max_tokens: the most that the model reads.
        meter: says whether to stop; None for never.

    Raises:
        Cancelled: somebody asked to stop; the template's process is ended.
        InputError: no conversation, refused by the template, too long, or changed so that it is not found again.
        ModelError: there is no template, or it is broken or takes too much time or memory.
    """
    require(texts, roles)
    check_characters(texts)
    length, limit = sum(map(len, texts)), settings().max_characters
    if length > limit:
        raise InputError(
            f"The messages have {length:,} characters together; at most {limit:,} are read. Leave the first ones out.",
            code="too_large",
        )
    whole, spans = rendered(tokenizer, texts, roles, meter)
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
    return placed(enc, texts, segment, offsets, roles=roles, rendered=whole)


def rendered(tokenizer: Any, texts: tuple[str, ...], roles: tuple[str, ...], meter: Meter | None = None) -> Rendered:
    """The whole text that the model reads, and where each message stands in it: (place there, start, end in it).

    Templates may put messages in another order, and cut white space off their ends; all else would leave unknown which
    words are whose.
    """
    found = _ahead.get().get((texts, roles)) or next(_each(tokenizer, [texts], roles, meter))
    if isinstance(found, ExplainError):
        raise found
    return found


def read(
    tokenizer: Any, several: Sequence[tuple[str, ...]], roles: tuple[str, ...], meter: Meter | None = None
) -> Iterator[list[int] | None]:
    """Token ids of several conversations of the same roles, put together by few processes.

    None for one that the template changes or refuses, and for one that takes too much and all behind it: they are
    beginnings of one answer, each longer than the one before.
    """
    left = len(several)
    with suppress(InputError, ModelError):
        for found in _each(tokenizer, several, roles, meter):
            left -= 1
            if isinstance(found, ExplainError):
                yield None
            else:
                yield list(tokenizer(found[0], add_special_tokens=False, verbose=False)["input_ids"])
    yield from repeat(None, left)


@contextmanager
def together(
    tokenizer: Any, several: Sequence[tuple[str, ...]], roles: tuple[str, ...], meter: Meter | None = None
) -> Iterator[None]:
    """While this is open, these conversations of the same roles are put together by few processes, not one each.

    Nothing is kept of them afterwards. One that cannot be is refused where it is encoded.
    """
    found: dict[Told, Rendered | ExplainError] = {}
    most = settings().max_characters
    fitting = [texts for texts in several if len(texts) == len(roles) and sum(map(len, texts)) <= most]
    if roles and len(fitting) > 1:
        with suppress(InputError, ModelError):
            for texts, one in zip(fitting, _each(tokenizer, fitting, roles, meter), strict=True):
                found[texts, roles] = one
    before = _ahead.set(found)
    try:
        yield
    finally:
        _ahead.reset(before)


def _each(
    tokenizer: Any, several: Sequence[tuple[str, ...]], roles: tuple[str, ...], meter: Meter | None
) -> Iterator[Rendered | ExplainError]:
    """`rendered` of several conversations, or why one cannot be, each as if it were alone.

    A process does as many as its limits let it, and the next one begins with the first that is not done. Raises
    InputError or ModelError where none could be done, and where one takes too much by itself: no more are tried then.
    """
    template, going_on = _template(tokenizer), roles[-1] == "assistant"
    given = {**tokenizer.special_tokens_map, "tools": None, "documents": None, "add_generation_prompt": not going_on}
    while several:
        some, mark = _first(template, several)
        marks = tuple(f"{mark}{i}{mark}" for i in range(len(roles)))
        talks = [[{"role": r, "content": t} for r, t in zip(roles, one, strict=True)] for one in (marks, *some)]
        frame, *wholes = _filled(template, given, talks, meter or Meter()) or [_costly()]
        if isinstance(frame, ExplainError):
            raise frame
        if not wholes:
            raise _costly()
        one: Rendered | ExplainError
        for texts, written in zip(some, wholes, strict=False):
            try:
                one = written if isinstance(written, ExplainError) else _placed(texts, written, frame, marks, going_on)
            except InputError as error:
                one = error
            yield one
        several = several[len(wholes) :]


def _first(template: str, several: Sequence[tuple[str, ...]]) -> tuple[Sequence[tuple[str, ...]], str]:
    """As many conversations, one at least, as one process is told of, and a character that is in none of them."""
    sizes = list(accumulate(sum(map(len, texts)) for texts in several[:TOGETHER]))
    for count in (max(1, bisect(sizes, settings().max_characters)), 1):
        taken = set(template).union(*(text for texts in several[:count] for text in texts))
        mark = next((chr(c) for c in range(0xE000, 0xF8FF) if chr(c) not in taken), None)
        if mark is not None:
            return several[:count], mark
    raise InputError(
        "The messages hold every character of Unicode's private area (U+E000 to U+F8FE), of which one is needed to "
        "find them again. Leave one out.",
        code="bad_text",
    )


def _placed(texts: tuple[str, ...], whole: str, frame: str, marks: tuple[str, ...], going_on: bool) -> Rendered:
    """Where each message stands in what the template wrote; `frame` is what it wrote of the `marks`, one a message."""
    for i, sign in enumerate(marks):
        if frame.count(sign) != 1:
            raise _changed(i)
    begins = [frame.find(sign) for sign in marks]
    order = sorted(range(len(texts)), key=begins.__getitem__)
    spans, place = {}, begins[order[0]]
    if not whole.startswith(frame[:place]):
        raise _changed(order[0])
    for i, following in zip(order, [*(begins[j] for j in order[1:]), len(frame)], strict=True):
        behind = frame[begins[i] + len(marks[i]) : following]
        kept = _kept(texts[i], whole, place, behind)
        if kept is None:
            raise _changed(i)
        spans[i] = (place, *kept)
        end = place + kept[1] - kept[0]
        place = end + len(behind)
    if place != len(whole):
        raise _changed(order[-1])
    if going_on:
        if order[-1] != len(texts) - 1:
            raise _changed(len(texts) - 1)
        whole = whole[:end]
    return whole, tuple(spans[i] for i in range(len(texts)))


def _kept(text: str, whole: str, place: int, behind: str) -> tuple[int, int] | None:
    """Which part of a message stands at a place, before what the template writes behind it.

    All of it, or all but white space at its ends. White space that the template itself writes there is none of the
    message's, so what is behind decides.
    """
    left, right = len(text) - len(text.lstrip()), len(text.rstrip())
    for start, end in ((0, len(text)), (left, len(text)), (0, right), (left, right)):
        part = text[start:end]
        if part and whole.startswith(part, place) and whole.startswith(behind, place + len(part)):
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
    if len(found) > (most := TEMPLATE["template_characters"]):
        raise ModelError(
            f"This model's chat template has {len(found):,} characters; at most {most:,} are read.",
            code="bad_template",
        )
    return str(found)


def _filled(
    template: str, variables: Mapping[str, Any], conversations: Sequence[Any], meter: Meter
) -> list[str | ExplainError]:
    """The conversations as the template writes them, in a process of its own (`explain.model.templating`), or why it
    does not; fewer where the next one is too much for the same process.

    Nothing is kept of them: what a service was asked is forgotten with its answer.
    """
    asked = {
        "template": template,
        "variables": variables,
        "conversations": conversations,
        "most": TEMPLATE_WRITES * settings().max_characters,
        "now": _now.get(),
    }
    code, said = _ran(json.dumps(asked).encode("ascii"), meter)
    if code > 0:
        raise _not_started()
    return [_told(json.loads(line)) for line in said.split(b"\n")[:-1]]  # the last one may be broken off


def _told(answer: Mapping[str, str]) -> str | ExplainError:
    if "refused" in answer:
        reason = f": {answer['refused']}" if answer["refused"] else ". Give other roles, or another order of them."
        return InputError(f"This model's chat template refuses the conversation{reason}", code="template_refuses")
    if "broken" in answer:
        return ModelError(
            f"This model's chat template cannot be filled in ({answer['broken']}). Give one text instead.",
            code="bad_template",
        )
    return answer["text"]


def _ran(asked: bytes, meter: Meter) -> tuple[int, bytes]:
    """How the process ended, below 0 where it was ended, and what it wrote; it outlives neither its time nor whoever
    asked.
    """
    script, paths = str(Path(__file__).with_name("templating.py")), filter(os.path.isabs, sys.path)
    limits = (str(TEMPLATE[f"template_{name}"]) for name in ("seconds", "memory"))
    known = {name: os.environ[name] for name in _KNOWN if name in os.environ}
    pipe, until = subprocess.PIPE, time.monotonic() + TEMPLATE["template_wait"]
    meter.check()
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", "-c", _CHILD, script, *limits, *paths],
            stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, env=known,
        )  # fmt: skip
    except OSError:
        raise _not_started() from None
    with process, ThreadPoolExecutor(1) as beside:
        try:
            answer = beside.submit(process.communicate, asked)  # which takes no input up again after a timeout
            while True:
                with suppress(TimeoutError):
                    said, _ = answer.result(LOOK)
                    return process.returncode, said
                meter.check()
                if time.monotonic() > until:
                    process.kill()
                    return -1, answer.result()[0]
        finally:
            process.kill()


def _not_started() -> ModelError:
    return ModelError("The process that fills chat templates in did not start.", code="bad_template")


def _costly() -> ModelError:
    return ModelError(
        "This model's chat template takes more time or memory than a template may, or writes too much. Do not use it; "
        "give one text instead.",
        code="bad_template",
    )
